// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of the container's log, sent to journald by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) as those of
//! the container's unit, which root may say: see `journal.rs` for why by name.
//!
//! A journald that is slow, or not there, is not waited for. Lines stay in the ring meanwhile; those that are overwritten
//! there are counted, and one line tells how many. How far the log is, is kept with the ring: a service that is killed
//! between a line and that note logs that line once more, and never leaves one out.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use rustix::event::epoll;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use super::life::Life;
use super::lines::{Line, Splitter};
use super::ring::{CAPACITY, MOST, Ring};
use super::token::{self, data};
use crate::job::until;
use crate::journal::SOCKET;
use crate::message::Message;

/// How many lines are sent before others have their turn.
const TURN: usize = 128;
/// When to look again for a journald that is not there.
const RETRY: Duration = Duration::from_millis(500);
/// How much is left out at once when the ring is full, in bytes: not a line at a time.
const SKIPPED: u64 = 128 * 1024;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Log {
    socket: Option<UnixDatagram>,
    /// epoll(7) watches it.
    is_watched: bool,
    /// What all lines have in common.
    fields: Vec<u8>,
    splitter: Splitter,
    /// The first byte that is neither logged nor left out, as the ring has it. One who goes on after a kill begins there, also
    /// with the line that waits: so that one must not be overwritten.
    begun: u64,
    /// One that could not be sent.
    waiting: Option<Line>,
    /// journald's queue is full; the socket tells when it no longer is.
    is_blocked: bool,
    retry_at: Option<Instant>,
    /// Lines that were left out.
    lost: u64,
    /// Nothing is logged.
    is_off: bool,
}

/// Whether a datagram was taken.
enum Sent {
    Taken,
    Later,
}

impl Log {
    /// Goes on where the ring says.
    pub(super) fn of(name: &str, ring: &Ring) -> io::Result<Self> {
        let logged = ring.logged()?.clamp(ring.oldest(), ring.written());
        Ok(Self {
            socket: None,
            is_watched: false,
            fields: fields(name, ring.life()),
            splitter: Splitter::at(logged),
            begun: logged,
            waiting: None,
            is_blocked: false,
            retry_at: None,
            lost: ring.lost()?,
            is_off: !ring.life().is_logged,
        })
    }

    /// Has epoll(7) tell when journald takes more. There is another socket after each failure.
    pub(super) fn watch(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        if let Some(socket) = self.socket.as_ref().filter(|_| !self.is_watched) {
            let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(epoll, socket, data(token::JOURNAL), flags)?;
            self.is_watched = true;
        }
        Ok(())
    }

    /// journald takes more.
    pub(super) fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Whether journald was there when it was last tried.
    pub(super) fn has_journal(&self) -> bool {
        self.retry_at.is_none()
    }

