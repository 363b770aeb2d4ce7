// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of an image as it lies on the disk: a directory, or a tar archive of one, which is read where it is. No name
//! in it leads out of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::bounded::Allowance;
use super::member;
use crate::error::Error;

/// More members of an archive are refused: an image has two for each layer, and a few.
const MAX_MEMBERS: usize = 100_000;
/// How many links lead to a file at most.
const MAX_LINKS: usize = 8;

/// Where the files of an image are.
pub(super) enum Source {
    /// Below this directory.
    Directory(File),
    /// In this archive, at these places.
    Archive(Rc<File>, BTreeMap<PathBuf, Place>),
}

/// What an archive has of one name.
pub(super) enum Place {
    Data { offset: u64, size: u64 },
    Link(PathBuf),
}

/// One file of an image, open at its beginning.
pub(super) struct Blob {
    pub(super) reader: Box<dyn Read>,
    pub(super) size: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let cannot = |error| Error::system(format!("cannot read {}", path.display()), error);
        // Not blocking: it might be a FIFO.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file =
            File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| cannot(error.into()))?);
        let kind = file.metadata().map_err(cannot)?.file_type();
        if kind.is_dir() {
            return Ok(Self::Directory(file));
        }
        if !kind.is_file() {
            return Err(Error::failed(format!("{} is neither a directory nor a file", path.display())));
        }
        let members = members(&file).map_err(cannot)?;
        Ok(Self::Archive(Rc::new(file), members))
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.blob(name).is_ok()
    }

    /// Opens a file.
    pub(super) fn blob(&self, name: &str) -> io::Result<Blob> {
        match self {
            Self::Directory(directory) => open_below(directory, name),
            Self::Archive(file, members) => {
                let (offset, size) = find(members, Path::new(name))?;
                let end = offset.checked_add(size).ok_or(io::ErrorKind::InvalidData)?;
                Ok(Blob { reader: Box::new(Section { file: Rc::clone(file), position: offset, end }), size })
            }
        }
    }

    /// Reads a small file whole.
    pub(super) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let blob = self.blob(name)?;
        if blob.size > limit {
            return Err(member::refused(format!("larger than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        blob.reader.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file of the directory, or one that a link in it leads to, inside of it.
fn open_below(directory: &File, name: &str) -> io::Result<Blob> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(directory, name, flags, Mode::empty(), resolve)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(member::refused("not a regular file"));
    }
    Ok(Blob { reader: Box::new(file), size: metadata.len() })
}

/// Where everything is in an archive. Of a name that is there twice, the last counts.
fn members(file: &File) -> io::Result<BTreeMap<PathBuf, Place>> {
    let allowance = Allowance::default();
    let mut archive = tar::Archive::new(allowance.over(file));
    let mut members = BTreeMap::new();
    let mut entries = archive.entries_with_seek()?;
    loop {
        allowance.for_headers();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(not_an_archive)?;
        let path = member::relative_path(&entry.path_bytes())?;
        let place = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                Place::Data { offset: entry.raw_file_position(), size: entry.size() }
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let parent = path.parent().unwrap_or(Path::new(""));
                let Some(target) = member::joined(parent, &target) else { continue };
                Place::Link(target)
            }
            tar::EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                Place::Link(member::relative_path(&target)?)
            }
            _ => continue,
        };
        // Sparse files of pax archives have their map in the data.
        if entry.pax_extensions()?.is_some_and(|mut all| {
            all.any(|one| one.is_ok_and(|one| one.key_bytes().starts_with(b"GNU.sparse.")))
        }) {
            continue;
        }
        members.insert(path, place);
        if members.len() > MAX_MEMBERS {
            return Err(member::refused(format!("more than {MAX_MEMBERS} files")));
        }
    }
    Ok(members)
}

/// What the tar crate says of what is none may be puzzling.
fn not_an_archive(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::InvalidData || error.get_ref().is_none() {
        return error;
    }
    member::refused(format!(
        "not a tar archive, or a damaged one ({error}); a compressed one must be decompressed first"
    ))
}

fn find(members: &BTreeMap<PathBuf, Place>, name: &Path) -> io::Result<(u64, u64)> {
    let mut path = name;
    for _ in 0..MAX_LINKS {
        match members.get(path) {
            Some(Place::Data { offset, size }) => return Ok((*offset, *size)),
            Some(Place::Link(target)) => path = target,
            None => return Err(io::ErrorKind::NotFound.into()),
        }
    }
    Err(member::refused("too many links"))
}

/// A part of a file that others read, too.
struct Section {
    file: Rc<File>,
    position: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
