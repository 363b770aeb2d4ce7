// SPDX-License-Identifier: MIT OR Apache-2.0
//! crun(1).

use std::process::Command;

use super::call::Call;
use super::criu;
use super::family::Family;

/// crun attaches a program of its own for devices only where config.json has rules, and wants CAP_SYS_RESOURCE for it:
/// it is told none.
#[derive(Debug)]
pub(super) struct Crun;

impl Family for Crun {
    /// Its default cgroup manager depends on how it was built; PID 1 has made our cgroup already.
    fn program(&self, call: &Call<'_>) -> Command {
        let mut command = call.program();
        command.arg("--root").arg(call.places.state.join("containers")).arg("--cgroup-manager=cgroupfs");
        command
    }

    fn has_criu(&self, call: &Call<'_>) -> Result<(), String> {
        criu::is_there(call)?;
        let version = call.program().arg("--version").output().map_err(|e| e.to_string())?;
        if String::from_utf8_lossy(&version.stdout).contains("+CRIU") {
            return Ok(());
        }
        Err("it was built without CRIU (see `crun --version`)".to_owned())
    }
}
