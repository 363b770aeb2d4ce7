// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints by CRIU, as runc's command line has them and crun follows: see criu(8), runc-checkpoint(8), runc-restore(8).

use std::path::Path;
use std::process::Command;

use super::call::Call;
use super::places::Streams;

/// Says if there is no CRIU.
pub(super) fn is_there(call: &Call<'_>) -> Result<(), String> {
    if call.finds("criu") { Ok(()) } else { Err("criu(8) is not installed".to_owned()) }
}

/// The command that makes one.
pub(super) fn checkpoint(
    mut command: Command,
    call: &Call<'_>,
    image: &Path,
    leave_running: bool,
) -> Command {
    command.arg("--log").arg(call.checkpoint_log()).args(["--log-format", "json", "checkpoint"]);
    command.args(["--ext-unix-sk", "--file-locks"]);
    command.arg("--image-path").arg(image).arg("--work-path").arg(image);
    if leave_running {
        command.arg("--leave-running");
    }
    command.arg(&call.places.id);
    command
}

/// The command that starts the container again from an image.
pub(super) fn restore(mut command: Command, call: &Call<'_>, streams: &Streams, image: &Path) -> Command {
    command.arg("--log").arg(call.log()).args(["--log-format", "json", "restore", "--detach"]);
    command.args(["--ext-unix-sk", "--file-locks"]);
    command.arg("--image-path").arg(image).arg("--work-path").arg(&call.places.state);
    call.name_container(&mut command, streams);
    command
}
