// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one mapping from a container to unit settings. A [`Property`] is typed, so that the generator can render it as a
//! line of a drop-in and a D-Bus client as the property of a transient unit: never two lists.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Serialize;

use crate::container::{
    Container, Dependency, Depends, Digest, Directive, Hooks, LogMode, OomPolicy, ReadyWhen, RestartPolicy,
    RootSource, RuntimeFamily, Writable,
};
use crate::name::UnitName;
use crate::pod::Pod;
use crate::value::{Limit, Signal, Size, Timespan};

/// The container's init when neither its config nor a bundle says what it is.
pub const DEFAULT_COMMAND: &str = "/sbin/init";

/// Where a distribution has its init, whichever that is.
const SYSTEM_INITS: [&str; 2] = [DEFAULT_COMMAND, "/usr/sbin/init"];

/// The program that the units run.
pub const HELPER: &str = "/usr/libexec/ct/ct-helper";
/// How long systemd gives each part of a start, DefaultTimeoutStartSec=, in microseconds.
const START_TIMEOUT: u64 = 90_000_000;

/// What `ct@NAME.service` gets on top of the static template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitSettings {
    /// `[Unit]`
    pub unit: Vec<Property>,
    /// `[Service]`
    pub service: Vec<Property>,
    /// `[systemd.unit]` and `[systemd.service]` of the container: rendered last, so that they win.
    pub extra_unit: Vec<Directive>,
    /// See `extra_unit`.
    pub extra_service: Vec<Directive>,
}

/// One unit setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// As in systemd's manual pages: `MemoryMax`.
    pub name: &'static str,
    /// Its typed value.
    pub value: Value,
}

/// The types that the settings in use have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Free text for a setting that systemd takes as a string; specifiers are escaped on rendering.
    Text(String),
    /// A path, rendered as text is.
    Path(PathBuf),
    /// `yes` or `no`
    Bool(bool),
    /// A plain number (`OOMScoreAdjust=`, weights).
    Integer(i64),
    /// Bytes or infinity.
    Size(Size),
    /// A percentage in hundredths of a percent (systemd's permyriad): 150% is 15000.
    Percent(u64),
    /// A count or infinity (`TasksMax=`).
    Count(Size),
    /// A time span or infinity.
    Time(Timespan),
    /// `LimitXXX=`
    Limit(Limit),
    /// `KillSignal=`
    Signal(Signal),
    /// One of systemd's own words (`kill`, `on-failure`, `auto`), rendered verbatim.
    Word(&'static str),
    /// Unit names, rendered on one line.
    Units(Vec<UnitName>),
    /// Already checked words on one line each, without specifiers, quotes or escapes: `IODeviceLatencyTargetSec=`,
    /// `IPAddressAllow=`.
    Lines(Vec<String>),
    /// `Environment=` assignments.
    Environment(Vec<(String, String)>),
    /// A command line of [`HELPER`] whose failure is logged and otherwise ignored; each argument arrives as it is.
    Helper(Vec<String>),
}

/// Settings as an object of JSON; of one that is there several times all values, in a list.
pub(crate) fn serialize_as_map<S: serde::Serializer>(
    settings: &[Property],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Values<'v> {
        One(&'v Value),
        Several(Vec<&'v Value>),
    }
    let mut named: Vec<(&str, Vec<&Value>)> = Vec::new();
    for Property { name, value } in settings {
        match named.iter_mut().find(|(other, _)| other == name) {
            Some((_, values)) => values.push(value),
            None => named.push((name, vec![value])),
        }
    }
    serializer.collect_map(named.into_iter().map(|(name, values)| match values.as_slice() {
        [value] => (name, Values::One(value)),
        _ => (name, Values::Several(values)),
    }))
}

/// Maps a container to the settings of its unit, always in the same order. A setting that may be given several times
/// (`RequiresMountsFor=`) has one property for each.
pub fn unit_settings(container: &Container) -> UnitSettings {
    UnitSettings {
        unit: unit_section(container),
        service: service_section(container),
        extra_unit: container.extra_unit.clone(),
        extra_service: container.extra_service.clone(),
    }
}

fn unit_section(container: &Container) -> Vec<Property> {
    let mut unit = Vec::with_capacity(8);
    let mut add = |name, value| unit.push(Property { name, value });
    if let Some(main) = container.files.first() {
        add("SourcePath", Value::Path(main.clone()));
    }
    if let Some(description) = &container.description {
        add("Description", Value::Text(description.clone()));
    }
    let Depends { requires, wants, after, before } = &container.depends;
    let units = |lists: &[&[Dependency]]| {
        let mut units: Vec<UnitName> = Vec::new();
        for dependency in lists.iter().copied().flatten() {
            if !units.contains(&dependency.unit) {
                units.push(dependency.unit.clone());
            }
        }
        units
    };
    // Holds the terminal: there before the container, and over its restarts.
    let console = has_console(container).then(|| container.name.console_unit());
    // Before the others: nothing of theirs starts without it, and it is stopped when all of them have.
    let with_pod = |units: Vec<UnitName>| -> Vec<UnitName> {
        container.membership.iter().map(|membership| membership.pod.unit()).chain(units).collect()
    };
    let with_console =
        |units: Vec<UnitName>| -> Vec<UnitName> { console.iter().cloned().chain(units).collect() };
    let lists = [
        ("Requires", with_pod(units(&[requires]))),
        ("Wants", with_console(units(&[wants]))),
        ("After", with_console(with_pod(units(&[requires, wants, after])))),
        ("Before", units(&[before])),
    ];
    for (name, units) in lists {
        if !units.is_empty() {
            add(name, Value::Units(units));
        }
    }
    let restart = &container.restart;
    if let Some(interval) = restart.start_limit_interval {
        add("StartLimitIntervalSec", Value::Time(interval));
    }
    if let Some(burst) = restart.start_limit_burst {
        add("StartLimitBurst", Value::Integer(burst.into()));
    }
    for path in needed_paths(container) {
        add("RequiresMountsFor", Value::Path(path.to_owned()));
    }
    unit
}

/// What the units of a pod get on top of their static part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodSettings {
    /// `[Unit]` of `ct-pod@NAME.service`
    pub unit: Vec<Property>,
    /// `[Service]` of `ct-pod@NAME.service`
    pub service: Vec<Property>,
    /// `[Slice]` of `ct-NAME.slice`
    pub slice: Vec<Property>,
}

