// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client says: HELLO first, then what is typed and how large its terminal is, and DETACH before it goes. It need
//! not wait for an answer in between.

use crate::field::Fields;
use crate::frame::{DATA, DETACH, Frame, HELLO, RESIZE, push, push_data};
use crate::{Error, Size, VERSION};

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Read.
    ReadOnly,
    /// Write and resize, too, as the only one.
    Write,
    /// Write and resize together with others that want so.
    Shared,
}

/// How far a client has read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The start of the container that it was, as the HELLO of the server had it.
    pub generation: u64,
    /// The first byte that it has not got, counted from that start.
    pub offset: u64,
}

/// One frame from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// The first.
    Hello {
        /// [`VERSION`]
        version: u16,
        /// What it wants to do.
        mode: Mode,
        /// Where it was; else it gets the last [`crate::REPLAY`] bytes first.
        resume: Option<Resume>,
    },
    /// Typed.
    Data(&'a [u8]),
    /// What the terminal is to be.
    Resize(Size),
    /// A RESIZE that is none: a side is not from 1 to 1000. It changes nothing, and is no reason to hang up.
    InvalidResize {
        /// As they came.
        rows: u16,
        /// As they came.
        columns: u16,
    },
    /// Nothing more will come; what has come is to be passed on, and then ENDED sent.
    Detach,
}

/// HELLO has a generation and an offset.
const HAS_RESUME: u8 = 1;

impl<'a> ClientFrame<'a> {
    /// The first frame of a client that is new.
    #[must_use]
    pub fn hello(mode: Mode, resume: Option<Resume>) -> Self {
        Self::Hello { version: VERSION, mode, resume }
    }

    /// Reads it; `None` of a type that is not known, which is to be skipped.
    ///
    /// The HELLO of another version has nothing but its version for us: it is read as one that wants to read, so that it can
    /// be refused with both versions named.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::UnknownMode`]
    pub fn parse(frame: Frame<'a>) -> Result<Option<Self>, Error> {
        let mut fields = Fields::of(frame.kind, frame.payload);
        Ok(Some(match frame.kind {
            HELLO => parse_hello(fields)?,
            DATA => Self::Data(frame.payload),
            RESIZE => {
                let (rows, columns) = (fields.u16()?, fields.u16()?);
                Size::new(rows, columns).map_or(Self::InvalidResize { rows, columns }, Self::Resize)
            }
            DETACH => Self::Detach,
            _ => return Ok(None),
        }))
    }

    /// Appends it to what is to be sent; long DATA in several frames.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let size = |rows: u16, columns: u16, out: &mut Vec<u8>| {
            push(RESIZE, &[&rows.to_le_bytes(), &columns.to_le_bytes()], out)
        };
        match self {
            Self::Hello { version, mode, resume } => {
                let mode = match mode {
                    Mode::ReadOnly => 0,
                    Mode::Write => 1,
                    Mode::Shared => 2,
                };
                let flags = if resume.is_some() { HAS_RESUME } else { 0 };
                let Resume { generation, offset } = resume.unwrap_or(Resume { generation: 0, offset: 0 });
                let numbers = [generation.to_le_bytes(), offset.to_le_bytes()];
                push(HELLO, &[&version.to_le_bytes(), &[mode, flags], numbers.as_flattened()], out);
            }
            Self::Data(bytes) => push_data(bytes, out),
            Self::Resize(to) => size(to.rows(), to.columns(), out),
            Self::InvalidResize { rows, columns } => size(*rows, *columns, out),
            Self::Detach => push(DETACH, &[], out),
        }
    }
}

fn parse_hello(mut fields: Fields<'_>) -> Result<ClientFrame<'_>, Error> {
    let version = fields.u16()?;
    if version != VERSION {
        return Ok(ClientFrame::Hello { version, mode: Mode::ReadOnly, resume: None });
    }
    let mode = match fields.u8()? {
        0 => Mode::ReadOnly,
        1 => Mode::Write,
        2 => Mode::Shared,
        other => return Err(Error::UnknownMode(other)),
    };
    let flags = fields.u8()?;
    let resume = Resume { generation: fields.u64()?, offset: fields.u64()? };
    Ok(ClientFrame::Hello { version, mode, resume: (flags & HAS_RESUME != 0).then_some(resume) })
}
