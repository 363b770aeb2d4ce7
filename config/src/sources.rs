// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files make up one container, and how they are read without trusting them. The only module that touches the
//! disk; precedence and masking are those of systemd.unit(5).

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::name::ContainerName;
use crate::problem::Problem;

/// Where container configs are; the first wins.
const CONTAINER_DIRS: [&str; 3] = ["/etc/ct/containers", "/run/ct/containers", "/usr/lib/ct/containers"];
/// Where the host's settings are, and their drop-ins.
const HOST_FILE: &str = "/etc/ct/ct.toml";
const HOST_DROP_INS: &str = "/etc/ct/ct.toml.d";

/// Larger files are refused.
pub(crate) const MAX_FILE: usize = 1 << 20;
/// More drop-ins for one thing are refused; the source map of [`crate::document`] has room for these.
pub(crate) const MAX_DROP_INS: usize = 1000;

/// The containers that have a file, and where it is. Made by reading directories alone; the files are read by
/// [`crate::load`], one container at a time.
#[derive(Debug)]
pub struct Tree {
    disk: Disk,
    containers: BTreeMap<ContainerName, Entry>,
    problems: Vec<Problem>,
}

/// What the directories say of one name. Indices are into [`CONTAINER_DIRS`].
#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    main: Main,
    /// Which of them have `NAME.toml.d`.
    drop_ins: [bool; CONTAINER_DIRS.len()],
}

/// The first `NAME.toml` in search order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Main {
    #[default]
    Missing,
    /// A link to /dev/null.
    Masked,
    /// In this directory.
    At(&'static str),
}

/// One file as read.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// On the host, without the fake root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Files that belong together, in the order in which they are merged, and those that could not be read.
#[derive(Debug, Default)]
pub(crate) struct SourceFiles {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) problems: Vec<Problem>,
}

impl Tree {
    /// Reads the three directories below `root` (`/`, or a folder standing for it), once each. What cannot be read, or
    /// has no valid name, is in [`Tree::problems`]; a missing directory is no problem.
    pub fn scan(root: &Path) -> Self {
        let mut tree = Self { disk: Disk::new(root), containers: BTreeMap::new(), problems: Vec::new() };
        for (index, dir) in CONTAINER_DIRS.into_iter().enumerate() {
            match tree.disk.list(dir) {
                Ok(entries) => entries.iter().for_each(|entry| tree.add(index, dir, entry)),
                Err(problem) => tree.problems.push(problem),
            }
        }
        tree.containers.retain(|_, entry| matches!(entry.main, Main::At(_)));
        tree
    }

    /// As [`Tree::scan`] for one name: a start does not pay for the containers beside its own.
    pub fn only(root: &Path, name: &ContainerName) -> Self {
        let mut tree = Self { disk: Disk::new(root), containers: BTreeMap::new(), problems: Vec::new() };
        let mut entry = Entry::default();
        for (dir, drop_ins) in CONTAINER_DIRS.into_iter().zip(&mut entry.drop_ins) {
            let main = tree.disk.below(&Path::new(dir).join(format!("{name}.toml")));
            if entry.main == Main::Missing
                && let Ok(file) = main.symlink_metadata()
            {
                entry.main = if is_masked(&main, file.is_symlink()) { Main::Masked } else { Main::At(dir) };
            }
            *drop_ins = tree.disk.below(&Path::new(dir).join(format!("{name}.toml.d"))).exists();
        }
        if matches!(entry.main, Main::At(_)) {
            tree.containers.insert(name.clone(), entry);
        }
        tree
    }

    /// Takes note of one directory entry.
    fn add(&mut self, index: usize, dir: &'static str, entry: &DirEntry) {
        let os_name = entry.file_name();
        let text = os_name.to_string_lossy();
        if text.starts_with('.') {
            return;
        }
        if let Some(stem) = text.strip_suffix(".toml.d") {
            // Whose main file has no valid name is reported there.
            if let Ok(name) = ContainerName::parse(stem)
                && let Some(flag) = self.containers.entry(name).or_default().drop_ins.get_mut(index)
            {
                *flag = true;
            }
            return;
        }
        let Some(stem) = text.strip_suffix(".toml") else { return };
        match ContainerName::parse(stem) {
            Ok(name) => {
                let known = self.containers.entry(name).or_default();
                if known.main == Main::Missing {
                    known.main =
                        if is_masked(&entry.path(), is_link(entry)) { Main::Masked } else { Main::At(dir) };
                }
            }
            Err(error) => self.problems.push(file_problem(Path::new(dir).join(&os_name), error.to_string())),
        }
    }

    /// The containers, sorted by name: those that are masked are not among them, those that cannot be read are.
    pub fn names(&self) -> impl Iterator<Item = &ContainerName> {
        self.containers.keys()
    }

    /// Whether there is such a container.
    pub fn contains(&self, name: &ContainerName) -> bool {
        self.containers.contains_key(name)
    }

    /// What is wrong with the directories themselves, or with names in them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The main file of a container, as it is named on the host.
    pub fn main_file(&self, name: &ContainerName) -> Option<PathBuf> {
        match self.containers.get(name)?.main {
            Main::At(dir) => Some(main_file(dir, name)),
            Main::Missing | Main::Masked => None,
        }
    }

