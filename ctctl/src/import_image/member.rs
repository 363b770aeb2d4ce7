// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an entry of a layer's archive says, taken apart and checked before anything is done for it. See tar(5) and the
//! image-spec's layer.md.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Timespec, makedev};
use tar::EntryType;

use super::tar_stream::{Entry, number};

/// A file that hides one of a lower layer.
const WHITEOUT: &[u8] = b".wh.";
/// A file that hides all that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself, and images made by it still have.
const AUFS: &[u8] = b".wh..wh.";

/// One thing to make, or to hide.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Relative, without `.` and `..`; empty for the layer's own directory.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    pub(super) mtime: Timespec,
    /// Names and values, only those that are taken over.
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    /// Names of those that are not.
    pub(super) left_out: Vec<String>,
}

/// What chown(2) and chmod(2) are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// With the bits for setuid, setgid and sticky.
    pub(super) mode: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    HardLink(PathBuf),
    Symlink(OsString),
    CharacterDevice(u64),
    BlockDevice(u64),
    Fifo,
    /// Of `path`, which need not be there.
    Whiteout,
    /// Of the directory `path`.
    Opaque,
    /// Nothing that a container sees.
    Nothing,
}

/// An error of what an archive says.
pub(super) fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// A path of an archive: as with tar(1), what begins at `/` is meant to begin at the top; `..` is never meant well.
pub(super) fn relative_path(bytes: &[u8]) -> io::Result<PathBuf> {
    if bytes.contains(&0) {
        return Err(refused("a NUL byte in its name"));
    }
    let mut path = PathBuf::new();
    for part in bytes.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(refused("\"..\" in its name")),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

/// What a link in the directory `parent` leads to, unless that is outside.
pub(super) fn joined(parent: &Path, target: &[u8]) -> Option<PathBuf> {
    let mut path = parent.to_owned();
    for part in Path::new(OsStr::from_bytes(target)).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

impl Member {
    /// Takes an entry apart.
    pub(super) fn parse(entry: &Entry) -> io::Result<Self> {
        let header = &entry.header;
        let of = |key: &[u8], header: io::Result<u64>| entry.extension(key).map_or(header, number);
        let mut member = Self {
            path: relative_path(&entry.path)?,
            kind: kind(entry)?,
            owner: Owner {
                uid: id(of(b"uid", header.uid())?)?,
                gid: id(of(b"gid", header.gid())?)?,
                mode: header.mode()? & 0o7777,
            },
            mtime: Timespec { tv_sec: i64::try_from(header.mtime()?).unwrap_or(0), tv_nsec: 0 },
            xattrs: Vec::new(),
            left_out: Vec::new(),
        };
        for (key, value) in &entry.extensions {
            member.extend(key, value)?;
        }
        if matches!(member.kind, Kind::Symlink(_)) {
            // Has no attributes but those that root alone can see.
            member.left_out.extend(member.xattrs.drain(..).map(|(name, _)| name));
        }
        member.find_whiteout()?;
        Ok(member)
    }

    /// What an extended header of pax adds.
    fn extend(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            let name = String::from_utf8_lossy(name).into_owned();
            // overlayfs takes its own orders from attributes; what labels mean differs from host to host.
            let harmless = name.strip_prefix("user.").is_some_and(|name| !name.starts_with("overlay."));
            if harmless || name == "security.capability" {
                self.xattrs.push((name, value.to_vec()));
            } else {
                self.left_out.push(name);
            }
        } else if key.starts_with(b"SCHILY.acl.") || key.starts_with(b"LIBARCHIVE.xattr.") {
            self.left_out.push(String::from_utf8_lossy(key).into_owned());
        } else if key == b"mtime" {
            self.mtime = time(value).ok_or_else(|| refused("its time is no number"))?;
        }
        Ok(())
    }

    /// Whiteouts are known by their names alone. One that hides nothing in particular, or a directory of the name of one,
    /// is none that any tool makes.
    fn find_whiteout(&mut self) -> io::Result<()> {
        if self.path.iter().any(|part| part.as_bytes().starts_with(AUFS) && part.as_bytes() != OPAQUE) {
            self.kind = Kind::Nothing;
            return Ok(());
        }
        let Some(name) = self.path.file_name() else { return Ok(()) };
        let parent = self.path.parent().unwrap_or(Path::new("")).to_owned();
        if parent.iter().any(|part| part.as_bytes().starts_with(WHITEOUT)) {
            return Err(refused("it is below a whiteout"));
        }
        if name.as_bytes() == OPAQUE {
            (self.path, self.kind) = (parent, Kind::Opaque);
        } else if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(refused("a whiteout of no name"));
            }
            (self.path, self.kind) = (parent.join(OsStr::from_bytes(hidden)), Kind::Whiteout);
        }
        Ok(())
    }
}

fn kind(entry: &Entry) -> io::Result<Kind> {
    let header = &entry.header;
    let link = || Some(&entry.link).filter(|name| !name.is_empty() && !name.contains(&0));
    let no_target = || refused("a link without a target");
    let device = || -> io::Result<u64> {
        let number = |number: Option<u32>| number.ok_or_else(|| refused("a device without a number"));
        Ok(makedev(number(header.device_major()?)?, number(header.device_minor()?)?))
    };
    Ok(match header.entry_type() {
        EntryType::Directory => Kind::Directory,
        // As the first tar(1) wrote directories.
        EntryType::Regular if entry.path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Link => Kind::HardLink(relative_path(link().ok_or_else(no_target)?)?),
        EntryType::Symlink => Kind::Symlink(OsString::from_vec(link().ok_or_else(no_target)?.clone())),
        EntryType::Char => Kind::CharacterDevice(device()?),
        EntryType::Block => Kind::BlockDevice(device()?),
        EntryType::Fifo => Kind::Fifo,
        other => {
            return Err(refused(format!("an entry of the unknown type {:?}", char::from(other.as_byte()))));
        }
    })
}

/// (uid_t)-1 means "leave it as it is" to the kernel.
fn id(number: u64) -> io::Result<u32> {
    let id = u32::try_from(number).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| refused(format!("{number} is no id of a user or group")))
}

/// `1700000000.123456789`, perhaps negative.
fn time(text: &[u8]) -> Option<Timespec> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = seconds.starts_with('-');
    let mut tv_sec: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let mut tv_nsec: i64 = digits.parse().ok().filter(|nanoseconds| *nanoseconds >= 0)?;
    if negative && tv_nsec > 0 {
        // -1.25 is three quarters after -2.
        (tv_sec, tv_nsec) = (tv_sec.checked_sub(1)?, 1_000_000_000 - tv_nsec);
    }
    Some(Timespec { tv_sec, tv_nsec })
}
