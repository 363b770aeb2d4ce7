// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a container counts as started: once the runtime says so and its init has not failed at once.

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::exit::Error;
use crate::runtime::Init;
use crate::sys;

/// How init fares when the runtime has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It runs.
    Running,
    /// It has ended with this status.
    Exited(i32),
    /// It has been killed by this signal.
    Killed(i32),
}

/// Looks whether init still runs; one that has ended is reaped, for its status is now ours to report.
pub(crate) fn check(init: &Init) -> Result<Readiness, Error> {
    if !sys::ends_within(&init.pidfd, 0).map_err(|e| Error::system("poll the pidfd of init", e))? {
        return Ok(Readiness::Running);
    }
    match waitpid(Pid::from_raw(init.pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, status)) => Ok(Readiness::Exited(status)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Readiness::Killed(signal as i32)),
        Ok(_) => Ok(Readiness::Running),
        Err(errno) => Err(Error::system(format!("waitpid({})", init.pid), errno)),
    }
}
