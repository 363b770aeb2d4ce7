// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a job failed: the last lines of its unit; for the result "dependency", which unit it was, and the lines of that.

use ct_config::name::ContainerName;
use ct_dbus::Systemd;
use ct_dbus::job::JobResult;
use ct_dbus::unit::Unit;

use crate::context::Context;
use crate::journal;
use crate::names::container_of;
use crate::output::safe;

/// How many lines of the log a failed job is told with.
const LINES: usize = 10;

/// Without these a unit is not started.
const NEEDS: [&str; 3] = ["Requires", "BindsTo", "Requisite"];

/// Says what is known of it, on standard error.
pub(super) fn explain(unit: &str, result: &JobResult, failures: &[(String, JobResult)], context: &Context) {
    let Ok(systemd) = context.systemd() else { return };
    let culprits = match result {
        JobResult::Dependency => culprits(unit, failures, systemd),
        _ => vec![unit.to_owned()],
    };
    if context.host().is_none() {
        journal::sync();
    }
    for culprit in &culprits {
        let state = systemd.unit(culprit).unwrap_or_default();
        if culprit != unit {
            eprintln!("ctctl: {} is required, and failed ({})", safe(culprit), safe(state.text("Result")));
        }
        if let Some(host) = context.host() {
            eprintln!("ctctl: see: ssh {host} journalctl -u {}", safe(culprit));
            continue;
        }
        for line in journal::last_lines(culprit, &state.invocation(), LINES) {
            eprintln!("  {line}");
        }
        if is_unread(culprit, &state, context) {
            eprintln!("ctctl: systemd has not read this config; do so: systemctl daemon-reload");
        }
    }
}

/// The units that `unit` needs, and what those need, whose own job failed.
fn culprits(unit: &str, failures: &[(String, JobResult)], systemd: &Systemd) -> Vec<String> {
    let mut looked_at = vec![unit.to_owned()];
    let mut culprits = Vec::new();
    let mut next = 0;
    while let Some(name) = looked_at.get(next).cloned() {
        next += 1;
        let state = systemd.unit(&name).unwrap_or_default();
        for needed in NEEDS.iter().flat_map(|property| state.texts(property)) {
            let Some((_, result)) = failures.iter().find(|(failed, _)| *failed == needed) else { continue };
            if looked_at.contains(&needed) {
                continue;
            }
            if *result != JobResult::Dependency {
                culprits.push(needed.clone());
            }
            looked_at.push(needed);
        }
    }
    culprits
}

/// Whether the file is newer than what systemd has of it.
fn is_unread(unit: &str, state: &Unit, context: &Context) -> bool {
    let name = container_of(unit).and_then(|name| ContainerName::parse(name).ok());
    let has_config = name.is_some_and(|name| context.tree().contains(&name));
    has_config && (state.flag("NeedDaemonReload") || state.text("SourcePath").is_empty())
}
