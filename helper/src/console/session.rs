// SPDX-License-Identifier: MIT OR Apache-2.0
//! One life of the container, as the service sees it: what it prints, to whom, and that it is logged.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use ct_console::End;
use rustix::event::epoll;

use super::clients::Clients;
use super::life::Life;
use super::log::Log;
use super::ring::{Filled, MOST, Ring};
use super::source::Source;
use super::store;
use super::token::{self, data};
use super::unit;
use crate::exit::Error;
use crate::sys;

/// How often the terminal is read before others have their turn.
pub(super) const TURN: usize = 16;
/// How long a terminal is left alone that tells of its end again and again.
const QUIET: Duration = Duration::from_secs(1);
/// What is printed after the end, by whatever has survived it, is not read for ever.
pub(super) const LAST_TURNS: usize = 64;
/// How long journald may take to log the last words.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How often clients are looked at that do not read.
const LOOK: Duration = Duration::from_millis(250);

/// See the file's head.
#[derive(Debug)]
pub(super) struct Session {
    ring: Ring,
    source: Source,
    listener: UnixListener,
    init: OwnedFd,
    log: Log,
    pub(super) clients: Clients,
    /// Init has ended, and its last words were read. Whether it starts again is not known.
    was_end_seen: bool,
    /// The last attempt to read found the other side closed.
    was_closed: bool,
    /// Until when the terminal is left alone.
    quiet_until: Option<Instant>,
    next_look: Instant,
    /// What epoll(7) is to tell of the terminal.
    watched: Option<epoll::EventFlags>,
    watches_input: bool,
}

/// What a life is made of that was handed over.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) listener: OwnedFd,
    pub(super) init: OwnedFd,
    /// Or the pipe that its output comes from.
    pub(super) terminal: OwnedFd,
    /// The pipe that it reads, of one without a terminal.
    pub(super) input: Option<OwnedFd>,
}

/// What is left of a life that has ended.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) ring: Ring,
    /// The pipe that its output came from, if it had no terminal.
    pub(super) output: Option<OwnedFd>,
    pub(super) clients: Clients,
}

impl Session {
    /// A new one.
    pub(super) fn new(name: &str, life: Life, parts: Parts) -> io::Result<Self> {
        Self::with(name, Ring::new(life)?, parts)
    }

    /// The one that a service left behind that was stopped or killed, and whether what was printed has gone. `None`: what
    /// there is, is none, or was not taken over to its end.
    pub(super) fn reopen(
        name: &str,
        mut kept: BTreeMap<String, OwnedFd>,
    ) -> io::Result<Option<(Self, bool)>> {
        let input = kept.remove(store::INPUT);
        let taken = store::NAMES.map(|name| kept.remove(name));
        let [Some(listener), Some(init), Some(terminal), Some(memory), Some(out), Some(into)] = taken else {
            return Ok(None);
        };
        let (ring, is_new) = match Ring::reopen(&memory, &out, &into) {
            Ok(Some(ring)) => (ring, false),
            // The container runs, and needs its terminal more than what is remembered of it.
            Ok(None) | Err(_) if !sys::ends_within(&init, 0)? => {
                let mut life =
                    Ring::last_life(&memory).unwrap_or_else(|| Life::of(&unit::invocation(name), 0));
                // Who goes on from an offset, goes on from none of these.
                life.generation = life.generation.wrapping_add(1);
                (Ring::renew(memory, out, into, life)?, true)
            }
            Ok(None) | Err(_) => return Ok(None),
        };
        let session = Self::with(name, ring, Parts { listener, init, terminal, input })?;
        Ok(Some((session, is_new)))
    }

    fn with(name: &str, ring: Ring, parts: Parts) -> io::Result<Self> {
        let listener = UnixListener::from(parts.listener);
        listener.set_nonblocking(true)?;
        Ok(Self {
            source: Source::of(parts.terminal, parts.input)?,
            log: Log::of(name, &ring)?,
            listener,
            init: parts.init,
            ring,
            clients: Clients::default(),
            was_end_seen: false,
            was_closed: false,
            quiet_until: None,
            next_look: Instant::now() + LOOK,
            watched: None,
            watches_input: false,
        })
    }

