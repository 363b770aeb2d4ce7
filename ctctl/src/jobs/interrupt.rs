// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C while jobs are waited for: they go on, and who pressed it is told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};

use crate::error::Error;

/// A thread that waits for SIGINT.
#[derive(Debug)]
pub(super) struct Interrupt {
    is_queued: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on SIGINT is that thread's. To be called before there are others, which have the mask of the one that
    /// starts them.
    pub(super) fn catch() -> Result<Self, Error> {
        let set = SigSet::from(Signal::SIGINT);
        set.thread_block().map_err(|error| Error::system("sigprocmask", error))?;
        let is_queued = Arc::new(AtomicBool::new(false));
        let announced = Arc::clone(&is_queued);
        thread::spawn(move || {
            let _ = set.wait();
            if announced.load(Ordering::Relaxed) {
                eprintln!("ctctl: no longer waiting; what was queued goes on");
            }
            // Ends as one who was never asked, so that a shell's loop ends, too.
            let _ = set.thread_unblock();
            let _ = raise(Signal::SIGINT);
        });
        Ok(Self { is_queued })
    }

    /// There is something that goes on.
    pub(super) fn announce(&self) {
        self.is_queued.store(true, Ordering::Relaxed);
    }
}
