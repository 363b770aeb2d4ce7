// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives with entries that tar(1) would not write.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use tar::{Builder, EntryType, Header};

/// An archive in the making. Everything in it belongs to the caller, whom the kernel lets set that.
pub(super) struct Archive(Builder<Vec<u8>>);

impl Archive {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    /// Any entry, its names as they are.
    pub(super) fn entry(self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Self {
        let mut header = header(kind, name, data.len() as u64);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        self.append(header, data)
    }

    pub(super) fn append(mut self, mut header: Header, data: &[u8]) -> Self {
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub(super) fn file(self, name: &str, text: &str) -> Self {
        self.entry(EntryType::Regular, name, "", text.as_bytes())
    }

    pub(super) fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", b"")
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, b"")
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, b"")
    }

    /// An extended header of pax for the next entry.
    pub(super) fn pax(self, key: &str, value: &[u8]) -> Self {
        self.entry(EntryType::XHeader, "pax", "", &record(key, value))
    }

    /// One with several keys.
    pub(super) fn pax_of(self, keys: &[(&str, &str)]) -> Self {
        let records: Vec<u8> = keys.iter().flat_map(|(key, value)| record(key, value.as_bytes())).collect();
        self.entry(EntryType::XHeader, "pax", "", &records)
    }
}

/// The length is that of all of it, its own digits included.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// A header with a checksum still to be made.
pub(super) fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let me = fs::metadata("/proc/self").unwrap();
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(me.uid().into());
    header.set_gid(me.gid().into());
    header.set_mtime(1_000_000_000);
    header.set_size(size);
    header
}
