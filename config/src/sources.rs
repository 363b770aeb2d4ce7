// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files make up one container or pod, and how they are read without trusting them. The only module that touches
//! the disk; precedence and masking are those of systemd.unit(5).

mod disk;
mod hooks;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use nix::dir::{self, Dir};

use crate::name::{ConfigName, ContainerName};
use crate::problem::Problem;
pub(crate) use hooks::HookFiles;

use disk::{Disk, file_problem, is_masked, may_be_link, os_name};

/// Where container configs are; the first wins.
pub const CONTAINER_DIRS: [&str; 3] = ContainerName::DIRS;
/// Where the host's settings are, and their drop-ins.
const HOST_FILE: &str = "/etc/ct/ct.toml";
const HOST_DROP_INS: &str = "/etc/ct/ct.toml.d";

/// Larger files are refused.
pub(crate) const MAX_FILE: usize = 1 << 20;
/// More drop-ins for one thing are refused; the source map of [`crate::document`] has room for these.
pub(crate) const MAX_DROP_INS: usize = 1000;

/// The containers, or pods, that have a file, and where it is. Made by reading directories alone; the files are read by
/// [`crate::load`], one container at a time.
#[derive(Debug)]
pub struct Tree<N = ContainerName> {
    disk: Disk,
    /// The directories that were listed, held open: a path from there is a short one.
    dirs: Vec<Option<Dir>>,
    named: BTreeMap<N, Entry>,
    /// Names whose first file is a link to /dev/null.
    masked: Vec<N>,
    /// Main files that are not, or not yet, in one of the directories.
    elsewhere: BTreeMap<N, PathBuf>,
    problems: Vec<Problem>,
}

/// What the directories say of one name. Indices are into [`ConfigName::DIRS`].
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Entry {
    main: Main,
    /// Which of them have `NAME.toml.d`.
    drop_ins: [bool; 3],
}

/// The first `NAME.toml` in search order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Main {
    #[default]
    Missing,
    /// A link to /dev/null.
    Masked,
    /// In this directory.
    At(usize),
    /// In [`Tree::elsewhere`].
    Elsewhere,
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
    pub(crate) hooks: HookFiles,
}

impl<N: ConfigName> Tree<N> {
    /// Reads the three directories below `root` (`/`, or a folder standing for it), once each. What cannot be read, or
    /// has no valid name, is in [`Tree::problems`]; a missing directory is no problem.
    pub fn scan(root: &Path) -> Self {
        let mut tree = Self::empty(root);
        for (index, dir) in N::DIRS.into_iter().enumerate() {
            let listed = tree.disk.list(dir).unwrap_or_else(|problem| {
                tree.problems.push(problem);
                None
            });
            let open = listed.map(|(open, entries)| {
                entries.iter().for_each(|entry| tree.add(index, dir, entry));
                open
            });
            tree.dirs.push(open);
        }
        let masked = tree.named.iter().filter(|(_, entry)| entry.main == Main::Masked);
        tree.masked = masked.map(|(name, _)| name.clone()).collect();
        tree.named.retain(|_, entry| matches!(entry.main, Main::At(_)));
        tree
    }

    /// As [`Tree::scan`] for one name: a start does not pay for the files of others.
    pub fn only(root: &Path, name: &N) -> Self {
        let mut tree = Self::empty(root);
        let mut entry = Entry::default();
        for (index, (dir, drop_ins)) in N::DIRS.into_iter().zip(&mut entry.drop_ins).enumerate() {
            let main = tree.disk.below(&Path::new(dir).join(format!("{name}.toml")));
            if entry.main == Main::Missing
                && let Ok(file) = main.symlink_metadata()
            {
                entry.main =
                    if file.is_symlink() && is_masked(&main) { Main::Masked } else { Main::At(index) };
            }
            *drop_ins = tree.disk.below(&Path::new(dir).join(format!("{name}.toml.d"))).exists();
        }
        if matches!(entry.main, Main::At(_)) {
            tree.named.insert(name.clone(), entry);
        }
        tree
    }

