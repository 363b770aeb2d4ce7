// SPDX-License-Identifier: MIT OR Apache-2.0
//! `security.devices`: device nodes of the host in the container, and the cgroup's leave to open them.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use ct_config::container::Device;
use nix::sys::stat::{major, minor};
use oci_spec::runtime::{
    Linux, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxResourcesBuilder,
    Mount, MountBuilder,
};

use crate::bundle::malformed;
use crate::exit::Error;

/// Adds the devices: as nodes with a rule each, or, in a user namespace, where no node can be made, as bind mounts of
/// the host's own nodes.
pub(crate) fn add(
    linux: &mut Linux,
    mounts: &mut Vec<Mount>,
    devices: &[Device],
    in_user_namespace: bool,
    own_config: bool,
) -> Result<(), Error> {
    if in_user_namespace {
        for device in devices {
            let (_, metadata) = look_at(&device.source)?;
            let _ = metadata;
            let made = MountBuilder::default()
                .destination(&device.target)
                .typ("none")
                .source(&device.source)
                .options(["bind".to_owned(), "nosuid".to_owned(), "noexec".to_owned()])
                .build();
            mounts.push(made.map_err(malformed)?);
        }
        return Ok(());
    }
    let mut resources = linux.resources().clone().unwrap_or_default();
    let mut rules = resources.devices().clone().unwrap_or_default();
    if !own_config {
        // Nothing but what follows; the runtime itself adds null, zero, full, random, urandom, tty and the ptys.
        rules.push(everything(false)?);
    }
    let mut nodes = linux.devices().clone().unwrap_or_default();
    for device in devices {
        let (kind, metadata) = look_at(&device.source)?;
        let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
        let (major, minor) = (major.cast_signed(), minor.cast_signed());
        let node = LinuxDeviceBuilder::default()
            .path(&device.target)
            .typ(kind)
            .major(major)
            .minor(minor)
            .file_mode(metadata.mode() & 0o777)
            .uid(metadata.uid())
            .gid(metadata.gid());
        nodes.push(node.build().map_err(malformed)?);
        let rule = LinuxDeviceCgroupBuilder::default().allow(true).typ(kind).major(major).minor(minor);
        rules.push(rule.access(device.access.clone()).build().map_err(malformed)?);
    }
    if resources == LinuxResourcesBuilder::default().build().map_err(malformed)? || !rules.is_empty() {
        resources.set_devices(Some(rules));
    }
    linux.set_resources(Some(resources));
    linux.set_devices(Some(nodes));
    Ok(())
}

fn everything(allow: bool) -> Result<LinuxDeviceCgroup, Error> {
    LinuxDeviceCgroupBuilder::default().allow(allow).access("rwm").build().map_err(malformed)
}

fn look_at(path: &Path) -> Result<(LinuxDeviceType, std::fs::Metadata), Error> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::open("device", path, e))?;
    let kind = metadata.file_type();
    if kind.is_char_device() {
        Ok((LinuxDeviceType::C, metadata))
    } else if kind.is_block_device() {
        Ok((LinuxDeviceType::B, metadata))
    } else {
        Err(Error::ConfigText(format!("{} is not a device", path.display())))
    }
}
