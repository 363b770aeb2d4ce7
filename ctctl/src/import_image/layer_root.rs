// SPDX-License-Identifier: MIT OR Apache-2.0
//! The directory of a layer while it is filled. Every name is looked up below it and through directories alone: a link that
//! the archive made a moment ago leads nowhere (openat2(2), `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV`).
//! What is hidden of lower layers is written as overlayfs has it: a character device 0:0, and the attribute
//! `trusted.overlay.opaque` of a directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat,
    chownat, fsetxattr, linkat, lsetxattr, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use super::member::{Owner, refused};
use super::tar_stream::Piece;

const OPAQUE: &str = "trusted.overlay.opaque";
/// Bytes written at once.
const BUFFER: usize = 1 << 17;

/// See the module.
pub(super) struct LayerRoot {
    root: Rc<OwnedFd>,
    /// The directory that was asked for last: most entries follow their neighbours.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Times of directories, which are set when nothing is put into them any more.
    times: Vec<(PathBuf, Timespec)>,
}

/// What there was of a name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Directory,
    Whiteout,
    Other,
}

impl LayerRoot {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root: Rc::new(root), last: None, times: Vec::new() }
    }

    pub(super) fn directory(&mut self, path: &Path, owner: Owner, mtime: Timespec) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        match look(&parent, name)? {
            Before::Directory => {}
            Before::Other => {
                unlinkat(&parent, name, AtFlags::empty())?;
                enter_new(&parent, name, Before::Nothing)?;
            }
            before => drop(enter_new(&parent, name, before)?),
        }
        self.times.push((path.to_owned(), mtime));
        own(&parent, name, owner)
    }

    pub(super) fn file(
        &mut self,
        path: &Path,
        owner: Owner,
        data: &mut dyn Read,
        size: Option<Sparse<'_>>,
    ) -> io::Result<()> {
        let (parent, name) = self.cleared(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&parent, name, flags, Mode::from_raw_mode(0o600))?);
        match size {
            Some(sparse) => sparse.copy(data, &mut file)?,
            None => drop(io::copy(&mut BufReader::with_capacity(BUFFER, data), &mut file)?),
        }
        own(&parent, name, owner)
    }

    pub(super) fn symlink(&mut self, path: &Path, owner: Owner, target: &OsStr) -> io::Result<()> {
        let (parent, name) = self.cleared(path)?;
        symlinkat(target, &parent, name)?;
        chown(&parent, name, owner)
    }

    pub(super) fn hard_link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let missing = || refused(format!("a hard link to {target:?}, which is not in this layer"));
        let (from, old) = match self.existing(target)? {
            Some(found) if found.2 != Before::Whiteout => (found.0, found.1.to_owned()),
            _ => return Err(missing()),
        };
        if path == target {
            return Ok(());
        }
        let (parent, name) = self.cleared(path)?;
        linkat(&from, &old, &parent, name, AtFlags::empty()).map_err(|error| match error {
            // What was in the way of the link was its target.
            Errno::NOENT => missing(),
            Errno::PERM => refused(format!("a hard link to {target:?}, which is a directory")),
            error => error.into(),
        })
    }

    pub(super) fn node(&mut self, path: &Path, owner: Owner, kind: FileType, device: Dev) -> io::Result<()> {
        let (parent, name) = self.cleared(path)?;
        mknodat(&parent, name, kind, Mode::from_raw_mode(0o600), device)?;
        own(&parent, name, owner)
    }

    /// Hides what lower layers have of this name. What this layer itself has of it stays, before or after.
    pub(super) fn whiteout(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        match look(&parent, name)? {
            Before::Nothing => Ok(mknodat(
                &parent,
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                rustix::fs::makedev(0, 0),
            )?),
            Before::Directory => self.opaque(path),
            Before::Whiteout | Before::Other => Ok(()),
        }
    }

    /// Hides what lower layers have in this directory.
    pub(super) fn opaque(&mut self, path: &Path) -> io::Result<()> {
        let directory = self.open(path)?;
        mark_opaque(&directory)
    }

    pub(super) fn xattr(&mut self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        let (parent, file) = self.parent_of(path)?;
        Ok(lsetxattr(below(&parent, file), name, value, XattrFlags::empty())?)
    }

    pub(super) fn mtime(&mut self, path: &Path, mtime: Timespec) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        Ok(utimensat(&parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets what had to wait until everything is there.
    pub(super) fn finish(mut self) -> io::Result<()> {
        for (path, mtime) in std::mem::take(&mut self.times).into_iter().rev() {
            // A later entry may have put something else into its place.
            match self.existing(&path)? {
                Some((_, _, Before::Directory)) => self.mtime(&path, mtime)?,
                _ => continue,
            }
        }
        Ok(())
    }

    /// The directory that has `path`, made where it is missing, and the name in it; `.` for the layer's own.
    fn parent_of<'p>(&mut self, path: &'p Path) -> io::Result<(Rc<OwnedFd>, &'p OsStr)> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.open(parent)?, name)),
            _ => Ok((Rc::clone(&self.root), OsStr::new("."))),
        }
    }

    /// As [`Self::parent_of`], and what was there of the name is gone.
    fn cleared<'p>(&mut self, path: &'p Path) -> io::Result<(Rc<OwnedFd>, &'p OsStr)> {
        if path.file_name().is_none() {
            return Err(refused("the layer's own directory as something else"));
        }
        let (parent, name) = self.parent_of(path)?;
        match look(&parent, name)? {
            Before::Nothing => {}
            Before::Directory => {
                self.last = None;
                // Never follows a link, and there is nobody else to put one there.
                fs::remove_dir_all(below(&parent, name))?;
            }
            Before::Whiteout | Before::Other => unlinkat(&parent, name, AtFlags::empty())?,
        }
        Ok((parent, name))
    }

    /// Where `path` is, and what; nothing is made for it.
    fn existing<'p>(&mut self, path: &'p Path) -> io::Result<Option<(Rc<OwnedFd>, &'p OsStr, Before)>> {
        let parent = match path.parent() {
            Some(parent) => match self.try_open(parent) {
                Ok(parent) => parent,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            None => Rc::clone(&self.root),
        };
        let name = path.file_name().unwrap_or(OsStr::new("."));
        Ok(match look(&parent, name)? {
            Before::Nothing => None,
            before => Some((parent, name, before)),
        })
    }

    /// Opens a directory; what is missing of it is made, as nobody's in particular.
    fn open(&mut self, path: &Path) -> io::Result<Rc<OwnedFd>> {
        if let Ok(directory) = self.try_open(path) {
            return Ok(directory);
        }
        let mut directory = Rc::clone(&self.root);
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            directory = Rc::new(match look(&directory, name)? {
                Before::Directory => open_directory(&directory, Path::new(name))?,
                before => enter_new(&directory, name, before)?,
            });
        }
        self.last = Some((path.to_owned(), Rc::clone(&directory)));
        Ok(directory)
    }

    fn try_open(&mut self, path: &Path) -> Result<Rc<OwnedFd>, Errno> {
        if path.as_os_str().is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some((last, directory)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(directory));
        }
        let directory = Rc::new(open_directory(&self.root, path)?);
        self.last = Some((path.to_owned(), Rc::clone(&directory)));
        Ok(directory)
    }
}

