// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configs of LXC, lxc.container.conf(5): one `lxc.key = value` a line, and the names that keys had before LXC 3.

mod cgroup;
mod identity;
mod mounts;

use std::path::{Component, Path, PathBuf};

use ct_config::value::RlimitResource;
use toml_edit::{Array, Value};

use super::draft::{Bad, Draft, Line};
use super::{Source, absolute, read};

/// Names of LXC 2 and 1, and what they are called now.
const RENAMED: [(&str, &str); 26] = [
    ("lxc.utsname", "lxc.uts.name"),
    ("lxc.rootfs", "lxc.rootfs.path"),
    ("lxc.rootfs.backend", "lxc.rootfs.managed"),
    ("lxc.id_map", "lxc.idmap"),
    ("lxc.init_cmd", "lxc.init.cmd"),
    ("lxc.init_uid", "lxc.init.uid"),
    ("lxc.init_gid", "lxc.init.gid"),
    ("lxc.mount", "lxc.mount.fstab"),
    ("lxc.seccomp", "lxc.seccomp.profile"),
    ("lxc.aa_profile", "lxc.apparmor.profile"),
    ("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    ("lxc.se_context", "lxc.selinux.context"),
    ("lxc.haltsignal", "lxc.signal.halt"),
    ("lxc.stopsignal", "lxc.signal.stop"),
    ("lxc.rebootsignal", "lxc.signal.reboot"),
    ("lxc.tty", "lxc.tty.max"),
    ("lxc.devttydir", "lxc.tty.dir"),
    ("lxc.pts", "lxc.pty.max"),
    ("lxc.console", "lxc.console.path"),
    ("lxc.logfile", "lxc.log.file"),
    ("lxc.loglevel", "lxc.log.level"),
    ("lxc.syslog", "lxc.log.syslog"),
    ("lxc.kmsg", "lxc.console.kmsg"),
    ("lxc.network.type", "lxc.net.0.type"),
    ("lxc.no_new_privileges", "lxc.no_new_privs"),
    ("lxc.monitor.unshare", "lxc.monitor.unshare"),
];

/// The deepest chain of `lxc.include`.
const MAX_DEPTH: usize = 8;

/// The config, and what became of each line.
pub(super) fn translate(source: &Source) -> Result<Draft, Bad> {
    let mut lines = Vec::new();
    collect(&source.shown, &source.text, &source.path, 0, &mut lines)?;
    let mut draft = Draft::new(lines);
    for (at, line) in draft.lines().into_iter().enumerate() {
        let key = RENAMED.iter().find(|(old, _)| *old == line.key).map_or(line.key.as_str(), |(_, new)| new);
        let value = unquoted(&line.value);
        if value.is_empty() && key != "lxc.cap.drop" && key != "lxc.cap.keep" {
            draft.change(at, "is empty: it sets nothing");
            continue;
        }
        root(&mut draft, at, key, value);
        process(&mut draft, at, key, value);
        lifecycle(&mut draft, at, key, value);
        security(&mut draft, at, key, value);
        unneeded(&mut draft, at, key, value);
        mounts::mounts(&mut draft, at, key, value);
        cgroup::cgroup(&mut draft, at, key, value);
    }
    identity::idmaps(&mut draft);
    identity::capabilities(&mut draft);
    if !draft.has(&["security", "no_new_privileges"]) {
        draft.assume(
            &["security", "no_new_privileges"],
            false,
            "LXC lets programs gain privileges unless told otherwise",
        );
    }
    if !draft.has(&["security", "seccomp"]) {
        draft.note("LXC filters no system calls unless told to; ct has its own filter: see security.seccomp");
    }
    draft.finish(|line| match line.key.split('.').nth(1) {
        Some("net" | "network") => "ct makes no network devices: make a namespace with them and set network.mode = \"ns:/run/netns/NAME\"".to_owned(),
        Some("hook") => "LXC's hooks have another environment: write it anew as one of [hooks]".to_owned(),
        Some("sysctl" | "proc") => "ct has no key for it: set it in a pre_start hook, or use a bundle".to_owned(),
        Some("selinux") => "ct sets no labels".to_owned(),
        Some("group" | "cgroup") => "ct's groups are slices: set slice".to_owned(),
        _ => "ct has no key for it".to_owned(),
    });
    Ok(draft)
}

/// The lines of a file, with those of the files that it includes from its own directory and below.
fn collect(shown: &str, text: &str, path: &Path, depth: usize, lines: &mut Vec<Line>) -> Result<(), Bad> {
    for (number, raw) in (1..).zip(text.lines()) {
        let bad = |reason: String| Bad { file: shown.to_owned(), line: number, reason };
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| bad(format!("{line:?} is neither KEY = VALUE nor a comment")))?;
        let (key, value) = (key.trim(), value.trim());
        lines.push(Line::new(shown, number, "", key, value));
        if key != "lxc.include" || is_distributions(value) {
            continue;
        }
        let base = path.parent().unwrap_or(Path::new("."));
        let Some(included) = below(base, value) else { continue };
        if depth >= MAX_DEPTH {
            return Err(bad("files include each other too deeply".to_owned()));
        }
        let text = read(&included).map_err(|error| bad(format!("cannot include {value}: {error}")))?;
        collect(&included.to_string_lossy(), &text, &included, depth + 1, lines)?;
    }
    Ok(())
}

