// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a container's init hears a signal. The kernel drops what it neither catches, blocks nor waits for, since it is the
//! first process of its pid namespace (pid_namespaces(7)): one that is still coming up is told later, or never hears of it.

use std::fs;
use std::time::Duration;

use crate::process_stat::ProcessStat;

/// How often it is looked at whether an init hears by now, in milliseconds.
pub(crate) const LOOK_AGAIN: u16 = 20;

/// An init that does not hear at this age never will.
const COMES_UP_WITHIN: Duration = Duration::from_secs(30);

/// rt_sigtimedwait(2) of 32-bit programs, on every architecture.
const SIGTIMEDWAIT_TIME64: libc::c_long = 421;

/// Whether the process would notice the signal, as far as the kernel says. One that is gone keeps nobody waiting.
pub(crate) fn hears(pid: i32, signal: i32) -> bool {
    let Ok(status) = fs::read(format!("/proc/{pid}/status")) else { return true };
    notices(&String::from_utf8_lossy(&status), signal).unwrap_or(true)
        || waits_for_signals(pid).unwrap_or(true)
}

/// What a process blocks is not said while it waits for that, as busybox's init does all day. `None` where nobody may look.
fn waits_for_signals(pid: i32) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    // "running", or a number.
    let number = text.split_whitespace().next()?.parse().ok();
    Some(number.is_some_and(|number| [libc::SYS_rt_sigtimedwait, SIGTIMEDWAIT_TIME64].contains(&number)))
}

/// How long a process may still be coming up.
pub(crate) fn comes_up_within(pid: i32) -> Duration {
    let age = ProcessStat::read(pid).and_then(|stat| stat.age());
    age.map_or(Duration::ZERO, |age| COMES_UP_WITHIN.saturating_sub(age))
}

/// By proc_pid_status(5). `None` where the kernel does not say.
fn notices(status: &str, signal: i32) -> Option<bool> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("NSpid:")?.split_whitespace().next_back() != Some("1") || signal == libc::SIGKILL {
        return Some(true);
    }
    let bit = u32::try_from(signal).ok()?.checked_sub(1)?;
    let has = |name: &str| Some(u64::from_str_radix(field(name)?, 16).ok()?.checked_shr(bit)? & 1 == 1);
    Some(has("SigBlk:")? || has("SigCgt:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_init_neither_catches_nor_blocks_it_does_not_hear() {
        let status = "Name:\tinit\nNSpid:\t4711\t1\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000000002\n\
                      SigCgt:\t0000001000004000\n";
        for (signal, is_heard) in
            [(1, true), (2, false), (15, true), (14, false), (37, true), (9, true), (64, false)]
        {
            assert_eq!(notices(status, signal), Some(is_heard), "{signal}");
        }
        // Any other process has the default action of a signal.
        assert_eq!(notices(&status.replace("\t1\n", "\t17\n"), 2), Some(true));
        assert_eq!(notices("Name:\tinit\n", 2), None);
    }

    #[test]
    fn processes_that_run_are_looked_at() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(hears(own, libc::SIGTERM) && hears(0, libc::SIGTERM));
        assert_eq!(comes_up_within(0), Duration::ZERO);
    }
}
