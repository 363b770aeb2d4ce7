// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[Container]`: process, limits, isolation, readiness.

use std::path::Path;

use toml_edit::{Array, Value};

use super::super::draft::Draft;
use super::super::lxc::{id, limit, number};
use super::super::unit_syntax::words;
use super::super::{absolute, size};
use super::{Assignment, Rules, boolean};

/// The words of a value, or a refusal.
pub(super) fn split(draft: &mut Draft, assignment: &Assignment) -> Vec<String> {
    words(&assignment.value).unwrap_or_else(|why| {
        draft.refuse(assignment.at, why);
        Vec::new()
    })
}

pub(super) fn container(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Assignment { at, key, value, .. } = assignment;
    let at = *at;
    match key.as_str() {
        "Exec" => exec(draft, assignment, rules),
        "Entrypoint" if rules.all.container("Exec").is_none() => {
            command(draft, at, entrypoint(value), Vec::new())
        }
        "Entrypoint" => draft.change(at, "stands before Exec in process.command"),
        "Environment" => {
            for word in split(draft, assignment) {
                match word.split_once('=') {
                    Some((name, value)) if !name.is_empty() => {
                        draft.set(at, &["process", "env", name], value)
                    }
                    _ => draft
                        .refuse(at, format!("{word:?} is a variable of the caller's own: give it a value")),
                }
            }
        }
        "EnvironmentFile" => {
            let base = rules.source.path.parent().unwrap_or(Path::new("/"));
            let path = base.join(value.trim_start_matches("./"));
            draft.add(at, &["process", "env_file"], path.to_string_lossy().into_owned());
            draft.change(at, "quotes in it are taken off, as systemd does; Podman leaves them");
        }
        "User" => match value.split_once(':') {
            Some((user, group)) => {
                draft.set(at, &["process", "user"], id(user));
                draft.set(at, &["process", "group"], id(group));
            }
            None => draft.set(at, &["process", "user"], id(value)),
        },
        "Group" => draft.set(at, &["process", "group"], id(value)),
        "GroupAdd" if value == "keep-groups" => draft.refuse(at, "the caller has no groups to keep"),
        "GroupAdd" => draft.add(at, &["process", "groups"], id(value)),
        "WorkingDir" => draft.set(at, &["process", "cwd"], value.as_str()),
        "HostName" => draft.set(at, &["hostname"], value.as_str()),
        "RunInit" => {
            if let Some(init) = boolean(draft, assignment) {
                draft.set(at, &["process", "init"], init);
            }
        }
        "Timezone" => timezone(draft, at, value),
        _ => {}
    }
}

fn exec(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Ok(arguments) = words(&assignment.value) else {
        return drop(split(draft, assignment));
    };
    if assignment.value.contains('$') {
        draft.change(assignment.at, "$$ is $ now, and no variable is put in");
    }
    let arguments = arguments.into_iter().map(|word| word.replace("$$", "$")).collect();
    let first = match rules.all.container("Entrypoint") {
        Some(first) => entrypoint(&first.value),
        None if rules.all.container("Image").is_some() => {
            draft.change(assignment.at, "an entrypoint that the image has is not put before it");
            Vec::new()
        }
        None => Vec::new(),
    };
    command(draft, assignment.at, first, arguments);
}

fn command(draft: &mut Draft, at: usize, mut first: Vec<String>, arguments: Vec<String>) {
    first.extend(arguments);
    if first.is_empty() {
        return draft.refuse(at, "there is no program in it");
    }
    draft.set(at, &["process", "command"], Value::Array(first.iter().collect()));
}

/// A list in JSON, or one program.
fn entrypoint(value: &str) -> Vec<String> {
    serde_json::from_str(value).unwrap_or_else(|_| vec![value.to_owned()])
}

fn timezone(draft: &mut Draft, at: usize, value: &str) {
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
    if !plain || value.starts_with('/') {
        return draft.refuse(at, "not a time zone");
    }
    let source =
        if value == "local" { "/etc/localtime".to_owned() } else { format!("/usr/share/zoneinfo/{value}") };
    let mount = super::super::draft::Mount {
        source: Some(source),
        target: "/etc/localtime".to_owned(),
        options: vec!["ro".to_owned()],
        create: Some("file"),
        ..Default::default()
    };
    draft.mount(at, mount);
    draft.change(at, "the host's file is mounted, Podman makes a copy");
}

pub(super) fn limits(draft: &mut Draft, Assignment { at, key, value, .. }: &Assignment) {
    let at = *at;
    match key.as_str() {
        "Ulimit" => match value.split_once('=') {
            Some((resource, value)) => limit(draft, at, resource, value),
            None => {
                draft.refuse(at, "not of the form NAME=SOFT:HARD; the host's limits are those of systemd")
            }
        },
        "PidsLimit" if matches!(value.as_str(), "-1" | "0") => {
            draft.set(at, &["resources", "tasks_max"], "infinity")
        }
        "PidsLimit" => draft.set(at, &["resources", "tasks_max"], id(value)),
        "Memory" => draft.set(at, &["resources", "memory_max"], size(value)),
        "StopSignal" => draft.set(at, &["stop", "signal"], value.as_str()),
        "StopTimeout" => draft.set(at, &["stop", "timeout"], format!("{value}s")),
        _ => {}
    }
}

