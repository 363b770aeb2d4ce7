// SPDX-License-Identifier: MIT OR Apache-2.0
//! `security.devices`: device nodes of the host in the container.
//!
//! Leave to open them comes from the unit (`DevicePolicy=closed` in the template, `DeviceAllow=` in the drop-in):
//! PID 1 attaches the cgroup's program, which also works for a container whose runtime has no rights. Here only the
//! nodes are made.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use ct_config::container::Device;
use nix::sys::stat::{major, minor};
use oci_spec::runtime::{
    Linux, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxResources,
    Mount, MountBuilder,
};

use crate::bundle::malformed;
use crate::exit::{Error, Named};

/// Adds the devices: as nodes, or, as in a user namespace, where no node can be made, as bind mounts of the host's own.
/// Returns the rules that allow the nodes, for a runtime that wants to be told.
pub(crate) fn add(
    linux: &mut Linux,
    mounts: &mut Vec<Mount>,
    devices: &[Device],
    bind: bool,
) -> Result<Vec<LinuxDeviceCgroup>, Error> {
    let mut rules = Vec::new();
    for device in devices {
        let (kind, metadata) = look_at(&device.source)?;
        if bind {
            let options = ["bind", "nosuid", "noexec"].map(str::to_owned);
            let mount =
                MountBuilder::default().destination(&device.target).typ("none").source(&device.source);
            mounts.push(mount.options(options).build().map_err(malformed)?);
            continue;
        }
        let (major, minor) = (major(metadata.rdev()).cast_signed(), minor(metadata.rdev()).cast_signed());
        let rule = LinuxDeviceCgroupBuilder::default().allow(true).typ(kind).major(major).minor(minor);
        rules.push(rule.access(device.access.clone()).build().map_err(malformed)?);
        let node = LinuxDeviceBuilder::default()
            .path(&device.target)
            .typ(kind)
            .major(major)
            .minor(minor)
            .file_mode(metadata.mode() & 0o777)
            .uid(metadata.uid())
            .gid(metadata.gid());
        let mut nodes = linux.devices().clone().unwrap_or_default();
        nodes.push(node.build().map_err(malformed)?);
        linux.set_devices(Some(nodes));
    }
    Ok(rules)
}

/// The resources of a container with these rules for devices besides.
pub(crate) fn with_rules(resources: Option<LinuxResources>, rules: Vec<LinuxDeviceCgroup>) -> LinuxResources {
    let mut resources = resources.unwrap_or_default();
    let mut all = resources.devices().clone().unwrap_or_default();
    all.extend(rules);
    resources.set_devices(Some(all));
    resources
}

fn look_at(path: &Path) -> Result<(LinuxDeviceType, std::fs::Metadata), Error> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::open(Named::Device, path, e))?;
    let kind = metadata.file_type();
    if kind.is_char_device() {
        Ok((LinuxDeviceType::C, metadata))
    } else if kind.is_block_device() {
        Ok((LinuxDeviceType::B, metadata))
    } else {
        Err(Error::ConfigText(format!("{} is not a device", path.display())))
    }
}