    /// As [`Tree::scan`], without a look: there is nothing.
    pub fn empty(root: &Path) -> Self {
        Self {
            disk: Disk::new(root),
            dirs: Vec::new(),
            named: BTreeMap::new(),
            masked: Vec::new(),
            elsewhere: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Has a file that lies anywhere stand for the main file of `name`, with the drop-ins in the directory of its name
    /// and `.d`, as if all of them were in place and nothing else of this name was. It is only looked at, so that it may
    /// be anyone's.
    pub fn put(&mut self, name: N, path: PathBuf) {
        self.named.insert(name.clone(), Entry { main: Main::Elsewhere, drop_ins: [false; 3] });
        self.elsewhere.insert(name, path);
    }

    /// Takes note of one directory entry.
    fn add(&mut self, index: usize, dir: &'static str, entry: &dir::Entry) {
        let os_name = os_name(entry);
        let text = os_name.to_string_lossy();
        if text.starts_with('.') {
            return;
        }
        if let Some(stem) = text.strip_suffix(".toml.d") {
            // Whose main file has no valid name is reported there.
            if let Ok(name) = N::check(stem)
                && let Some(flag) = self.named.entry(name).or_default().drop_ins.get_mut(index)
            {
                *flag = true;
            }
            return;
        }
        let Some(stem) = text.strip_suffix(".toml") else { return };
        match N::check(stem) {
            Ok(name) => {
                let known = self.named.entry(name).or_default();
                if known.main == Main::Missing {
                    let masked =
                        may_be_link(entry) && is_masked(&self.disk.below(Path::new(dir)).join(os_name));
                    known.main = if masked { Main::Masked } else { Main::At(index) };
                }
            }
            Err(error) => self.problems.push(file_problem(Path::new(dir).join(os_name), error.to_string())),
        }
    }

    /// The names, sorted: those that are masked are not among them, those that cannot be read are.
    pub fn names(&self) -> impl Iterator<Item = &N> {
        self.named.keys()
    }

    /// The names that are masked, sorted; only [`Tree::scan`] finds them.
    pub fn masked(&self) -> &[N] {
        &self.masked
    }

    /// Whether there is a file of this name.
    pub fn contains(&self, name: &N) -> bool {
        self.named.contains_key(name)
    }

    /// What is wrong with the directories themselves, or with names in them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The main file, as it is named on the host.
    pub fn main_file(&self, name: &N) -> Option<PathBuf> {
        match self.elsewhere.get(name) {
            Some(path) => Some(path.clone()),
            None => self.named.get(name)?.main_file(name).map(|(_, dir, file)| Path::new(dir).join(file)),
        }
    }

    /// The names with what is needed to read their files.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&N, Entry)> {
        self.named.iter().map(|(name, entry)| (name, *entry))
    }

    /// As [`Tree::entries`], of one.
    pub(crate) fn entry(&self, name: &N) -> Entry {
        self.named.get(name).copied().unwrap_or_default()
    }

    /// Whether a file of this name is hidden by a link to /dev/null. Asks the disk again.
    pub fn is_masked(&self, name: &N) -> bool {
        let main = |dir: &str| self.disk.below(&Path::new(dir).join(format!("{name}.toml")));
        N::DIRS
            .into_iter()
            .map(main)
            .find(|path| path.symlink_metadata().is_ok())
            .is_some_and(|path| is_masked(&path))
    }

    /// Reads the main file and the drop-ins of one name.
    pub(crate) fn read(&self, name: &N, entry: Entry) -> SourceFiles {
        if let Some(path) = self.elsewhere.get(name) {
            return read_elsewhere(path);
        }
        let mut read = SourceFiles::default();
        let Some((index, dir, file)) = entry.main_file(name) else { return read };
        let path = PathBuf::from([dir, "/", &file].concat());
        read.add(match self.dirs.get(index) {
            Some(Some(open)) => self.disk.read_at(open.as_fd(), Path::new(&file), path),
            _ => self.disk.read(path),
        });
        if entry.drop_ins.contains(&true) {
            let dirs = N::DIRS.iter().zip(entry.drop_ins).filter(|(_, there)| *there);
            let dirs: Vec<String> = dirs.map(|(dir, _)| format!("{dir}/{name}.toml.d")).collect();
            self.disk.read_drop_ins(&dirs, &mut read);
            read.hooks.add(&self.disk, &dirs, &mut read.problems);
        }
        read
    }
}

/// Reads a main file that lies anywhere, and its drop-ins.
fn read_elsewhere(path: &Path) -> SourceFiles {
    let disk = Disk::anywhere();
    let mut read = SourceFiles::default();
    read.add(disk.read(path.to_owned()));
    // Where the path is no text, the directory has no name that a problem could say.
    if let Some(path) = path.to_str() {
        let drop_ins = [format!("{path}.d")];
        disk.read_drop_ins(&drop_ins, &mut read);
        read.hooks.add(&disk, &drop_ins, &mut read.problems);
    }
    read
}

impl Entry {
    /// The directory of the main file, by number and by name, and the file's name in it.
    fn main_file<N: ConfigName>(self, name: &N) -> Option<(usize, &'static str, String)> {
        let Main::At(index) = self.main else { return None };
        let dir = N::DIRS.get(index)?;
        Some((index, dir, [name.text(), ".toml"].concat()))
    }
}

/// Whether it lies in a `NAME.toml.d`.
fn is_drop_in(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.to_string_lossy().ends_with(".toml.d"))
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
    let drop_ins = [HOST_DROP_INS.to_owned()];
    disk.read_drop_ins(&drop_ins, &mut read);
    read.hooks.add(&disk, &drop_ins, &mut read.problems);
    read
}

impl SourceFiles {
    /// Has the file `path` be `text`, in its place in the order of merging. What could not be read of it does not
    /// matter any more.
    pub(crate) fn replace(&mut self, path: &Path, text: String) {
        self.problems.retain(|problem| problem.file != path);
        let file = SourceFile { path: path.to_owned(), text };
        let mains = self.files.iter().take_while(|file| !is_drop_in(&file.path)).count();
        if !is_drop_in(path) {
            self.files.drain(..mains);
            return self.files.insert(0, file);
        }
        // A drop-in hides one of the same name in another directory.
        let order = |other: &SourceFile| other.path.file_name().cmp(&path.file_name());
        let later = self.files.iter().skip(mains).position(|other| order(other).is_ge());
        let index = later.map_or(self.files.len(), |later| mains + later);
        match self.files.get_mut(index) {
            Some(same) if order(same).is_eq() => *same = file,
            _ => self.files.insert(index, file),
        }
    }

    fn add(&mut self, file: Result<SourceFile, Problem>) {
        match file {
            Ok(file) => self.files.push(file),
            Err(problem) => self.problems.push(problem),
        }
    }
}
