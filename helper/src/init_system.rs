// SPDX-License-Identifier: MIT OR Apache-2.0
//! The init system of a container whose command is /sbin/init, and what makes it power off. systemd knows the signal
//! that PID 1 sends; each of the others has its own, and ignores that one.
//!
//! What runs is seen only in the running container. It may lie about itself, and gets a signal it chose.

use std::fs::File;
use std::io::Read;

/// The most that is read of a command line, in bytes.
const MAX_ARGUMENTS: u64 = 4096;

/// What makes an init system power off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerOff {
    /// This signal.
    Signal(i32),
    /// `/sbin/init 0`, run inside: init(8) of sysvinit, and runit-init(8).
    Runlevel0,
}

/// How the init `pid` is made to power off; `None` for systemd, which PID 1's signal is for, and for one not known.
pub(crate) fn power_off(pid: i32) -> Option<PowerOff> {
    let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let mut arguments = Vec::new();
    let cmdline = File::open(format!("/proc/{pid}/cmdline")).ok()?;
    cmdline.take(MAX_ARGUMENTS).read_to_end(&mut arguments).ok()?;
    let called = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    // The kernel marks a program that an upgrade has replaced.
    let program = executable.file_name()?.to_str()?.trim_end_matches(" (deleted)");
    known(program, called)
}

/// `called` is its name for itself: a shell script of busybox is busybox, too.
fn known(program: &str, called: &[u8]) -> Option<PowerOff> {
    let is_called_init = called.rsplit(|byte| *byte == b'/').next() == Some(b"init");
    match program {
        "busybox" if is_called_init => Some(PowerOff::Signal(libc::SIGUSR2)),
        "finit" => Some(PowerOff::Signal(libc::SIGUSR2)),
        "openrc-init" | "dinit" => Some(PowerOff::Signal(libc::SIGTERM)),
        "init" | "runit" => Some(PowerOff::Runlevel0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_init_has_its_own_way() {
        for (program, called, want) in [
            ("busybox", "/sbin/init", Some(PowerOff::Signal(libc::SIGUSR2))),
            ("busybox", "init", Some(PowerOff::Signal(libc::SIGUSR2))),
            ("busybox", "/bin/sh", None),
            ("openrc-init", "/sbin/init", Some(PowerOff::Signal(libc::SIGTERM))),
            ("init", "init [2]", Some(PowerOff::Runlevel0)),
            ("runit", "runit", Some(PowerOff::Runlevel0)),
            ("systemd", "/sbin/init", None),
            ("my-own", "/sbin/init", None),
        ] {
            assert_eq!(known(program, called.as_bytes()), want, "{program} {called}");
        }
    }

    #[test]
    fn one_that_runs_is_looked_at() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(power_off(own), None, "a test is no init");
        assert_eq!(power_off(0), None);
    }
}