    /// Whose it is.
    pub(super) fn life(&self) -> &Life {
        self.ring.life()
    }

    /// Where clients connect.
    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// What PID 1 has to keep.
    pub(super) fn descriptors(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let [memory, out, into] = self.ring.descriptors();
        let descriptors = [self.listener.as_fd(), self.init.as_fd(), self.source.as_fd(), memory, out, into];
        let input = self.source.input().map(|input| (store::INPUT, input));
        input.into_iter().chain(store::NAMES.into_iter().zip(descriptors)).collect()
    }

    /// Has epoll(7) tell of those who connect, or not. Told of one who cannot be let in, it would tell of it without pause.
    pub(super) fn watch_listener(&self, epoll: &OwnedFd, flags: epoll::EventFlags) -> io::Result<()> {
        Ok(epoll::modify(epoll, &self.listener, data(token::CLIENTS), flags)?)
    }

    /// Has epoll(7) tell of it.
    pub(super) fn watch(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        epoll::add(epoll, &self.listener, data(token::CLIENTS), epoll::EventFlags::IN)?;
        epoll::add(epoll, &self.init, data(token::INIT), epoll::EventFlags::IN)?;
        self.watch_changes(epoll)
    }

    /// Takes back what [`Self::watch`] did. PID 1 holds the same descriptors: closing them would not.
    pub(super) fn unwatch(&mut self, epoll: &OwnedFd) {
        let _ = epoll::delete(epoll, &self.listener);
        let _ = epoll::delete(epoll, &self.init);
        if self.watched.take().is_some() {
            let _ = epoll::delete(epoll, &self.source);
        }
        if std::mem::take(&mut self.watches_input)
            && let Some(input) = self.source.input()
        {
            let _ = epoll::delete(epoll, input);
        }
    }

    /// Has epoll(7) tell what is wanted now and was not before, or the other way round.
    fn watch_changes(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        let mut flags = epoll::EventFlags::IN;
        let wants_room = self.clients.is_input_full();
        match self.source.input() {
            None => flags.set(epoll::EventFlags::OUT, wants_room),
            Some(input) if wants_room && !self.watches_input => {
                epoll::add(epoll, input, data(token::TERMINAL), epoll::EventFlags::OUT)?;
            }
            Some(input) if !wants_room && self.watches_input => epoll::delete(epoll, input)?,
            Some(_) => {}
        }
        self.watches_input = wants_room && self.source.input().is_some();
        let wanted = (self.quiet_until.is_none() && !self.waits_for_log()).then_some(flags);
        match (self.watched, wanted) {
            (None, Some(flags)) => epoll::add(epoll, &self.source, data(token::TERMINAL), flags)?,
            (Some(_), None) => epoll::delete(epoll, &self.source)?,
            (Some(now), Some(flags)) if now != flags => {
                epoll::modify(epoll, &self.source, data(token::TERMINAL), flags)?;
            }
            _ => {}
        }
        self.watched = wanted;
        self.log.watch(epoll)
    }

    /// Takes note of an event of a client's, or of its own.
    pub(super) fn wake(&mut self, number: u64, flags: epoll::EventFlags) {
        match number {
            token::JOURNAL => self.log.unblock(),
            token::TERMINAL => {
                if flags.contains(epoll::EventFlags::OUT) {
                    self.clients.input_has_room();
                }
            }
            client => self.clients.wake(client, flags),
        }
    }

    /// Does a part of what there is to do; whether there is more.
    pub(super) fn work(&mut self, epoll: &OwnedFd) -> io::Result<bool> {
        let mut is_busy = self.drain()?;
        let waited = self.waits_for_log();
        is_busy |= self.log.pump(&self.ring)?;
        is_busy |= waited && !self.waits_for_log();
        is_busy |= self.clients.hear(&self.ring, &self.source);
        is_busy |= self.clients.serve(&self.ring);
        let now = Instant::now();
        if now >= self.next_look {
            self.clients.drop_stuck(&self.ring);
            self.next_look = now + LOOK;
        }
        self.watch_changes(epoll)?;
        Ok(is_busy)
    }

