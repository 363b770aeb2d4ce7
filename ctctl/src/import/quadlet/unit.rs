// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[Unit]`, `[Service]`, `[Install]`: what is systemd's own, as keys where ct has one, and verbatim elsewhere.

use ct_config::resource_control::TABLE;
use toml_edit::{Array, Value};

use super::super::draft::Draft;
use super::super::lxc::id;
use super::super::unit_syntax::words;
use super::{Assignment, Rules};

pub(super) fn unit(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Assignment { at, key, value, .. } = assignment;
    let at = *at;
    match key.as_str() {
        "Description" => draft.set(at, &["description"], value.as_str()),
        "After" | "Before" | "Wants" | "Requires" => {
            let list = key.to_ascii_lowercase();
            for name in value.split_whitespace() {
                draft.add(at, &["depends", &list], container_of(name, rules));
            }
            if matches!(key.as_str(), "Requires" | "Wants")
                && !value.split_whitespace().all(|name| is_after(name, rules))
            {
                draft.change(at, "it is started after it, too");
            }
        }
        "StartLimitBurst" => draft.set(at, &["restart", "start_limit_burst"], id(value)),
        "StartLimitIntervalSec" | "StartLimitInterval" => {
            draft.set(at, &["restart", "start_limit_interval"], value.as_str())
        }
        "SourcePath" => draft.refuse(at, "it is the container's own file"),
        _ => {
            let names: Vec<String> = value.split_whitespace().map(|name| unit_of(name, rules)).collect();
            let value = if matches!(
                key.as_str(),
                "BindsTo" | "PartOf" | "Requisite" | "Upholds" | "Conflicts" | "OnFailure" | "OnSuccess"
            ) {
                names.join(" ")
            } else {
                value.clone()
            };
            verbatim(draft, at, ("unit", key), &value);
        }
    }
}

/// Whether the order is the one that ct gives to what is required.
fn is_after(name: &str, rules: &Rules<'_>) -> bool {
    let is = |assignment: &&super::Assignment| {
        assignment.section == "Unit"
            && assignment.key == "After"
            && assignment.value.split_whitespace().any(|word| word == name)
    };
    rules.all.0.iter().any(|assignment| is(&assignment))
}

/// A container that is imported in the same go, by its name; another unit by its own.
fn container_of(unit: &str, rules: &Rules<'_>) -> String {
    let stem = unit.strip_suffix(".service").or_else(|| unit.strip_suffix(".container"));
    match stem.filter(|stem| rules.settings.names.iter().any(|name| name == stem)) {
        Some(name) => name.to_owned(),
        None => unit.to_owned(),
    }
}

/// The same, by its unit.
fn unit_of(unit: &str, rules: &Rules<'_>) -> String {
    let name = container_of(unit, rules);
    if name == unit { name } else { format!("ct@{name}.service") }
}

/// A directive as it is. A percent sign that is left is none of a specifier.
fn verbatim(draft: &mut Draft, at: usize, (section, key): (&str, &str), value: &str) {
    let value = value.replace('%', "%%");
    let path = ["systemd", section, key];
    if draft.has(&path) {
        return draft.add(at, &path, value);
    }
    draft.set(at, &path, Value::Array([value].iter().collect::<Array>()));
}

pub(super) fn service(draft: &mut Draft, assignment: &Assignment, rules: &Rules<'_>) {
    let Assignment { at, key, value, .. } = assignment;
    let at = *at;
    if let Some(row) = TABLE.iter().find(|row| row.directive == key) {
        return draft.set(at, &["resources", row.key], value.as_str());
    }
    match key.as_str() {
        "Restart" => draft.set(at, &["restart", "policy"], value.as_str()),
        "RestartSec" => draft.set(at, &["restart", "delay"], value.as_str()),
        "TimeoutStopSec" if rules.all.container("StopTimeout").is_some() => {
            draft.change(at, "StopTimeout says how long");
        }
        "TimeoutStopSec" => draft.set(at, &["stop", "timeout"], value.as_str()),
        "TimeoutStartSec" => {
            draft.set(at, &["ready", "timeout"], value.as_str());
            draft.change(at, "it counts from the start of the container's init");
        }
        "TimeoutSec" => {
            draft.set(at, &["ready", "timeout"], value.as_str());
            draft.set(at, &["stop", "timeout"], value.as_str());
        }
        "Slice" => draft.set(at, &["slice"], value.as_str()),
        "OOMScoreAdjust" => match value.parse::<i64>() {
            Ok(score) => draft.set(at, &["oom", "score_adjust"], score),
            Err(_) => draft.refuse(at, "not a number"),
        },
        "OOMPolicy" => draft.set(at, &["oom", "policy"], value.as_str()),
        "ExecStartPre" | "ExecStartPost" | "ExecStop" | "ExecStopPost" => hook(draft, assignment),
        "Type" if value == "notify" => draft.change(at, "ct@.service is of this type"),
        "Type" => draft.refuse(at, "a container's unit is of Type=notify"),
        "KillMode" | "Delegate" | "NotifyAccess" | "RemainAfterExit" | "SyslogIdentifier" => {
            draft.refuse(at, "ct@.service has it as ct needs it");
        }
        "Environment" | "EnvironmentFile" | "PassEnvironment" => {
            draft.refuse(at, "it was Podman's own: the container's is Environment in [Container]");
        }
        _ if key.starts_with("Limit") => {
            draft.refuse(at, "it was Podman's own: the container's is Ulimit in [Container]")
        }
        "User" | "Group" | "DynamicUser" | "RootDirectory" | "RootImage" | "PrivateMounts" | "PIDFile"
        | "BusName" | "ExecStart" | "GuessMainPID" => {
            draft.refuse(at, "the unit of a container has its own");
        }
        _ => verbatim(draft, at, ("service", key), value),
    }
}

/// A program of the host. systemd's prefixes and variables are not a hook's.
fn hook(draft: &mut Draft, Assignment { at, key, value, .. }: &Assignment) {
    let at = *at;
    let (value, optional) = value.strip_prefix('-').map_or((value.as_str(), false), |value| (value, true));
    let argv = match words(value) {
        Ok(argv) => argv,
        Err(why) => return draft.refuse(at, why),
    };
    let absolute = argv.first().is_some_and(|program| program.starts_with('/'));
    if !absolute || argv.iter().any(|word| word.contains('$') || word == ";") {
        return draft.refuse(
            at,
            "a hook is one program with its absolute path, without systemd's prefixes and variables",
        );
    }
    let stage = match key.as_str() {
        "ExecStartPre" => "pre_start",
        "ExecStartPost" => "post_start",
        "ExecStop" => "pre_stop",
        _ => "post_stop",
    };
    if optional && stage == "pre_start" {
        return draft
            .refuse(at, "a pre_start hook that fails ends the start: let the program itself exit with 0");
    }
    draft.add(at, &["hooks", stage], Value::Array(argv.iter().collect::<Array>()));
    draft.change(at, "it has the environment of a hook, and hooks.timeout");
}

pub(super) fn install(draft: &mut Draft, Assignment { at, key, value, .. }: &Assignment) {
    match key.as_str() {
        "WantedBy" | "RequiredBy" | "UpheldBy" => {
            draft.set(*at, &["autostart", "enabled"], true);
            let usual = |target: &str| matches!(target, "multi-user.target" | "default.target");
            if key != "WantedBy" || !value.split_whitespace().all(usual) {
                draft.change(*at, "boot starts it, by ct.target");
            }
        }
        _ => draft.refuse(*at, "units of ct have no other names: use systemctl enable"),
    }
}
