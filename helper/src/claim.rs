// SPDX-License-Identifier: MIT OR Apache-2.0
//! The unit this process runs in, and its run-time directory.
//!
//! PID 1 made /run/ct/NAME/ (`RuntimeDirectory=`; of a run /run/ct-run/NAME-ID/) and removes it with the unit; what ct
//! puts there needs no cleaning.
//! The lock keeps a second `ct-helper start` out, were it run by hand; it goes with its holder, however that ends.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ct_config::container::Container;
use ct_config::run::RunName;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown};

use crate::account::Account;
use crate::exit::Error;
use crate::instance::Instance;
use crate::sys::retry;

/// /run/ct/NAME/ of a claimed container, or that of a run.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    /// Held until the helper exits.
    _lock: Flock<std::os::fd::OwnedFd>,
}

/// Whether PID 1 runs this process as the service of a run.
pub(crate) fn is_the_run(run: &RunName) -> Result<(), Error> {
    match std::env::var("RUNTIME_DIRECTORY") {
        Ok(directory) if run.directory() == Path::new(&directory) => Ok(()),
        _ => Err(Error::Usage("`ct-helper run` is what `ctctl run` has systemd run".to_owned())),
    }
}

/// Whether PID 1 runs this process as `ct@NAME.service`, told by the directory that it made for it.
pub(crate) fn is_the_unit(name: &str) -> Result<(), Error> {
    match std::env::var("RUNTIME_DIRECTORY") {
        Ok(directory) if directory == format!("/run/ct/{name}") => Ok(()),
        _ => Err(Error::Usage(format!(
            "`ct-helper start` is what ct@{name}.service runs; use `systemctl start ct@{name}`"
        ))),
    }
}

/// Undoes for an account, which needs its way to the runtime's state, what PID 1 does before each command of a unit:
/// it sets the mode of the directory anew (`RuntimeDirectoryMode=`).
pub(crate) fn reopen(container: &Container, instance: &Instance) -> Result<(), Error> {
    if container.account.is_none() {
        return Ok(());
    }
    open_for_traversal(&instance.directory())
}

fn open_for_traversal(path: &Path) -> Result<(), Error> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711))
        .map_err(|e| Error::system(format!("chmod {}", path.display()), e))
}

impl RunDirectory {
    /// Claims the directory that PID 1 made, and empties it of what a crashed start may have left.
    pub(crate) fn claim(instance: &Instance) -> Result<Self, Error> {
        let path = instance.directory();
        let failed =
            |what: &str, source: std::io::Error| Error::system(format!("{what} {}", path.display()), source);
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory =
            retry(|| nix::fcntl::open(&path, flags, Mode::empty())).map_err(|e| failed("open", e.into()))?;
        let lock =
            Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
                nix::errno::Errno::EWOULDBLOCK => {
                    Error::AlreadyStarting { name: instance.container().clone() }
                }
                errno => failed("lock", errno.into()),
            })?;
        let entries = loop {
            match std::fs::read_dir(&path) {
                // Unlike most of std this is not made again by itself.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(|e| failed("read", e))?,
            }
        };
        for entry in entries {
            let entry = entry.map_err(|e| failed("read", e))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_directory {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
            removed.map_err(|e| failed("remove what was left in", e))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// Makes the directory of a run for which PID 1 makes none, and claims it.
    pub(crate) fn make_own(instance: &Instance) -> Result<Self, Error> {
        let path = instance.directory();
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| Error::system(format!("mkdir {}", path.display()), e))?;
        Self::claim(instance)
    }

    /// Lets the account and the container's root walk through to the mount points below. Nothing in here can be
    /// listed by them, and what must stay secret has modes of its own.
    pub(crate) fn open_for_traversal(&self) -> Result<(), Error> {
        open_for_traversal(&self.path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory for root alone.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        std::fs::DirBuilder::new()
            .mode(mode)
            .create(&path)
            .map_err(|e| Error::system(format!("mkdir {}", path.display()), e))?;
        Ok(path)
    }

    /// Makes a directory that the account owns: the runtime's own state.
    pub(crate) fn make_owned(&self, name: &str, account: &Account) -> Result<PathBuf, Error> {
        let path = self.make(name, 0o700)?;
        if !account.is_root() {
            chown(&path, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))
                .map_err(|e| Error::system(format!("chown {}", path.display()), e))?;
        }
        Ok(path)
    }
}
