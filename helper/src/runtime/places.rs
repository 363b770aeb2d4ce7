// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a runtime gets to see of the host: where it finds and leaves its things, and the container's standard files.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::account::Account;
use crate::claim::RunDirectory;
use crate::exit::Error;
use crate::instance::Instance;

/// Where the runtime finds and leaves its things.
#[derive(Debug)]
pub(crate) struct Places {
    /// The directory of config.json.
    pub(crate) bundle: PathBuf,
    /// A directory that belongs to the account: the runtime's state, its log, the pid file.
    pub(crate) state: PathBuf,
    /// The name by which it knows the container.
    pub(crate) id: String,
}

/// The standard files of a container's init.
#[derive(Debug)]
pub(crate) struct Streams {
    /// What it reads.
    pub(crate) stdin: Stdio,
    /// What it prints on; the helper's own output if not said.
    pub(crate) output: Option<OwnedFd>,
    /// Where the runtime sends a new terminal to, that is all three then.
    pub(crate) console_socket: Option<PathBuf>,
}

impl Streams {
    /// Those of a service.
    pub(crate) fn of_service() -> Self {
        Self { stdin: Stdio::null(), output: None, console_socket: None }
    }

    /// Lets a command have them, for the init that it starts.
    pub(super) fn give_to(self, command: &mut Command) -> Result<(), Error> {
        if let Some(output) = self.output {
            let copy = output.try_clone().map_err(|e| Error::system("dup", e))?;
            command.stdout(output).stderr(copy);
        }
        command.stdin(self.stdin);
        Ok(())
    }
}

impl Places {
    /// Those of a container that was started as `account`.
    ///
    /// The config may name another one by now. What the runtime finds here was perhaps written by the account: run by
    /// anybody else, root above all, it would enter, kill and execute what that account chose.
    pub(crate) fn of(instance: &Instance, account: &Account) -> Result<Self, Error> {
        let (bundle, state) = (Self::bundle_of(instance), instance.directory().join("runtime"));
        let places = Self { bundle, state, id: instance.runtime_id() };
        let owner = std::fs::symlink_metadata(&places.state)
            .map_err(|e| Error::system(format!("stat {}", places.state.display()), e))?
            .uid();
        if owner == account.uid {
            return Ok(places);
        }
        Err(Error::ConfigText(format!(
            "user: {} was started as uid {owner} and not as {}; until it is started again its runtime is not run",
            places.id, account.name
        )))
    }

    /// The bundle that the runtime gets, for those who only look for it.
    pub(crate) fn bundle_of(instance: &Instance) -> PathBuf {
        instance.directory().join("bundle")
    }

    /// Makes both in the run-time directory.
    pub(crate) fn make(run: &RunDirectory, instance: &Instance, account: &Account) -> Result<Self, Error> {
        let (bundle, state) = (run.make("bundle", 0o500)?, run.make_owned("runtime", account)?);
        Ok(Self { bundle, state, id: instance.runtime_id() })
    }
}
