// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of a life of the container whose next one has begun: lines that journald has not taken yet, and clients that
//! have not read all. The next life does not wait for that. It goes on beside it, and PID 1 keeps it under names of its own,
//! so that a service that is killed leaves it to the next.
//!
//! There is one at most. When the next life is over as well, and journald still has not taken all of this one, it is given
//! up: how many lines it had left is told with those of the next.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use ct_console::End;
use rustix::event::epoll;
use rustix::fs::OFlags;

use super::clients::{Clients, LAST_MOMENTS};
use super::log::Log;
use super::ring::{Filled, MOST, Ring};
use super::session::{LAST_TURNS, PATIENCE, Rest, TURN};
use super::source::reopened;
use super::store::LAST;
use super::token;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Ending {
    ring: Ring,
    log: Log,
    /// The pipe that the output came from, until it is empty. A terminal has been read to its end.
    output: Option<OwnedFd>,
    /// How often that is read yet: whatever has survived the end may print for ever.
    reads: usize,
    clients: Clients,
    /// Until when those are given the rest.
    clients_until: Instant,
}

impl Ending {
    /// What is left of a session. PID 1 ignores a descriptor that it holds already, also under another name: so these are
    /// opened anew, which PID 1 takes for others.
    pub(super) fn of(name: &str, rest: Rest) -> io::Result<Self> {
        let [memory, out, into] = rest.ring.descriptors();
        let memory = reopened(memory, OFlags::RDWR)?;
        let (out, into) = (reopened(out, OFlags::RDONLY)?, reopened(into, OFlags::WRONLY)?);
        let output = rest.output.map(|output| reopened(&output, OFlags::RDONLY)).transpose()?;
        let another = || io::Error::other("what it printed cannot be read");
        let ring = Ring::reopen(&memory, &out, &into)?.ok_or_else(another)?;
        Self::with(name, ring, output, rest.clients)
    }

    /// The one that a service left behind that was stopped or killed. `None`: there is none, or not all of it.
    pub(super) fn reopen(name: &str, kept: &mut BTreeMap<String, OwnedFd>) -> io::Result<Option<Self>> {
        let [memory, out, into, output] = LAST.map(|name| kept.remove(name));
        let (Some(memory), Some(out), Some(into)) = (memory, out, into) else { return Ok(None) };
        let another = || io::Error::other("another version kept it otherwise");
        let ring = Ring::reopen(&memory, &out, &into)?.ok_or_else(another)?;
        Self::with(name, ring, output, Clients::default()).map(Some)
    }

    fn with(name: &str, ring: Ring, output: Option<OwnedFd>, clients: Clients) -> io::Result<Self> {
        let log = Log::of(name, &ring)?;
        let clients_until = Instant::now() + LAST_MOMENTS;
        Ok(Self { ring, log, output, reads: LAST_TURNS * TURN, clients, clients_until })
    }

    /// The number of the life.
    pub(super) fn generation(&self) -> u64 {
        self.ring.life().generation
    }

    /// What PID 1 has to keep.
    pub(super) fn descriptors(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let ring = self.ring.descriptors();
        let output = self.output.as_ref().map(AsFd::as_fd);
        LAST.into_iter().zip(ring.into_iter().chain(output)).collect()
    }

    /// Takes note of an event of a client's, or of its own.
    pub(super) fn wake(&mut self, number: u64, flags: epoll::EventFlags) {
        if number == token::JOURNAL {
            self.log.unblock();
        } else {
            self.clients.wake(number, flags);
        }
    }

    /// Does a part of what there is to do; whether there is more.
    pub(super) fn work(&mut self, epoll: &OwnedFd) -> io::Result<bool> {
        self.read(false)?;
        let mut is_busy = match self.output {
            // The last line may go on.
            Some(_) => self.log.pump(&self.ring)?,
            None => self.log.pump_last(&self.ring)?,
        };
        is_busy |= self.output.is_some() && !self.waits_for_log();
        is_busy |= self.clients.serve(&self.ring);
        let has_all = self.output.is_none() && self.clients.have_all(&self.ring);
        if has_all || Instant::now() >= self.clients_until {
            self.clients.dismiss(&self.ring, End::Restarted);
        }
        self.log.watch(epoll)?;
        Ok(is_busy)
    }

    /// As of a running container's pipe: nothing is lost because journald is slow.
    fn waits_for_log(&self) -> bool {
        self.log.has_journal() && self.log.is_full(&self.ring)
    }

    /// Reads what is left in the pipe; where there is no room for it, only if lines may be left out for that.
    fn read(&mut self, may_lose: bool) -> io::Result<()> {
        for _ in 0..TURN {
            let may_read = may_lose || !self.waits_for_log();
            let Some(output) = self.output.as_ref().filter(|_| may_read) else { break };
            self.log.make_room(&self.ring, MOST)?;
            self.reads = self.reads.saturating_sub(1);
            if !matches!(self.ring.fill(output.as_fd())?, Filled::Bytes(_)) || self.reads == 0 {
                self.output = None;
            }
        }
        Ok(())
    }

    /// When there is something to do without being told.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let clients = (!self.clients.is_empty()).then_some(self.clients_until);
        [clients, self.log.retry_at()].into_iter().flatten().min()
    }

    /// Whether all is logged, and everybody has been told.
    pub(super) fn is_over(&self) -> bool {
        self.output.is_none() && self.clients.is_empty() && self.log.is_done(&self.ring)
    }

    /// There is no more time. How many lines are not logged.
    pub(super) fn give_up(mut self) -> io::Result<u64> {
        self.clients.dismiss(&self.ring, End::Restarted);
        while self.output.is_some() {
            self.read(true)?;
        }
        self.log.left(&self.ring)
    }

    /// There will be no service to go on with it: waits for journald for a while. How many lines are not logged.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        while self.output.is_some() && Instant::now() < deadline {
            self.read(false)?;
            while self.log.pump(&self.ring)? {}
            if self.waits_for_log() {
                self.log.wait(deadline);
            }
        }
        self.log.finish(&self.ring, deadline)?;
        self.give_up()
    }
}