/// Maps a pod to the settings of its units, always in the same order.
pub fn pod_settings(pod: &Pod) -> PodSettings {
    let mut unit = Vec::with_capacity(2);
    let mut add = |name, value| unit.push(Property { name, value });
    if let Some(main) = pod.files.first() {
        add("SourcePath", Value::Path(main.clone()));
    }
    if let Some(description) = &pod.description {
        add("Description", Value::Text(description.clone()));
    }
    PodSettings { unit, service: vec![digest(&pod.digest)], slice: pod.resources.clone() }
}

/// The helper compares: a config that was edited after the last daemon-reload is told apart by it.
fn digest(digest: &Digest) -> Property {
    let assignment = ("CT_CONFIG_DIGEST".to_owned(), digest.0.clone());
    Property { name: "Environment", value: Value::Environment(vec![assignment]) }
}

/// What must be mounted before the helper runs. Nobody looks whether it exists: generators run before /var is mounted.
fn needed_paths(container: &Container) -> Vec<&Path> {
    let mut paths: Vec<&Path> = match &container.root.source {
        RootSource::Path(path) | RootSource::Bundle(path) => vec![path],
        RootSource::Layers(layers) => layers.iter().map(PathBuf::as_path).collect(),
    };
    for mount in container.mounts.iter().filter(|mount| mount.kind == "bind") {
        if !paths.contains(&mount.source.as_path()) {
            paths.push(&mount.source);
        }
    }
    paths
}

fn service_section(container: &Container) -> Vec<Property> {
    let mut service = Vec::with_capacity(8 + container.limits.len() + container.resources.len());
    let mut add = |name, value| service.push(Property { name, value });
    add("Slice", Value::Units(vec![container.slice.clone()]));
    if let Some(score) = container.oom.score_adjust {
        add("OOMScoreAdjust", Value::Integer(score.into()));
    }
    // Always said: Delegate= in the template would make it `continue`.
    add("OOMPolicy", Value::Word(oom_policy(container.oom.policy)));
    // A sandbox is more than the processes in it, and has them limit these itself.
    if container.runtime.family != RuntimeFamily::Runsc {
        for (resource, limit) in &container.limits {
            add(resource.directive(), Value::Limit(*limit));
        }
    }
    for device in &container.security.devices {
        // `m` besides, for the runtime to make the node: a second node of the same device opens no other door.
        let make = if device.access.contains('m') { "" } else { "m" };
        add(
            "DeviceAllow",
            Value::Lines(vec![format!("{} {}{make}", device.source.display(), device.access)]),
        );
    }
    container.resources.iter().for_each(|property| add(property.name, property.value.clone()));
    if let Some(signal) = kill_signal(container) {
        add("KillSignal", Value::Signal(signal));
        // Who dies of it was asked to: a container without a handler, or the helper in the middle of a start. A signal
        // that tells of a crash goes on telling of one.
        if !signal.is_sign_of_failure() {
            add("SuccessExitStatus", Value::Signal(signal));
        }
    }
    if let Some(timeout) = container.stop.timeout {
        add("TimeoutStopSec", Value::Time(timeout));
    }
    if let ReadyWhen::Notified { watchdog: Some(span) } = container.ready.when {
        add("WatchdogSec", Value::Time(span));
    }
    commands(container).into_iter().for_each(|(name, value)| add(name, value));
    if let Some(policy) = container.restart.policy {
        add("Restart", Value::Word(restart_policy(policy)));
    }
    if let Some(delay) = container.restart.delay {
        add("RestartSec", Value::Time(delay));
    }
    // Where the upper layer is kept.
    let layered = matches!(container.root.source, RootSource::Layers(_));
    if layered && container.root.writable.unwrap_or_default() == Writable::Persistent {
        add("StateDirectory", Value::Text(format!("ct/{}", container.name)));
        add("StateDirectoryMode", Value::Word("0700"));
    }
    service.push(digest(&container.digest));
    service
}