pub(super) fn isolation(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Assignment { at, key, value, .. } = assignment;
    let at = *at;
    match key.as_str() {
        "NoNewPrivileges" => {
            if let Some(value) = boolean(draft, assignment) {
                draft.set(at, &["security", "no_new_privileges"], value);
            }
        }
        "SeccompProfile" if value == "unconfined" || absolute(value) => {
            draft.set(at, &["security", "seccomp"], value.as_str());
            if value != "unconfined" {
                draft.change(
                    at,
                    "must be an OCI seccomp object: Podman's includes and excludes mean nothing there",
                );
            }
        }
        "AddCapability" => capabilities(draft, assignment, "add"),
        "DropCapability" => capabilities(draft, assignment, "drop"),
        "Network" => network(draft, at, value),
        "PublishPort" => {
            let host = rules.all.container("Network").is_some_and(|network| network.value == "host");
            let ports: Vec<&str> =
                value.trim_end_matches("/tcp").trim_end_matches("/udp").split(':').collect();
            match ports.as_slice() {
                [.., outside, inside] if host && outside == inside => draft.change(at, "with the host's network it is there as it is"),
                _ => draft.refuse(at, "ct forwards no ports: use Network=host, or a namespace with addresses (network.mode = \"ns:PATH\")"),
            }
        }
        "UIDMap" | "GIDMap" => idmap(draft, assignment),
        "UserNS" if value == "host" => draft.change(at, "there is none unless [idmap] asks for it"),
        "Pod" => match value.strip_suffix(".pod") {
            Some(pod) => {
                draft.set(at, &["pod"], pod);
                draft.change(at, format!("the pod is not imported: write /etc/ct/pods/{pod}.toml"));
            }
            None => draft.refuse(at, "not the name of a .pod file"),
        },
        "SecurityLabelDisable" | "SecurityLabelNested" => draft.change(at, "ct sets no labels"),
        "LogDriver" if matches!(value.as_str(), "journald" | "passthrough") => {
            draft.change(at, "the log is in the journal")
        }
        "LogDriver" if value == "none" => draft.set(at, &["log", "mode"], "none"),
        "LogDriver" => draft.change(at, "the log is in the journal, and in no file"),
        "PodmanArgs" => podman_arguments(draft, assignment),
        _ => {}
    }
}

fn capabilities(draft: &mut Draft, assignment: &Assignment, list: &'static str) {
    for name in assignment.value.split([' ', ',', '\t']).filter(|name| !name.is_empty()) {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        draft.add(assignment.at, &["security", "capabilities", list], bare);
    }
}

fn network(draft: &mut Draft, at: usize, value: &str) {
    match value.split_once(':').unwrap_or((value, "")) {
        ("none" | "host", "") => draft.set(at, &["network", "mode"], value),
        ("ns", path) if absolute(path) => draft.set(at, &["network", "mode"], value),
        _ => draft.refuse(
            at,
            "ct makes no network devices: use none, host, or a namespace made elsewhere (network.mode = \"ns:PATH\")",
        ),
    }
}

/// `CONTAINER:HOST:COUNT`
fn idmap(draft: &mut Draft, Assignment { at, key, value, .. }: &Assignment) {
    let numbers: Vec<i64> = value.split(':').filter_map(number).collect();
    let key = if key == "UIDMap" { "uid" } else { "gid" };
    let mut numbers = numbers;
    if numbers.len() == 2 && value.split(':').count() == 2 {
        numbers.push(1);
    }
    if numbers.len() != 3 || value.split(':').count() > 3 {
        return draft.refuse(*at, "not of the form CONTAINER:HOST:COUNT with ids of the host");
    }
    draft.add(*at, &["idmap", key], Value::Array(numbers.into_iter().collect::<Array>()));
}

/// Options of podman-run(1) that have a key.
fn podman_arguments(draft: &mut Draft, assignment: &Assignment) {
    let at = assignment.at;
    let words = split(draft, assignment);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut operand = || value.clone().or_else(|| rest.next().cloned()).unwrap_or_default();
        match option {
            "--memory" | "-m" => draft.set(at, &["resources", "memory_max"], size(&operand())),
            "--pids-limit" => draft.set(at, &["resources", "tasks_max"], id(&operand())),
            "--hostname" | "-h" => draft.set(at, &["hostname"], operand()),
            "--cpus" => {
                let operand = operand();
                match operand.parse::<f64>() {
                    Ok(cpus) if cpus > 0.0 && cpus < 10_000.0 => {
                        draft.set(at, &["resources", "cpu_quota"], format!("{:.0}%", cpus * 100.0));
                    }
                    _ => draft.refuse(at, format!("--cpus {operand}: not a number")),
                }
            }
            "--oom-score-adj" => match operand().parse::<i64>() {
                Ok(score) => draft.set(at, &["oom", "score_adjust"], score),
                Err(_) => draft.refuse(at, "--oom-score-adj: not a number"),
            },
            _ => draft.refuse(at, format!("{word}: see ct.toml(5) for a key that does the same")),
        }
    }
}

