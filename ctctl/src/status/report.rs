// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that `status` tells of one container, gathered; the order is that of the JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ct_config::container::{Container, ReadyWhen};
use ct_config::name::ContainerName;
use ct_dbus::Systemd;
use ct_dbus::unit::Unit;
use serde::Serialize;

use super::limits::{self, Limit};
use super::words::Facts;
use crate::cgroup::UnitGroup;
use crate::configs::{Config, Configs, Verdict};
use crate::context::Context;
use crate::error::Error;
use crate::exited::{self, Exited};
use crate::journal;
use crate::phase::{self, Phase, States};

/// One container.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) description: String,
    pub(super) state: Phase,
    pub(super) summary: String,
    pub(super) active_state: String,
    pub(super) sub_state: String,
    pub(super) result: String,
    /// Microseconds since the epoch.
    pub(super) since: Option<u64>,
    pub(super) pid: Option<u32>,
    /// Whether it is; null where nothing runs.
    pub(super) ready: Option<bool>,
    pub(super) ready_when: Option<&'static str>,
    /// What the container says of itself, STATUS= of sd_notify(3).
    pub(super) status_text: Option<String>,
    pub(super) waits_for: Vec<Awaited>,
    pub(super) last_exit: Option<Exited>,
    /// How many of its processes were killed for want of memory, in this run.
    pub(super) oom_kills: Option<u64>,
    /// Whether its end was one of those.
    pub(super) oom_killed: bool,
    pub(super) restarts: u64,
    pub(super) oom_score_adjust: Option<i32>,
    pub(super) limits: Option<BTreeMap<&'static str, Limit>>,
    pub(super) memory: Used,
    pub(super) memory_peak: Option<u64>,
    pub(super) tasks: Used,
    /// Microseconds.
    pub(super) cpu: Option<u64>,
    pub(super) slice: Option<String>,
    pub(super) runtime: Option<String>,
    pub(super) account: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) autostart: Option<bool>,
    pub(super) config: Option<Verdict>,
    pub(super) config_file: Option<PathBuf>,
    pub(super) problems: Vec<String>,
    /// Null where it is on another machine.
    pub(super) log: Option<Vec<String>>,
}

/// A job of another unit that must be done first.
#[derive(Debug, Serialize)]
pub(super) struct Awaited {
    pub(super) unit: String,
    /// start, stop, ...
    pub(super) job: String,
    /// waiting or running
    pub(super) state: String,
}

/// What is used of something, and how much may be; null is unknown for the one and no limit for the other.
#[derive(Debug, Serialize)]
pub(super) struct Used {
    pub(super) current: Option<u64>,
    pub(super) limit: Option<u64>,
}

impl Report {
    /// Gathers it. `lines` are the last of its log.
    pub(super) fn gather(
        name: &ContainerName,
        configs: Option<&Configs<'_>>,
        context: &Context,
        lines: usize,
    ) -> Result<Self, Error> {
        let systemd = context.systemd()?;
        let id = name.unit().to_string();
        let unit = systemd.unit(&id)?;
        let config = configs.map(|configs| configs.of(name));
        let container = config.as_ref().and_then(|config| config.container.as_deref());
        let group = configs.and_then(|_| UnitGroup::of_unit(unit.text("ControlGroup")));
        let pid = number(&unit, "MainPID").and_then(|pid| u32::try_from(pid).ok());
        let here = pid.filter(|_| configs.is_some());
        let state = phase_of(&unit, group.as_ref());
        let waits_for = awaited(&unit, state, systemd);
        let invocation = unit.invocation();
        let by_init = || configs.is_some() && journal::says_that_init_ended(&invocation);
        let last_exit = Exited::of(&unit, by_init);
        let usage = Usage::of(&unit, group.as_ref());
        let summary = summary(&unit, state, last_exit.as_ref(), &waits_for, container);
        Ok(Self {
            name: name.to_string(),
            description: unit.text("Description").to_owned(),
            state,
            summary,
            active_state: unit.text("ActiveState").to_owned(),
            sub_state: unit.text("SubState").to_owned(),
            result: unit.text("Result").to_owned(),
            since: since(&unit),
            pid,
            ready: state.is_up().then_some(matches!(state, Phase::Running | Phase::Frozen)),
            ready_when: container.map(|container| ready_when(&container.ready.when)),
            status_text: Some(unit.text("StatusText").to_owned()).filter(|text| !text.is_empty()),
            waits_for,
            last_exit,
            oom_kills: group.as_ref().and_then(UnitGroup::oom_kills),
            oom_killed: unit.text("Result") == "oom-kill",
            restarts: unit.number("NRestarts").unwrap_or_default(),
            oom_score_adjust: here.and_then(limits::read_oom_score_adjust),
            limits: here.and_then(limits::read).map(|limits| limits.into_iter().collect()),
            memory: usage.memory,
            memory_peak: usage.memory_peak,
            tasks: usage.tasks,
            cpu: usage.cpu,
            slice: Some(unit.text("Slice").to_owned()).filter(|slice| !slice.is_empty()),
            runtime: config.as_ref().and_then(|config| config.runtime().map(str::to_owned)),
            account: config.as_ref().and_then(Config::account),
            pod: config.as_ref().and_then(|config| config.pod().map(str::to_owned)),
            autostart: config.as_ref().and_then(|config| config.autostart),
            config: config.as_ref().map(|config| config.verdict),
            config_file: config.as_ref().and_then(|config| config.file.clone()),
            problems: config.map(|config| config.problems).unwrap_or_default(),
            log: configs.map(|_| journal::last_lines(&id, &invocation, lines)),
            unit: id,
        })
    }
}

