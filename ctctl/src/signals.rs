// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals that are for a program inside a container, not for us: taken from a descriptor while this lives.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::Error;

/// Those that a program is asked to do something by.
pub const PASSED_ON: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// signalfd(2)
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    set: SigSet,
}

impl Signals {
    /// Catches these. To be called before there are other threads, which have the mask of the one that starts them: a
    /// thread without it would be killed by the signal, and the process with it.
    pub fn catch(signals: impl IntoIterator<Item = Signal>) -> Result<Self, Error> {
        let set: SigSet = signals.into_iter().collect();
        set.thread_block().map_err(|e| Error::system("sigprocmask", e))?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|e| Error::system("signalfd", e))?;
        Ok(Self { fd, set })
    }

    /// Waits until one has come, but no longer than this.
    pub fn wait(&self, time: Duration) {
        let time = Timespec::try_from(time).ok();
        let _ = poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], time.as_ref());
    }

    /// The next one that has come, if any.
    pub fn next(&self) -> Option<Signal> {
        let info = self.fd.read_signal().ok()??;
        Signal::try_from(info.ssi_signo.cast_signed()).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    /// They act as usual again; one that is pending now.
    fn drop(&mut self) {
        let _ = self.set.thread_unblock();
    }
}
