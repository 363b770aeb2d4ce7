// SPDX-License-Identifier: MIT OR Apache-2.0
//! gVisor's runsc: a kernel of its own, in a process that is the unit's main one.
//!
//! What stays of it are the sandbox, in which everything of the container runs, and the gofer, which opens files for it.
//! The sandbox ends with the status of the container's init (one that a signal killed: 128 and its number), passes signals
//! 1 to 31 on to it, and the gofer ends with the sandbox. So the handover is that of an init.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::call::Call;
use super::family::{Family, Limits};
use super::places::Streams;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::confined;
use crate::exit::Error;
use crate::sys;

/// The name of the gofer's process, see proc_pid_comm(5).
const GOFER: &str = "runsc-gofer";

/// runsc.
#[derive(Debug)]
pub(super) struct Runsc;

impl Family for Runsc {
    /// What PID 1 sets is the sandbox's own, which needs more than any of its processes.
    fn limits_to_repeat(&self) -> Limits {
        Limits::All
    }

    /// It asks for groups below controllers that a unit need not have; without, all that it starts stays where it began.
    fn starts_in_payload(&self) -> bool {
        true
    }

    /// The system calls that config.json refuses, it refuses only when told to.
    fn program(&self, call: &Call<'_>) -> Command {
        let mut command = call.bare_program();
        command.args(["--ignore-cgroups", "--oci-seccomp"]);
        command.args(&call.configured.arguments);
        command.arg("--root").arg(call.places.state.join("containers"));
        command
    }

    /// With a network stack of its own it would take the addresses away from the interfaces of the namespace, also from the
    /// other members of a pod. So it is the kernel's stack, or none.
    fn start(&self, call: &Call<'_>, cgroup: &UnitCgroup, streams: Streams) -> Result<i32, Error> {
        let mut command = self.program(call);
        command.arg(network(call)?).arg("--log").arg(call.log()).args(["--log-format", "json"]);
        command.args(["run", "--detach"]);
        call.name_container(&mut command, &streams);
        sys::enter_cgroup_before_exec(&mut command, cgroup.payload_procs()?);
        call.leaves_behind(command, cgroup, streams)
    }

    fn keeps_outer_sockets(&self) -> bool {
        true
    }

    /// Its own: it has all of the container's kernel in the sandbox, and ends that in any case.
    fn checkpoint(&self, call: &Call<'_>, image: &Path, leave_running: bool) -> Result<Command, String> {
        if leave_running {
            return Err("its sandbox, the unit's main process, ends with a checkpoint".to_owned());
        }
        let mut command = self.program(call);
        command.arg("--log").arg(call.checkpoint_log()).args(["--log-format", "json", "checkpoint"]);
        command.arg("--image-path").arg(image).arg(&call.places.id);
        Ok(command)
    }

    fn restore(
        &self,
        call: &Call<'_>,
        cgroup: &UnitCgroup,
        streams: Streams,
        image: &Path,
    ) -> Result<i32, Error> {
        let mut command = self.program(call);
        command.arg(network(call)?).arg("--log").arg(call.log()).args(["--log-format", "json"]);
        command.args(["restore", "--detach", "--image-path"]).arg(image);
        call.name_container(&mut command, &streams);
        sys::enter_cgroup_before_exec(&mut command, cgroup.payload_procs()?);
        call.leaves_behind(command, cgroup, streams)
    }

    /// It knows no groups: the process that waits for the command is in one, and the command is in the sandbox, where it has
    /// a number of its own.
    fn name_group(&self, command: &mut Command, call: &Call<'_>, group: &JobGroup) {
        command.arg("--internal-pid-file").arg(number_of(call, group));
    }

    /// The process that waits keeps signals for itself, and its end is not that of the command.
    fn signal_inside(&self, call: &Call<'_>, group: &JobGroup, signal: i32) -> Option<Command> {
        let number: u32 = fs::read_to_string(number_of(call, group)).ok()?.trim().parse().ok()?;
        let mut command = self.program(call);
        command.arg("kill").arg(format!("--pid={number}")).arg(&call.places.id).arg(signal.to_string());
        Some(command)
    }

    /// None: the host sees no process of the container.
    fn init_of(&self, _main: i32, _cgroup: &UnitCgroup) -> Option<i32> {
        None
    }

    /// The gofer's root is the container's root file system.
    fn files_of(&self, _main: i32, cgroup: &UnitCgroup) -> Option<i32> {
        let is_gofer = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|argv| argv.starts_with(GOFER.as_bytes()))
        };
        cgroup.processes().into_iter().find(is_gofer)
    }
}

/// The file with the number that a command has in the sandbox.
fn number_of(call: &Call<'_>, group: &JobGroup) -> PathBuf {
    call.places.state.join(group.path().file_name().unwrap_or_default())
}

/// None for a container with a new network namespace, which has nothing in it.
fn network(call: &Call<'_>) -> Result<&'static str, Error> {
    let path = call.places.bundle.join("config.json");
    let failed = |e: std::io::Error| Error::system(format!("read {}", path.display()), e);
    let bytes =
        confined::host_path(&path).and_then(|opened| confined::read_regular(&opened)).map_err(failed)?;
    let spec: Spec = serde_json::from_slice(&bytes).map_err(|e| failed(e.into()))?;
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone()).unwrap_or_default();
    let is_new = |namespace: &oci_spec::runtime::LinuxNamespace| namespace.path().is_none();
    let is_empty = namespaces
        .iter()
        .any(|namespace| namespace.typ() == LinuxNamespaceType::Network && is_new(namespace));
    Ok(if is_empty { "--network=none" } else { "--network=host" })
}
