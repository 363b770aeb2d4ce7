// SPDX-License-Identifier: MIT OR Apache-2.0
//! The start of the monitor, and what becomes of it. It stays as long as the container: so nothing here waits for its end
//! when something else fails, as [`Command::spawn`] does, and a start would with it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use super::Lxc;
use crate::cgroup::UnitCgroup;
use crate::exit::Error;
use crate::runtime::adoption::has_executed;
use crate::runtime::family::Family;
use crate::sys::{self, Fork};

/// How often it is looked whether the container runs by now, in milliseconds. LXC tells nobody who does not ask.
const LOOK_EVERY: u16 = 2;

/// Executes the command in a child of this process, which is PID 1's to wait for.
pub(super) fn spawn(mut command: Command) -> io::Result<i32> {
    // execve(2) closes it; whatever is read was the reason why there was none.
    let (mut reader, mut writer) = io::pipe()?;
    match sys::fork()? {
        Fork::Child => {
            let error = command.exec();
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            let _ = writer.write_all(&number.to_ne_bytes());
            std::process::exit(1)
        }
        Fork::Parent(pid) => {
            drop(writer);
            let mut number = [0; 4];
            let reason = match reader.read_exact(&mut number) {
                Err(end) if end.kind() == ErrorKind::UnexpectedEof => return Ok(pid.as_raw()),
                Err(error) => error,
                Ok(()) => io::Error::from_raw_os_error(i32::from_ne_bytes(number)),
            };
            // Nobody is told of one that runs all the same.
            let _ = kill(pid, Signal::SIGKILL);
            Err(reason)
        }
    }
}

/// Whether the container runs or has run, or was never started.
pub(super) fn wait_until_it_runs(monitor: i32, cgroup: &UnitCgroup, unstarted: &Path) -> Result<bool, Error> {
    let failed = |e| Error::system("wait for LXC", e);
    let pidfd = sys::pidfd_open(monitor).map_err(failed)?;
    loop {
        if sys::ends_within(&pidfd, LOOK_EVERY).map_err(failed)? {
            return Ok(!unstarted.exists());
        }
        if Lxc.init_of(monitor, cgroup).is_some_and(has_executed) {
            return Ok(true);
        }
    }
}