/// What systemd runs beside the container itself: hooks, and a stop that is more than a signal.
fn commands(container: &Container) -> Vec<(&'static str, Value)> {
    let name = container.name.as_str();
    let helper = |words: &[&str]| Value::Helper(words.iter().map(|word| (*word).to_owned()).collect());
    let Hooks { post_start, pre_stop, post_stop, timeout, .. } = &container.hooks;
    let mut commands = Vec::new();
    if !post_start.is_empty() {
        commands.push(("ExecStartPost", helper(&["hook", name, "post_start"])));
        // Hooks are killed at their own timeout, and no container is for the sake of one.
        if let Timespan::Finite(each) = timeout {
            let all = each.saturating_mul(post_start.len() as u64);
            commands
                .push(("TimeoutStartSec", Value::Time(Timespan::Finite(all.saturating_add(START_TIMEOUT)))));
        }
    }
    if !pre_stop.is_empty() || container.stop.command.is_some() || has_system_init(container) {
        commands.push(("ExecStop", helper(&["stop", name])));
    }
    // Whether a bundle has hooks of its own for this moment only its config.json tells.
    if !post_stop.is_empty() || matches!(container.root.source, RootSource::Bundle(_)) {
        commands.push(("ExecStopPost", helper(&["hook", name, "post_stop"])));
    }
    commands
}

fn oom_policy(policy: Option<OomPolicy>) -> &'static str {
    match policy {
        None | Some(OomPolicy::Kill) => "kill",
        Some(OomPolicy::Stop) => "stop",
        Some(OomPolicy::Continue) => "continue",
    }
}

fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::No => "no",
        RestartPolicy::Always => "always",
        RestartPolicy::OnSuccess => "on-success",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::OnAbnormal => "on-abnormal",
        RestartPolicy::OnAbort => "on-abort",
        RestartPolicy::OnWatchdog => "on-watchdog",
    }
}

/// Whether the container has a `ct-console@NAME.service`, which holds its terminal, or the other ends of its pipes.
pub fn has_console(container: &Container) -> bool {
    container.process.terminal == Some(true) || container.log == LogMode::Pipe
}

/// The signal that ends the container cleanly.
pub fn stop_signal(container: &Container) -> Signal {
    kill_signal(container).unwrap_or(Signal::TERM)
}

/// The same if it is not SIGTERM, which the template has.
fn kill_signal(container: &Container) -> Option<Signal> {
    if container.stop.signal.is_some() {
        return container.stop.signal;
    }
    is_system_init(command(container)).then_some(Signal::RTMIN_PLUS_3)
}

/// Whether only a look at the running container tells what its init is, and so what stops it: its command is
/// /sbin/init, and nobody has said a signal. On most distributions that is systemd, whose signal PID 1 sends; what
/// another one needs is asked of it before that.
pub fn is_init_unknown(container: &Container) -> bool {
    let program = command(container).first().map(String::as_str);
    container.stop.signal.is_none() && program.is_some_and(|program| SYSTEM_INITS.contains(&program))
}

/// Whether the signal is that of an init system, by its command alone: it takes its time to come up, and until then does not
/// hear what PID 1 sends.
pub fn has_system_init(container: &Container) -> bool {
    container.stop.signal.is_none() && is_system_init(command(container))
}

/// The command that the config has, or that it means by having none. A bundle's own is in a file that is not ours to
/// read here.
fn command(container: &Container) -> &[String] {
    static DEFAULT: LazyLock<[String; 1]> = LazyLock::new(|| [DEFAULT_COMMAND.to_owned()]);
    match (&container.process.command, &container.root.source) {
        (Some(command), _) => command,
        (None, RootSource::Bundle(_)) => &[],
        (None, _) => DEFAULT.as_slice(),
    }
}

/// Whether a command is an init system that shuts down at SIGRTMIN+3 and makes groups of its own below its cgroup:
/// systemd, or the /sbin/init that on nearly every distribution is one.
pub fn is_system_init(command: &[String]) -> bool {
    let Some(program) = command.first() else { return false };
    SYSTEM_INITS.contains(&program.as_str()) || program.rsplit('/').next() == Some("systemd")
}
