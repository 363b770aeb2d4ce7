// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the last run of a container ended, as systemd keeps it: a status, a signal, and what it makes of them.

use ct_config::value::Signal;
use ct_dbus::unit::Unit;
use serde::Serialize;

/// CLD_KILLED and CLD_DUMPED of sigaction(2); the third that `ExecMainCode` may be is CLD_EXITED.
const KILLED: [u64; 2] = [2, 3];
const EXITED: u64 = 1;

/// The end of a main process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exited {
    /// The exit status, if it ended by itself.
    pub status: Option<u8>,
    /// The signal that killed it: `SIGKILL`.
    pub signal: Option<String>,
    /// When, in microseconds since the epoch.
    pub at: Option<u64>,
    /// Whether this was before the container had ever been ready in that run.
    pub before_ready: bool,
    /// What the status means, if it is that of the helper: the container could not be started.
    pub meaning: Option<&'static str>,
}

impl Exited {
    /// Of a unit's last run; `None` while it runs, or if it never did. `by_init` tells whether a status from before
    /// it was ready is the container's own and not the helper's; it is asked only then.
    pub fn of(unit: &Unit, by_init: impl FnOnce() -> bool) -> Option<Self> {
        let code = unit.number("ExecMainCode").filter(|code| *code != 0)?;
        let number = i32::try_from(unit.signed("ExecMainStatus")?).ok()?;
        let moment = |name: &str| unit.number(name).unwrap_or_default();
        let before_ready = moment("ActiveEnterTimestampMonotonic") < moment("InactiveExitTimestampMonotonic");
        let status = (code == EXITED).then(|| u8::try_from(number).ok()).flatten();
        let meaning = status.filter(|_| before_ready).and_then(meaning).filter(|_| !by_init());
        Some(Self {
            status,
            signal: KILLED.contains(&code).then(|| Signal(number).to_string()),
            at: unit.number("ExecMainExitTimestamp").filter(|moment| *moment != 0),
            before_ready,
            meaning,
        })
    }

    /// `exited with status 7`, `killed by SIGKILL`, `could not be started: bad config (status 78)`
    pub fn words(&self) -> String {
        match (self.status, &self.signal, self.meaning) {
            (Some(status), _, Some(meaning)) => format!("could not be started: {meaning} (status {status})"),
            (Some(status), _, None) => {
                let when = if self.before_ready && status != 0 { " before it was ready" } else { "" };
                format!("exited with status {status}{when}")
            }
            (None, Some(signal), _) => format!("killed by {signal}"),
            (None, None, _) => "ended".to_owned(),
        }
    }
}

/// The exit codes of ct-helper(8).
fn meaning(status: u8) -> Option<&'static str> {
    Some(match status {
        64 => "the helper was called in a wrong way",
        66 => "a root file system, bundle, layer or other file is missing",
        67 => "there is no such user",
        69 => "the runtime is not installed",
        70 => "the runtime failed",
        71 => "a system call failed",
        73 => "a hook failed",
        75 => "not ready in time",
        77 => "not permitted",
        78 => "bad config",
        99 => "systemd did not take its process over",
        _ => return None,
    })
}

/// `Result` of a unit that failed, with how its main process ended, in words.
pub fn reason(result: &str, exited: Option<&Exited>) -> String {
    let ended = exited.map(Exited::words);
    let ended = ended.as_deref();
    match (result, ended) {
        ("oom-kill", Some(ended)) => format!("{ended} (out of memory)"),
        ("oom-kill", None) => "out of memory".to_owned(),
        ("timeout", _) if exited.is_some_and(|exited| exited.before_ready) => {
            "it took too long to start".to_owned()
        }
        ("timeout", Some(ended)) => format!("it took too long to stop, {ended}"),
        ("watchdog", _) => "it did not say WATCHDOG=1 in time".to_owned(),
        ("start-limit-hit", _) => "it was started too often in too short a time".to_owned(),
        ("resources", _) => "systemd could not run it".to_owned(),
        ("protocol", Some(ended)) => format!("{ended}, and had not said READY=1"),
        ("core-dump", Some(ended)) => format!("{ended} (core dumped)"),
        ("success" | "exit-code" | "signal", Some(ended)) => ended.to_owned(),
        (result, Some(ended)) => format!("{result}, {ended}"),
        (result, None) => result.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(status: Option<u8>, signal: Option<&str>, before_ready: bool) -> Exited {
        let meaning = status.filter(|_| before_ready).and_then(meaning);
        Exited { status, signal: signal.map(str::to_owned), at: None, before_ready, meaning }
    }

    #[test]
    fn an_end_has_words() {
        let seven = exited(Some(7), None, false);
        let killed = exited(None, Some("SIGKILL"), false);
        assert_eq!(reason("exit-code", Some(&seven)), "exited with status 7");
        assert_eq!(reason("signal", Some(&killed)), "killed by SIGKILL");
        assert_eq!(reason("oom-kill", Some(&killed)), "killed by SIGKILL (out of memory)");
        assert_eq!(reason("timeout", Some(&killed)), "it took too long to stop, killed by SIGKILL");
        let config = exited(Some(78), None, true);
        assert_eq!(reason("exit-code", Some(&config)), "could not be started: bad config (status 78)");
        // The same number from a container that was ready is its own.
        assert_eq!(reason("exit-code", Some(&exited(Some(78), None, false))), "exited with status 78");
        assert_eq!(
            reason("exit-code", Some(&exited(Some(3), None, true))),
            "exited with status 3 before it was ready"
        );
        assert_eq!(reason("start-limit-hit", None), "it was started too often in too short a time");
        assert_eq!(reason("something-new", None), "something-new");
    }
}
