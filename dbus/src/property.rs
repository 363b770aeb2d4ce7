// SPDX-License-Identifier: MIT OR Apache-2.0
//! The settings of a container as properties of a transient unit: the second rendering of the one mapping in
//! [`ct_config::settings`]; the first are the lines of a drop-in.
//!
//! On the bus a setting may have another name than in a unit file (`TimeoutStopSec=` is `TimeoutStopUSec`, a percentage
//! of memory is `MemoryMaxScale`), and a type of its own; org.freedesktop.systemd1(5) has both.

mod lists;
mod memory;

use ct_config::resource_control;
use ct_config::settings::{HELPER, Property, Value};
use ct_config::value::{Limit, Signal, Size, Timespan};
use zbus::zvariant;

/// A property of a transient unit.
pub type BusProperty = (String, zvariant::Value<'static>);

/// A percentage of something, as systemd keeps it: a part of 2³².
const SCALE: u64 = u32::MAX as u64;
/// A percentage in hundredths that is all of it.
const ALL: u64 = 10_000;

/// What kind of unit a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Takes every setting.
    Service,
    /// Has processes that somebody else made: their limits, their score and what runs them are not the unit's.
    Scope,
}

/// Those of the settings that a unit of this kind can have with this systemd. A drop-in may have others, of which
/// systemd warns; a transient unit with one of them would be refused.
pub fn known(settings: &[Property], kind: Kind, version: u32) -> Vec<Property> {
    let is_known = |setting: &&Property| {
        let row = resource_control::TABLE.iter().find(|row| row.directive == setting.name);
        match (row, kind) {
            (Some(row), _) => row.since <= version,
            (None, Kind::Service) => true,
            (None, Kind::Scope) => SCOPE.contains(&setting.name),
        }
    };
    settings.iter().filter(is_known).cloned().collect()
}

/// What a scope has besides systemd.resource-control(5) and what all units have.
const SCOPE: [&str; 6] =
    ["Slice", "DeviceAllow", "DevicePolicy", "KillSignal", "OOMPolicy", "TimeoutStopSec"];

/// The settings on the bus. Order is kept; of settings that may be given several times, each is a property again, and
/// systemd adds them up.
pub fn bus_properties(settings: &[Property]) -> Vec<BusProperty> {
    settings.iter().flat_map(|setting| render(setting.name, &setting.value)).collect()
}

/// The same list without anything in it; `None` of what is no list. Given first, it has the rest replace what was there.
pub fn emptied(value: &zvariant::Value<'_>) -> Option<zvariant::Value<'static>> {
    match value {
        zvariant::Value::Array(array) => Some(zvariant::Array::new(array.element_signature()).into()),
        _ => None,
    }
}

fn render(name: &str, value: &Value) -> Vec<BusProperty> {
    let one = |name: &str, value: zvariant::Value<'static>| vec![(name.to_owned(), value)];
    match value {
        Value::Text(text) if matches!(name, "StateDirectory" | "RuntimeDirectory") => {
            one(name, vec![text.clone()].into())
        }
        Value::Text(text) => one(name, text.clone().into()),
        Value::Path(path) if name == "RequiresMountsFor" => {
            one(name, vec![path.display().to_string()].into())
        }
        Value::Path(path) => one(name, path.display().to_string().into()),
        Value::Bool(flag) => one(name, (*flag).into()),
        Value::Integer(number) => one(name, integer(name, *number)),
        Value::Size(size) | Value::Count(size) => one(name, bytes(*size).into()),
        Value::Percent(hundredths) => percent(name, *hundredths),
        Value::Time(span) => one(&in_microseconds(name), microseconds(*span).into()),
        Value::Limit(Limit { soft, hard }) => {
            vec![(name.to_owned(), bytes(*hard).into()), (format!("{name}Soft"), bytes(*soft).into())]
        }
        Value::Signal(signal) => one(name, signal_value(name, *signal)),
        Value::Word(word) => one(name, word_value(name, word)),
        Value::Units(units) if name == "Slice" => {
            one(name, units.first().map(ToString::to_string).unwrap_or_default().into())
        }
        Value::Units(units) => {
            one(name, units.iter().map(ToString::to_string).collect::<Vec<String>>().into())
        }
        Value::Lines(lines) => lists::render(name, lines),
        Value::Environment(variables) => {
            let lines = variables.iter().map(|(key, value)| format!("{key}={value}"));
            one(name, lines.collect::<Vec<String>>().into())
        }
        Value::Helper(arguments) => one(name, command(arguments)),
    }
}

/// systemd's widths: weights are 64 bits, a score has a sign, a count of starts has 32 bits.
fn integer(name: &str, number: i64) -> zvariant::Value<'static> {
    match name {
        "OOMScoreAdjust" => i32::try_from(number).unwrap_or_default().into(),
        "StartLimitBurst" => u32::try_from(number).unwrap_or(u32::MAX).into(),
        _ => u64::try_from(number).unwrap_or_default().into(),
    }
}

/// The highest number stands for infinity.
fn bytes(size: Size) -> u64 {
    match size {
        Size::Finite(bytes) => bytes,
        Size::Infinity => u64::MAX,
    }
}

fn microseconds(span: Timespan) -> u64 {
    match span {
        Timespan::Finite(microseconds) => microseconds,
        Timespan::Infinity => u64::MAX,
    }
}

/// `TimeoutStopSec=` is `TimeoutStopUSec` on the bus.
fn in_microseconds(name: &str) -> String {
    name.strip_suffix("Sec").map_or_else(|| name.to_owned(), |stem| format!("{stem}USec"))
}

fn percent(name: &str, hundredths: u64) -> Vec<BusProperty> {
    // Rounded as systemd rounds.
    let scaled = u32::try_from((hundredths * SCALE + ALL / 2) / ALL).unwrap_or(u32::MAX);
    match name {
        // Of one second of one CPU, in microseconds.
        "CPUQuota" => vec![("CPUQuotaPerSecUSec".to_owned(), (hundredths * 100).into())],
        "ManagedOOMMemoryPressureLimit" => vec![(name.to_owned(), scaled.into())],
        // These the bus knows in bytes alone.
        _ if name.starts_with("Startup") => vec![(name.to_owned(), memory::part(hundredths).into())],
        _ => vec![(format!("{name}Scale"), scaled.into())],
    }
}

fn signal_value(name: &str, signal: Signal) -> zvariant::Value<'static> {
    match name {
        // Exit statuses, and signals.
        "SuccessExitStatus" => (Vec::<i32>::new(), vec![signal.0]).into(),
        _ => signal.0.into(),
    }
}

fn word_value(name: &str, word: &str) -> zvariant::Value<'static> {
    match name {
        // A weight of its own.
        "CPUWeight" | "StartupCPUWeight" => 0_u64.into(),
        "StateDirectoryMode" | "RuntimeDirectoryMode" => u32::from_str_radix(word, 8).unwrap_or(0o700).into(),
        _ => word.to_owned().into(),
    }
}

/// A command whose failure is ignored: program, arguments with the program first, the flag for that.
fn command(arguments: &[String]) -> zvariant::Value<'static> {
    let argv: Vec<String> = std::iter::once(HELPER.to_owned()).chain(arguments.iter().cloned()).collect();
    vec![(HELPER.to_owned(), argv, true)].into()
}
