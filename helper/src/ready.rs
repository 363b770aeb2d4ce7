// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[ready]`: the time between the start of init and the moment in which the container is of use to those that wait
//! for it. Meanwhile the helper is still the unit's main process; it hands a signal to stop on to init, and the end of
//! init ends the wait at once.

mod command;
mod notified;
pub(crate) mod notify_socket;
pub(crate) mod relay;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use ct_config::container::{Container, Ready, ReadyWhen};
use ct_config::settings::{is_init_unknown, stop_signal};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use crate::exit::Error;
use crate::hearing;
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
    let watch = Watch::new(container, init, inside)?;
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
struct Watch<'a> {
    /// The unit's main process to be.
    main: i32,
    init: OwnedFd,
    signals: Signals,
    stop_signal: i32,
    /// Whether only a look at init tells which signal PID 1's stands for.
    is_init_unknown: bool,
    inside: &'a Inside<'a>,
}

/// A file, by device and number.
type Inode = (u64, u64);

impl<'a> Watch<'a> {
    fn new(container: &Container, init: &Init, inside: &'a Inside<'a>) -> Result<Self, Error> {
        // Init is not waited for before the handover, so that its number still means it.
        let pidfd = sys::pidfd_open(init.pid).map_err(|e| Error::system("pidfd_open", e))?;
        let stop_signal = stop_signal(container).0;
        let passed_on = [stop_signal, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
        let signals = Signals::catch(&passed_on).map_err(|e| Error::system("signalfd", e))?;
        let is_init_unknown = is_init_unknown(container);
        Ok(Self { main: init.pid, init: pidfd, signals, stop_signal, is_init_unknown, inside })
    }

    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.init.as_fd(), self.signals.as_fd()]
    }

    /// Whether the wait is over: init has ended, by itself or since it was told to.
    fn is_over(&self) -> Result<bool, Error> {
        let failed = |e| Error::system("wait for the container's init", e);
        let mut order = None;
        let mut told = None;
        loop {
            while let Some(signal) = self.signals.next() {
                if signal == libc::SIGHUP && signal != self.stop_signal {
                    // To most programs it says to read their files again: they will be ready all the same.
                    let _ = sys::send_signal(&self.init, signal);
                } else {
                    (order, told) = (Some(signal), None);
                }
            }
            if sys::ends_within(&self.init, 0).map_err(failed)? {
                return Ok(true);
            }
            let Some(signal) = order else { return Ok(false) };
            told = self.tell(signal, told);
            // PID 1 has its own timeout for this, and kills.
            self.sleep(&[], Some(Instant::now() + Duration::from_millis(hearing::LOOK_AGAIN.into())))?;
        }
    }

    /// Tells init to stop as soon as it hears that, and again when it is another program by then: one that it executes has
    /// not heard what came before. Returns which program was told, so far `told`.
    fn tell(&self, signal: i32, told: Option<Inode>) -> Option<Inode> {
        // In a sandbox it is not seen.
        let first = self.inside.runtime.family.init_of(self.main, self.inside.cgroup).unwrap_or(self.main);
        let file = fs::metadata(format!("/proc/{first}/exe")).ok();
        let program = file.map_or((0, 0), |file| (file.dev(), file.ino()));
        let own = self.in_words_of(first, signal);
        let hears =
            || hearing::hears(first, own.unwrap_or(signal)) || hearing::comes_up_within(first).is_zero();
        if told == Some(program) || !hears() {
            return told;
        }
        // ESRCH: it has ended.
        let _ = match own.map(|own| (own, sys::pidfd_open(first))) {
            Some((own, Ok(first))) => sys::send_signal(&first, own),
            Some((_, Err(gone))) => Err(gone),
            None => sys::send_signal(&self.init, signal),
        };
        Some(program)
    }

    /// The signal that init powers off at, in place of PID 1's, if it is not systemd's.
    fn in_words_of(&self, first: i32, signal: i32) -> Option<i32> {
        if !self.is_init_unknown || signal != self.stop_signal {
            return None;
        }
        match init_system::power_off(first) {
            Some(PowerOff::Signal(own)) => Some(own),
            Some(PowerOff::Runlevel0) | None => None,
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
