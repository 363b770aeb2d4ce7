// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers in a payload, one behind the other, little-endian. What comes behind those that are known is of a later version
//! and is ignored.

use crate::Error;

/// What is left of a payload.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    kind: u8,
    length: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of a frame of this type; the type is for the error.
    pub(crate) fn of(kind: u8, payload: &'a [u8]) -> Self {
        Self { kind, length: payload.len(), rest: payload }
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Error> {
        let short = Error::TooShort { kind: self.kind, length: self.length };
        let (field, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(*field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// All that is left, as text: what is no UTF-8 is replaced.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(self.rest).into_owned()
    }
}