fn number(unit: &Unit, name: &str) -> Option<u64> {
    unit.number(name).filter(|number| *number != 0)
}

/// The word for a unit, of which all properties are known.
fn phase_of(unit: &Unit, group: Option<&UnitGroup>) -> Phase {
    let frozen = group.map_or(unit.text("FreezerState") == "frozen", UnitGroup::is_frozen);
    Phase::of(States {
        active: unit.text("ActiveState"),
        sub: unit.text("SubState"),
        start_queued: unit.job().is_some(),
        frozen,
    })
}

fn awaited(unit: &Unit, phase: Phase, systemd: &Systemd) -> Vec<Awaited> {
    let job = unit.job().filter(|_| phase == Phase::Waiting);
    let Some((_, job)) = job else { return Vec::new() };
    // Done meanwhile: nothing is waited for.
    let jobs = systemd.jobs_before(&job).unwrap_or_default();
    let mut awaited: Vec<Awaited> =
        jobs.into_iter().map(|job| Awaited { unit: job.unit, job: job.kind, state: job.state }).collect();
    awaited.sort_by(|a, b| a.unit.cmp(&b.unit));
    awaited
}

/// When it came to be what it is now.
fn since(unit: &Unit) -> Option<u64> {
    phase::since(unit, unit.text("ActiveState"))
}

fn summary(
    unit: &Unit,
    phase: Phase,
    exited: Option<&Exited>,
    awaited: &[Awaited],
    container: Option<&Container>,
) -> String {
    let result = unit.text("Result");
    let ended = (exited.is_some() || result != "success").then(|| exited::reason(result, exited));
    let waits_for: Vec<String> = awaited.iter().map(|job| job.unit.clone()).collect();
    let facts = Facts {
        phase,
        sub: unit.text("SubState"),
        since: since(unit),
        ended: ended.as_deref(),
        waits_for: &waits_for,
        ready: container.map(|container| &container.ready.when),
        restarts_after: unit.number("RestartUSecNext").or_else(|| unit.number("RestartUSec")),
    };
    facts.sentence()
}

fn ready_when(when: &ReadyWhen) -> &'static str {
    match when {
        ReadyWhen::Started => "started",
        ReadyWhen::Command { .. } => "command",
        ReadyWhen::Notified { .. } => "notify",
    }
}

struct Usage {
    memory: Used,
    memory_peak: Option<u64>,
    tasks: Used,
    cpu: Option<u64>,
}

impl Usage {
    /// As the kernel says it, or what systemd says of another machine's.
    fn of(unit: &Unit, group: Option<&UnitGroup>) -> Self {
        let Some(group) = group else {
            let effective =
                |name: &str| unit.number(&format!("Effective{name}")).or_else(|| unit.number(name));
            return Self {
                memory: Used { current: unit.number("MemoryCurrent"), limit: effective("MemoryMax") },
                memory_peak: unit.number("MemoryPeak"),
                tasks: Used { current: unit.number("TasksCurrent"), limit: effective("TasksMax") },
                cpu: unit.number("CPUUsageNSec").map(|nanoseconds| nanoseconds / 1000),
            };
        };
        Self {
            memory: Used { current: group.memory(), limit: group.memory_limit() },
            memory_peak: group.memory_peak(),
            tasks: Used { current: group.tasks(), limit: group.tasks_limit() },
            cpu: group.cpu(),
        }
    }
}
