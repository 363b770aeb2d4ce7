// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: made by a boot, used by tests, gone when dropped.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::command::{Command, Output};
use crate::inside::Inside;
use crate::preparation::Preparation;
use crate::{Root, evidence};

/// A running systemd, in namespaces of its own. What can be asked of it is in [`Inside`], too.
pub struct Machine {
    name: String,
    dir: PathBuf,
    group: PathBuf,
    guard: Child,
    /// The guard takes the machine away when this closes, which the kernel does if we are killed.
    lifeline: Option<ChildStdin>,
    pid: u32,
    commands: AtomicU32,
}

impl Machine {
    /// Boots the host's own root, with the build installed.
    ///
    /// # Panics
    /// When it does not come up, or comes up degraded.
    #[track_caller]
    #[must_use]
    pub fn boot(name: &str) -> Machine {
        Machine::boot_from(Root::Host, name)
    }

    /// Boots this root, with the build installed.
    ///
    /// # Panics
    /// When it does not come up, or comes up degraded.
    #[track_caller]
    #[must_use]
    pub fn boot_from(root: Root, name: &str) -> Machine {
        Machine::prepare(root, name).boot()
    }

    /// Starts to describe a machine that finds files at boot.
    pub fn prepare(root: Root, name: &str) -> Preparation {
        Preparation::new(root, name)
    }

    pub(crate) fn new(name: &str, dir: PathBuf, group: PathBuf, mut guard: Child) -> Machine {
        let lifeline = guard.stdin.take();
        Machine { name: name.to_owned(), dir, group, guard, lifeline, pid: 0, commands: AtomicU32::new(0) }
    }

    pub(crate) fn with_pid(mut self, pid: u32) -> Machine {
        self.pid = pid;
        self
    }

    /// Its name, as given to the boot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its PID 1, as the host counts.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its `/sys/fs/cgroup`, as the host sees it.
    #[must_use]
    pub fn cgroup(&self) -> PathBuf {
        self.group.join("machine")
    }

    /// Where its results go if the test fails: `target/ct-tests/NAME`.
    #[must_use]
    pub fn results(&self) -> &Path {
        &self.dir
    }

    /// Describes a command to run inside.
    pub fn command<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Command<'_> {
        Command::new(self, argv)
    }

    /// Brings a program of the host along that the root has no package of.
    ///
    /// # Panics
    /// When the host has none either.
    #[track_caller]
    pub fn bring(&self, program: &str) {
        let inside = PathBuf::from(format!("/proc/{}/root{program}", self.pid));
        if inside.exists() {
            return;
        }
        if let Err(error) = fs::copy(program, &inside) {
            panic!("cannot copy {program} to {}: {error} (packaging/deps.sh installs it)", self.name);
        }
    }

    /// What the boot, PID 1 and the generators wrote to the console.
    #[must_use]
    pub fn console(&self) -> String {
        fs::read(self.dir.join("console"))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// A cgroup for one command, out of the way of systemd and of the leak snapshot.
    pub(crate) fn new_command_cgroup(&self) -> std::io::Result<PathBuf> {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let cgroup = self.cgroup().join("harness").join(number.to_string());
        fs::create_dir_all(&cgroup)?;
        Ok(cgroup)
    }
}

impl Inside for Machine {
    #[track_caller]
    fn run_inside(&self, argv: Vec<OsString>, stdin: &[u8]) -> Output {
        self.command(argv).stdin(stdin).run()
    }
}

impl Deref for Machine {
    type Target = dyn Inside;

    fn deref(&self) -> &Self::Target {
        self
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed && self.pid != 0 {
            evidence::save(&self.name, &self.dir, |script| {
                self.command(["sh", "-c", script]).deadline(Duration::from_secs(60)).try_run()
            });
        }
        drop(self.lifeline.take());
        let gone = self.guard.wait().is_ok_and(|status| status.success());
        if failed {
            return;
        }
        assert!(gone, "{} left something behind in {}\n{}", self.name, self.group.display(), self.console());
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            panic!("cannot remove {}: {error}", self.dir.display());
        }
    }
}
