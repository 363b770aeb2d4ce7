// SPDX-License-Identifier: MIT OR Apache-2.0
//! `set`: what a container may use, changed while it runs. Resources are systemd's to change (SetUnitProperties());
//! limits and the oom score belong to each process, and are changed in every one of them.
//!
//! What is set is checked by the parser of the configs first: systemd ignores a value that it does not like.

mod assignment;
mod drop_in;
mod processes;

use clap::Args;
use ct_config::container::RuntimeFamily;
use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::settings::{Property, Value, unit_settings};
use ct_config::value::{Limit, RlimitResource};
use ct_dbus::property::{BusProperty, bus_properties, emptied};

use crate::cgroup::UnitGroup;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve;
use assignment::{Assignment, Kind};
use processes::{Changed, every_process};

/// Change resources, limits and the oom score of a container that runs
///
/// Resources (memory_max=512M, cpu_quota=150%, tasks_max=100, and all that systemd.resource-control(5) has) are changed
/// in the unit, and stay so until the next boot. Limits (nofile=1024:65536) and the oom score (score_adjust=200) are
/// changed in every process of the container, and stay so until it is restarted. With --persist all of them go into a
/// drop-in of the config as well, and any other key may be given (stop.timeout=30s): it counts from the next start.
///
/// A key is that of ct.toml(5), with or without its table (resources.memory_max, memory_max), or systemd's name
/// (MemoryMax).
#[derive(Debug, Args)]
pub struct SetArguments {
    /// Name of a container, or a beginning that is unique
    #[arg(value_name = "NAME")]
    name: String,
    /// What to set
    #[arg(required = true, value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// Keep it for later starts, too: in NAME.toml.d/90-set.toml, which is loaded at once
    #[arg(long)]
    persist: bool,
}

/// `ctctl set`
pub fn set(arguments: &SetArguments, context: &Context) -> Result<Status, Error> {
    let name = resolve(&arguments.name, context)?;
    let assignments: Vec<Assignment> =
        arguments.assignments.iter().map(|text| Assignment::parse(text)).collect::<Result<_, _>>()?;
    for assignment in &assignments {
        assignment.check(&name)?;
        if assignment.kind == Kind::AtStart && !arguments.persist {
            let key = &assignment.key;
            return Err(Error::Usage(format!("{key} counts from the next start on: it takes --persist")));
        }
    }
    let is_limit = |one: &Assignment| matches!(one.kind, Kind::Limit(_));
    if assignments.iter().any(is_limit) {
        refuse_for_sandbox(&name, context)?;
    }
    let properties = live_properties(&assignments, &name)?;
    if arguments.persist {
        context.only_here("set --persist")?;
        drop_in::write(&name, &assignments, context)?;
    }
    let status = change_now(&name, &properties, arguments.persist, context)?;
    if arguments.persist {
        drop_in::forget_until_reboot(&name, &properties, context.root())?;
        context.systemd()?.reload()?;
    }
    Ok(status)
}

/// Which limits the processes in a sandbox have, only its runtime could change, and does not.
fn refuse_for_sandbox(name: &ContainerName, context: &Context) -> Result<(), Error> {
    context.only_here("set of limits or the oom score")?;
    let (host, _) = Host::load(context.root());
    match ct_config::load(context.tree(), &host, name) {
        Ok(container) if container.runtime.family == RuntimeFamily::Runsc => Err(Error::failed(format!(
            "{name} runs in a sandbox of {}, which has its limits from its start on: change the config, and restart it",
            container.runtime.name
        ))),
        // Whatever its config says by now, it runs.
        _ => Ok(()),
    }
}

/// The settings of those that can be changed in a container that runs, in their order of systemd's.
fn live_properties(assignments: &[Assignment], name: &ContainerName) -> Result<Vec<Property>, Error> {
    let live: Vec<&Assignment> = assignments.iter().filter(|one| one.kind != Kind::AtStart).collect();
    let container = assignment::container_with(&live, name)?;
    let mut settings = unit_settings(&container).service;
    settings.retain(|property| live.iter().any(|one| one.kind.property() == Some(property.name)));
    Ok(settings)
}

fn change_now(
    name: &ContainerName,
    properties: &[Property],
    persist: bool,
    context: &Context,
) -> Result<Status, Error> {
    let limits: Vec<(RlimitResource, Limit)> = properties.iter().filter_map(limit_of).collect();
    let score = properties.iter().find_map(score_of);
    let resources: Vec<Property> =
        properties.iter().filter(|p| limit_of(p).is_none() && score_of(p).is_none()).cloned().collect();
    let unit_name = name.unit().to_string();
    let systemd = context.systemd()?;
    let unit = systemd.unit(&unit_name)?;
    let processes_too = !limits.is_empty() || score.is_some();
    // One that waits to be restarted is active, and has no group: never mistake that for the root of all groups.
    let group = UnitGroup::of_unit(unit.text("ControlGroup")).map(UnitGroup::payload);
    if processes_too {
        context.only_here("set of limits or the oom score")?;
        if group.is_none() && !persist {
            return Err(Error::failed(format!(
                "{name} does not run: it has no processes whose limits or oom score could be set (--persist sets them for its next start)"
            )));
        }
    }
    // One call: systemd takes all of them, or none.
    if !resources.is_empty() {
        systemd.set_properties(&unit_name, true, &anew(bus_properties(&resources)))?;
    }
    match group {
        Some(group) if processes_too => Ok(said(name, &every_process(&group, &limits, score))),
        _ => Ok(Status::Done),
    }
}

/// What could not be changed; a container's processes may be more than ours to change.
fn said(name: &ContainerName, changed: &Changed) -> Status {
    let Changed { all, failed } = changed;
    if failed.is_empty() {
        return Status::Done;
    }
    eprintln!("ctctl: set {name}: {} of {all} processes could not be changed", failed.len());
    for failure in failed.iter().take(10) {
        eprintln!("  {failure}");
    }
    let not_permitted = failed.iter().all(|failure| failure.is_not_permitted());
    if not_permitted { Status::NotPermitted } else { Status::Failed }
}

fn limit_of(property: &Property) -> Option<(RlimitResource, Limit)> {
    let Value::Limit(limit) = property.value else { return None };
    let resource = RlimitResource::ALL.into_iter().find(|one| one.directive() == property.name)?;
    Some((resource, limit))
}

fn score_of(property: &Property) -> Option<i32> {
    match property.value {
        Value::Integer(score) if property.name == "OOMScoreAdjust" => i32::try_from(score).ok(),
        _ => None,
    }
}

/// Lists replace what was there: systemd empties them first when an empty one is given.
fn anew(properties: Vec<BusProperty>) -> Vec<BusProperty> {
    let mut all: Vec<BusProperty> = Vec::with_capacity(properties.len());
    for (name, value) in properties {
        let first = !all.iter().any(|(other, _)| *other == name);
        if first && let Some(empty) = emptied(&value) {
            all.push((name.clone(), empty));
        }
        all.push((name, value));
    }
    all
}
