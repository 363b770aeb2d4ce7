// SPDX-License-Identifier: MIT OR Apache-2.0
//! runc(8), and each runtime of a path or name that ct does not know: they follow its command line.

use super::call::Call;
use super::criu;
use super::family::{Family, Limits};

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

    fn has_criu(&self, call: &Call<'_>) -> Result<(), String> {
        criu::is_there(call)
    }
}
