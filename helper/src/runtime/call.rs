// SPDX-License-Identifier: MIT OR Apache-2.0
//! One call of a runtime's program: for which container, and as whom.

use std::path::{Path, PathBuf};
use std::process::Command;

use ct_config::container;
use nix::unistd::{Gid, Uid};

use super::adoption::adopt;
use super::places::{Places, Streams};
use super::said::{last_error, read_untrusted};
use crate::account::Account;
use crate::cgroup::UnitCgroup;
use crate::exit::Error;
use crate::sys;

/// Where a runtime given by its bare name is looked for, and what it finds newuidmap(1) with.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who calls which program, for which container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// What the config says of the runtime.
    pub(super) configured: &'a container::Runtime,
    /// The program, as it was found.
    pub(super) path: &'a Path,
    pub(super) places: &'a Places,
    pub(super) account: &'a Account,
}

impl Call<'_> {
    /// The program with the config's own arguments. Its environment is all of it: what PID 1 tells us (NOTIFY_SOCKET,
    /// LISTEN_FDS, INVOCATION_ID) is for us alone. crun and runc would wait for the container's own READY=1 if they saw
    /// the first.
    pub(super) fn program(&self) -> Command {
        let mut command = self.bare_program();
        command.args(&self.configured.arguments);
        command
    }

    /// The program without arguments.
    pub(super) fn bare_program(&self) -> Command {
        let mut command = Command::new(self.path);
        command
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", &self.account.home)
            .env("USER", &self.account.name)
            .env("LOGNAME", &self.account.name)
            .env("XDG_RUNTIME_DIR", &self.places.state)
            .current_dir("/");
        command
    }

    /// Where it leaves the number of the process that stays.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.places.state.join("pid")
    }

    /// Adds of which container it is, where its config is, and where to leave its number and its terminal: the end of each
    /// command that starts one.
    pub(super) fn name_container(&self, command: &mut Command, streams: &Streams) {
        command.arg("--bundle").arg(&self.places.bundle).arg("--pid-file").arg(self.pid_file());
        if let Some(socket) = &streams.console_socket {
            command.arg("--console-socket").arg(socket);
        }
        command.arg(&self.places.id);
    }

    /// Where it says what went wrong.
    pub(super) fn log(&self) -> PathBuf {
        self.places.state.join("log")
    }

    /// Runs a command that starts the container and ends; the process that it leaves behind.
    pub(super) fn leaves_behind(
        &self,
        mut command: Command,
        cgroup: &UnitCgroup,
        streams: Streams,
    ) -> Result<i32, Error> {
        let account = self.account;
        if !account.is_root() {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            sys::switch_user_before_exec(&mut command, uid, gid, cgroup.groups_of_account());
            cgroup.lend_to(account.uid)?;
        }
        streams.give_to(&mut command)?;
        let status = command
            .status()
            .map_err(|e| Error::system(format!("execute {} as {}", self.path.display(), account.name), e))?;
        if !account.is_root() {
            cgroup.take_back()?;
        }
        if !status.success() {
            return Err(self.failed(&status.to_string()));
        }
        adopt(&self.pid_file(), cgroup).map_err(|reason| self.failed(&reason))
    }

    /// What the runtime does not do.
    pub(super) fn cannot(&self, reason: &str) -> Error {
        Error::RuntimeFailed {
            name: self.configured.name.clone(),
            reason: format!("it cannot do that: {reason}"),
        }
    }

    /// Whether a program is where the runtime looks for it.
    pub(super) fn finds(&self, program: &str) -> bool {
        SEARCH_PATH.split(':').any(|directory| Path::new(directory).join(program).exists())
    }

    /// Where it says what went wrong with a checkpoint.
    pub(super) fn checkpoint_log(&self) -> PathBuf {
        self.places.state.join("checkpoint.log")
    }

    /// The runtime's own words for what went wrong, or how it ended when it said nothing.
    pub(super) fn failed(&self, otherwise: &str) -> Error {
        let said = read_untrusted(&self.log()).ok().and_then(|text| last_error(&text));
        self.failed_because(said.unwrap_or_else(|| otherwise.to_owned()))
    }

    pub(super) fn failed_because(&self, reason: String) -> Error {
        Error::RuntimeFailed { name: self.configured.name.clone(), reason }
    }
}
