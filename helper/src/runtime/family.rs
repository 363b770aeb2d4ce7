// SPDX-License-Identifier: MIT OR Apache-2.0
//! What differs between runtimes, each thing in one place. What a method here does by itself is the command line that
//! runc began and all OCI runtimes share; a family states only where it departs from that.

use std::fmt::Debug;
use std::path::Path;
use std::process::Command;

use ct_config::container::RuntimeFamily;
use oci_spec::runtime::Spec;

use super::call::Call;
use super::criu;
use super::crun::Crun;
use super::lxc::Lxc;
use super::places::{Places, Streams};
use super::runc::Runc;
use super::runsc::Runsc;
use super::said::last_error;
use super::youki::Youki;
use crate::account::Account;
use crate::bundle;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::exec::files::ExecFiles;
use crate::exit::Error;

/// The family of a config.
pub(crate) fn of(family: RuntimeFamily) -> &'static dyn Family {
    match family {
        RuntimeFamily::Crun => &Crun,
        RuntimeFamily::Runc => &Runc,
        RuntimeFamily::Youki => &Youki,
        RuntimeFamily::Runsc => &Runsc,
        RuntimeFamily::Lxc => &Lxc,
    }
}

/// Limits of prlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    /// What the helper has, the container inherits.
    None,
    /// The runtime raises its own soft limit of open files, and passes that on.
    OpenFiles,
    /// Those of the config are not those of any process on the host: PID 1 does not set them.
    All,
}

/// The runtimes that are driven alike.
pub(crate) trait Family: Debug + Sync {
    /// Rootless: whether an account must be its container's own root.
    fn insists_on_being_root(&self) -> bool {
        false
    }

    /// Which limits, though PID 1 has set them, the container only has when config.json says them once more.
    fn limits_to_repeat(&self) -> Limits {
        Limits::None
    }

    /// Whether the runtime refuses every device that config.json does not allow by a rule, beside what PID 1 refuses.
    fn refuses_devices(&self) -> bool {
        false
    }

    /// Whether the runtime does nothing about control groups: what it starts stays in the group in which it began.
    fn starts_in_payload(&self) -> bool {
        false
    }

    /// Whether the runtime, as the account, makes the container's control group below `payload/` and gives it to the
    /// container's root itself.
    fn makes_own_groups(&self) -> bool {
        false
    }

    /// Whether devices are bound from the host's own nodes, as in a user namespace, and not made.
    fn binds_devices(&self) -> bool {
        false
    }

    /// Whether by the time that the container runs its standard files are its init's alone (0700), so that others inside
    /// could not open them.
    fn takes_standard_files(&self) -> bool {
        false
    }

    /// The container's init on the host, where the unit's main process is another one.
    fn init_of(&self, main: i32, _cgroup: &UnitCgroup) -> Option<i32> {
        Some(main)
    }

    /// A process whose root directory is the container's.
    fn files_of(&self, main: i32, cgroup: &UnitCgroup) -> Option<i32> {
        self.init_of(main, cgroup)
    }

    /// What a log of the runtime's says that went wrong.
    fn complaint(&self, log: &str) -> Option<String> {
        last_error(log)
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
        command.arg("--log").arg(call.log()).args(["--log-format", "json"]);
        command.args(["run", "--detach"]);
        call.name_container(&mut command, &streams);
        call.leaves_behind(command, cgroup, streams)
    }

    /// Adds in which group below the container's a command is to run.
    fn name_group(&self, command: &mut Command, _call: &Call<'_>, group: &JobGroup) {
        command.arg("--cgroup").arg(group.below_payload());
    }

    /// Why the runtime makes no checkpoints by CRIU, if it makes none.
    fn has_criu(&self, _call: &Call<'_>) -> Result<(), String> {
        Err("ct knows of no checkpoints of it".to_owned())
    }

    /// Whether a checkpoint has both ends of a socket that leads out of the container, as the journal's stream does. CRIU
    /// has the one inside.
    fn keeps_outer_sockets(&self) -> bool {
        false
    }

    /// The command that writes what runs in the container to `image`, and ends it unless it is to go on; or why there is
    /// none.
    fn checkpoint(&self, call: &Call<'_>, image: &Path, leave_running: bool) -> Result<Command, String> {
        self.has_criu(call)?;
        Ok(criu::checkpoint(self.program(call), call, image, leave_running))
    }

    /// As [`Family::start`], from what [`Family::checkpoint`] has written.
    fn restore(
        &self,
        call: &Call<'_>,
        cgroup: &UnitCgroup,
        streams: Streams,
        image: &Path,
    ) -> Result<i32, Error> {
        self.has_criu(call).map_err(|reason| call.cannot(&reason))?;
        let command = criu::restore(self.program(call), call, &streams, image);
        call.leaves_behind(command, cgroup, streams).map_err(|error| criu::explained(error, call))
    }

    /// The command that runs `argv` inside the container, as its own user, in a group below its cgroup, and ends as that
    /// does.
    fn exec(&self, call: &Call<'_>, group: &JobGroup, argv: &[String]) -> Command {
        // Without a log file: what it has to say goes to where the command's own output goes.
        let mut command = self.program(call);
        command.arg("exec");
        self.name_group(&mut command, call, group);
        command.arg(&call.places.id).args(argv);
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
        self.name_group(&mut command, call, group);
        command.arg(&call.places.id);
        command
    }

    /// The command that sends a signal to what was run in `group`, for a runtime whose own process is all that the host has
    /// of it.
    fn signal_inside(&self, _call: &Call<'_>, _group: &JobGroup, _signal: i32) -> Option<Command> {
        None
    }

    /// The command that has the runtime forget a container that has ended, which is when it runs a bundle's poststop
    /// hooks.
    fn delete(&self, call: &Call<'_>) -> Command {
        let mut command = self.program(call);
        command.args(["delete", "--force"]).arg(&call.places.id);
        command
    }
}
