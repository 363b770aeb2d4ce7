// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.rlimits`: limits that PID 1 has not set for the container's own processes, or that its runtime changes.

use ct_config::container::Container;
use ct_config::value::Size;
use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process};

use super::malformed;
use crate::exit::Error;
use crate::runtime::family::Limits;

/// See getrlimit(2).
const OPEN_FILES: &str = "RLIMIT_NOFILE";

/// Says the limits that the runtime wants said. Those of the config are in no bundle's any more; of open files a bundle
/// may say another than the helper has, which has the unit's.
pub(super) fn say(process: &mut Process, container: &Container, which: Limits) -> Result<(), Error> {
    let mut limits = process.rlimits().clone().unwrap_or_default();
    if which == Limits::All {
        let number = |size: Size| match size {
            Size::Finite(number) => number,
            // RLIM_INFINITY
            Size::Infinity => u64::MAX,
        };
        for (resource, limit) in &container.limits {
            limits.push(named(&resource.rlimit_name(), number(limit.soft), number(limit.hard))?);
        }
    }
    if which != Limits::None && limits.iter().all(|limit| limit.typ() != PosixRlimitType::RlimitNofile) {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| Error::system("getrlimit", e))?;
        limits.push(named(OPEN_FILES, soft, hard)?);
    }
    process.set_rlimits(Some(limits));
    Ok(())
}

fn named(name: &str, soft: u64, hard: u64) -> Result<PosixRlimit, Error> {
    let kind = PosixRlimitType::try_from(name)
        .map_err(|e| Error::ConfigText(format!("limits: no such limit {name}: {e}")))?;
    PosixRlimitBuilder::default().typ(kind).soft(soft).hard(hard).build().map_err(malformed)
}
