// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process as the kernel describes it in one line: see proc_pid_stat(5).

use std::time::Duration;

/// How many of the kernel's units of time in there a second has: USER_HZ, the same on every architecture that ct runs on.
const TICKS_PER_SECOND: u64 = 100;

/// What of it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// Of its first thread: `R` for running, `Z` for one that has ended and was not waited for.
    pub(crate) state: char,
    pub(crate) parent: i32,
    /// `PF_…` of the kernel.
    pub(crate) flags: u64,
    /// When it began, since the boot.
    pub(crate) started: Duration,
}

impl ProcessStat {
    /// That of a process, if there is one.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        // Fifteen bytes of the name are kept, which can end in the middle of a character.
        parse(&String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/stat")).ok()?))
    }

    /// How old the process is; see proc_uptime(5).
    pub(crate) fn age(&self) -> Option<Duration> {
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds = uptime.split_whitespace().next()?.parse().ok()?;
        Some(Duration::try_from_secs_f64(seconds).ok()?.saturating_sub(self.started))
    }
}

/// The fields begin behind the name's last parenthesis: the name is the process's own to choose, and may have any in it.
fn parse(line: &str) -> Option<ProcessStat> {
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let flags = fields.nth(4)?.parse().ok()?;
    let started: u64 = fields.nth(12)?.parse().ok()?;
    let started = Duration::from_millis(started.saturating_mul(1000 / TICKS_PER_SECOND));
    Some(ProcessStat { state, parent, flags, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_read_past() {
        let line = "42 (a) Z 1 (b) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 250 1000";
        let started = Duration::from_millis(2500);
        assert_eq!(parse(line), Some(ProcessStat { state: 'S', parent: 7, flags: 4_194_560, started }));
        assert_eq!(parse("42 (a) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_described() {
        let own = ProcessStat::read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(own.parent, nix::unistd::getppid().as_raw());
        assert!(own.started > Duration::ZERO && own.age().is_some());
        assert_eq!(ProcessStat::read(0), None);
    }
}
