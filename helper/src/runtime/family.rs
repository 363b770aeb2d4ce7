// SPDX-License-Identifier: MIT OR Apache-2.0
//! What differs between runtimes, each thing in one place. What a method here does by itself is the command line that
//! runc began and all OCI runtimes share; a family states only where it departs from that.

use std::fmt::Debug;
use std::process::Command;

use ct_config::container::RuntimeFamily;
use oci_spec::runtime::Spec;

use super::call::Call;
use super::crun::Crun;
use super::places::{Places, Streams};
use super::runc::Runc;
use crate::account::Account;
use crate::bundle;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::exec::files::ExecFiles;
use crate::exit::Error;

/// The family of a config.
pub(super) fn of(family: RuntimeFamily) -> &'static dyn Family {
    match family {
        RuntimeFamily::Crun => &Crun,
        RuntimeFamily::Runc => &Runc,
    }
}

/// The runtimes that are driven alike.
pub(crate) trait Family: Debug + Sync {
    /// Rootless: whether an account must be its container's own root.
    fn insists_on_being_root(&self) -> bool {
        false
    }

    /// Whether the runtime raises its own soft limit of open files and passes that on. What PID 1 has set must then be
    /// said once more in config.json.
    fn raises_open_files(&self) -> bool {
        false
    }

    /// Whether the runtime refuses every device that config.json does not allow by a rule, beside what PID 1 refuses.
    fn refuses_devices(&self) -> bool {
        false
    }

    /// Leaves what the runtime is to make, where only the account can read it.
    fn write_config(&self, spec: &Spec, places: &Places, account: &Account) -> Result<(), Error> {
        bundle::write(spec, &places.bundle, account)
    }

    /// The program with the options that each of its commands has: where its state is, and who makes control groups.
    fn program(&self, call: &Call<'_>) -> Command {
        let mut command = call.program();
        command.arg("--root").arg(call.places.state.join("containers"));
        command
    }

    /// Creates and starts the container, as the account. Returns the process that is to be the unit's main one: a child
    /// of this process, not yet waited for, and in the container's group.
    fn start(&self, call: &Call<'_>, cgroup: &UnitCgroup, streams: Streams) -> Result<i32, Error> {
        let mut command = self.program(call);
        command.arg("--log").arg(call.log()).args(["--log-format", "json", "run", "--detach"]);
        command.arg("--bundle").arg(&call.places.bundle).arg("--pid-file").arg(call.pid_file());
        if let Some(socket) = &streams.console_socket {
            command.arg("--console-socket").arg(socket);
        }
        command.arg(&call.places.id);
        call.leaves_behind(command, cgroup, streams.stdin)
    }

    /// The command that runs `argv` inside the container, as its own user, in a group below its cgroup, and ends as that
    /// does.
    fn exec(&self, call: &Call<'_>, group: &JobGroup, argv: &[String]) -> Command {
        // Without a log file: what it has to say goes to where the command's own output goes.
        let mut command = self.program(call);
        command.arg("exec").arg("--cgroup").arg(group.below_payload()).arg(&call.places.id).args(argv);
        command
    }

    /// The command that runs the process of `files` inside the container and ends when that runs. It keeps what it has
    /// to say to its log, for its standard error is the process's.
    fn exec_detached(&self, call: &Call<'_>, group: &JobGroup, files: &ExecFiles) -> Command {
        let mut command = self.program(call);
        command.arg("--log").arg(files.log()).args(["--log-format", "json", "exec", "--detach"]);
        command.arg("--process").arg(files.process()).arg("--pid-file").arg(files.pid());
        if let Some(socket) = files.console_socket() {
            command.arg("--console-socket").arg(socket);
        }
        command.arg("--cgroup").arg(group.below_payload()).arg(&call.places.id);
        command
    }

    /// The command that has the runtime forget a container that has ended, which is when it runs a bundle's poststop
    /// hooks.
    fn delete(&self, call: &Call<'_>) -> Command {
        let mut command = self.program(call);
        command.args(["delete", "--force"]).arg(&call.places.id);
        command
    }
}
