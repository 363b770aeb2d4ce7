// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints by CRIU, as runc's command line has them and crun follows: see criu(8), runc-checkpoint(8), runc-restore(8).

use std::path::Path;
use std::process::Command;

use super::call::Call;
use super::family::Family;
use super::places::Streams;
use crate::cgroup::UnitCgroup;
use crate::exit::Error;

/// Says if there is no CRIU.
pub(super) fn is_there(call: &Call<'_>) -> Result<(), String> {
    if call.finds("criu") { Ok(()) } else { Err("criu(8) is not installed".to_owned()) }
}

/// Of a socket whose other end is not in the container, as of the journal's stream, CRIU has only the one end.
pub(super) fn checkpoint(family: &dyn Family, call: &Call<'_>, image: &Path, leave_running: bool) -> Command {
    let mut command = family.program(call);
    command.arg("--log").arg(call.checkpoint_log()).args(["--log-format", "json", "checkpoint"]);
    command.args(["--ext-unix-sk", "--file-locks"]);
    command.arg("--image-path").arg(image).arg("--work-path").arg(image);
    if leave_running {
        command.arg("--leave-running");
    }
    command.arg(&call.places.id);
    command
}

/// Starts it again from an image.
pub(super) fn restore(
    family: &dyn Family,
    (call, cgroup): (&Call<'_>, &UnitCgroup),
    streams: Streams,
    image: &Path,
) -> Result<i32, Error> {
    let mut command = family.program(call);
    command.arg("--log").arg(call.log()).args(["--log-format", "json", "restore", "--detach"]);
    command.args(["--ext-unix-sk", "--file-locks"]);
    command.arg("--image-path").arg(image).arg("--work-path").arg(&call.places.state);
    command.arg("--bundle").arg(&call.places.bundle).arg("--pid-file").arg(call.pid_file());
    if let Some(socket) = &streams.console_socket {
        command.arg("--console-socket").arg(socket);
    }
    command.arg(&call.places.id);
    call.leaves_behind(command, cgroup, streams)
}