pub(super) fn health(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Assignment { at, key, value, .. } = assignment;
    let at = *at;
    let healthy = rules.all.container("Notify").is_some_and(|notify| notify.value == "healthy");
    match key.as_str() {
        "Notify" if value == "healthy" && rules.all.container("HealthCmd").is_some() => {
            draft.change(at, "it is ready when ready.command has succeeded once");
        }
        "Notify" if value == "healthy" => {
            draft.refuse(at, "the health check of the image is not known: set HealthCmd")
        }
        "Notify" => {
            if let Some(notify) = boolean(draft, assignment) {
                draft.set(at, &["ready", "notify"], notify);
            }
        }
        "HealthCmd" if value == "none" => draft.change(at, "there is none"),
        "HealthCmd" if healthy => {
            let list: Array = serde_json::from_str::<Vec<String>>(value)
                .unwrap_or_else(|_| ["sh", "-c", value].map(str::to_owned).to_vec())
                .iter()
                .collect();
            draft.set(at, &["ready", "command"], Value::Array(list));
            draft.change(at, "runs until the container is ready, and no more after that");
        }
        "HealthInterval" if healthy => draft.set(at, &["ready", "interval"], value.as_str()),
        "HealthTimeout" if healthy => draft.set(at, &["ready", "command_timeout"], value.as_str()),
        "HealthStartPeriod" | "HealthRetries" if healthy => {
            draft.change(at, "it is tried until ready.timeout is over")
        }
        _ if key.starts_with("Health") => {
            draft.refuse(
                at,
                "ct runs no checks while a container runs: with Notify=healthy it becomes ready.command",
            );
        }
        _ => {}
    }
}

/// What Podman needs to be told and ct does not.
pub(super) fn unneeded(draft: &mut Draft, assignment: &Assignment) {
    let why = match (assignment.key.as_str(), assignment.value.as_str()) {
        ("ContainerName", _) => "the name is that of the file",
        ("ServiceName", _) => "the unit is ct@NAME.service",
        ("Label", _) => "nothing in ct reads labels",
        ("Pull" | "AutoUpdate" | "Retry" | "RetryDelay", _) => {
            "ct pulls no images: ctctl import-image makes layers of a new one"
        }
        ("ExposeHostPort", _) => "it opens nothing",
        ("CgroupsMode", "split" | "enabled") => "the container has its part of the unit's group",
        ("EnvironmentHost" | "HttpProxy", "false" | "no" | "0") => {
            "nothing of the host's environment is there"
        }
        ("ReadOnlyTmpfs", _) => "see ReadOnly",
        ("DefaultDependencies", "true" | "yes" | "1") => "ct@.service has them",
        _ => return,
    };
    draft.change(assignment.at, why);
}

/// What Podman does for every container.
pub(super) fn defaults(draft: &mut Draft, rules: &Rules<'_>) {
    if !draft.has(&["security", "no_new_privileges"]) {
        draft.assume(
            &["security", "no_new_privileges"],
            false,
            "Podman lets programs gain privileges unless told otherwise",
        );
    }
    if rules.all.container("Network").is_none() {
        draft.note("Podman gives it an address on a bridge; ct makes no network devices: see network.mode");
    }
    if !draft.has(&["stop", "timeout"]) {
        draft.assume(&["stop", "timeout"], "10s", "Podman kills after so long");
    }
}

/// Why there is no rule for a key.
pub(super) fn why_not(section: &str, key: &str) -> String {
    let why = match (section, key) {
        ("Container", "Secret") => {
            "ct has no store of secrets: mount the file with [[mount]], or use process.env_file"
        }
        ("Container", "Sysctl") => "ct has no key for it: set it in a pre_start hook, or use a bundle",
        ("Container", "DNS" | "DNSOption" | "DNSSearch" | "AddHost") => {
            "ct writes no files into a container: mount a resolv.conf or hosts file with [[mount]]"
        }
        ("Container", "IP" | "IP6" | "NetworkAlias") => "ct makes no network devices",
        ("Container", "Annotation") => "ct gives the runtime no annotations: use a bundle",
        ("Container", "Mask" | "Unmask") => "what is masked in /proc and /sys is the same for all containers",
        ("Container", "AppArmor") => {
            "ct sets no profile: set AppArmorProfile in [systemd.service] if one is needed"
        }
        ("Container", "SubUIDMap" | "SubGIDMap" | "UserNS") => {
            "set [idmap], or user to an account with subordinate ids"
        }
        ("Container", "ReloadCmd" | "ReloadSignal") => "set ExecReload in [systemd.service]",
        ("Container", _) => "ct has no key for it",
        _ => "ct's own units say it",
    };
    why.to_owned()
}
