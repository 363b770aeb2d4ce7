// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handover, in the words of sd_notify(3).

use std::os::fd::{AsFd, AsRawFd};

use libsystemd::daemon::{NotifyState, notify, notify_with_fds};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::exit::Error;

/// How long PID 1 may take to answer, in milliseconds: longer than a stall of a busy machine, shorter than a start's
/// own timeout.
const BARRIER_TIMEOUT: u16 = 30_000;

/// Makes the container's init the unit's main process and the unit active, and waits until PID 1 has done so.
///
/// One datagram carries both: after a separate MAINPID= the helper would no longer be the main process, and with
/// NotifyAccess=main its READY=1 would be dropped.
pub(crate) fn hand_over(init: i32) -> Result<(), Error> {
    send(&[NotifyState::Ready, NotifyState::Other(format!("MAINPID={init}"))])?;
    barrier()
}

/// Says that the start succeeded although nothing runs any more: init has finished its work already.
pub(crate) fn ready_and_finished() -> Result<(), Error> {
    send(&[NotifyState::Ready])?;
    barrier()
}

fn send(states: &[NotifyState]) -> Result<(), Error> {
    match notify(false, states) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Usage("NOTIFY_SOCKET is not set; ct@.service runs this with Type=notify".to_owned())),
        Err(error) => Err(Error::system("notify PID 1", std::io::Error::other(error))),
    }
}

/// `BARRIER=1`: PID 1 closes the pipe when it has worked off everything before it. Without that the helper could be
/// gone, and its cgroup with it, before its message is looked at.
fn barrier() -> Result<(), Error> {
    let (ours, theirs) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| Error::system("pipe2", e))?;
    notify_with_fds(false, &[NotifyState::Other("BARRIER=1".to_owned())], &[theirs.as_raw_fd()])
        .map_err(|e| Error::system("send BARRIER=1 to PID 1", std::io::Error::other(e)))?;
    drop(theirs);
    let mut fds = [PollFd::new(ours.as_fd(), PollFlags::empty())];
    match poll(&mut fds, PollTimeout::from(BARRIER_TIMEOUT)) {
        Ok(1..) => Ok(()),
        Ok(_) => Err(Error::system("wait for PID 1", std::io::Error::from(std::io::ErrorKind::TimedOut))),
        Err(errno) => Err(Error::system("poll", errno)),
    }
}
