// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing the unit tree: the only place that writes. See systemd.generator(7).
//!
//! Every file is written under a name that systemd does not read and then renamed, so that a reader sees all of it or
//! nothing, whatever happens to us and however many generators run at once. Everything is done relative to directories
//! held open, and no link inside the output directory is ever followed.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat, write};

/// The file in every `UNIT.d/`: behind a distribution's defaults, before what an administrator numbers higher.
pub const DROP_IN: &str = "50-ct.conf";

/// Something that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output directory itself.
    #[error("cannot open the output directory {path}")]
    Open {
        /// As given.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// A file, link or directory in it.
    #[error("cannot write {path}")]
    Write {
        /// Below the output directory.
        path: String,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// The output directory, held open.
#[derive(Debug)]
pub struct Output {
    directory: OwnedFd,
    /// `ct.target.wants/`, once it was needed.
    wants: Option<OwnedFd>,
    /// A file name that no reader of unit files looks at and no other generator uses.
    temporary: String,
    /// The name of the directory at hand, to save an allocation each.
    name: String,
}

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);
/// Whatever the umask was, main has set it to 022.
const FILE_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP).union(Mode::S_IROTH);
const WANTS: &str = "ct.target.wants";

impl Output {
    /// Opens the directory that systemd gave as the first argument.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = open(path, DIRECTORY | OFlag::O_RDONLY, Mode::empty());
        let directory = opened.map_err(|source| Error::Open { path: path.to_owned(), source })?;
        // A leading dot and no ".conf": neither is read as a drop-in, should a crash leave it behind.
        let temporary = format!(".{DROP_IN}.{}", std::process::id());
        Ok(Self { directory, wants: None, temporary, name: String::new() })
    }

    /// Writes `UNIT.d/50-ct.conf`. On failure neither it nor an older one is left.
    pub fn write_drop_in(&mut self, unit: &str, text: &str) -> Result<(), Error> {
        self.set_name(unit);
        let written = match self.make(&self.name) {
            Ok(()) => self.publish(text).or_else(|_| self.replace(text)),
            Err(Errno::EEXIST) => self.replace(text),
            Err(error) => Err(error),
        };
        written.map_err(|source| {
            let _ = unlinkat(&self.directory, self.name.as_str(), UnlinkatFlags::RemoveDir);
            Error::Write { path: format!("{}/{DROP_IN}", self.name), source }
        })
    }

    /// Takes back what [`Self::write_drop_in`] wrote, as far as that goes.
    pub fn remove_drop_in(&mut self, unit: &str) {
        self.set_name(unit);
        if let Ok(directory) = self.enter(&self.name) {
            let _ = unlinkat(&directory, DROP_IN, UnlinkatFlags::NoRemoveDir);
        }
        let _ = unlinkat(&self.directory, self.name.as_str(), UnlinkatFlags::RemoveDir);
    }

    fn set_name(&mut self, unit: &str) {
        self.name.clear();
        self.name.push_str(unit);
        self.name.push_str(".d");
    }

    /// Makes `ct.target.wants/UNIT` a link to `target`.
    pub fn link_wants(&mut self, unit: &str, target: &str) -> Result<(), Error> {
        let linked = self.symlink(unit, target);
        linked.map_err(|source| Error::Write { path: format!("{WANTS}/{unit}"), source })
    }

    fn symlink(&mut self, unit: &str, target: &str) -> Result<(), Errno> {
        let wants = match self.wants.take() {
            Some(wants) => wants,
            None => self.enter(WANTS)?,
        };
        let wants = self.wants.insert(wants);
        match symlinkat(target, &*wants, unit) {
            Err(Errno::EEXIST) if readlinkat(&*wants, unit).is_ok_and(|old| old == OsStr::new(target)) => {
                Ok(())
            }
            Err(Errno::EEXIST) => {
                let (temporary, ()) = unused(&self.temporary, |name| symlinkat(target, &*wants, name))?;
                renameat(&*wants, &*temporary, &*wants, unit).inspect_err(|_| {
                    let _ = unlinkat(&*wants, &*temporary, UnlinkatFlags::NoRemoveDir);
                })
            }
            other => other,
        }
    }

    /// Writes a file without a name, then names it, in a directory just made: that is root's, so no link stands in the
    /// way. Fails where there is something already, and where the file system or our rights do not allow it.
    fn publish(&self, text: &str) -> Result<(), Errno> {
        let file =
            openat(&self.directory, ".", OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC, FILE_MODE)?;
        write_all(&file, text.as_bytes())?;
        let path = [self.name.as_str(), "/", DROP_IN].concat();
        linkat(&file, "", &self.directory, path.as_str(), AtFlags::AT_EMPTY_PATH)
    }

    /// The long way to the same: a file under another name is put in the place of whatever is there.
    fn replace(&self, text: &str) -> Result<(), Errno> {
        let directory = self.enter(&self.name)?;
        let written = self.rename_into(&directory, text);
        written.inspect_err(|_| {
            let _ = unlinkat(&directory, DROP_IN, UnlinkatFlags::NoRemoveDir);
        })
    }

    fn rename_into(&self, directory: &OwnedFd, text: &str) -> Result<(), Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (temporary, file) = unused(&self.temporary, |name| openat(directory, name, flags, FILE_MODE))?;
        let rename = || renameat(directory, &*temporary, directory, DROP_IN);
        let written = write_all(&file, text.as_bytes()).and_then(|()| match rename() {
            // An empty directory may stand there; one with files in it is somebody's and stays.
            Err(Errno::EISDIR) => {
                unlinkat(directory, DROP_IN, UnlinkatFlags::RemoveDir).and_then(|()| rename())
            }
            other => other,
        });
        written.inspect_err(|_| {
            let _ = unlinkat(directory, &*temporary, UnlinkatFlags::NoRemoveDir);
        })
    }

    fn make(&self, name: &str) -> Result<(), Errno> {
        mkdirat(&self.directory, name, Mode::from_bits_truncate(0o755))
    }

    /// Opens a directory below the output directory, made if need be. A link, even to a directory, is replaced.
    fn enter(&self, name: &str) -> Result<OwnedFd, Errno> {
        let open = || openat(&self.directory, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty());
        match self.make(name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
        match open() {
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir)?;
                self.make(name)?;
                open()
            }
            other => other,
        }
    }
}

/// Makes something under a name that nothing has. Names are taken if a generator with our pid was killed, or runs in
/// another pid namespace: that one's file must be left alone.
fn unused<T>(name: &str, make: impl Fn(&str) -> Result<T, Errno>) -> Result<(Cow<'_, str>, T), Errno> {
    let mut found = make(name).map(|made| (Cow::Borrowed(name), made));
    for attempt in 1..100 {
        if !matches!(found, Err(Errno::EEXIST)) {
            break;
        }
        let other = format!("{name}.{attempt}");
        found = make(&other).map(|made| (Cow::Owned(other), made));
    }
    found
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
