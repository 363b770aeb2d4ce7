// SPDX-License-Identifier: MIT OR Apache-2.0
//! One client: what it says ([`hearing`]), and how far it has got. See docs/console.md for the protocol.
//!
//! It has a place in the ring and no queue of its own. What is kept for it is the rest of one frame that its socket took only
//! in part.

mod hearing;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ct_console::frame::{DATA, header};
use ct_console::{
    Decoder, End, Mode, PATIENCE_SECONDS, REPLAY, Reason, Resume, ServerFrame, ServerHello, Size,
};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{SendFlags, send};

pub(super) use self::hearing::Said;
use super::peer::Peer;
use super::ring::Ring;
use super::source::Source;

/// How long nothing may move, while something could.
pub(super) const PATIENCE: Duration = Duration::from_secs(PATIENCE_SECONDS);

/// The most bytes of the terminal in one frame.
const CHUNK: usize = 16 * 1024;
/// What its socket holds, in bytes: little, since a thousand may have to be filled while the container prints; and far less than it may,
/// so that there is room for a last word to one that reads nothing.
const USUAL_BUFFER: usize = 16 * 1024;
const LAST_BUFFER: usize = 208 * 1024;

/// What one wants that has said HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has not.
    New,
    /// It is attached.
    In(Mode),
    /// It has had its last frame.
    Over,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    pub(super) peer: Peer,
    pub(super) state: State,
    decoder: Decoder,
    /// Bytes from the socket that the decoder has no room for yet.
    unread: Vec<u8>,
    /// How many more of its frames are heard before others have their turn.
    turn: usize,
    /// It will say no more.
    is_silent: bool,
    /// Both its halves are closed.
    is_gone: bool,
    /// The socket may have something to read.
    is_readable: bool,
    /// The socket may have room.
    is_writable: bool,
    /// Typed, and not yet taken by the container.
    pub(super) input: Vec<u8>,
    /// The next byte of the ring for it.
    cursor: u64,
    /// What is to be sent before that.
    out: Vec<u8>,
    /// The size that is to be told next. One before it, that was not told yet, nobody needs any more.
    size: Option<Size>,
    /// Since when nothing moves.
    stuck_since: Option<Instant>,
    has_been_told: bool,
}

