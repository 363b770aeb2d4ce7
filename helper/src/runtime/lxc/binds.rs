// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bind mounts that shall not allow all that their source does. LXC binds without `nosuid` and the like, and mounts a second
//! time, which is what takes them, for `ro` alone. So it is given a source that has them: a bind mount of what the config
//! says, in the unit's own mount namespace, which LXC's then is a copy of.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use oci_spec::runtime::{Mount, Spec};

use super::entries::{has, is_bind};
use crate::exit::Error;
use crate::sys;

/// Options, and what mount_setattr(2) calls them. Of the times there is one.
const ATTRIBUTES: [(&str, u64, u64); 5] = [
    ("nosuid", libc::MOUNT_ATTR_NOSUID, 0),
    ("nodev", libc::MOUNT_ATTR_NODEV, 0),
    ("noexec", libc::MOUNT_ATTR_NOEXEC, 0),
    ("noatime", libc::MOUNT_ATTR_NOATIME, libc::MOUNT_ATTR__ATIME),
    ("nodiratime", libc::MOUNT_ATTR_NODIRATIME, 0),
];

/// Makes such sources below `run`, the directory of the container's run. In a user namespace it is not the account but the
/// container's root that has to get there.
pub(super) fn prepare(spec: &mut Spec, run: &Path) -> Result<(), Error> {
    let directory = run.join("binds");
    let mounts = spec.mounts_mut().iter_mut().flatten();
    for (number, mount) in mounts.enumerate().filter(|(_, mount)| is_bind(mount)) {
        let wanted: Vec<_> = ATTRIBUTES.iter().filter(|(option, _, _)| has(mount, option)).collect();
        let Some(source) = mount.source().clone().filter(|_| !wanted.is_empty()) else { continue };
        make(&directory)?;
        let target = directory.join(number.to_string());
        bind(&source, &target, mount)?;
        let attributes = libc::mount_attr {
            attr_set: wanted.iter().fold(0, |all, (_, set, _)| all | set),
            attr_clr: wanted.iter().fold(0, |all, (_, _, clear)| all | clear),
            propagation: 0,
            userns_fd: 0,
        };
        let failed = |e| Error::system(format!("mount_setattr {}", target.display()), e);
        // A device is opened by nobody here, and a FIFO waited for by nobody.
        let how = OpenOptions::new().read(true).custom_flags(libc::O_PATH).clone();
        let opened = how.open(&target).map_err(failed)?;
        sys::mount_setattr(opened.as_fd(), 0, &attributes).map_err(failed)?;
        mount.set_source(Some(target));
    }
    Ok(())
}

fn make(directory: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o711).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::system(format!("create {}", directory.display()), error))
        }
        _ => Ok(()),
    }
}

/// The source at `target`, with what is mounted below it if the container shall have that.
fn bind(source: &Path, target: &Path, mounted: &Mount) -> Result<(), Error> {
    let is_directory = std::fs::metadata(source)
        .map_err(|e| Error::system(format!("stat {}", source.display()), e))?
        .is_dir();
    let made = if is_directory { std::fs::create_dir(target) } else { std::fs::write(target, "") };
    made.map_err(|e| Error::system(format!("create {}", target.display()), e))?;
    let below = if has(mounted, "rbind") { MsFlags::MS_REC } else { MsFlags::empty() };
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | below, None::<&str>)
        .map_err(|e| Error::system(format!("bind {} at {}", source.display(), target.display()), e))
}