    /// When to try again without being told.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    fn may_send(&self) -> bool {
        !self.is_off && !self.is_blocked && self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Sends what there is, for one turn; whether there is more that could be sent.
    pub(super) fn pump(&mut self, ring: &Ring) -> io::Result<bool> {
        if !self.may_send() {
            return Ok(false);
        }
        let mut bytes = [0; MOST];
        for _ in 0..TURN {
            if self.waiting.is_none() && !self.next_line(ring, &mut bytes)? {
                return Ok(false);
            }
            if !self.send_waiting(ring)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next line from the ring, if one is there to its end.
    fn next_line(&mut self, ring: &Ring, bytes: &mut [u8]) -> io::Result<bool> {
        loop {
            let count = ring.read(self.splitter.next(), bytes)?;
            if count == 0 {
                return Ok(false);
            }
            let mut rest = bytes.get(..count).unwrap_or_default();
            while !rest.is_empty() && self.waiting.is_none() {
                let (taken, line) = self.splitter.take(rest);
                rest = rest.get(taken..).unwrap_or_default();
                self.waiting = line;
            }
            if self.waiting.is_some() {
                return Ok(true);
            }
        }
    }

    /// Sends the line that waits, and before it how many were lost.
    fn send_waiting(&mut self, ring: &Ring) -> io::Result<bool> {
        if self.lost > 0 {
            let Sent::Taken = self.send(&lost_lines(self.lost)) else { return Ok(false) };
            self.lost = 0;
            // Told, though the line behind it may have to wait.
            ring.set_logged(self.begun, 0)?;
        }
        let Some(line) = self.waiting.take() else { return Ok(true) };
        if !line.text.is_empty()
            && let Sent::Later = self.send(&field("MESSAGE", &line.text, "PRIORITY=6\n"))
        {
            self.waiting = Some(line);
            return Ok(false);
        }
        self.begun = line.end;
        ring.set_logged(line.end, self.lost)?;
        Ok(true)
    }

    /// As [`Self::pump`], when the container has ended: what has not ended of its last line will not.
    pub(super) fn pump_last(&mut self, ring: &Ring) -> io::Result<bool> {
        if self.pump(ring)? {
            return Ok(true);
        }
        if self.waiting.is_none() && self.splitter.next() == ring.written() {
            self.waiting = self.splitter.rest();
        }
        if self.may_send() && (self.waiting.is_some() || self.lost > 0) {
            self.send_waiting(ring)?;
        }
        Ok(false)
    }

    /// Whether all that was printed is logged, and told what is missing.
    pub(super) fn is_done(&self, ring: &Ring) -> bool {
        self.is_off || self.waiting.is_none() && self.lost == 0 && self.begun == ring.written()
    }

    /// Logs the rest. Of a journald that is there, but slow, it is waited for so long.
    pub(super) fn finish(&mut self, ring: &Ring, deadline: Instant) -> io::Result<()> {
        loop {
            while self.pump_last(ring)? {}
            if self.is_done(ring) || !self.wait(deadline) {
                return Ok(());
            }
        }
    }

    /// Waits until journald takes more; false when that is in vain.
    pub(super) fn wait(&mut self, deadline: Instant) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|_| Instant::now() < deadline) else { return false };
        let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], until(Some(deadline)));
        self.is_blocked = false;
        true
    }

    /// How many lines are not logged, and nobody has been told.
    pub(super) fn left(&self, ring: &Ring) -> io::Result<u64> {
        if self.is_off {
            return Ok(0);
        }
        let mut bytes = [0; MOST];
        let mut at = self.splitter.next();
        let mut is_open = self.splitter.begun() < at;
        let mut lines = self.lost + u64::from(self.waiting.is_some());
        loop {
            let count = ring.read(at, &mut bytes)?;
            let read = bytes.get(..count).unwrap_or_default();
            let Some(last) = read.last() else { return Ok(lines + u64::from(is_open)) };
            lines += feeds(read);
            is_open = *last != b'\n';
            at += count as u64;
        }
    }

    /// There is no more time: says how many lines are not logged, by another socket. journald's queue may have room for one
    /// line though this socket's is full, and that line stands there when nobody is left to send it. How many nobody could
    /// be told of.
    pub(super) fn give_up(&mut self, ring: &Ring) -> io::Result<u64> {
        let lines = self.left(ring)?;
        if lines == 0 {
            return Ok(0);
        }
        self.socket = None;
        match self.send(&lost_lines(lines)) {
            Sent::Taken => Ok(0),
            Sent::Later => Ok(lines),
        }
    }

    /// So many lines of the life before are lost.
    pub(super) fn lose(&mut self, ring: &Ring, lines: u64) -> io::Result<()> {
        self.lost += lines;
        ring.set_logged(ring.logged()?, self.lost)
    }

    fn has_no_room(&self, ring: &Ring, more: usize) -> bool {
        !self.is_off && ring.written() + more as u64 > self.begun + CAPACITY
    }

    /// Whether the next bytes would overwrite some that are not logged yet.
    pub(super) fn is_full(&self, ring: &Ring) -> bool {
        self.has_no_room(ring, MOST)
    }

    /// Before `more` bytes are written to the ring: leaves out what they would overwrite.
    pub(super) fn make_room(&mut self, ring: &Ring, more: usize) -> io::Result<()> {
        if !self.has_no_room(ring, more) {
            return Ok(());
        }
        let until = (self.begun + SKIPPED).min(ring.written());
        let mut bytes = [0; MOST];
        let mut at = self.splitter.next();
        self.lost += u64::from(self.waiting.take().is_some());
        self.splitter = Splitter::at(at);
        while at < until {
            let count = ring.read(at, &mut bytes)?;
            let read = bytes.get(..count).unwrap_or_default();
            self.lost += feeds(read);
            // The rest of the last line that was begun is lost with it.
            let last = read.iter().rposition(|byte| *byte == b'\n').map_or(count, |feed| feed + 1);
            at += if at + count as u64 >= until { last } else { count } as u64;
            if count == 0 {
                break;
            }
        }
        self.splitter = Splitter::at(at);
        self.begun = at;
        ring.set_logged(at, self.lost)
    }

    fn send(&mut self, own: &[u8]) -> Sent {
        match self.try_send(own) {
            Ok(()) => return Sent::Taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_blocked = true,
            // What journald never takes must not stop the rest.
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                self.lost += 1;
                return Sent::Taken;
            }
            Err(_not_there) => {
                self.socket = None;
                self.is_watched = false;
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
        Sent::Later
    }

    fn try_send(&mut self, own: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.connect(SOCKET)?;
                self.retry_at = None;
                none.insert(socket)
            }
        };
        let parts = [IoSlice::new(&self.fields), IoSlice::new(own)];
        loop {
            match sendmsg(&*socket, &parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }
}

fn feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn fields(name: &str, life: &Life) -> Vec<u8> {
    let Life { init, invocation, .. } = life;
    format!(
        "SYSLOG_IDENTIFIER={name}\nOBJECT_PID={init}\nOBJECT_SYSTEMD_UNIT=ct@{name}.service\nCT_NAME={name}\n\
         CT_INVOCATION={invocation}\n"
    )
    .into_bytes()
}

/// A field of any text, in the form with its length in front, and lines that are fields already.
fn field(name: &str, text: &str, others: &str) -> Vec<u8> {
    let length = (text.len() as u64).to_le_bytes();
    [name.as_bytes(), b"\n", &length, text.as_bytes(), b"\n", others.as_bytes()].concat()
}

fn lost_lines(count: u64) -> Vec<u8> {
    let lines = if count == 1 { "1 line is".to_owned() } else { format!("{count} lines are") };
    let text = format!("{lines} missing here: they came faster than journald took them");
    let others =
        format!("PRIORITY=4\nCT_LOST_LINES={count}\nMESSAGE_ID={}\n", Message::ConsoleLinesLost.id());
    field("MESSAGE", &text, &others)
}
