// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories and files as they are on the disk, read without trusting them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::dir::{self, Dir};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::{MAX_DROP_INS, MAX_FILE, SourceFile, SourceFiles};
use crate::problem::Problem;

/// The file system below a root, and whom we trust in it.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Owns what we may read, besides root: the caller itself, for trees that are not the host's. `None`: anyone.
    euid: Option<u32>,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), euid: Some(nix::unistd::geteuid().as_raw()) }
    }

    /// Files by the names that the caller has for them, and whosever they are.
    pub(super) fn anywhere() -> Self {
        Self { root: PathBuf::new(), euid: None }
    }

    pub(super) fn below(&self, path: &Path) -> PathBuf {
        if self.root.as_os_str().is_empty() {
            return path.to_owned();
        }
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A directory and its entries in no order, or `None` if it does not exist.
    pub(super) fn list(&self, dir: &str) -> Result<Option<(Dir, Vec<dir::Entry>)>, Problem> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let listed = match uninterrupted(|| Dir::open(&self.below(Path::new(dir)), flags, Mode::empty())) {
            Ok(mut open) => {
                let entries: Result<Vec<_>, Errno> = open.iter().collect();
                entries.map(|entries| Some((open, entries)))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        };
        listed.map_err(|error| {
            let reason = format!("cannot read the directory: {}", io::Error::from(error));
            file_problem(PathBuf::from(dir), reason)
        })
    }

    /// Reads `*.toml` of several directories in the order of their names: of one name the first directory's counts, and
    /// a link to /dev/null hides the others.
    pub(super) fn read_drop_ins(&self, dirs: &[String], read: &mut SourceFiles) {
        let mut found: BTreeMap<OsString, Option<PathBuf>> = BTreeMap::new();
        for dir in dirs {
            let entries = match self.list(dir) {
                Ok(Some((_, entries))) => entries,
                Ok(None) => continue,
                Err(problem) => {
                    read.problems.push(problem);
                    continue;
                }
            };
            for entry in entries {
                let name = os_name(&entry);
                let text = name.as_bytes();
                if text.starts_with(b".") || !text.ends_with(b".toml") || found.contains_key(name) {
                    continue;
                }
                let path = Path::new(dir).join(name);
                let masked = may_be_link(&entry) && is_masked(&self.below(&path));
                found.insert(name.to_owned(), (!masked).then_some(path));
            }
        }
        if found.len() > MAX_DROP_INS {
            let dir = dirs.first().cloned().unwrap_or_default();
            read.problems
                .push(file_problem(PathBuf::from(dir), format!("more than {MAX_DROP_INS} drop-ins")));
            return;
        }
        found.into_values().flatten().for_each(|path| read.add(self.read(path)));
    }

    /// Reads one file that may be anything: what would block, never end, or be somebody else's is refused.
    pub(super) fn read(&self, path: PathBuf) -> Result<SourceFile, Problem> {
        self.read_at(AT_FDCWD, &self.below(&path), path)
    }

    /// The same by the file's name in an open directory.
    pub(super) fn read_at(
        &self,
        dir: BorrowedFd<'_>,
        name: &Path,
        path: PathBuf,
    ) -> Result<SourceFile, Problem> {
        match self.read_text(dir, name) {
            Ok(text) => Ok(SourceFile { path, text }),
            Err(reason) => Err(file_problem(path, reason)),
        }
    }

    fn read_text(&self, dir: BorrowedFd<'_>, name: &Path) -> Result<String, String> {
        // Links are followed, since some distributions make /etc of them; what counts is the file that was opened.
        // Not blocking: the open itself would wait on a FIFO. No controlling terminal: it might be one.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let opened = uninterrupted(|| openat(dir, name, flags, Mode::empty()));
        let mut file =
            File::from(opened.map_err(|error| format!("cannot open the file: {}", io::Error::from(error)))?);
        let size = self.check(&file)?;
        let bytes = read_bytes(&mut file, size).map_err(|error| format!("cannot read the file: {error}"))?;
        if bytes.len() > MAX_FILE {
            return Err(TOO_LARGE.to_owned());
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error
                .as_bytes()
                .iter()
                .take(error.utf8_error().valid_up_to())
                .filter(|b| **b == b'\n')
                .count();
            format!("not UTF-8 text, in line {}", line + 1)
        })?;
        if text.starts_with('\u{feff}') {
            return Err("begins with a byte order mark; save it as UTF-8 without one".to_owned());
        }
        if let Some((before, _)) = text.split_once('\0') {
            return Err(format!("not text: a NUL byte in line {}", before.matches('\n').count() + 1));
        }
        Ok(text)
    }

    /// Whether an open file is one to believe; gives its size.
    fn check(&self, file: &File) -> Result<usize, String> {
        let metadata = file.metadata().map_err(|error| format!("cannot stat the file: {error}"))?;
        let kind = metadata.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else if kind.is_fifo() {
                "a FIFO"
            } else if kind.is_char_device() || kind.is_block_device() {
                "a device"
            } else {
                "of another type"
            };
            return Err(format!("not a regular file but {what}"));
        }
        self.trust(&metadata)?;
        usize::try_from(metadata.len())
            .ok()
            .filter(|size| *size <= MAX_FILE)
            .ok_or_else(|| TOO_LARGE.to_owned())
    }

    /// Whether nobody but root, or the caller, can have written a file.
    pub(super) fn trust(&self, metadata: &Metadata) -> Result<(), String> {
        let Some(euid) = self.euid else { return Ok(()) };
        let owner = metadata.uid();
        if owner != 0 && owner != euid {
            return Err(format!("owned by uid {owner} and not by root"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!(
                "writable by others than its owner (mode {:04o}); use chmod go-w",
                metadata.mode() & 0o7777
            ));
        }
        Ok(())
    }
}

const TOO_LARGE: &str = "larger than 1 MiB";

/// All of a file that should have `size` bytes, or more than [`MAX_FILE`] of one that has too many.
fn read_bytes(file: &mut File, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size + 1];
    let count = match file.read(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
        other => other?,
    };
    bytes.truncate(count);
    // One byte more was asked for: it ends where it should. Otherwise it is being written to, or its file system does
    // not tell sizes.
    if count != size || size == 0 {
        let limit = u64::try_from(MAX_FILE + 1 - count).unwrap_or_default();
        file.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

pub(super) fn os_name(entry: &dir::Entry) -> &OsStr {
    OsStr::from_bytes(entry.file_name().to_bytes())
}

/// Whether a directory entry is a link, as far as the file system tells: only links cost a system call.
pub(super) fn may_be_link(entry: &dir::Entry) -> bool {
    matches!(entry.file_type(), None | Some(dir::Type::Symlink))
}

/// Whether this is a link to /dev/null, perhaps by way of other links.
pub(super) fn is_masked(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"))
        || path.metadata().is_ok_and(|file| file.file_type().is_char_device() && file.rdev() == DEV_NULL)
}

/// Major 1, minor 3.
const DEV_NULL: u64 = 0x103;

pub(super) fn file_problem(file: PathBuf, reason: String) -> Problem {
    Problem { file, position: None, key: None, reason, hint: None }
}

/// Makes a call again as long as a signal interrupts it, which is left to nix's callers.
fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}
