// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a container starts, is ready, stops and starts again: `[depends]`, `[autostart]`, `[ready]`, `[stop]`, `[restart]`
//! and `[hooks]`.

use serde::Serialize;

use crate::name::UnitName;
use crate::pod::Place;
use crate::value::{Signal, Timespan};
use crate::word::RestartPolicy;

/// `[depends]`, container names already turned into unit names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Depends {
    /// `Requires=` and `After=`
    pub requires: Vec<Dependency>,
    /// `Wants=` and `After=`
    pub wants: Vec<Dependency>,
    /// `After=`
    pub after: Vec<Dependency>,
    /// `Before=`
    pub before: Vec<Dependency>,
}

/// One entry of `[depends]` and where it stands, for messages about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The unit, `ct@db.service` for a container.
    pub unit: UnitName,
    /// Where it is named.
    #[serde(skip)]
    pub place: Place,
}

/// `[autostart]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Autostart {
    /// Whether `ct.target` wants it.
    pub enabled: bool,
    /// Lower first.
    pub priority: i32,
    /// Pause after it is ready before boot starts the next in its lane.
    pub delay: Timespan,
}

impl Autostart {
    /// The priority of a container that does not name one.
    pub const DEFAULT_PRIORITY: i32 = 1000;
}

/// `[ready]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// What makes it ready.
    pub when: ReadyWhen,
    /// How long that may take, from the start of its init; does not matter for [`ReadyWhen::Started`].
    pub timeout: Timespan,
}

/// What makes a container ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyWhen {
    /// The runtime has started it.
    Started,
    /// A command inside has exited with 0.
    Command {
        /// The argument vector; never empty.
        command: Vec<String>,
        /// Pause between two runs, never infinite.
        interval: Timespan,
        /// How long one run may take before it is killed.
        timeout: Timespan,
    },
    /// It has said READY=1 itself, see sd_notify(3).
    Notified {
        /// `WatchdogSec=`: the longest pause between two WATCHDOG=1.
        watchdog: Option<Timespan>,
    },
}

/// `[stop]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// `KillSignal=`; `None` is SIGTERM, or what the init named by the command expects.
    pub signal: Option<Signal>,
    /// `TimeoutStopSec=`
    pub timeout: Option<Timespan>,
    /// Run inside before the signal; never empty.
    pub command: Option<Vec<String>>,
    /// How long it may take before it is killed.
    pub command_timeout: Timespan,
}

/// `[restart]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Restart {
    /// `Restart=`
    pub policy: Option<RestartPolicy>,
    /// `RestartSec=`
    pub delay: Option<Timespan>,
    /// `StartLimitBurst=`
    pub start_limit_burst: Option<u32>,
    /// `StartLimitIntervalSec=`
    pub start_limit_interval: Option<Timespan>,
}

/// `[hooks]`: programs of the host, run as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hooks {
    /// Before the container is created, in the mount namespace that it is made from. One that fails fails the start.
    pub pre_start: Vec<Vec<String>>,
    /// After it is ready.
    pub post_start: Vec<Vec<String>>,
    /// Before it is told to stop.
    pub pre_stop: Vec<Vec<String>>,
    /// After it has ended, also when it never started.
    pub post_stop: Vec<Vec<String>>,
    /// How long each of them may take before it is killed.
    pub timeout: Timespan,
}
