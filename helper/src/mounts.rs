// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mounts that the runtime makes inside the container: the usual ones of a Linux system and the config's own.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use ct_config::container::{self, Container, Create, Network};
use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use oci_spec::runtime::{Mount, MountBuilder};

use crate::account::{SubordinateIds, host_id};
use crate::bundle::malformed;
use crate::claim::RunDirectory;
use crate::confined;
use crate::exit::{Error, Named};
use crate::pod::Joined;
use crate::rootfs::Rootfs;

/// The group `tty` of Debian and nearly everyone: who may write to a terminal.
const TTY_GROUP: u32 = 5;

/// /proc, /dev, /sys and what lies below them; for an init system also its /run and /tmp.
pub(crate) fn defaults(
    container: &Container,
    ids: Option<&SubordinateIds>,
    system_init: bool,
    joined: &Joined,
) -> Result<Vec<Mount>, Error> {
    let has_tty_group = ids.is_none_or(|ids| host_id(&ids.gid, TTY_GROUP).is_some());
    let devpts: &[&str] = if has_tty_group {
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    } else {
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    };
    // A user namespace may mount sysfs only with a network namespace of its own: it shows the network's devices.
    let foreign_network = !joined.owns_network && !matches!(container.network, None | Some(Network::None));
    let sys: (&str, &str, &[&str]) = if ids.is_some() && foreign_network {
        ("none", "/sys", &["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"])
    } else {
        ("sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    };
    // Below its own cgroup namespace a systemd needs to make groups; for everybody else they are to be seen only.
    let cgroup: &[&str] = if system_init {
        &["nosuid", "noexec", "nodev", "relatime", "rw"]
    } else {
        &["nosuid", "noexec", "nodev", "relatime", "ro"]
    };
    let mut mounts = vec![
        one("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])?,
        one("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        one("/dev/pts", "devpts", "devpts", devpts)?,
        one("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"])?,
        one("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
        one("/sys", sys.0, sys.1, sys.2)?,
        one("/sys/fs/cgroup", "cgroup", "cgroup", cgroup)?,
    ];
    // mqueue shows those of the ipc namespace, and only who owns that may mount it. mq_open(3) does without.
    if ids.is_some() && joined.ipc.is_some() && joined.user.is_none() {
        mounts.retain(|mount| mount.destination() != Path::new("/dev/mqueue"));
    }
    if system_init {
        mounts.push(one("/run", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=755"])?);
        mounts.push(one(
            "/run/lock",
            "tmpfs",
            "tmpfs",
            &["nosuid", "nodev", "noexec", "mode=1777", "size=5m"],
        )?);
        mounts.push(one("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777"])?);
    }
    Ok(mounts)
}

fn one(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<Mount, Error> {
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
        .build()
        .map_err(malformed)
}

/// Checks the sources and targets of `[[mount]]`, and brings bind sources to where the runtime can reach them.
///
/// An account need not be able to walk to a directory that root gives to its container: root binds it below
/// /run/ct/NAME/, in the private mount namespace. The source is opened once and mounted as what was opened.
pub(crate) fn prepare(
    mounts: &[container::Mount],
    rootfs: &Rootfs,
    run: &RunDirectory,
    through_account: bool,
) -> Result<Vec<container::Mount>, Error> {
    let mut staging: Option<PathBuf> = None;
    let mut prepared = Vec::with_capacity(mounts.len());
    let mut earlier: Vec<(&Path, Option<OwnedFd>)> = Vec::with_capacity(mounts.len());
    for (number, mount) in mounts.iter().enumerate() {
        let target = mount.target.as_path();
        let mut mount = mount.clone();
        if mount.create == Create::No {
            target_exists(target, rootfs, &earlier)?;
        }
        let mut source = None;
        if mount.kind == "bind" {
            let (opened, is_directory) = open_source(&mount)?;
            if !is_directory
                && !mount.options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"))
            {
                // Nothing is mounted below a file; crun 1.8 takes it for a directory when it is told otherwise.
                mount.options.insert(0, "bind".to_owned());
            }
            if through_account {
                let directory = match &staging {
                    Some(made) => made.clone(),
                    None => run.make("mounts", 0o711)?,
                };
                mount.source = stage(&opened, &directory.join(number.to_string()), is_directory)?;
                staging = Some(directory);
            }
            source = Some(opened);
        }
        earlier.push((target, source));
        prepared.push(mount);
    }
    Ok(prepared)
}

/// Whether a target will be there when its turn comes: in the root file system, or in the source of the mount that
/// lies over that part of it by then. `earlier` are the mounts before it: target, and source of a bind.
fn target_exists(target: &Path, rootfs: &Rootfs, earlier: &[(&Path, Option<OwnedFd>)]) -> Result<(), Error> {
    if earlier.iter().any(|(other, _)| other.starts_with(target)) {
        return Ok(()); // the runtime has made it on the way
    }
    let over =
        earlier.iter().rev().find_map(|(other, source)| Some((target.strip_prefix(other).ok()?, source)));
    let found = match over {
        None => confined::in_root(&rootfs.directory, target, OFlag::O_PATH),
        Some((rest, Some(source))) => confined::in_root(source, rest, OFlag::O_PATH),
        // A file system that only the runtime will see.
        Some((_, None)) => return Ok(()),
    };
    found.map(drop).map_err(|e| Error::open(Named::MountTarget, target, e))
}

/// Opens the source of a bind mount, which must be what `create` says, and tells whether it is a directory.
fn open_source(mount: &container::Mount) -> Result<(OwnedFd, bool), Error> {
    let failed = |e| Error::open(Named::MountSource, &mount.source, e);
    let source = confined::host_path(&mount.source).map_err(failed)?;
    let metadata = std::fs::metadata(format!("/proc/self/fd/{}", source.as_raw_fd())).map_err(failed)?;
    let is_directory = metadata.is_dir();
    let (is, wanted) = match (mount.create, is_directory) {
        (Create::Dir, false) => ("no directory", "dir"),
        (Create::File, true) => ("a directory", "file"),
        _ => return Ok((source, is_directory)),
    };
    let source = mount.source.display();
    Err(Error::ConfigText(format!("mount source {source} is {is}, but create = {wanted:?}")))
}

/// Binds an opened source at `target`.
fn stage(source: &impl AsRawFd, target: &Path, is_directory: bool) -> Result<PathBuf, Error> {
    let made = if is_directory { std::fs::create_dir(target) } else { std::fs::write(target, "") };
    made.map_err(|e| Error::system(format!("create {}", target.display()), e))?;
    let source = format!("/proc/self/fd/{}", source.as_raw_fd());
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    nix::mount::mount(Some(source.as_str()), target, None::<&str>, flags, None::<&str>)
        .map_err(|e| Error::system(format!("bind mount at {}", target.display()), e))?;
    Ok(target.to_owned())
}

/// Has the container see what its pod has at /dev/shm, in place of its own.
pub(crate) fn share_memory(mounts: &mut Vec<Mount>, source: &Path) -> Result<(), Error> {
    let shared = MountBuilder::default()
        .destination("/dev/shm")
        .typ("none")
        .source(source)
        .options(["bind", "nosuid", "noexec", "nodev", "rprivate"].map(str::to_owned))
        .build()
        .map_err(malformed)?;
    match mounts.iter_mut().find(|known| known.destination() == Path::new("/dev/shm")) {
        Some(own) => *own = shared,
        None => mounts.push(shared),
    }
    Ok(())
}

/// Adds the config's mounts; one with the target of an earlier mount takes its place.
pub(crate) fn add(mounts: &mut Vec<Mount>, configured: &[container::Mount]) -> Result<(), Error> {
    for mount in configured {
        let mut options = mount.options.clone();
        let has = |names: &[&str]| mount.options.iter().any(|option| names.contains(&option.as_str()));
        if mount.kind == "bind" {
            // With `ro` alone, what is mounted below the source would stay writable (mount_setattr(2), AT_RECURSIVE).
            if !has(&["bind"]) {
                options
                    .iter_mut()
                    .filter(|option| *option == "ro")
                    .for_each(|option| *option = "rro".to_owned());
            }
            if !has(&["bind", "rbind"]) {
                options.insert(0, "rbind".to_owned());
            }
            let propagation =
                ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"];
            if !has(&propagation) {
                options.push("rprivate".to_owned());
            }
        }
        let made = MountBuilder::default()
            .destination(&mount.target)
            .typ(if mount.kind == "bind" { "none" } else { mount.kind.as_str() })
            .source(&mount.source)
            .options(options)
            .build()
            .map_err(malformed)?;
        // In its place: what is mounted below the earlier one is mounted below this one.
        match mounts.iter_mut().find(|known| known.destination() == &mount.target) {
            Some(earlier) => *earlier = made,
            None => mounts.push(made),
        }
    }
    Ok(())
}