impl Client {
    /// One that has connected, and has said nothing.
    pub(super) fn new(stream: UnixStream, peer: Peer) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let _ = setsockopt(&stream, sockopt::SndBuf, &USUAL_BUFFER);
        Ok(Self {
            stream,
            peer,
            state: State::New,
            decoder: Decoder::new(),
            unread: Vec::new(),
            turn: hearing::TURN,
            is_silent: false,
            is_gone: false,
            is_readable: true,
            is_writable: true,
            input: Vec::new(),
            cursor: 0,
            out: Vec::new(),
            size: None,
            // It is waited for from now on.
            stuck_since: Some(Instant::now()),
            has_been_told: false,
        })
    }

    /// Whether it holds the place of a writer.
    pub(super) fn writes(&self) -> Option<Mode> {
        match self.state {
            State::In(mode @ (Mode::Write | Mode::Shared)) if !self.is_silent => Some(mode),
            _ => None,
        }
    }

    /// Its socket has room again, so far as is known.
    pub(super) fn has_room(&mut self) {
        self.is_writable = true;
    }

    /// Its socket has something to read, or the end.
    pub(super) fn has_words(&mut self) {
        self.is_readable = true;
    }

    /// There is nobody at the other end. What it has said can still be read.
    pub(super) fn is_left(&mut self) {
        (self.is_gone, self.is_readable) = (true, true);
    }

    /// When it is dropped, if nothing moves until then.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stuck_since.map(|since| since + PATIENCE)
    }

    /// Lets it in, at its place in the ring.
    pub(super) fn admit(&mut self, mode: Mode, resume: Option<Resume>, ring: &Ring, source: &Source) {
        let generation = ring.life().generation;
        let fresh = ring.written().saturating_sub(REPLAY);
        self.cursor = match resume {
            Some(resume) if resume.generation == generation => resume.offset,
            _ => fresh,
        }
        .clamp(ring.oldest(), ring.written());
        self.state = State::In(mode);
        self.stuck_since = None;
        self.say(&ServerFrame::Hello(ServerHello {
            version: ct_console::VERSION,
            has_terminal: source.is_terminal(),
            has_input: source.has_input(),
            generation,
            offset: self.cursor,
            size: source.size(),
        }));
    }

    /// Adds a frame to what is to be sent.
    pub(super) fn say(&mut self, frame: &ServerFrame<'_>) {
        if self.state != State::Over {
            frame.encode(&mut self.out);
        }
    }

    /// Has it told another size of the terminal.
    pub(super) fn tell_size(&mut self, size: Size) {
        self.size = Some(size);
    }

    /// Adds the last one.
    pub(super) fn last(&mut self, frame: &ServerFrame<'_>) {
        self.size = None;
        self.say(frame);
        self.state = State::Over;
    }

    /// Does not let it in, or not any longer.
    pub(super) fn refuse(&mut self, reason: Reason, text: String) {
        self.last(&ServerFrame::Refused { reason, text });
    }

    /// Whether there is something for it.
    fn is_hungry(&self, ring: &Ring) -> bool {
        !self.out.is_empty()
            || self.size.is_some()
            || matches!(self.state, State::In(_)) && self.cursor < ring.written()
    }

    /// Whether there is nothing for it, but its socket may have room.
    pub(super) fn is_idle(&self, ring: &Ring) -> bool {
        self.is_writable && !self.is_hungry(ring)
    }

    /// Whether it lacks something that was printed.
    pub(super) fn lacks(&self, ring: &Ring) -> bool {
        matches!(self.state, State::In(_)) && self.is_hungry(ring)
    }

    /// Whether there is something for it, and its socket may take it.
    pub(super) fn can_be_served(&self, ring: &Ring) -> bool {
        self.is_writable && self.is_hungry(ring)
    }

    /// Whether it has had all that there ever will be for it.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Over && self.out.is_empty()
    }

    /// Sends one frame, as far as the socket takes it.
    pub(super) fn serve(&mut self, ring: &Ring) -> io::Result<()> {
        if self.out.is_empty()
            && let Some(size) = self.size.take()
        {
            self.say(&ServerFrame::Size(size));
        }
        if !self.out.is_empty() {
            let sent = self.send_out()?;
            self.has_moved(sent);
            return Ok(());
        }
        if !matches!(self.state, State::In(_)) {
            return Ok(());
        }
        if self.cursor < ring.oldest() {
            let (lost, offset) = (ring.oldest() - self.cursor, ring.oldest());
            self.cursor = offset;
            self.say(&ServerFrame::Gap { lost, offset });
            let sent = self.send_out()?;
            self.has_moved(sent);
            return Ok(());
        }
        let mut bytes = [0; CHUNK];
        let count = ring.read(self.cursor, &mut bytes)?;
        if count > 0 {
            self.out.extend(header(DATA, count));
            self.out.extend(bytes.get(..count).unwrap_or_default());
        }
        let sent = self.send_out()?;
        // A frame that was begun will be ended. Of one that was not, nothing is kept.
        if sent > 0 {
            self.cursor += count as u64;
        } else if self.out.first() == Some(&DATA) {
            self.out = Vec::new();
        }
        self.has_moved(sent);
        Ok(())
    }

    /// How many bytes of `out` the socket took.
    fn send_out(&mut self) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = match send(&self.stream, &self.out, flags) {
            Ok(sent) => sent,
            Err(rustix::io::Errno::AGAIN) => {
                self.is_writable = false;
                0
            }
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if sent == self.out.len() && sent > CHUNK / 2 {
            // A thousand of them shall not keep the room of their last frame.
            self.out = Vec::new();
        } else {
            self.out.drain(..sent);
        }
        Ok(sent)
    }

    fn has_moved(&mut self, sent: usize) {
        if sent > 0 {
            self.stuck_since = None;
        } else if !self.is_writable && self.stuck_since.is_none() {
            self.stuck_since = Some(Instant::now());
        }
    }

    /// Tells it why there is no more, also if it has read nothing, and what it has missed.
    pub(super) fn drop_with(&mut self, end: End, written: u64) {
        if matches!(self.state, State::In(_)) && self.cursor < written {
            self.say(&ServerFrame::Gap { lost: written - self.cursor, offset: written });
        }
        self.last(&ServerFrame::Ended(end));
        self.say_now();
    }

    /// How much is kept for it beside the ring, in bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        Decoder::BOUND + self.unread.capacity() + self.input.capacity() + self.out.capacity()
    }

    /// Sends what is to be sent, as far as it goes.
    pub(super) fn say_now(&mut self) {
        let _ = setsockopt(&self.stream, sockopt::SndBuf, &LAST_BUFFER);
        while !self.out.is_empty() && self.send_out().is_ok_and(|sent| sent > 0) {}
        self.out = Vec::new();
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
