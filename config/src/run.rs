// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run: a container's config with another command, once and in a unit of its own (`ctctl run`). Detached it is a
//! transient service; in the foreground a scope, and what a service would have set the helper sets itself.
//!
//! A run is a [`Container`] too, so that the one mapping of [`crate::settings`] also makes the settings of its unit.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::container::{
    Autostart, Container, IdName, LogMode, Ready, ReadyWhen, Restart, RootSource, Writable,
};
use crate::name::ContainerName;
use crate::settings::{self, DEFAULT_COMMAND, Property, UnitSettings, Value};
use crate::validate;
use crate::value::{Signal, Size, Timespan};

/// Eight hexadecimal digits: they tell a run from others of the same container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

/// The name of a run: that of its container, a dash, and its [`RunId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The container whose config it has.
    pub container: ContainerName,
    /// Which of its runs.
    pub id: RunId,
}

/// Where runs have their run-time directories.
pub const DIRECTORY: &str = "/run/ct-run";

impl RunId {
    /// From a random number.
    pub fn new(number: u32) -> Self {
        Self(format!("{number:08x}"))
    }

    /// Reads one; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RunName {
    /// Reads `NAME-ID` as the name of a run of this container.
    pub fn of(container: &ContainerName, text: &str) -> Option<Self> {
        let id = text.strip_prefix(container.as_str())?.strip_prefix('-')?;
        Some(Self { container: container.clone(), id: RunId::parse(id)? })
    }

    /// The unit of a detached run.
    pub fn service(&self) -> String {
        format!("ct-run-{self}.service")
    }

    /// The unit of a run in the foreground.
    pub fn scope(&self) -> String {
        format!("ct-run-{self}.scope")
    }

    /// Its run-time directory.
    pub fn directory(&self) -> PathBuf {
        PathBuf::from(format!("{DIRECTORY}/{self}"))
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.container, self.id.0)
    }
}

/// What is asked of the helper. It goes there through a descriptor: arguments and unit files can be read by anybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The argument vector; never empty.
    pub command: Vec<String>,
    /// Variables on top of the config's.
    pub env: BTreeMap<String, String>,
    /// `USER[:GROUP]` inside the container, in place of the config's.
    pub user: Option<String>,
    /// The working directory in place of the config's.
    pub cwd: Option<String>,
    /// The [`Digest`](crate::container::Digest) of the config that the unit's settings were made of.
    pub digest: String,
    /// In the foreground, and how.
    pub foreground: Option<Foreground>,
}

/// What the helper needs to know where no service manager has set it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreground {
    /// The command gets a terminal of its own, of so many rows and columns; 0 where nobody knows.
    pub terminal: Option<(u16, u16)>,
    /// The soft and hard limits that every service gets, by the directives of systemd.exec(5); `u64::MAX` is infinity.
    pub limits: BTreeMap<String, (u64, u64)>,
}

/// Turns a container into a run of it; what is wrong with the request is the error.
///
/// A run is not waited for until it is ready, never started again, and not started by boot. Of the hooks it has those
/// that make and unmake what the container needs, `pre_start` and `post_stop`.
pub fn container(config: Container, request: &Request) -> Result<Container, String> {
    let mut container = config;
    if request.command.first().is_none_or(String::is_empty) {
        return Err("the command must not be empty".to_owned());
    }
    container.process.command = Some(request.command.clone());
    if let Some(user) = &request.user {
        let (user, group) = user.split_once(':').map_or((user.as_str(), None), |(u, g)| (u, Some(g)));
        container.process.user = Some(id_name(user, "a user")?);
        container.process.group = group.map(|group| id_name(group, "a group")).transpose()?;
        container.process.groups = Vec::new();
    }
    if let Some(cwd) = &request.cwd {
        let path = validate::parse_path(cwd)?;
        // A descriptor of the runtime as the working directory is a way out of the container.
        if path.starts_with("/proc") || path.starts_with("/dev/fd") {
            return Err(format!("{cwd:?} must not be below /proc or /dev/fd"));
        }
        container.process.cwd = Some(path);
    }
    for (name, value) in &request.env {
        if name.is_empty() || name.contains('=') {
            return Err(format!("{name:?} is not the name of a variable"));
        }
        container.process.env.insert(name.clone(), value.clone());
    }
    let texts = request.command.iter().chain(request.env.values()).chain(request.env.keys());
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err("an argument contains a NUL byte".to_owned());
    }
    container.ready = Ready { when: ReadyWhen::Started, timeout: Timespan::Infinity };
    container.restart = Restart::default();
    container.autostart = Autostart { enabled: false, ..container.autostart };
    container.depends.before = Vec::new();
    container.hooks.post_start = Vec::new();
    container.hooks.pre_stop = Vec::new();
    container.stop.command = None;
    // What a run has for a terminal is its caller's.
    container.process.terminal = None;
    container.process.stdin_open = false;
    container.log = LogMode::default();
    // Of an init that only a look at it would tell: nobody is there to look.
    container.stop.signal = Some(settings::stop_signal(&container));
    Ok(container)
}

