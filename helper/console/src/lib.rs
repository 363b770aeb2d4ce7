// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the console service of a container and a client (`ctctl console`) say to each other over the unix(7) stream socket
//! `/run/ct/NAME/console`. docs/console.md says it in words, byte by byte.
//!
//! [`frame`] is how frames lie in the stream: the bounds, and how they are cut out of whatever read(2) gives. [`client`] and
//! [`server`] are what each side says in them. Nothing here reads, writes or waits: both sides do that in their own loops.

pub mod client;
mod field;
pub mod frame;
pub mod server;

pub use client::{ClientFrame, Mode, Resume};
pub use frame::{Decoder, MAX_PAYLOAD};
pub use server::{End, Reason, ServerFrame, ServerHello};

/// The version that this code speaks. Both sides say theirs first, in their HELLO.
pub const VERSION: u16 = 1;

/// How much of what was printed before is shown to a client that does not say where it was, in bytes.
pub const REPLAY: u64 = 64 * 1024;

/// How long a client may read nothing, while there is something for it, until it is dropped, in seconds.
pub const PATIENCE_SECONDS: u64 = 10;

/// The most rows, and the most columns, that a terminal may have.
pub const MAX_SIDE: u16 = 1000;

/// What makes a stream of bytes no stream of frames. Nothing that comes behind it means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The header announces more than [`MAX_PAYLOAD`].
    #[error("a frame of type {kind:#04x} has {length} bytes, more than {MAX_PAYLOAD}")]
    TooLong {
        /// As in [`frame`].
        kind: u8,
        /// In bytes.
        length: u32,
    },
    /// A frame of a known type lacks bytes that it must have.
    #[error("a frame of type {kind:#04x} with {length} bytes is too short")]
    TooShort {
        /// As in [`frame`].
        kind: u8,
        /// In bytes.
        length: usize,
    },
    /// The HELLO asks for a mode that there is not.
    #[error("there is no mode {0}")]
    UnknownMode(u8),
}

/// The size of a terminal in characters; each side is from 1 to [`MAX_SIDE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    rows: u16,
    columns: u16,
}

impl Size {
    /// `None` when a side is not from 1 to [`MAX_SIDE`].
    #[must_use]
    pub fn new(rows: u16, columns: u16) -> Option<Self> {
        let is_side = |side| (1..=MAX_SIDE).contains(&side);
        (is_side(rows) && is_side(columns)).then_some(Self { rows, columns })
    }

    /// Lines.
    #[must_use]
    pub fn rows(self) -> u16 {
        self.rows
    }

    /// Characters in a line.
    #[must_use]
    pub fn columns(self) -> u16 {
        self.columns
    }
}
