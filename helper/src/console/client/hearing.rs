// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client says. Others have their turn after some frames of it, however many there are.

use std::io;

use ct_console::{ClientFrame, End, Mode, Reason, Resume, ServerFrame, Size};
use rustix::net::{RecvFlags, recv};

use super::{Client, State};

/// How many frames are heard before others have their turn.
pub(super) const TURN: usize = 16;
/// The most that is kept for a client beside the ring, in bytes: answers to one that sends without end and does not read.
const MOST_KEPT: usize = 64 * 1024;
/// What is said to one that does not begin with HELLO, or comes back to it.
const NO_HELLO: &str = "HELLO comes first, and once";

/// What a client says that is not its own affair alone.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::console) enum Said {
    /// It wants in.
    Hello { mode: Mode, resume: Option<Resume> },
    /// Its bytes are in [`Client::input`].
    Typed,
    /// The size that the terminal shall have.
    Resize(Size),
    /// Nothing more for now.
    Nothing,
}

impl Client {
    /// Whether there is nobody to be heard or served any more, now that it has been heard.
    pub(in crate::console) fn is_to_be_forgotten(&self) -> bool {
        !self.is_behind() && (self.is_gone || self.is_silent && self.state == State::New)
    }

    /// Whether it can be heard, as far as is known.
    pub(in crate::console) fn can_be_heard(&self) -> bool {
        !self.input.is_empty() || self.is_readable && !self.is_silent && self.state != State::Over
    }

    /// It has its next turn.
    pub(in crate::console) fn begin_turn(&mut self) {
        self.turn = TURN;
    }

    /// Whether its last turn was not enough: what it has said then, nobody tells of again.
    pub(in crate::console) fn is_behind(&self) -> bool {
        self.turn == 0 && self.state != State::Over
    }

    /// Reads on, up to the next thing that concerns others. Not while its last words wait to be taken by the container.
    pub(in crate::console) fn hear(&mut self) -> io::Result<Said> {
        loop {
            if !self.input.is_empty() {
                return Ok(Said::Typed);
            }
            if self.state == State::Over {
                return Ok(Said::Nothing);
            }
            match self.next_said() {
                Ok(Some(said)) => return Ok(said),
                Ok(None) => {}
                Err(error) => self.refuse(Reason::Malformed, error.to_string()),
            }
            if self.is_behind() || !self.read_more()? {
                return Ok(Said::Nothing);
            }
        }
    }

    /// The frames that are there; those that concern it alone are answered.
    fn next_said(&mut self) -> Result<Option<Said>, ct_console::Error> {
        while self.state != State::Over && self.turn > 0 {
            let taken = self.decoder.take(&self.unread);
            self.unread.drain(..taken);
            let Some(frame) = self.decoder.next_frame()? else {
                if self.unread.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            self.turn -= 1;
            let Some(frame) = ClientFrame::parse(frame)? else {
                if self.state == State::New {
                    self.refuse(Reason::Malformed, NO_HELLO.to_owned());
                }
                continue;
            };
            let may_write = matches!(self.state, State::In(Mode::Write | Mode::Shared));
            match (self.state, frame) {
                (State::New, ClientFrame::Hello { version, .. }) if version != ct_console::VERSION => {
                    self.last(&ServerFrame::refuse_version(version));
                }
                (State::New, ClientFrame::Hello { mode, resume, .. }) => {
                    return Ok(Some(Said::Hello { mode, resume }));
                }
                (State::In(_), ClientFrame::Data(bytes)) if may_write => {
                    if !bytes.is_empty() {
                        self.input = bytes.to_vec();
                        return Ok(Some(Said::Typed));
                    }
                }
                (State::In(_), ClientFrame::Resize(size)) if may_write => {
                    return Ok(Some(Said::Resize(size)));
                }
                (State::In(_), ClientFrame::InvalidResize { rows, columns }) if may_write => {
                    let text = format!("no size: {rows} rows, {columns} columns");
                    self.say(&ServerFrame::Note { reason: Reason::InvalidSize, text });
                }
                (
                    State::In(_),
                    ClientFrame::Data(_) | ClientFrame::Resize(_) | ClientFrame::InvalidResize { .. },
                ) => self.note_ignored("this client only reads; what it sends is ignored"),
                (State::In(_), ClientFrame::Detach) => self.last(&ServerFrame::Ended(End::Detached)),
                (State::New | State::In(_), _) => {
                    self.refuse(Reason::Malformed, NO_HELLO.to_owned());
                }
                (State::Over, _) => {}
            }
        }
        Ok(None)
    }

    /// Its bytes go nowhere, for the container reads nothing.
    pub(in crate::console) fn drop_input(&mut self) {
        self.input = Vec::new();
        self.note_ignored("the container reads nothing; what is typed is ignored");
    }

    fn note_ignored(&mut self, text: &str) {
        if !std::mem::replace(&mut self.has_been_told, true) {
            self.say(&ServerFrame::Note { reason: Reason::ReadOnly, text: text.to_owned() });
        }
    }

    /// Reads what the socket has; false when that is nothing.
    fn read_more(&mut self) -> io::Result<bool> {
        // One that does not take its answers is not listened to.
        if !self.is_readable || self.is_silent || self.out.len() > MOST_KEPT {
            return Ok(false);
        }
        let mut bytes = [0; 16 * 1024];
        match recv(&self.stream, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.is_silent = true;
                Ok(false)
            }
            Ok((count, _)) => {
                self.unread.extend(bytes.get(..count).unwrap_or_default());
                Ok(true)
            }
            Err(rustix::io::Errno::AGAIN) => {
                self.is_readable = false;
                Ok(false)
            }
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
