// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tar archive, entry by entry: headers of ustar, GNU and pax as the tar crate reads their fields, and the data of each.
//! The walk itself is ours, since that crate takes the lines of a pax header apart at line breaks, which a binary value
//! (security.capability) may have, holds headers of any size in memory, and knows one kind of sparse files of four. In
//! doubt it reads as Go's archive/tar does, which images are made and checked with. See tar(5).

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

use super::member::refused;

const BLOCK_SIZE: usize = 512;
const BLOCK: u64 = BLOCK_SIZE as u64;
/// All headers of one entry, with its long names, extended attributes and map of holes, are refused beyond this.
const MAX_HEADERS: u64 = 1 << 20;
/// Maps of more pieces are refused.
const MAX_PIECES: usize = 100_000;

/// An archive that is being read.
pub(super) struct TarStream<R> {
    inner: R,
    /// Data of the current entry that was not read yet, and what fills its last block up.
    left: u64,
    padding: u64,
    /// What the headers of the next entry may still have.
    headers_left: u64,
}

/// What the headers of one entry say.
pub(super) struct Entry {
    pub(super) header: Header,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// Of a pax header; of one key the last counts.
    pub(super) extensions: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the file, with its holes.
    pub(super) size: u64,
    /// Where the data belongs, for a file that has holes.
    pub(super) pieces: Option<Vec<Piece>>,
}

/// A part of a sparse file that has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Entry {
    pub(super) fn extension(&self, key: &[u8]) -> Option<&[u8]> {
        self.extensions.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_slice())
    }
}

