// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the init of a container without a terminal reads and prints on: `[log]` and `process.stdin_open`.
//!
//! The journal's stream and /dev/null need nobody who stays. Of a pipe the console service has the other end, and an end like
//! the container's own, too: so it never breaks, whoever is killed. A pipe belongs to the container's user, and everybody
//! who has it may open it once more: /dev/stdout leads to it.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use ct_config::container::{Container, LogMode};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown, mkfifo};

use crate::console::Role;
use crate::exit::Error;
use crate::rootfs::Owner;
use crate::runtime::places::Streams;

/// Of a pipe that is printed on: others in the container can write, and not take out again what was printed.
const OUTPUT: u32 = 0o622;
/// Of a pipe that is read.
const INPUT: u32 = 0o644;
/// Of the file that root writes to from the host.
const FIFO: u32 = 0o600;

/// The container's ends, and ours.
#[derive(Debug, Default)]
pub(crate) struct StandardFiles {
    stdin: Option<OwnedFd>,
    output: Option<OwnedFd>,
    /// For the console service.
    offered: Vec<(Role, OwnedFd)>,
}

impl StandardFiles {
    /// Makes what the config asks for; a FIFO in `directory`, which is root's. `user` is whom the command runs as.
    pub(crate) fn make(container: &Container, directory: &Path, user: Owner) -> Result<Self, Error> {
        let mut files = Self::default();
        if container.process.terminal == Some(true) {
            return Ok(files);
        }
        match container.log {
            LogMode::Journal => {}
            LogMode::None => {
                let null = OpenOptions::new().write(true).open("/dev/null");
                files.output = Some(null.map_err(|e| Error::system("open /dev/null", e))?.into());
            }
            LogMode::Pipe => {
                let (ours, theirs) = std::io::pipe().map_err(|e| Error::system("pipe2", e))?;
                give(&theirs, user, OUTPUT)?;
                files.output = Some(theirs.into());
                files.offered.push((Role::Output, ours.into()));
            }
        }
        if container.process.stdin_open && container.log == LogMode::Pipe {
            let (theirs, ours) = std::io::pipe().map_err(|e| Error::system("pipe2", e))?;
            give(&theirs, user, INPUT)?;
            files.stdin = Some(theirs.into());
            files.offered.push((Role::Input, ours.into()));
        } else if container.process.stdin_open {
            files.stdin = Some(fifo(&directory.join("stdin"), user)?.into());
        }
        Ok(files)
    }

    /// For the runtime. A copy each: the call is made in another process, and perhaps never.
    pub(crate) fn streams(&self) -> Result<Streams, Error> {
        let copy = |file: &OwnedFd| file.try_clone().map_err(|e| Error::system("dup", e));
        let stdin = self.stdin.as_ref().map(copy).transpose()?.map_or_else(Stdio::null, Stdio::from);
        let output = self.output.as_ref().map(copy).transpose()?;
        Ok(Streams { stdin, output, console_socket: None })
    }

    /// For the console service, of a container that runs. The container's ends are closed here.
    pub(crate) fn into_offered(self) -> Vec<(Role, OwnedFd)> {
        self.offered
    }

    /// Gives them once more to those who had them, after a runtime that has made them init's alone.
    pub(crate) fn give_again(&self, user: Owner) -> Result<(), Error> {
        for (role, pipe) in &self.offered {
            give(pipe, user, if *role == Role::Input { INPUT } else { OUTPUT })?;
        }
        let is_fifo = self.offered.iter().all(|(role, _)| *role != Role::Input);
        if let Some(fifo) = self.stdin.as_ref().filter(|_| is_fifo) {
            give(fifo, user, FIFO)?;
        }
        Ok(())
    }
}

/// Open for both: it has no end, whoever writes to it and goes, and opening it waits for nobody.
fn fifo(path: &Path, user: Owner) -> Result<File, Error> {
    mkfifo(path, Mode::from_bits_truncate(FIFO))
        .map_err(|e| Error::system(format!("mkfifo {}", path.display()), e))?;
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|e| Error::system(format!("open {}", path.display()), e))?;
    give(&file, user, FIFO)?;
    Ok(file)
}

fn give(file: impl AsFd, user: Owner, mode: u32) -> Result<(), Error> {
    let file = file.as_fd();
    fchown(file, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))
        .map_err(|e| Error::system("fchown", e))?;
    fchmod(file, Mode::from_bits_truncate(mode)).map_err(|e| Error::system("fchmod", e))
}
