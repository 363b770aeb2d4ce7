// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[ready]`: the time between the start of init and the moment in which the container is of use to those that wait
//! for it. Meanwhile the helper is still the unit's main process; it hands a signal to stop on to init, and the end of
//! init ends the wait at once.

mod command;
mod notified;
pub(crate) mod notify_socket;
pub(crate) mod relay;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ct_config::container::{Container, Ready, ReadyWhen};
use ct_config::settings::{is_init_unknown, stop_signal};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use crate::exit::Error;
use crate::init_system::{self, PowerOff};
use crate::inside::Inside;
use crate::job::until;
use crate::notify;
use crate::reaper::Init;
use crate::sys::{self, Signals};

use notify_socket::NotifySocket;

/// How a wait ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The container is ready.
    Ready,
    /// Its init has ended.
    Ended,
}

/// Waits until the container is ready.
///
/// `socket` is there if it speaks for itself.
pub(crate) fn wait(
    container: &Container,
    init: &Init,
    inside: &Inside<'_>,
    socket: Option<&NotifySocket>,
) -> Result<Waited, Error> {
    let Ready { when, timeout } = &container.ready;
    if *when == ReadyWhen::Started {
        return Ok(Waited::Ready);
    }
    let watch = Watch::new(container, init)?;
    let limit = timeout.finite();
    notify::extend_timeout(limit.unwrap_or(Duration::MAX))?;
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let waited = match (when, socket) {
        (ReadyWhen::Notified { .. }, Some(socket)) => {
            notified::until_ready(socket, inside.cgroup, &watch, deadline)?
        }
        (ReadyWhen::Started | ReadyWhen::Notified { .. }, _) => Wait::Over(Waited::Ready),
        (ReadyWhen::Command { command, interval, timeout }, _) => {
            let probe = command::Probe { command, interval: *interval, timeout: timeout.finite() };
            probe.until_ready(inside, &watch, deadline)?
        }
    };
    match waited {
        Wait::Over(Waited::Ready) => {
            if let (ReadyWhen::Notified { watchdog: Some(_) }, Some(socket)) = (when, socket) {
                relay::leave_behind(socket, inside.name, init)?;
            }
            Ok(Waited::Ready)
        }
        Wait::Over(Waited::Ended) => Ok(Waited::Ended),
        Wait::TimedOut(reason) => Err(Error::NotReady { after: limit.unwrap_or_default(), reason }),
    }
}

/// How the wait for one kind of readiness ends.
enum Wait {
    Over(Waited),
    /// What it still was waiting for.
    TimedOut(String),
}

/// What else may happen meanwhile.
struct Watch {
    init: OwnedFd,
    signals: Signals,
    stop_signal: i32,
    /// Init's number, if only a look at it tells which signal PID 1's stands for.
    unknown_init: Option<i32>,
}

impl Watch {
    fn new(container: &Container, init: &Init) -> Result<Self, Error> {
        // Init is not waited for before the handover, so that its number still means it.
        let pidfd = sys::pidfd_open(init.pid).map_err(|e| Error::system("pidfd_open", e))?;
        let stop_signal = stop_signal(container).0;
        let passed_on = [stop_signal, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
        let signals = Signals::catch(&passed_on).map_err(|e| Error::system("signalfd", e))?;
        let unknown_init = is_init_unknown(container).then_some(init.pid);
        Ok(Self { init: pidfd, signals, stop_signal, unknown_init })
    }

    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.init.as_fd(), self.signals.as_fd()]
    }

    /// Whether the wait is over: init has ended, by itself or since it was told to.
    fn is_over(&self) -> Result<bool, Error> {
        let failed = |e| Error::system("wait for the container's init", e);
        let mut is_stopping = false;
        loop {
            while let Some(signal) = self.signals.next() {
                // ESRCH: it has ended.
                let _ = sys::send_signal(&self.init, self.in_words_of_init(signal));
                // To most programs a SIGHUP says to read their files again: they will be ready all the same.
                is_stopping |= signal != libc::SIGHUP || signal == self.stop_signal;
            }
            if sys::ends_within(&self.init, 0).map_err(failed)? {
                return Ok(true);
            }
            if !is_stopping {
                return Ok(false);
            }
            // PID 1 has its own timeout for this, and kills.
            self.sleep(&[], None)?;
        }
    }

    /// The signal that init powers off at, in place of PID 1's, if it is not systemd's.
    fn in_words_of_init(&self, signal: i32) -> i32 {
        let unknown = self.unknown_init.filter(|_| signal == self.stop_signal);
        match unknown.and_then(init_system::power_off) {
            Some(PowerOff::Signal(own)) => own,
            Some(PowerOff::Runlevel0) | None => signal,
        }
    }

    /// Waits until something happens, here or at one of `others`, or until `deadline`.
    fn sleep(&self, others: &[BorrowedFd<'_>], deadline: Option<Instant>) -> Result<(), Error> {
        let own = self.descriptors();
        let all = own.iter().chain(others);
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, until(deadline)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::system("poll", errno)),
        }
    }
}