/// Makes and opens a directory, in the place of nothing or of a whiteout: then lower layers have nothing in it.
fn enter_new(parent: &OwnedFd, name: &OsStr, before: Before) -> io::Result<OwnedFd> {
    match before {
        Before::Whiteout => unlinkat(parent, name, AtFlags::empty())?,
        Before::Other => return Err(refused(format!("{name:?}, which is above it, is not a directory"))),
        Before::Nothing | Before::Directory => {}
    }
    mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    chmodat(parent, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
    let directory = open_directory(parent, Path::new(name))?;
    if before == Before::Whiteout {
        mark_opaque(&directory)?;
    }
    Ok(directory)
}

fn open_directory(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // A rename somewhere on the machine at the same moment.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

fn mark_opaque(directory: &OwnedFd) -> io::Result<()> {
    Ok(fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}

/// Whether nothing of the layers below a finished one is seen. overlayfs does not look for that at its top.
pub(super) fn hides_all_below(layer: &Path) -> bool {
    rustix::fs::lgetxattr(layer, OPAQUE, &mut [0_u8; 8]).is_ok()
}

fn look(parent: &OwnedFd, name: &OsStr) -> io::Result<Before> {
    let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Before::Nothing),
        Err(error) => return Err(error.into()),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Before::Directory,
        FileType::CharacterDevice if stat.st_rdev == 0 => Before::Whiteout,
        _ => Before::Other,
    })
}

/// Owner first: chown(2) takes the bits of setuid and setgid away.
fn own(parent: &OwnedFd, name: &OsStr, owner: Owner) -> io::Result<()> {
    chown(parent, name, owner)?;
    Ok(chmodat(parent, name, Mode::from_raw_mode(owner.mode), AtFlags::empty())?)
}

fn chown(parent: &OwnedFd, name: &OsStr, owner: Owner) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    Ok(chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: mtime, last_modification: mtime }
}

/// A name in an open directory, for calls that have no other way to say so.
fn below(directory: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)
}

/// A file with holes: one of terabytes may take nothing.
pub(super) struct Sparse<'p> {
    pub(super) pieces: &'p [Piece],
    pub(super) size: u64,
}

impl Sparse<'_> {
    fn copy(&self, mut data: &mut dyn Read, file: &mut File) -> io::Result<()> {
        for piece in self.pieces {
            file.seek(SeekFrom::Start(piece.offset))?;
            if io::copy(&mut Read::take(&mut data, piece.length), file)? < piece.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        file.set_len(self.size)
    }
}
