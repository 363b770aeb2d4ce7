// SPDX-License-Identifier: MIT OR Apache-2.0
//! crun(1).

use std::path::Path;
use std::process::Command;

use super::call::Call;
use super::criu;
use super::family::Family;
use super::places::Streams;
use crate::cgroup::UnitCgroup;
use crate::exit::Error;

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

    fn checkpoint(&self, call: &Call<'_>, image: &Path, leave_running: bool) -> Result<Command, String> {
        criu::is_there(call)?;
        let version = call.program().arg("--version").output().map_err(|e| e.to_string())?;
        if !String::from_utf8_lossy(&version.stdout).contains("+CRIU") {
            return Err("it was built without CRIU (see `crun --version`)".to_owned());
        }
        Ok(criu::checkpoint(self, call, image, leave_running))
    }

    fn restore(
        &self,
        call: &Call<'_>,
        cgroup: &UnitCgroup,
        streams: Streams,
        image: &Path,
    ) -> Result<i32, Error> {
        criu::restore(self, (call, cgroup), streams, image)
    }
}
