// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder with a fake root and an output directory, thrown away at the end, and what tests say about them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A complete container.
pub(crate) const HELLO: &str = "[root]\npath = \"/srv/hello\"\n[process]\ncommand = [\"/bin/hello\"]\n";

pub(crate) struct Sandbox {
    path: PathBuf,
}

/// One entry of a unit tree. Links are what they are, never what they lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    File(String),
    Link(PathBuf),
    EmptyDirectory,
    Special,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// On a tmpfs where there is one, as /run/systemd/generator is: thousands of files on a busy disk take seconds.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory) } else { Self::new() }
    }

    fn below(base: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("ct-generator-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("root")).unwrap();
        fs::create_dir_all(path.join("out")).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path.join("out")
    }

    /// Writes a file below the root, mode 0644 whatever the umask is.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Writes `NAME.toml`.
    pub(crate) fn container(&self, name: &str, text: &str) {
        self.write(&format!("etc/ct/containers/{name}.toml"), text);
    }

    /// Copies a tree to below the root, links as links.
    pub(crate) fn copy(&self, from: &Path) {
        for (name, entry) in tree(from) {
            match entry {
                Entry::File(text) => {
                    self.write(&name, &text);
                    // Hooks are executable; whether others may write depends on who checked the case out.
                    if fs::metadata(from.join(&name)).unwrap().permissions().mode() & 0o100 != 0 {
                        fs::set_permissions(self.root().join(&name), Permissions::from_mode(0o755)).unwrap();
                    }
                }
                Entry::Link(target) => {
                    let path = self.root().join(name);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    symlink(target, path).unwrap();
                }
                Entry::EmptyDirectory => fs::create_dir_all(self.root().join(name)).unwrap(),
                Entry::Special => panic!("{name} is not a file"),
            }
        }
    }

    /// The program with these arguments and nothing of our environment.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ct-generator"));
        command.env_clear().env("CT_CPUS", "2").current_dir("/");
        command
    }

    /// The program on the root and the output directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.program();
        command.arg("--root").arg(self.root()).arg(self.out());
        command
    }

    pub(crate) fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Runs it and expects success without a word.
    pub(crate) fn run_silently(&self) {
        let output = self.run();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    }

    pub(crate) fn units(&self) -> BTreeMap<String, Entry> {
        tree(&self.out())
    }

    /// The text of a container's drop-in.
    pub(crate) fn drop_in(&self, name: &str) -> String {
        fs::read_to_string(self.out().join(format!("ct@{name}.service.d/50-ct.conf"))).unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// All files and links below a directory; none if it does not exist.
pub(crate) fn tree(top: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        let entries: Vec<_> = fs::read_dir(&directory).into_iter().flatten().map(Result::unwrap).collect();
        let name = |path: &Path| path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
        if entries.is_empty() && directory != top {
            found.insert(name(&directory), Entry::EmptyDirectory);
        }
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.insert(name(&path), Entry::Link(fs::read_link(&path).unwrap()));
            } else if kind.is_file() {
                found.insert(name(&path), Entry::File(text(&fs::read(&path).unwrap())));
            } else {
                found.insert(name(&path), Entry::Special);
            }
        }
    }
    found
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// For what a machine may lack: says SKIP and why, but never on CI, which has everything.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing on CI: {why}");
    eprintln!("SKIP: {why}");
}