    /// Reads the main file and the drop-ins of one container.
    pub(crate) fn read(&self, name: &ContainerName) -> SourceFiles {
        let mut read = SourceFiles::default();
        let Some(entry) = self.containers.get(name) else { return read };
        let Main::At(dir) = entry.main else { return read };
        read.add(self.disk.read(main_file(dir, name)));
        if entry.drop_ins.contains(&true) {
            let dirs = CONTAINER_DIRS.iter().zip(entry.drop_ins).filter(|(_, there)| *there);
            let dirs: Vec<String> = dirs.map(|(dir, _)| format!("{dir}/{name}.toml.d")).collect();
            self.disk.read_drop_ins(&dirs, &mut read);
        }
        read
    }
}

/// Reads the host's settings; no files at all if there are none.
pub(crate) fn read_host(root: &Path) -> SourceFiles {
    let disk = Disk::new(root);
    let mut read = SourceFiles::default();
    match disk.below(Path::new(HOST_FILE)).symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Also what is there but cannot be looked at: opening it says why.
        _ => read.add(disk.read(PathBuf::from(HOST_FILE))),
    }
    disk.read_drop_ins(&[HOST_DROP_INS.to_owned()], &mut read);
    read
}

impl SourceFiles {
    fn add(&mut self, file: Result<SourceFile, Problem>) {
        match file {
            Ok(file) => self.files.push(file),
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn main_file(dir: &str, name: &ContainerName) -> PathBuf {
    let mut path = String::with_capacity(dir.len() + name.as_str().len() + 6);
    path.push_str(dir);
    path.push('/');
    path.push_str(name.as_str());
    path.push_str(".toml");
    PathBuf::from(path)
}

/// The file system below a root, and whom we trust in it.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    /// Owns what we may read, besides root: the caller itself, for trees that are not the host's.
    euid: u32,
}

impl Disk {
    fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), euid: nix::unistd::geteuid().as_raw() }
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The entries of a directory in no order, none if it does not exist.
    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, Problem> {
        let listed = match fs::read_dir(self.below(Path::new(dir))) {
            Ok(entries) => entries.collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        listed
            .map_err(|error| file_problem(PathBuf::from(dir), format!("cannot read the directory: {error}")))
    }

    /// Reads `*.toml` of several directories in the order of their names: of one name the first directory's counts, and
    /// a link to /dev/null hides the others.
    fn read_drop_ins(&self, dirs: &[String], read: &mut SourceFiles) {
        let mut found: BTreeMap<std::ffi::OsString, Option<PathBuf>> = BTreeMap::new();
        for dir in dirs {
            let entries = match self.list(dir) {
                Ok(entries) => entries,
                Err(problem) => {
                    read.problems.push(problem);
                    continue;
                }
            };
            for entry in entries {
                let name = entry.file_name();
                let text = name.as_encoded_bytes();
                if text.starts_with(b".") || !text.ends_with(b".toml") || found.contains_key(&name) {
                    continue;
                }
                let path = (!is_masked(&entry.path(), is_link(&entry))).then(|| Path::new(dir).join(&name));
                found.insert(name, path);
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
    fn read(&self, path: PathBuf) -> Result<SourceFile, Problem> {
        match self.read_text(&path) {
            Ok(text) => Ok(SourceFile { path, text }),
            Err(reason) => Err(file_problem(path, reason)),
        }
    }

    fn read_text(&self, path: &Path) -> Result<String, String> {
        // Links are followed, since some distributions make /etc of them; what counts is the file that was opened.
        // Not blocking: the open itself would wait on a FIFO. No controlling terminal: it might be one.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(self.below(path))
            .map_err(|error| format!("cannot open the file: {error}"))?;
        let size = self.check(&file)?;
        let mut bytes = Vec::with_capacity(size + 1);
        // The size may have changed since, and some file systems do not tell it.
        let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
        let read = Read::by_ref(&mut file).take(limit).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot read the file: {error}"))?;
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
        let owner = metadata.uid();
        if owner != 0 && owner != self.euid {
            return Err(format!("owned by uid {owner} and not by root"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!(
                "writable by others than its owner (mode {:04o}); use chmod go-w",
                metadata.mode() & 0o7777
            ));
        }
        usize::try_from(metadata.len())
            .ok()
            .filter(|size| *size <= MAX_FILE)
            .ok_or_else(|| TOO_LARGE.to_owned())
    }
}

const TOO_LARGE: &str = "larger than 1 MiB";

/// Whether a directory entry is a link to /dev/null, perhaps by way of other links. Only links cost a system call.
fn is_link(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}

fn is_masked(path: &Path, is_link: bool) -> bool {
    if !is_link {
        return false;
    }
    fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"))
        || path.metadata().is_ok_and(|file| file.file_type().is_char_device() && file.rdev() == DEV_NULL)
}

/// Major 1, minor 3.
const DEV_NULL: u64 = 0x103;

fn file_problem(file: PathBuf, reason: String) -> Problem {
    Problem { file, position: None, key: None, reason, hint: None }
}
