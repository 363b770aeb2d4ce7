// SPDX-License-Identifier: MIT OR Apache-2.0
//! youki.

use std::path::PathBuf;
use std::process::Command;

use super::call::Call;
use super::family::Family;
use crate::cgroup::JobGroup;

/// youki knows no limits of its own and attaches no program for devices as it is built for its package.
#[derive(Debug)]
pub(super) struct Youki;

impl Family for Youki {
    /// From the container's own group, and not from "/" as runc has it.
    fn name_group(&self, command: &mut Command, _call: &Call<'_>, group: &JobGroup) {
        let below = group.below_payload();
        command.arg("--cgroup").arg(below.strip_prefix("/").map_or_else(|_| PathBuf::new(), PathBuf::from));
    }
}
