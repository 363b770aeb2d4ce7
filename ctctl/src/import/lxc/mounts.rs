// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lxc.mount.*`: lines as in fstab(5), targets below the root.

use super::super::absolute;
use super::super::draft::{Draft, Mount};

/// What ct mounts in every container.
const USUAL: [&str; 9] = [
    "proc",
    "sys",
    "sys/fs/cgroup",
    "dev",
    "dev/pts",
    "dev/shm",
    "dev/mqueue",
    "sys/kernel/debug",
    "sys/kernel/security",
];

pub(super) fn mounts(draft: &mut Draft, at: usize, key: &str, value: &str) {
    match key {
        "lxc.mount.entry" => entry(draft, at, value),
        "lxc.mount.auto" => {
            for word in value.split_whitespace() {
                match word {
                    "proc" | "proc:mixed" | "sys" | "sys:ro" | "sys:mixed" | "cgroup" | "cgroup:mixed"
                    | "cgroup:ro" | "cgroup:mixed:force" | "cgroup:ro:force" => {
                        draft.change(at, format!("ct mounts {word} in its own way"))
                    }
                    "cgroup:rw" | "cgroup:rw:force" => {
                        draft.change(at, "ct mounts cgroups writable for a systemd");
                    }
                    _ => draft.refuse(at, format!("{word}: what is read-only in ct stays so")),
                }
            }
        }
        "lxc.mount.fstab" => draft.refuse(at, "that file is not read: write its lines as lxc.mount.entry"),
        _ => {}
    }
}

fn entry(draft: &mut Draft, at: usize, value: &str) {
    let fields: Vec<String> = value.split_whitespace().map(unescaped).collect();
    let [source, target, kind, rest @ ..] = fields.as_slice() else {
        return draft.refuse(at, "not of the form SOURCE TARGET TYPE OPTIONS 0 0");
    };
    let target = target.trim_matches('/');
    let options: Vec<&str> = rest.first().map_or(Vec::new(), |options| options.split(',').collect());
    let is_bind = matches!(kind.as_str(), "none" | "bind")
        && options.iter().any(|option| matches!(*option, "bind" | "rbind"));
    if !is_bind && USUAL.contains(&target) {
        return draft.change(at, format!("ct mounts /{target} anyway"));
    }
    if target.is_empty() || target == "proc" || target.starts_with("proc/") {
        return draft.refuse(at, "nothing can be mounted there; see root.lxcfs for files of /proc");
    }
    let mut mount = Mount { target: format!("/{target}"), ..Mount::default() };
    if is_bind {
        if !absolute(source) {
            return draft.refuse(at, "the source must be an absolute path");
        }
        mount.source = Some(source.clone());
    } else {
        mount.kind = Some(kind.clone());
        mount.source = (source != "none" && source != kind).then(|| source.clone());
    }
    for option in options {
        match option {
            "bind" | "rbind" | "defaults" => {}
            "create=dir" => mount.create = Some("dir"),
            "create=file" => mount.create = Some("file"),
            "optional" => draft.change(at, "not optional any more: a missing source fails the start"),
            "relative" => return draft.refuse(at, "a source below the root cannot be mounted"),
            other => mount.options.push(other.to_owned()),
        }
    }
    if mount.create.is_none() {
        // LXC fails where there is no target.
        mount.create = Some("no");
    }
    if draft.has_mount(&mount.target) {
        return draft.refuse(at, format!("{} is mounted twice", mount.target));
    }
    draft.mount(at, mount);
}

/// `\040` for a blank, as in fstab(5).
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
            .filter(|code| (1..0x80).contains(code));
        match code {
            Some(code) => {
                text.push(char::from(code));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}