    /// Whether nothing more is taken from a pipe: as of a plain unit's stream, who prints faster than journald takes it waits.
    /// A terminal does not, nor does anybody while there is no journald; their lines are left out of the log, and counted.
    fn waits_for_log(&self) -> bool {
        !self.source.is_terminal() && self.log.has_journal() && self.log.is_full(&self.ring)
    }

    /// Reads what the container has printed; whether there may be more.
    fn drain(&mut self) -> io::Result<bool> {
        if self.quiet_until.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        self.quiet_until = None;
        for _ in 0..TURN {
            if self.waits_for_log() {
                return Ok(false);
            }
            self.log.make_room(&self.ring, MOST)?;
            match self.ring.fill(self.source.as_fd())? {
                Filled::Bytes(_) => self.was_closed = false,
                Filled::Nothing => {
                    self.was_closed = false;
                    return Ok(false);
                }
                Filled::Closed => {
                    // Nobody else has it open. That is no end, but must not be told without pause.
                    let opened = self.source.keep_open();
                    if opened.is_err() || std::mem::replace(&mut self.was_closed, true) {
                        self.quiet_until = Some(Instant::now() + QUIET);
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// When there is something to do without being told.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stuck = self.clients.deadline().map(|deadline| deadline.max(self.next_look));
        [stuck, self.log.retry_at(), self.quiet_until].into_iter().flatten().min()
    }

    /// Whether the container has ended.
    pub(super) fn is_over(&self) -> bool {
        sys::ends_within(&self.init, 0).unwrap_or(false)
    }

    /// The container has ended: its last words may lack a line feed.
    pub(super) fn see_the_end(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        if std::mem::replace(&mut self.was_end_seen, true) {
            return Ok(());
        }
        epoll::delete(epoll, &self.init)?;
        self.read_last_words(Duration::ZERO)
    }

    /// Reads what is left, and logs it, for so long if journald is slow.
    fn read_last_words(&mut self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        for _ in 0..LAST_TURNS {
            let is_more = self.drain()?;
            self.log.pump(&self.ring)?;
            if self.waits_for_log() {
                self.log.finish(&self.ring, deadline)?;
            } else if !is_more {
                break;
            }
        }
        self.log.finish(&self.ring, deadline)
    }

    /// The next life has begun: what is left of this one. Of a terminal, its last words are read for that.
    pub(super) fn into_rest(mut self, epoll: &OwnedFd) -> io::Result<Rest> {
        self.unwatch(epoll);
        self.quiet_until = None;
        for _ in 0..LAST_TURNS {
            if !self.drain()? {
                break;
            }
        }
        Ok(Rest { ring: self.ring, output: self.source.into_pipe(), clients: self.clients })
    }

    /// So many lines of the life before are not in the log, which is told in this one's.
    pub(super) fn lose(&mut self, lines: u64) -> io::Result<()> {
        self.log.lose(&self.ring, lines)
    }

    /// The end of the last one: what was printed last is read, logged and sent, and PID 1 forgets it. How many lines are not
    /// logged, and the log does not say so.
    pub(super) fn finish(&mut self) -> Result<u64, Error> {
        let untold = self.read_last_words(PATIENCE).and_then(|()| self.give_up());
        self.clients.finish(&self.ring, End::Stopped);
        store::forget()?;
        untold.map_err(|e| Error::system("read the container's last words", e))
    }

    /// journald is not waited for any longer: what is left in a pipe is read, to be counted.
    fn give_up(&mut self) -> io::Result<u64> {
        if self.waits_for_log() {
            for _ in 0..LAST_TURNS * TURN {
                self.log.make_room(&self.ring, MOST)?;
                if !matches!(self.ring.fill(self.source.as_fd())?, Filled::Bytes(_)) {
                    break;
                }
            }
        }
        self.log.give_up(&self.ring)
    }
}
