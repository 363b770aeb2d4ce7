// SPDX-License-Identifier: MIT OR Apache-2.0
//! runc(8), and each runtime of a path or name that ct does not know: they follow its command line.

use std::path::Path;
use std::process::Command;

use super::call::Call;
use super::criu;
use super::family::{Family, Limits};
use super::places::Streams;
use crate::cgroup::UnitCgroup;
use crate::exit::Error;

/// runc.
#[derive(Debug)]
pub(super) struct Runc;

impl Family for Runc {
    /// It changes the owner of a file of its own to the container's root, which without privileges only works when that
    /// is itself; nor does it then set supplementary groups.
    fn insists_on_being_root(&self) -> bool {
        true
    }

    /// The Go runtime does, and older versions of runc forget to take it back.
    fn limits_to_repeat(&self) -> Limits {
        Limits::OpenFiles
    }

    fn refuses_devices(&self) -> bool {
        true
    }

    fn checkpoint(&self, call: &Call<'_>, image: &Path, leave_running: bool) -> Result<Command, String> {
        criu::is_there(call)?;
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
