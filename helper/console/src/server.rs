// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the console service says: HELLO or REFUSED first, then what is printed, and ENDED last.

use crate::field::Fields;
use crate::frame::{DATA, ENDED, Frame, GAP, HELLO, NOTE, REFUSED, SIZE, push, push_data};
use crate::{Error, Size, VERSION};

/// The longest text in a frame, in bytes: for a line on a screen.
const MAX_TEXT: usize = 1024;

/// The first frame to a client that is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHello {
    /// [`VERSION`]
    pub version: u16,
    /// The container has a terminal, and not only pipes.
    pub has_terminal: bool,
    /// There is something to type into. (This client may still be one that only reads.)
    pub has_input: bool,
    /// A number of this start of the container; each has another one.
    pub generation: u64,
    /// The first byte that will come, counted from the start of the container. More than was asked for: so many are lost.
    pub offset: u64,
    /// Of the terminal, if there is one and it is of a size that this protocol has.
    pub size: Option<Size>,
}

/// Why a client is not let in, or one of its frames is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Another version of this protocol.
    Version,
    /// Only root of the host may.
    NotPermitted,
    /// Somebody else writes.
    Held,
    /// What it has sent is no frame, or none that may come here.
    Malformed,
    /// There are too many clients.
    TooMany,
    /// It only reads, or there is nothing to type into.
    ReadOnly,
    /// A size that there is not.
    InvalidSize,
    /// Of a later version: the text says it.
    Other(u16),
}

impl Reason {
    fn code(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::NotPermitted => 2,
            Self::Held => 3,
            Self::Malformed => 4,
            Self::TooMany => 5,
            Self::ReadOnly => 6,
            Self::InvalidSize => 7,
            Self::Other(code) => code,
        }
    }

    fn of(code: u16) -> Self {
        let known = [
            Self::Version,
            Self::NotPermitted,
            Self::Held,
            Self::Malformed,
            Self::TooMany,
            Self::ReadOnly,
            Self::InvalidSize,
        ];
        known.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::Other(code))
    }
}

/// Why nothing more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The container has ended, and it is not known that it starts again.
    Stopped,
    /// The container starts again: connect anew.
    Restarted,
    /// The client did not read for [`crate::PATIENCE_SECONDS`].
    Slow,
    /// The client wanted to go.
    Detached,
    /// Of a later version.
    Other(u8),
}

impl End {
    fn code(self) -> u8 {
        match self {
            Self::Stopped => 1,
            Self::Restarted => 2,
            Self::Slow => 3,
            Self::Detached => 4,
            Self::Other(code) => code,
        }
    }

    fn of(code: u8) -> Self {
        let known = [Self::Stopped, Self::Restarted, Self::Slow, Self::Detached];
        known.into_iter().find(|end| end.code() == code).unwrap_or(Self::Other(code))
    }
}

/// One frame to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// The first, to one that is let in.
    Hello(ServerHello),
    /// The first and only one, to one that is not; or the last, to one that has broken the protocol.
    Refused {
        /// For programs.
        reason: Reason,
        /// For people; at most 1024 bytes are sent.
        text: String,
    },
    /// Printed.
    Data(&'a [u8]),
    /// What should come here is lost.
    Gap {
        /// How many bytes; 0 when that is not known.
        lost: u64,
        /// The byte that comes next, counted from the start of the container.
        offset: u64,
    },
    /// The terminal has this size now.
    Size(Size),
    /// A frame of the client's was ignored.
    Note {
        /// For programs.
        reason: Reason,
        /// For people; at most 1024 bytes are sent.
        text: String,
    },
    /// The last.
    Ended(End),
}

/// HELLO: the container has a terminal.
const HAS_TERMINAL: u16 = 1;
/// HELLO: there is something to type into.
const HAS_INPUT: u16 = 2;

impl<'a> ServerFrame<'a> {
    /// Refuses a client that speaks another version, with both named.
    #[must_use]
    pub fn refuse_version(theirs: u16) -> Self {
        let text =
            format!("the console speaks version {VERSION} of the protocol, the client version {theirs}");
        Self::Refused { reason: Reason::Version, text }
    }

    /// Reads it; `None` of a type that is not known, which is to be skipped.
    ///
    /// # Errors
    /// [`Error::TooShort`]
    pub fn parse(frame: Frame<'a>) -> Result<Option<Self>, Error> {
        let mut fields = Fields::of(frame.kind, frame.payload);
        Ok(Some(match frame.kind {
            HELLO => Self::Hello(parse_hello(fields)?),
            REFUSED => Self::Refused { reason: Reason::of(fields.u16()?), text: fields.text() },
            DATA => Self::Data(frame.payload),
            GAP => Self::Gap { lost: fields.u64()?, offset: fields.u64()? },
            SIZE => match Size::new(fields.u16()?, fields.u16()?) {
                Some(size) => Self::Size(size),
                None => return Ok(None),
            },
            NOTE => Self::Note { reason: Reason::of(fields.u16()?), text: fields.text() },
            ENDED => Self::Ended(End::of(fields.u8()?)),
            _ => return Ok(None),
        }))
    }

    /// Appends it to what is to be sent; long DATA in several frames.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => encode_hello(hello, out),
            Self::Refused { reason, text } => {
                push(REFUSED, &[&reason.code().to_le_bytes(), cut(text).as_bytes()], out);
            }
            Self::Data(bytes) => push_data(bytes, out),
            Self::Gap { lost, offset } => push(GAP, &[&lost.to_le_bytes(), &offset.to_le_bytes()], out),
            Self::Size(size) => {
                push(SIZE, &[&size.rows().to_le_bytes(), &size.columns().to_le_bytes()], out);
            }
            Self::Note { reason, text } => {
                push(NOTE, &[&reason.code().to_le_bytes(), cut(text).as_bytes()], out);
            }
            Self::Ended(end) => push(ENDED, &[&[end.code()]], out),
        }
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()
}

fn parse_hello(mut fields: Fields<'_>) -> Result<ServerHello, Error> {
    let (version, flags) = (fields.u16()?, fields.u16()?);
    Ok(ServerHello {
        version,
        has_terminal: flags & HAS_TERMINAL != 0,
        has_input: flags & HAS_INPUT != 0,
        generation: fields.u64()?,
        offset: fields.u64()?,
        size: Size::new(fields.u16()?, fields.u16()?),
    })
}

fn encode_hello(hello: &ServerHello, out: &mut Vec<u8>) {
    let mut flags = 0;
    if hello.has_terminal {
        flags |= HAS_TERMINAL;
    }
    if hello.has_input {
        flags |= HAS_INPUT;
    }
    let (rows, columns) = hello.size.map_or((0, 0), |size| (size.rows(), size.columns()));
    let short = [hello.version.to_le_bytes(), flags.to_le_bytes()];
    let long = [hello.generation.to_le_bytes(), hello.offset.to_le_bytes()];
    let size = [rows.to_le_bytes(), columns.to_le_bytes()];
    push(HELLO, &[short.as_flattened(), long.as_flattened(), size.as_flattened()], out);
}