fn id_name(text: &str, what: &str) -> Result<IdName, String> {
    Ok(validate::parse_id(text, what)?.map_or_else(|| IdName::Name(text.to_owned()), IdName::Id))
}

/// What the unit of a run is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    /// Those that units of every kind have.
    pub unit: Vec<Property>,
    /// Those of its own kind.
    pub own: Vec<Property>,
}

/// The settings of the service of a run: those that ct@.service has, and on top of them the run's own.
pub fn service_settings(run: &Container, name: &RunName) -> RunSettings {
    let UnitSettings { unit, service, .. } = settings::unit_settings(run);
    let mut own = template(name);
    own.extend(service.into_iter().filter(is_of_run));
    if has_end(run) {
        let words = ["hook", run.name.as_str(), "post_stop", "--run", name.id.as_str()];
        let command = Value::Helper(words.map(str::to_owned).to_vec());
        own.push(Property { name: "ExecStopPost", value: command });
    }
    RunSettings { unit: unit_section(run, unit), own }
}

/// The settings of the scope of a run; of those of its own kind a scope does not have all.
pub fn scope_settings(run: &Container) -> RunSettings {
    let UnitSettings { unit, service, .. } = settings::unit_settings(run);
    let mut unit = unit_section(run, unit);
    unit.push(Property { name: "Delegate", value: Value::Bool(true) });
    let mut own = vec![Property { name: "DevicePolicy", value: Value::Word("closed") }];
    own.extend(service);
    RunSettings { unit, own }
}

fn unit_section(run: &Container, unit: Vec<Property>) -> Vec<Property> {
    let after = Value::Lines(vec!["local-fs.target network.target".to_owned()]);
    let mut all = vec![Property { name: "After", value: after }];
    all.extend(unit.into_iter().filter(is_of_run));
    all.push(description(run));
    all
}

/// Whether something has to be run when it is over. Whether a bundle has hooks of its own only its config.json tells.
fn has_end(run: &Container) -> bool {
    !run.hooks.post_stop.is_empty() || matches!(run.root.source, RootSource::Bundle(_))
}

/// What the mapping gives to a container's own unit alone: the digest goes with the request, and so do the commands
/// with the name of the run.
fn is_of_run(setting: &Property) -> bool {
    !matches!(setting.name, "Description" | "Environment" | "ExecStopPost")
}

fn description(run: &Container) -> Property {
    let program = run.process.command.iter().flatten().next().map_or(DEFAULT_COMMAND, String::as_str);
    let program: String = program.chars().filter(|c| !c.is_control()).take(80).collect();
    Property { name: "Description", value: Value::Text(format!("Container {}: {program}", run.name)) }
}

/// What ct@.service says, for a service that has no file.
fn template(name: &RunName) -> Vec<Property> {
    let word = |name, word| Property { name, value: Value::Word(word) };
    let flag = |name, flag| Property { name, value: Value::Bool(flag) };
    vec![
        word("Type", "notify"),
        word("NotifyAccess", "main"),
        flag("Delegate", true),
        word("DevicePolicy", "closed"),
        flag("PrivateMounts", true),
        Property { name: "RuntimeDirectory", value: Value::Text(format!("ct-run/{name}")) },
        word("RuntimeDirectoryMode", "0700"),
        word("KillMode", "mixed"),
        Property { name: "SuccessExitStatus", value: Value::Lines(vec!["143".to_owned()]) },
        Property { name: "SuccessExitStatus", value: Value::Signal(Signal::TERM) },
        Property { name: "SuccessExitStatus", value: Value::Signal(Signal::INT) },
        Property { name: "SuccessExitStatus", value: Value::Signal(Signal::RTMIN_PLUS_3) },
        word("StandardOutput", "journal"),
        word("StandardError", "inherit"),
        Property { name: "SyslogIdentifier", value: Value::Text(name.container.to_string()) },
        flag("SyslogLevelPrefix", false),
        flag("IgnoreSIGPIPE", false),
    ]
}

/// The limits of a run: its config's, and for the rest what every service gets.
pub fn limits(run: &Container, defaults: &BTreeMap<String, (u64, u64)>) -> BTreeMap<String, (u64, u64)> {
    let number = |size: Size| match size {
        Size::Finite(number) => number,
        Size::Infinity => u64::MAX,
    };
    let mut limits = defaults.clone();
    for (resource, limit) in &run.limits {
        limits.insert(resource.directive().to_owned(), (number(limit.soft), number(limit.hard)));
    }
    limits
}

/// Whether two of them may not be at the same time: what is written to the root file system stays there.
pub fn is_sole(container: &Container) -> bool {
    container.root.writable.unwrap_or_default() == Writable::Persistent
}
