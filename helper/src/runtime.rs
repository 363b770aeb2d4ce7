// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime: one run of it creates and starts the container, and leaves init behind as a child of ours.
//!
//! `run --detach` is create and start in one process; between the two there is nothing for ct to do, and loading the
//! runtime twice would cost more than all the rest of a start. The caller is a subreaper, so that init becomes its
//! child when the runtime exits: the pid cannot be reused and the exit status cannot be lost while the caller lives.
//!
//! What is the same for all of them is here; what differs is stated by their [`family`], a file each.

pub(crate) mod adoption;
pub(crate) mod call;
pub(crate) mod criu;
mod crun;
pub(crate) mod family;
pub(crate) mod lxc;
pub(crate) mod places;
mod runc;
mod runsc;
pub(crate) mod said;
mod youki;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ct_config::container;
use oci_spec::runtime::Spec;

use crate::account::Account;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::exec::files::ExecFiles;
use crate::exit::Error;
use crate::job::{Job, Output};
use crate::runtime::call::{Call, SEARCH_PATH};
use crate::runtime::family::Family;
use crate::runtime::places::{Places, Streams};

/// How long a runtime may take to run a bundle's last hooks.
const DELETE_TIMEOUT: Duration = Duration::from_secs(30);

/// A runtime that is there and can be executed.
#[derive(Debug)]
pub(crate) struct Runtime<'a> {
    configured: &'a container::Runtime,
    path: PathBuf,
    /// How it is driven.
    pub(crate) family: &'static dyn Family,
}

impl<'a> Runtime<'a> {
    /// Finds the program.
    pub(crate) fn locate(configured: &'a container::Runtime) -> Result<Self, Error> {
        let missing =
            |reason: &str| Error::RuntimeMissing { name: configured.name.clone(), reason: reason.to_owned() };
        let path = if configured.program.is_absolute() {
            Some(configured.program.clone()).filter(|path| path.exists())
        } else {
            SEARCH_PATH
                .split(':')
                .map(|directory| Path::new(directory).join(&configured.program))
                .find(|path| path.exists())
        };
        let path = path.ok_or_else(|| {
            missing(&if configured.program.is_absolute() {
                format!("no file {}", configured.program.display())
            } else {
                format!("no {} in {SEARCH_PATH}", configured.program.display())
            })
        })?;
        let executable =
            std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
        if !executable {
            return Err(missing(&format!("{} is not an executable file", path.display())));
        }
        Ok(Self { configured, path, family: family::of(configured.family) })
    }

    /// The name in the config.
    pub(crate) fn name(&self) -> &str {
        &self.configured.name
    }

    /// Leaves what it is to make.
    pub(crate) fn write_config(&self, spec: &Spec, places: &Places, account: &Account) -> Result<(), Error> {
        self.family.write_config(spec, places, account)
    }

    /// Creates and starts the container, as the account, and returns the process that is to be the unit's main one: a
    /// child of this process, not yet waited for.
    pub(crate) fn run(
        &self,
        places: &Places,
        account: &Account,
        cgroup: &UnitCgroup,
        streams: Streams,
    ) -> Result<i32, Error> {
        self.family.start(&self.call(places, account), cgroup, streams)
    }

    /// Whether the container's standard files must be given again to those who had them.
    pub(crate) fn takes_standard_files(&self) -> bool {
        self.family.takes_standard_files()
    }

    /// The command that writes what runs in the container to a directory, and ends it unless it is to go on.
    pub(crate) fn checkpoint(
        &self,
        places: &Places,
        account: &Account,
        (image, leave_running): (&Path, bool),
    ) -> Result<Command, Error> {
        let call = self.call(places, account);
        self.family.checkpoint(&call, image, leave_running).map_err(|reason| call.cannot(&reason))
    }

    /// As [`Self::run`], from such a directory.
    pub(crate) fn restore(
        &self,
        (places, account): (&Places, &Account),
        cgroup: &UnitCgroup,
        streams: Streams,
        image: &Path,
    ) -> Result<i32, Error> {
        self.family.restore(&self.call(places, account), cgroup, streams, image)
    }

    /// The command that runs `argv` inside the container, as its own user, in a group below its cgroup.
    pub(crate) fn exec(
        &self,
        places: &Places,
        account: &Account,
        group: &JobGroup,
        argv: &[String],
    ) -> Command {
        self.family.exec(&self.call(places, account), group, argv)
    }

    /// The command that runs the process of `files` inside the container and ends when that runs.
    pub(crate) fn exec_detached(
        &self,
        places: &Places,
        account: &Account,
        group: &JobGroup,
        files: &ExecFiles,
    ) -> Command {
        self.family.exec_detached(&self.call(places, account), group, files)
    }

    /// Sends a signal to what was run in `group`, where that takes more than a signal to a process of the host. Says whether
    /// it does.
    pub(crate) fn signal_inside(
        &self,
        places: &Places,
        account: &Account,
        group: &JobGroup,
        signal: i32,
    ) -> bool {
        let command = self.family.signal_inside(&self.call(places, account), group, signal);
        // It may have ended. The runtime would say so where the command's own output goes.
        let sent = command.map(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
        });
        sent.is_some()
    }

    /// Has the runtime forget a container that has ended.
    pub(crate) fn delete(&self, places: &Places, account: &Account) -> Result<(), Error> {
        let command = self.family.delete(&self.call(places, account));
        let group = JobGroup::beside_this_process()?;
        let deadline = Instant::now().checked_add(DELETE_TIMEOUT);
        let job = Job { command, group: &group, account, deadline, output: Output::Keep, input: None };
        let finished = job.run(&[])?;
        if finished.end.is_success() {
            return Ok(());
        }
        Err(Error::RuntimeFailed { name: self.configured.name.clone(), reason: finished.to_string() })
    }

    fn call<'c>(&'c self, places: &'c Places, account: &'c Account) -> Call<'c> {
        Call { configured: self.configured, path: &self.path, places, account }
    }
}
