// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a container is doing, in one word, made of what systemd says of its unit.

use clap::ValueEnum;
use ct_dbus::manager::ListedUnit;
use ct_dbus::unit::Unit;
use serde::Serialize;

/// The word; the same in tables, in JSON and for `--state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its processes run.
    Running,
    /// Its processes are there and stand still
    Frozen,
    /// Not ready yet.
    Starting,
    /// It has a job that waits for another unit's
    Waiting,
    /// It has ended, and systemd will start it again
    Restarting,
    /// It was told to stop.
    Stopping,
    /// Never started, or stopped without a failure
    Stopped,
    /// Its last run, or start, failed
    Failed,
}

/// What the word is made of, in systemd's words.
#[derive(Debug, Clone, Copy)]
pub struct States<'a> {
    /// `ActiveState`
    pub active: &'a str,
    /// `SubState`
    pub sub: &'a str,
    /// Whether there is a job that has not begun: only a start, which is what another unit can hold up.
    pub start_queued: bool,
    /// Whether its cgroup is frozen.
    pub frozen: bool,
}

impl Phase {
    /// The word for these states.
    pub fn of(states: States<'_>) -> Self {
        match (states.active, states.sub) {
            ("active" | "reloading" | "refreshing", _) if states.frozen => Self::Frozen,
            ("active" | "reloading" | "refreshing", _) => Self::Running,
            ("activating", "auto-restart" | "auto-restart-queued") => Self::Restarting,
            ("activating", _) => Self::Starting,
            ("deactivating", _) => Self::Stopping,
            _ if states.start_queued => Self::Waiting,
            ("failed", _) => Self::Failed,
            _ => Self::Stopped,
        }
    }

    /// Of a line of systemd's list, and whether the unit's cgroup is frozen.
    pub fn of_listed(unit: &ListedUnit, frozen: bool) -> Self {
        let start_queued = matches!(unit.job_type.as_str(), "start" | "restart");
        Self::of(States { active: &unit.active_state, sub: &unit.sub_state, start_queued, frozen })
    }

    /// Whether there are processes.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Frozen | Self::Starting | Self::Stopping)
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// The property that tells since when a unit is in this state, see systemctl(1).
pub fn since_property(active_state: &str) -> &'static str {
    match active_state {
        "active" | "reloading" | "refreshing" => "ActiveEnterTimestamp",
        "activating" => "InactiveExitTimestamp",
        "deactivating" => "ActiveExitTimestamp",
        _ => "InactiveEnterTimestamp",
    }
}

/// Since when, in microseconds since the epoch; `None` for what has not happened since boot.
pub fn since(unit: &Unit, active_state: &str) -> Option<u64> {
    unit.number(since_property(active_state)).filter(|moment| *moment != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(active: &str, sub: &str, start_queued: bool, frozen: bool) -> &'static str {
        Phase::of(States { active, sub, start_queued, frozen }).as_str()
    }

    #[test]
    fn systemds_states_have_one_word_each() {
        assert_eq!(word("active", "running", false, false), "running");
        assert_eq!(word("active", "running", false, true), "frozen");
        assert_eq!(word("activating", "start", true, false), "starting");
        assert_eq!(word("activating", "auto-restart", false, false), "restarting");
        assert_eq!(word("deactivating", "stop-sigterm", false, false), "stopping");
        assert_eq!(word("inactive", "dead", false, false), "stopped");
        assert_eq!(word("inactive", "dead", true, false), "waiting");
        assert_eq!(word("failed", "failed", false, false), "failed");
    }
}
