// SPDX-License-Identifier: MIT OR Apache-2.0
//! All clients of one life of the container. None of them is waited for, and each has its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ct_console::{End, Mode, Reason, Resume, Size};
use rustix::event::epoll;

use super::client::{Client, Said, State};
use super::peer::Peer;
use super::ring::Ring;
use super::source::Source;

#[cfg(test)]
mod tests;

/// More than these are turned away.
const MOST: usize = 4000;
/// How many frames are sent before the terminal has its turn.
const TURN: usize = 64;
/// How long those that do read are given for the rest, when there is no more.
pub(super) const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// Clients by the number that epoll(7) tells of them, which none ever has again: an event of one that is gone is nobody's.
#[derive(Debug, Default)]
pub(super) struct Clients {
    all: BTreeMap<u64, Client>,
    /// Those that may have something to say, and those whose sockets may have room for what there may be for them: of
    /// thousands that keep still nobody has to be asked.
    talking: BTreeSet<u64>,
    open: BTreeSet<u64>,
    /// Those whose sockets may have room, and who have everything.
    idle: BTreeSet<u64>,
    /// How much had been printed when they had it.
    seen: u64,
    /// The one that had the last turn.
    last: u64,
    /// The container takes no more input for now.
    is_input_full: bool,
}

impl Clients {
    /// Adds one who has connected.
    pub(super) fn add(
        &mut self,
        number: u64,
        stream: UnixStream,
        peer: Result<Peer, Peer>,
        epoll: &impl std::os::fd::AsFd,
    ) -> io::Result<()> {
        let (Ok(known) | Err(known)) = peer;
        let mut client = Client::new(stream, known)?;
        if peer.is_err() {
            client.refuse(Reason::NotPermitted, "only root of this host may attach".to_owned());
        } else if self.all.len() >= MOST {
            client.refuse(Reason::TooMany, format!("there are {MOST} clients already"));
        }
        if client.state == State::Over {
            client.say_now();
            return Ok(());
        }
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(epoll, &client, epoll::EventData::new_u64(number), flags)?;
        self.all.insert(number, client);
        self.talking.insert(number);
        self.open.insert(number);
        Ok(())
    }

    fn remove(&mut self, number: u64) {
        self.all.remove(&number);
        self.talking.remove(&number);
        self.open.remove(&number);
        self.idle.remove(&number);
    }