/// An included file of the same directory, or below it.
fn below(base: &Path, value: &str) -> Option<PathBuf> {
    let path = Path::new(value);
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    if path.is_relative() {
        return Some(base.join(path));
    }
    let base = std::path::absolute(base).ok()?;
    path.starts_with(base).then(|| path.to_owned())
}

fn is_distributions(value: &str) -> bool {
    value.starts_with("/usr/share/lxc/config/") || value.starts_with("/usr/local/share/lxc/config/")
}

/// As LXC reads it: one pair of quotes around all of it is taken off.
fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

fn root(draft: &mut Draft, at: usize, key: &str, value: &str) {
    match key {
        "lxc.rootfs.path" => rootfs(draft, at, value),
        "lxc.rootfs.options" => {
            for option in value.split(',') {
                match option {
                    "ro" => draft.set(at, &["root", "writable"], "no"),
                    "idmap=container" => draft.set(at, &["root", "idmap"], true),
                    "rw" | "bind" | "rbind" => draft.change(at, format!("{option} is what it is anyway")),
                    _ => draft.refuse(
                        at,
                        format!("the option {option:?} cannot be given for a root: mount it so before"),
                    ),
                }
            }
        }
        "lxc.ephemeral" if value == "1" => {
            draft.set(at, &["root", "writable"], "ephemeral");
            draft.change(at, "its writes are gone after a stop; LXC removes the container as well");
        }
        "lxc.include" if is_distributions(value) => {
            draft.change(
                at,
                "LXC's defaults for a distribution are not read: ct has its own mounts, devices and filter",
            );
        }
        "lxc.include" => match draft.lines().get(at + 1) {
            Some(next)
                if next.file != draft.lines().get(at).map(|line| line.file.clone()).unwrap_or_default() =>
            {
                draft.change(at, "its lines follow");
            }
            _ => draft.refuse(at, "only files of the same directory are included: copy what it has"),
        },
        _ => {}
    }
}

fn rootfs(draft: &mut Draft, at: usize, value: &str) {
    let (kind, path) = match value.split_once(':') {
        Some((kind, path)) if !kind.contains('/') => (kind, path),
        _ => ("dir", value),
    };
    match kind {
        "dir" | "btrfs" if absolute(path) => {
            draft.set(at, &["root", "path"], path);
            if kind == "btrfs" {
                draft.change(at, "ct takes no snapshots: the subvolume is used as a directory");
            }
        }
        "overlay" | "overlayfs" => {
            let mut layers: Vec<&str> = path.split(':').collect();
            let upper = layers.pop().unwrap_or_default();
            if layers.is_empty() || !layers.iter().chain([&upper]).all(|layer| absolute(layer)) {
                return draft.refuse(at, "not overlay:LOWER:UPPER with absolute paths");
            }
            // overlayfs has the highest first.
            let layers: Array = layers.into_iter().rev().chain([upper]).collect();
            draft.set(at, &["root", "layers"], Value::Array(layers));
            draft.change(at, "what is written from now on goes to a layer of its own below /var/lib/ct, and no more to the upper one");
        }
        _ => draft.refuse(
            at,
            format!("a root of the kind {kind:?} is not mounted by ct: mount it and set root.path"),
        ),
    }
}

fn process(draft: &mut Draft, at: usize, key: &str, value: &str) {
    match key {
        "lxc.uts.name" => draft.set(at, &["hostname"], value),
        "lxc.init.cmd" | "lxc.execute.cmd" => match shlex::split(value).filter(|words| !words.is_empty()) {
            Some(words) => {
                draft.set(at, &["process", "command"], Value::Array(words.iter().collect()));
                if key == "lxc.execute.cmd" {
                    draft.set(at, &["process", "init"], true);
                    draft.change(at, "a small init of the host takes the place of lxc-init");
                }
            }
            None => draft.refuse(at, "its quotes are not closed"),
        },
        "lxc.init.uid" => draft.set(at, &["process", "user"], id(value)),
        "lxc.init.gid" => draft.set(at, &["process", "group"], id(value)),
        "lxc.init.groups" => {
            let groups: Array = value.split(',').map(|group| id(group.trim())).collect();
            draft.set(at, &["process", "groups"], Value::Array(groups));
        }
        "lxc.init.cwd" => draft.set(at, &["process", "cwd"], value),
        "lxc.environment" | "lxc.environment.runtime" => match value.split_once('=') {
            Some((name, value)) if !name.is_empty() => draft.set(at, &["process", "env", name], value),
            _ => draft.refuse(at, "a variable of the caller's own is not taken over: give it a value"),
        },
        _ => {
            let resource = key.strip_prefix("lxc.prlimit.").or_else(|| key.strip_prefix("lxc.limit."));
            if let Some(resource) = resource {
                limit(draft, at, resource, value);
            }
        }
    }
}

