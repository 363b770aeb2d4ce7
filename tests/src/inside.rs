// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a test can ask of a machine, whatever it is made of. The words of systemctl(1) and journalctl(1) are in
//! `systemctl.rs`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::Output;
use crate::seed::BUSYBOX_ROOTFS;

/// Makes a file under another name first: whoever looks for it finds all of it.
const WRITE_FILE: &str = r#"install -D -m "$1" /dev/stdin "$2.new" && mv -fT "$2.new" "$2""#;

/// A machine that runs commands. Both kinds dereference to it, so that a test has all of these words without more.
pub trait Inside {
    /// Runs a command inside to its end, with this to read.
    ///
    /// # Panics
    /// When it cannot be started, or misses its deadline.
    #[track_caller]
    fn run_inside(&self, argv: Vec<OsString>, stdin: &[u8]) -> Output;
}

impl dyn Inside {
    /// Runs a command inside, to its end.
    ///
    /// # Panics
    /// When it cannot be started, or misses its deadline.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Output {
        self.run_inside(argv.into_iter().map(|argument| argument.as_ref().to_owned()).collect(), b"")
    }

    /// Runs a shell script inside, to its end.
    ///
    /// # Panics
    /// When it cannot be started, or misses its deadline.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Output {
        self.run(["sh", "-c", script])
    }

    /// Writes a file inside, with the directories above it; it is there whole or not at all, and an older one is replaced, not
    /// written into.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn write_file(&self, path: impl AsRef<Path>, mode: u32, text: impl AsRef<[u8]>) {
        let mut argv: Vec<OsString> = ["sh", "-c", WRITE_FILE, "sh"].map(OsString::from).to_vec();
        argv.push(format!("{mode:o}").into());
        argv.push(path.as_ref().into());
        self.run_inside(argv, text.as_ref()).succeeds();
    }

    /// Reads a file inside.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    #[must_use]
    pub fn read_file(&self, path: impl AsRef<Path>) -> String {
        self.run(["cat".as_ref(), path.as_ref().as_os_str()]).succeeds().stdout
    }

    /// Writes a container's config, `/etc/ct/containers/NAME.toml`; PID 1 hears of it by a daemon-reload.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn container(&self, name: &str, toml: &str) {
        self.write_file(format!("/etc/ct/containers/{name}.toml"), 0o644, toml);
    }

    /// Makes a root filesystem of busybox for a container. `/srv` and `/var/lib/ct` are plain file systems,
    /// fit for the upper layer of an overlay; the rest may be an overlay itself.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn busybox_rootfs(&self, path: impl AsRef<Path>) {
        let path = path.as_ref().as_os_str();
        self.run(["sh".as_ref(), "-c".as_ref(), BUSYBOX_ROOTFS.as_ref(), "sh".as_ref(), path]).succeeds();
    }
}