    /// Takes note of an event.
    pub(super) fn wake(&mut self, number: u64, flags: epoll::EventFlags) {
        let Some(client) = self.all.get_mut(&number) else { return };
        if flags.contains(epoll::EventFlags::OUT) {
            client.has_room();
            self.open.insert(number);
        }
        if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            client.is_left();
            self.talking.insert(number);
        } else if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP) {
            client.has_words();
            self.talking.insert(number);
        }
    }

    /// The container takes input again.
    pub(super) fn input_has_room(&mut self) {
        self.is_input_full = false;
    }

    /// Whether the source must be watched for room.
    pub(super) fn is_input_full(&self) -> bool {
        self.is_input_full
    }

    /// Hears everybody who has something to say, for one turn; whether somebody has more.
    pub(super) fn hear(&mut self, ring: &Ring, source: &Source) -> bool {
        let mut is_more = false;
        let talking: Vec<u64> = self.talking.iter().copied().collect();
        for number in talking {
            let heard = self.hear_one(number, ring, source);
            // It may be answered.
            self.open.insert(number);
            match self.all.get(&number) {
                Some(client) if heard.is_ok() && !client.is_to_be_forgotten() => {
                    is_more |= client.is_behind();
                    if !client.can_be_heard() {
                        self.talking.remove(&number);
                    }
                }
                _ => self.remove(number),
            }
        }
        is_more
    }

    fn hear_one(&mut self, number: u64, ring: &Ring, source: &Source) -> io::Result<()> {
        if let Some(client) = self.all.get_mut(&number) {
            client.begin_turn();
        }
        loop {
            let Some(client) = self.all.get_mut(&number) else { return Ok(()) };
            match client.hear()? {
                Said::Nothing => return Ok(()),
                Said::Typed if !source.has_input() => client.drop_input(),
                Said::Typed if self.is_input_full => return Ok(()),
                Said::Typed => {
                    let taken = source.write(&client.input)?;
                    client.input.drain(..taken);
                    self.is_input_full = !client.input.is_empty();
                }
                Said::Resize(size) => {
                    if source.size() != Some(size) {
                        source.resize(size)?;
                        self.tell_all(size);
                    }
                }
                Said::Hello { mode, resume } => self.admit(number, mode, resume, (ring, source)),
            }
        }
    }

    /// Lets it in, unless it wants to write and may not.
    fn admit(&mut self, number: u64, mode: Mode, resume: Option<Resume>, (ring, source): (&Ring, &Source)) {
        let excludes = |other: Mode| mode == Mode::Write || mode == Mode::Shared && other == Mode::Write;
        let holder =
            self.all.values().find(|client| client.writes().is_some_and(excludes)).map(|client| client.peer);
        let Some(client) = self.all.get_mut(&number) else { return };
        match holder {
            Some(Peer { pid, uid }) => {
                client.refuse(Reason::Held, format!("pid {pid} of uid {uid} writes already"));
            }
            None => client.admit(mode, resume, ring, source),
        }
    }

    fn tell_all(&mut self, size: Size) {
        for client in self.all.values_mut().filter(|client| matches!(client.state, State::In(_))) {
            client.tell_size(size);
        }
        self.open.append(&mut self.idle);
    }

    /// Sends to those who take it, for one turn; whether there may be more who would.
    pub(super) fn serve(&mut self, ring: &Ring) -> bool {
        if std::mem::replace(&mut self.seen, ring.written()) != ring.written() {
            self.open.append(&mut self.idle);
        }
        let first = self.last + 1;
        let all = self.open.range(first..).chain(self.open.range(..first));
        let turn: Vec<u64> = all.copied().take(TURN).collect();
        for number in turn {
            self.last = number;
            let Some(client) = self.all.get_mut(&number) else {
                self.open.remove(&number);
                continue;
            };
            let served = if client.can_be_served(ring) { client.serve(ring) } else { Ok(()) };
            if served.is_err() || client.is_done() {
                self.remove(number);
            } else if !client.can_be_served(ring) {
                self.open.remove(&number);
                if client.is_idle(ring) {
                    self.idle.insert(number);
                }
            }
        }
        !self.open.is_empty()
    }

    /// Drops those for whom there has been something for too long.
    pub(super) fn drop_stuck(&mut self, ring: &Ring) {
        let now = Instant::now();
        let is_stuck = |client: &Client| client.deadline().is_some_and(|deadline| deadline <= now);
        let stuck: Vec<u64> =
            self.all.iter().filter(|(_, client)| is_stuck(client)).map(|(number, _)| *number).collect();
        for number in stuck {
            if let Some(client) = self.all.get_mut(&number) {
                client.drop_with(End::Slow, ring.written());
            }
            self.remove(number);
        }
    }

    /// When it is to be looked who has to be dropped: now, if anybody is stuck. The first such one ends the search, for this is
    /// asked after each 4 KiB of a container that prints, and a thousand may be stuck.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.all.values().any(|client| client.deadline().is_some()).then(Instant::now)
    }

    /// There is no more: tells everybody. Those who do not read are not waited for.
    pub(super) fn finish(&mut self, ring: &Ring, end: End) {
        let deadline = Instant::now() + LAST_MOMENTS;
        while self.serve_at_once(ring) && Instant::now() < deadline {
            self.wait_for_room(ring, deadline);
        }
        self.dismiss(ring, end);
    }

    /// Tells everybody, now, that there is no more, and hangs up.
    pub(super) fn dismiss(&mut self, ring: &Ring, end: End) {
        for client in self.all.values_mut() {
            client.drop_with(end, ring.written());
        }
        *self = Self::default();
    }

    /// Whether there is nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether nobody lacks anything that was printed.
    pub(super) fn have_all(&self, ring: &Ring) -> bool {
        !self.all.values().any(|client| client.lacks(ring))
    }

    /// Whether somebody lacks something.
    fn serve_at_once(&mut self, ring: &Ring) -> bool {
        while self.serve(ring) {}
        !self.have_all(ring)
    }

    fn wait_for_room(&mut self, ring: &Ring, deadline: Instant) {
        use nix::poll::{PollFd, PollFlags, poll};
        use std::os::fd::AsFd as _;
        let lacking: Vec<u64> =
            self.all.iter().filter(|(_, client)| client.lacks(ring)).map(|(number, _)| *number).collect();
        let ready: Vec<u64> = {
            let mut fds: Vec<PollFd<'_>> = lacking
                .iter()
                .filter_map(|number| self.all.get(number))
                .map(|client| PollFd::new(client.as_fd(), PollFlags::POLLOUT))
                .collect();
            let _ = poll(&mut fds, crate::job::until(Some(deadline)));
            lacking
                .iter()
                .zip(&fds)
                .filter(|(_, fd)| fd.any().unwrap_or(false))
                .map(|(number, _)| *number)
                .collect()
        };
        for number in ready {
            self.all.entry(number).and_modify(Client::has_room);
            self.open.insert(number);
        }
    }

    /// Hangs up on everybody without a word: the service will be back, and they will too.
    pub(super) fn hang_up(&mut self) {
        *self = Self::default();
    }

    /// How much is kept for all of them beside the ring, in bytes.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.all.values().map(Client::kept).sum()
    }
}