/// A number, as TOML has it; a name otherwise.
pub(super) fn id(value: &str) -> Value {
    number(value).map_or_else(|| Value::from(value), Value::from)
}

/// Digits alone, of 32 bits.
pub(super) fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u32>().ok().filter(|_| digits).map(i64::from)
}

/// One of prlimit(2), in LXC's and Docker's way: -1 and "unlimited" are infinity.
pub(super) fn limit(draft: &mut Draft, at: usize, resource: &str, value: &str) {
    if !RlimitResource::ALL.iter().any(|known| known.key() == resource) {
        return draft.refuse(at, format!("there is no resource {resource:?} in getrlimit(2)"));
    }
    let side =
        |side: &str| if matches!(side, "unlimited" | "-1") { "infinity".to_owned() } else { side.to_owned() };
    let value: Vec<String> = value.split(':').map(side).collect();
    draft.set(at, &["limits", resource], value.join(":"));
}

fn lifecycle(draft: &mut Draft, at: usize, key: &str, value: &str) {
    match key {
        "lxc.signal.halt" => draft.set(at, &["stop", "signal"], value),
        "lxc.signal.stop" if matches!(value, "SIGKILL" | "KILL" | "9") => {
            draft.change(at, "systemd kills what is left after stop.timeout");
        }
        "lxc.signal.stop" => draft.refuse(
            at,
            "what is left after stop.timeout gets SIGKILL: set FinalKillSignal in [systemd.service]",
        ),
        "lxc.signal.reboot" => {
            draft.change(at, "ctctl restart stops and starts: no signal asks for a reboot")
        }
        "lxc.start.auto" => draft.set(at, &["autostart", "enabled"], value == "1"),
        "lxc.start.delay" => draft.set(at, &["autostart", "delay"], format!("{value}s")),
        "lxc.start.order" => match value.parse::<i32>() {
            Ok(order) => draft.set(at, &["autostart", "priority"], i64::from(order)),
            Err(_) => draft.refuse(at, "not a number"),
        },
        "lxc.group" if value == "onboot" => draft.change(at, "boot starts all that have autostart.enabled"),
        "lxc.proc.oom_score_adj" => match value.parse::<i64>() {
            Ok(score) => draft.set(at, &["oom", "score_adjust"], score),
            Err(_) => draft.refuse(at, "not a number"),
        },
        _ => {}
    }
}

fn security(draft: &mut Draft, at: usize, key: &str, value: &str) {
    match key {
        "lxc.no_new_privs" => draft.set(at, &["security", "no_new_privileges"], value == "1"),
        "lxc.seccomp.profile" if matches!(value, "none" | "/dev/null") => draft.set(at, &["security", "seccomp"], "unconfined"),
        "lxc.seccomp.profile" if value.ends_with("/common.seccomp") => {
            draft.set(at, &["security", "seccomp"], "default");
            draft.change(at, "ct has its own list of refused system calls");
        }
        "lxc.seccomp.profile" => draft.refuse(at, "LXC's policies are in a format of their own: write an OCI seccomp object and set security.seccomp"),
        "lxc.apparmor.profile" if matches!(value, "unconfined" | "unchanged") => draft.change(at, "ct sets no profile"),
        "lxc.apparmor.profile" => draft.refuse(at, "ct sets no AppArmor profile: set AppArmorProfile in [systemd.service] if one is needed"),
        "lxc.net.0.type" if value == "none" => draft.set(at, &["network", "mode"], "host"),
        "lxc.net.0.type" if value == "empty" => draft.set(at, &["network", "mode"], "none"),
        "lxc.namespace.share.net" if absolute(value) => draft.set(at, &["network", "mode"], format!("ns:{value}")),
        _ => {}
    }
}

/// What LXC needs to be told and ct does not.
fn unneeded(draft: &mut Draft, at: usize, key: &str, value: &str) {
    let why = match (key, value) {
        ("lxc.arch", "x86_64" | "amd64" | "aarch64" | "arm64" | "linux64") => "the machine's own",
        ("lxc.rootfs.mount" | "lxc.rootfs.managed", _) => "ct has its own place for mounts",
        ("lxc.tty.max" | "lxc.tty.dir" | "lxc.pty.max" | "lxc.console.path" | "lxc.console.kmsg", _) => {
            "ct has no such consoles; a terminal comes with ctctl exec -t"
        }
        (
            "lxc.console.logfile" | "lxc.console.buffer.size" | "lxc.console.size" | "lxc.console.rotate",
            _,
        )
        | ("lxc.log.file" | "lxc.log.level" | "lxc.log.syslog", _) => "the log is in the journal",
        ("lxc.autodev", "1") => "ct makes /dev anyway",
        ("lxc.apparmor.allow_incomplete" | "lxc.apparmor.allow_nesting", "0") => "ct sets no profile",
        ("lxc.monitor.unshare" | "lxc.monitor.signal.pdeath", _) => "ct leaves no monitor behind",
        ("lxc.ephemeral", "0") => "ct removes no containers",
        ("lxc.cgroup.relative", "0") => "systemd makes the groups",
        _ => return,
    };
    draft.change(at, why);
}
