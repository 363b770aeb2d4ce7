// SPDX-License-Identifier: MIT OR Apache-2.0
//! The units of containers that systemd has loaded, with the little that all of them are asked for: one list, and a few
//! properties of each at once. What the kernel tells as well is read from the kernel.

use std::collections::BTreeMap;

use ct_config::name::ContainerName;
use ct_dbus::manager::ListedUnit;
use ct_dbus::read::Wanted;
use ct_dbus::unit::Unit;

use crate::cgroup::UnitGroup;
use crate::context::Context;
use crate::error::Error;
use crate::names::{UNITS, container_of};
use crate::phase::{self, Phase};

const MAIN_PID: Wanted = ("Service", "MainPID");
const MEMORY: Wanted = ("Service", "MemoryCurrent");
const FROZEN: Wanted = ("Unit", "FreezerState");

/// What is asked of a unit that has, or had, processes: the moment it came into its state, and where we are not on
/// the machine what else the kernel would tell.
const UP: [&[Wanted]; 4] = [
    &[("Unit", "ActiveEnterTimestamp"), MAIN_PID],
    &[("Unit", "InactiveExitTimestamp"), MAIN_PID],
    &[("Unit", "ActiveExitTimestamp"), MAIN_PID],
    &[("Unit", "InactiveEnterTimestamp")],
];
const UP_REMOTE: [&[Wanted]; 4] = [
    &[("Unit", "ActiveEnterTimestamp"), MAIN_PID, MEMORY, FROZEN],
    &[("Unit", "InactiveExitTimestamp"), MAIN_PID, MEMORY, FROZEN],
    &[("Unit", "ActiveExitTimestamp"), MAIN_PID, MEMORY, FROZEN],
    &[("Unit", "InactiveEnterTimestamp")],
];

/// One container's unit.
#[derive(Debug)]
pub struct Loaded {
    /// systemd's line of it.
    pub listed: ListedUnit,
    /// What it does.
    pub phase: Phase,
    /// Its main process: the container's init, or the helper that starts it.
    pub pid: Option<u32>,
    /// Since when it is in this state, in microseconds since the epoch.
    pub since: Option<u64>,
    /// Bytes of memory in use.
    pub memory: Option<u64>,
    /// Its cgroup, on this machine.
    pub group: Option<UnitGroup>,
}

/// All that are loaded and that there is a unit file for, by name.
pub fn loaded(context: &Context) -> Result<BTreeMap<ContainerName, Loaded>, Error> {
    let systemd = context.systemd()?;
    let mut named: Vec<(ContainerName, ListedUnit)> = Vec::new();
    for unit in systemd.list(&[UNITS])? {
        let name = container_of(&unit.name).and_then(|name| ContainerName::parse(name).ok());
        if let Some(name) = name.filter(|_| unit.load_state != "not-found") {
            named.push((name, unit));
        }
    }
    let sets = if context.host().is_some() { UP_REMOTE } else { UP };
    let questions: Vec<_> =
        named.iter().map(|(_, unit)| (&*unit.path, wanted(&sets, &unit.active_state))).collect();
    let answers = systemd.read(&questions)?;
    let is_here = context.host().is_none();
    let joined = named.into_iter().zip(answers).map(|((name, listed), unit)| {
        let loaded = Loaded::of(listed, &unit, is_here);
        (name, loaded)
    });
    Ok(joined.collect())
}

fn wanted(sets: &[&'static [Wanted]; 4], active_state: &str) -> &'static [Wanted] {
    let moment = phase::since_property(active_state);
    let set = sets.iter().find(|set| set.first().is_some_and(|(_, name)| *name == moment));
    set.copied().unwrap_or_default()
}

impl Loaded {
    fn of(listed: ListedUnit, unit: &Unit, is_here: bool) -> Self {
        let pid = unit.number("MainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        let group = pid.filter(|_| is_here).and_then(|pid| UnitGroup::of_process(pid, &listed.name));
        let frozen = match &group {
            Some(group) => group.is_frozen(),
            None => matches!(unit.text("FreezerState"), "frozen" | "frozen-by-parent"),
        };
        Self {
            phase: Phase::of_listed(&listed, frozen),
            since: phase::since(unit, &listed.active_state),
            memory: group.as_ref().map_or_else(|| unit.number("MemoryCurrent"), UnitGroup::memory),
            pid,
            group,
            listed,
        }
    }
}
