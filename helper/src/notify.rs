// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PID 1 is told, in the words of sd_notify(3).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use libsystemd::daemon::{NotifyState, notify_with_fds};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::exit::Error;

/// How long PID 1 may take to answer: longer than a stall of a busy machine, shorter than a start's own timeout.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(30);

/// What PID 1 allows beyond a timeout of ours, so that ours is the one that tells why.
const MARGIN: Duration = Duration::from_secs(10);
/// Long enough for "no timeout": systemd takes no infinity here.
const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How often `meanwhile` is called while PID 1 does not answer, in milliseconds.
const SLICE: u16 = 10;

/// Makes the container's init the unit's main process and the unit active.
///
/// One datagram carries both: after a separate MAINPID= the helper would no longer be the main process, and with
/// NotifyAccess=main its READY=1 would be dropped.
pub(crate) fn ready_with_main_process(init: i32) -> Result<(), Error> {
    // The status of a start that took its time is over.
    send(&[
        NotifyState::Ready,
        NotifyState::Other(format!("MAINPID={init}")),
        NotifyState::Status(String::new()),
    ])
}

/// Says that the start succeeded although nothing runs any more: init has finished its work already.
pub(crate) fn ready_and_finished() -> Result<(), Error> {
    send(&[NotifyState::Ready])?;
    barrier(|| {})
}

/// What `systemctl status` shows beside the unit's state.
pub(crate) fn status(text: &str) -> Result<(), Error> {
    send(&[NotifyState::Status(text.to_owned())])
}

/// Asks PID 1 not to end this start before `span` and a little more has passed, so that whatever else has that limit
/// is told first, however short `TimeoutStartSec=` is.
pub(crate) fn extend_timeout(span: Duration) -> Result<(), Error> {
    let span = span.saturating_add(MARGIN).min(YEARS);
    let microseconds = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    send(&[NotifyState::Other(format!("EXTEND_TIMEOUT_USEC={microseconds}"))])
}

/// Has PID 1 hold a descriptor for the unit, under a name.
pub(crate) fn store_descriptor(name: &str, fd: &OwnedFd) -> Result<(), Error> {
    sent(&[NotifyState::Fdstore, NotifyState::Fdname(name.to_owned())], &[fd.as_raw_fd()])
}

/// Has PID 1 hold a descriptor that stays, also when there is nobody at its other end: PID 1 would let go of it then.
pub(crate) fn keep_descriptor(name: &str, fd: BorrowedFd<'_>) -> Result<(), Error> {
    let unpolled = NotifyState::Other("FDPOLL=0".to_owned());
    sent(&[NotifyState::Fdstore, NotifyState::Fdname(name.to_owned()), unpolled], &[fd.as_raw_fd()])
}

/// The service serves.
pub(crate) fn ready() -> Result<(), Error> {
    send(&[NotifyState::Ready])
}

/// The service is not stuck.
pub(crate) fn alive() -> Result<(), Error> {
    send(&[NotifyState::Watchdog])
}

/// Has PID 1 close what it holds under a name, if anything.
pub(crate) fn forget_descriptor(name: &str) -> Result<(), Error> {
    send(&[NotifyState::FdstoreRemove, NotifyState::Fdname(name.to_owned())])
}

fn send(states: &[NotifyState]) -> Result<(), Error> {
    sent(states, &[])
}

/// Sends one datagram: all of it or nothing. libsystemd does not tell when a signal has interrupted it, hence the second try.
fn sent(states: &[NotifyState], fds: &[RawFd]) -> Result<(), Error> {
    let result = notify_with_fds(false, states, fds).or_else(|_| notify_with_fds(false, states, fds));
    match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Usage(
            "NOTIFY_SOCKET is not set; the unit of ct that runs this needs NotifyAccess=main".to_owned(),
        )),
        Err(error) => Err(Error::system("notify PID 1", std::io::Error::other(error))),
    }
}

/// `BARRIER=1`: PID 1 closes the pipe when it has worked off everything before it. Without that the helper could be
/// gone, and with it all that proves who sent the message, before PID 1 looks at it.
pub(crate) fn barrier(mut meanwhile: impl FnMut()) -> Result<(), Error> {
    let (ours, theirs) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| Error::system("pipe2", e))?;
    sent(&[NotifyState::Other("BARRIER=1".to_owned())], &[theirs.as_raw_fd()])?;
    drop(theirs);
    let deadline = Instant::now() + BARRIER_TIMEOUT;
    while Instant::now() < deadline {
        let mut fds = [PollFd::new(ours.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::from(SLICE)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => meanwhile(),
            Ok(_) => return Ok(()),
            Err(errno) => return Err(Error::system("poll", errno)),
        }
    }
    Err(Error::system("wait for PID 1", std::io::Error::from(std::io::ErrorKind::TimedOut)))
}
