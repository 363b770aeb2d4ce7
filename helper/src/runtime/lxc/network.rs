// SPDX-License-Identifier: MIT OR Apache-2.0
//! The monitor's network namespace, which is not the container's. LXC's tools reach a monitor by a Unix socket with an abstract
//! name, which belongs to a network namespace and has no permissions: in the host's, root of any other container there could
//! stop this one. So the monitor has a namespace for that socket alone, and a command inside begins in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::{config, option};
use crate::account::Account;
use crate::cgroup::JobGroup;
use crate::exit::Error;
use crate::sys;

/// Has the monitor leave this process's network. A container that is to stay in it joins it by path, which the kernel allows root
/// alone: through an account the monitor would have to stay, too, so that no config may say this.
pub(super) fn leave(command: &mut Command, spec: &Spec, account: &Account) -> Result<(), Error> {
    let stays = !has_network(spec);
    if stays && !account.is_root() {
        let reason = "network.mode: LXC starts nothing of an account in the host's network";
        return Err(Error::ConfigText(reason.to_owned()));
    }
    if stays {
        // This process is there until the container runs.
        let own = PathBuf::from(format!("/proc/{}/ns/net", std::process::id()));
        command.arg(option("network", &own));
    }
    sys::leave_network_before_exec(command);
    Ok(())
}

/// Whether the container's network is its own, or one that it joins.
fn has_network(spec: &Spec) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref());
    namespaces.unwrap_or_default().iter().any(|known| known.typ() == LinuxNamespaceType::Network)
}

/// Has a command begin where the monitor is. Without one LXC says that nothing runs.
pub(super) fn enter(command: &mut Command, group: &JobGroup) {
    if let Some(network) =
        monitor_of(group.path()).and_then(|pid| File::open(format!("/proc/{pid}/ns/net")).ok())
    {
        sys::enter_network_before_exec(command, network.into());
    }
}

/// The process in the group beside the container's own, of which `job` is one.
fn monitor_of(job: &Path) -> Option<i32> {
    let procs = job.parent()?.parent()?.join(config::MONITOR).join("cgroup.procs");
    std::fs::read_to_string(procs).ok()?.lines().next()?.parse().ok()
}
