// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints by CRIU, as runc's command line has them and crun follows: see criu(8), runc-checkpoint(8), runc-restore(8).

use std::path::Path;
use std::process::Command;

use super::call::Call;
use super::places::Streams;
use super::said::read_untrusted;
use crate::exit::{Error, printable};

/// What it names its log of a checkpoint, in the image.
pub(crate) const CHECKPOINT_LOG: &str = "dump.log";

/// And that of a start from one, in the runtime's state.
const RESTORE_LOG: &str = "restore.log";

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

/// Why such a start failed: the runtime says no more than that CRIU did, and names a log that is gone with the unit.
pub(super) fn explained(error: Error, call: &Call<'_>) -> Error {
    match (error, cause(&call.places.state.join(RESTORE_LOG))) {
        (Error::RuntimeFailed { name, reason }, Some(cause)) => {
            Error::RuntimeFailed { name, reason: format!("{reason}: {cause}") }
        }
        (error, _) => error,
    }
}

/// What a log of CRIU's has as the cause of a failure: the first of its errors. The last says that all has failed.
pub(crate) fn cause(log: &Path) -> Option<String> {
    let text = read_untrusted(log).ok()?;
    let line = text.lines().find(|line| line.contains("Error ("))?;
    Some(printable(line.trim(), 300))
}
