// SPDX-License-Identifier: MIT OR Apache-2.0
//! A root file system that keeps what is written to it has one user at a time: the container, or one run of it.
//!
//! A container has it as long as /run/ct/NAME/ is there, which PID 1 makes before the helper runs and removes with the
//! unit. A detached run says so by a file in its own such directory, and one in the foreground, which has none, by a
//! file that it keeps locked: what a killed one leaves is nobody's, and the next one's to remove. Those who come look
//! and say so under one lock, a file of root's: the directory itself anybody may open, and lock. A container has said it before it looks, so that of it and a run that come together one
//! gets it at most.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ct_config::container::Container;
use ct_config::run::{self, RunName};
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::exit::Error;
use crate::instance::{Instance, container_directory};
use crate::sys::retry;

/// In the run-time directory of a detached run that has the root file system to itself.
const MARK: &str = "sole";

/// In the directory of all runs, as long as somebody looks; no run can have this name.
const LOCK: &str = ".lock";

/// The root file system is this process's container's.
#[derive(Debug)]
pub(crate) struct SoleRoot {
    /// What a run in the foreground has to remove in the end.
    mark: Option<Mark>,
}

/// `/run/ct-run/NAME-ID`, a file, locked.
#[derive(Debug)]
struct Mark {
    /// The directory it is in, for its path may mean another one by then.
    directory: OwnedFd,
    name: String,
    _lock: Flock<File>,
}

impl SoleRoot {
    /// Claims the container's root file system for one life of it, if that must have it alone.
    pub(crate) fn claim(container: &Container, instance: &Instance) -> Result<Self, Error> {
        if !run::is_sole(container) {
            return Ok(Self { mark: None });
        }
        let directory = match (open_directory(), instance) {
            // Nothing was ever run.
            (Err(error), Instance::Container(_)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { mark: None });
            }
            (opened, _) => opened.map_err(|e| Error::system(format!("open {}", run::DIRECTORY), e))?,
        };
        let _looking = Looking::begin(&directory)
            .map_err(|e| Error::system(format!("lock {}/{LOCK}", run::DIRECTORY), e))?;
        refuse_other_users(instance)?;
        let mark = mark(instance, &directory)
            .map_err(|e| Error::system(format!("write to {}", run::DIRECTORY), e))?;
        Ok(Self { mark })
    }
}

impl Drop for SoleRoot {
    fn drop(&mut self) {
        let Some(mark) = &self.mark else { return };
        // One that is gone already is what we want.
        let _ = unlinkat(&mark.directory, mark.name.as_str(), UnlinkatFlags::NoRemoveDir);
    }
}

/// Nobody else looks meanwhile.
struct Looking<'a> {
    directory: &'a OwnedFd,
    _lock: Flock<OwnedFd>,
}

impl<'a> Looking<'a> {
    fn begin(directory: &'a OwnedFd) -> io::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        loop {
            let file = retry(|| openat(directory, LOCK, flags, Mode::S_IRUSR | Mode::S_IWUSR))?;
            let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
            // The one who had it before has removed it, and somebody may have made the next.
            if fstat(&*lock)?.st_nlink > 0 {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        // While it is ours. One that stays is the next one's.
        let _ = unlinkat(self.directory, LOCK, UnlinkatFlags::NoRemoveDir);
    }
}

/// Makes the directory of all runs, unless it is there.
pub(crate) fn make_directory() -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o755).create(run::DIRECTORY) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::system(format!("mkdir {}", run::DIRECTORY), error))
        }
        _ => Ok(()),
    }
}

fn open_directory() -> io::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(retry(|| nix::fcntl::open(run::DIRECTORY, flags, Mode::empty()))?)
}

fn refuse_other_users(instance: &Instance) -> Result<(), Error> {
    let name = instance.container();
    let in_use = |user: String, hint| {
        Err(Error::RootInUse { what: format!("the root file system of {name}"), user, hint })
    };
    let is_run = instance.run().is_some();
    if is_run && container_directory(name).exists() {
        return in_use(name.unit().to_string(), "run the command in it with `ctctl exec`");
    }
    let failed = |e| Error::system(format!("read {}", run::DIRECTORY), e);
    for entry in fs::read_dir(run::DIRECTORY).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let other = entry.file_name().to_str().and_then(|text| RunName::of(name, text));
        let Some(other) = other.filter(|other| Some(other) != instance.run()) else { continue };
        if let Some(unit) = user_behind(&other, &entry.path()) {
            let hint = if is_run { "wait for its end" } else { "stop that" };
            return in_use(unit, hint);
        }
    }
    Ok(())
}

/// The unit of a run that has the root file system to itself, if this is one's mark.
fn user_behind(run: &RunName, path: &Path) -> Option<String> {
    if path.is_dir() {
        return path.join(MARK).exists().then(|| run.service());
    }
    let file = File::open(path).ok()?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err(_held) => Some(run.scope()),
        Ok(_nobodys) => {
            let _ = fs::remove_file(path);
            None
        }
    }
}

/// Says that this life has it. `directory` is that of all runs.
fn mark(instance: &Instance, directory: &OwnedFd) -> io::Result<Option<Mark>> {
    match instance {
        Instance::Container(_) => Ok(None),
        Instance::Service(run) => File::create(run.directory().join(MARK)).map(|_| None),
        Instance::Scope(run) => {
            let directory = directory.try_clone()?;
            let name = run.to_string();
            let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
            Ok(Some(Mark { directory, name, _lock: lock }))
        }
    }
}