impl<R: Read> TarStream<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0, headers_left: MAX_HEADERS }
    }

    /// The next entry; its data is what is read until the next call.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        self.skip_data()?;
        self.headers_left = MAX_HEADERS;
        let (mut path, mut link, mut extensions) = (None, None, Vec::new());
        loop {
            let Some(header) = self.header()? else {
                return match (path, link, extensions.is_empty()) {
                    (None, None, true) => Ok(None),
                    _ => Err(refused("the archive ends after headers of an entry that it does not have")),
                };
            };
            match header.entry_type() {
                EntryType::GNULongName => path = Some(self.long_name(&header)?),
                EntryType::GNULongLink => link = Some(self.long_name(&header)?),
                EntryType::XHeader => extensions = parse_extensions(&self.extended(&header)?)?,
                // Of the whole archive: the commit that git made it of, and nothing that is to be done.
                EntryType::XGlobalHeader => drop(self.extended(&header)?),
                _ => return self.entry(header, path, link, extensions).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: Header,
        path: Option<Vec<u8>>,
        link: Option<Vec<u8>>,
        extensions: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> io::Result<Entry> {
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link =
            link.or_else(|| header.link_name_bytes().map(|link| link.into_owned())).unwrap_or_default();
        let size = header.entry_size()?;
        let mut entry = Entry { path, link, extensions, size, pieces: None, header };
        if let Some(path) = entry.extension(b"path") {
            entry.path = path.to_vec();
        }
        if let Some(link) = entry.extension(b"linkpath") {
            entry.link = link.to_vec();
        }
        if let Some(size) = entry.extension(b"size") {
            entry.size = number(size)?;
        }
        let has_no_data = matches!(
            entry.header.entry_type(),
            EntryType::Link
                | EntryType::Symlink
                | EntryType::Char
                | EntryType::Block
                | EntryType::Directory
                | EntryType::Fifo
        );
        if has_no_data {
            entry.size = 0;
        }
        self.expect(entry.size);
        self.find_pieces(&mut entry)?;
        Ok(entry)
    }

    /// Old GNU's sparse files, and the three formats of pax.
    fn find_pieces(&mut self, entry: &mut Entry) -> io::Result<()> {
        let stored = entry.size;
        let pieces = if entry.header.entry_type() == EntryType::GNUSparse {
            let gnu = entry.header.as_gnu().ok_or_else(|| refused("a sparse file without a GNU header"))?;
            entry.size = gnu.real_size()?;
            self.old_gnu_pieces(gnu)?
        } else if entry.extension(b"GNU.sparse.major").is_some_and(|major| major != b"0") {
            let size = entry
                .extension(b"GNU.sparse.realsize")
                .ok_or_else(|| refused("a sparse file without a size"))?;
            entry.size = number(size)?;
            self.map_in_data()?
        } else if let Some(map) = entry.extension(b"GNU.sparse.map") {
            let pieces = pairs(map.split(|byte| *byte == b','))?;
            self.real_size(entry)?;
            pieces
        } else if entry.extension(b"GNU.sparse.offset").is_some() {
            let numbers = entry
                .extensions
                .iter()
                .filter(|(key, _)| matches!(key.as_slice(), b"GNU.sparse.offset" | b"GNU.sparse.numbytes"));
            let pieces = pairs(numbers.map(|(_, value)| value.as_slice()))?;
            self.real_size(entry)?;
            pieces
        } else {
            return Ok(());
        };
        if let Some(name) = entry.extension(b"GNU.sparse.name") {
            entry.path = name.to_vec();
        }
        let mut end = 0;
        let mut data = 0_u64;
        for piece in &pieces {
            let next = piece
                .offset
                .checked_add(piece.length)
                .filter(|next| piece.offset >= end && *next <= entry.size);
            end = next.ok_or_else(|| refused("the pieces of a sparse file are not in order"))?;
            data = data.saturating_add(piece.length);
        }
        if data > self.left {
            return Err(refused(format!("a sparse file has {data} bytes, and the archive {stored} of them")));
        }
        entry.pieces = Some(pieces);
        Ok(())
    }

    fn real_size(&self, entry: &mut Entry) -> io::Result<()> {
        let size =
            entry.extension(b"GNU.sparse.size").ok_or_else(|| refused("a sparse file without a size"))?;
        entry.size = number(size)?;
        Ok(())
    }

    /// In the header, and in blocks that follow it and are not part of the data.
    fn old_gnu_pieces(&mut self, gnu: &tar::GnuHeader) -> io::Result<Vec<Piece>> {
        let piece =
            |header: &tar::GnuSparseHeader| Ok(Piece { offset: header.offset()?, length: header.length()? });
        let used = |header: &&tar::GnuSparseHeader| !header.is_empty();
        let mut pieces = gnu.sparse.iter().filter(used).map(piece).collect::<io::Result<Vec<Piece>>>()?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.headers(BLOCK)?;
            self.inner.read_exact(block.as_mut_bytes())?;
            for header in block.sparse.iter().filter(used) {
                pieces.push(piece(header)?);
            }
            more = block.is_extended();
        }
        Ok(pieces)
    }

    /// At the beginning of the data: how many pieces, then offset and length of each, one number in a line.
    fn map_in_data(&mut self) -> io::Result<Vec<Piece>> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut line = Vec::new();
        while numbers
            .first()
            .is_none_or(|count| (numbers.len() as u64) < count.saturating_mul(2).saturating_add(1))
        {
            let mut block = [0; BLOCK_SIZE];
            self.headers(BLOCK)?;
            self.read_exact(&mut block)?;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                } else if numbers
                    .first()
                    .is_none_or(|count| (numbers.len() as u64) < 2 * count.min(&(1 << 32)) + 1)
                {
                    numbers.push(number(&line)?);
                    line.clear();
                }
            }
        }
        let pieces = numbers.get(1..).unwrap_or_default().chunks_exact(2);
        Ok(pieces.filter_map(|pair| Some(Piece { offset: *pair.first()?, length: *pair.last()? })).collect())
    }

    /// One header, or the end: a block of zeros, and another one unless the archive ends there.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        self.headers(BLOCK)?;
        if !self.block(header.as_mut_bytes())? {
            return Ok(None);
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK_SIZE];
            return match self.block(&mut second)? && second.iter().any(|byte| *byte != 0) {
                true => Err(refused("the archive goes on after its end")),
                false => Ok(None),
            };
        }
        // The checksum is that of the header with blanks for the checksum.
        let (before, rest) = header.as_bytes().split_at(148);
        let (_, after) = rest.split_at(8);
        let sum = before.iter().chain(after).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ');
        match header.cksum() {
            Ok(expected) if expected == sum => Ok(Some(header)),
            _ => Err(refused("not a tar archive, or a damaged one: the checksum of a header is wrong")),
        }
    }

    /// Fills the block; whether there was one.
    fn block(&mut self, block: &mut [u8; BLOCK_SIZE]) -> io::Result<bool> {
        let mut count = 0;
        while let Some(rest) = block.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) if count == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn long_name(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let mut name = self.extended(header)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// The data of a header that is about the next entry.
    fn extended(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let size = header.entry_size()?;
        self.headers(size)?;
        self.expect(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        if (data.len() as u64) < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.skip_data()?;
        Ok(data)
    }

    fn headers(&mut self, bytes: u64) -> io::Result<()> {
        let too_large = || refused(format!("the headers of an entry are larger than {MAX_HEADERS} bytes"));
        self.headers_left = self.headers_left.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    fn skip_data(&mut self) -> io::Result<()> {
        let rest = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        if io::copy(&mut (&mut self.inner).take(rest), &mut io::sink())? < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// The data of the current entry, as it is stored.
impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if length == 0 {
            // A decompressor takes a read of nothing for one that goes nowhere.
            return Ok(0);
        }
        let count = self.inner.read(buffer.get_mut(..length).unwrap_or_default())?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Records of `LENGTH KEY=VALUE` and a line break, with the length of all of it.
fn parse_extensions(mut data: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let malformed = || refused("a malformed header of pax");
    let mut extensions = Vec::new();
    while !data.is_empty() {
        let blank = data.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length =
            usize::try_from(number(data.get(..blank).unwrap_or_default())?).map_err(|_error| malformed())?;
        let (record, rest) = data.split_at_checked(length).ok_or_else(malformed)?;
        let record =
            record.get(blank + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = record.split_at(equals);
        extensions.push((key.to_vec(), value.get(1..).unwrap_or_default().to_vec()));
        data = rest;
    }
    Ok(extensions)
}

pub(super) fn number(text: &[u8]) -> io::Result<u64> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let parsed = digits.and_then(|digits| digits.parse().ok());
    parsed.ok_or_else(|| refused("a number in a header is none"))
}

fn pairs<'n>(numbers: impl Iterator<Item = &'n [u8]>) -> io::Result<Vec<Piece>> {
    let numbers = numbers.filter(|text| !text.is_empty()).map(number).collect::<io::Result<Vec<u64>>>()?;
    if numbers.len() % 2 != 0 || numbers.len() > 2 * MAX_PIECES {
        return Err(refused("a malformed map of a sparse file"));
    }
    let pair = |pair: &[u64]| Some(Piece { offset: *pair.first()?, length: *pair.last()? });
    Ok(numbers.chunks_exact(2).filter_map(pair).collect())
}
