// SPDX-License-Identifier: MIT OR Apache-2.0
//! `root.idmap`: directories as the container's users own them, without a chown (mount_setattr(2), "ID-mapped mounts").
//!
//! Each directory is cloned as a mount of its own (open_tree(2)), the clone is given the container's maps, and takes the
//! directory's place: id 0 on the disk is the container's root in the clone, and what its root writes there is 0 on the
//! disk. The directory itself stays as it is, so that containers with different ids can share it.
//!
//! The kernel takes the maps from a user namespace. The container's own does not exist yet, so one is made by a process
//! that lives for that alone; the descriptor keeps the namespace when the process is gone.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use ct_config::container::IdRange;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::account::SubordinateIds;
use crate::claim::RunDirectory;
use crate::exit::Error;
use crate::identity::Identity;
use crate::sys::{self, Fork};

/// What becomes of the mounts below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    /// They come along, with mapped ids as well: all of them, or none and an error.
    Included,
    /// They stay away, as they do below any layer of an overlay.
    LeftOut,
}

/// Makes the id-mapped mounts of one container.
#[derive(Debug)]
pub(crate) struct IdMappedMounts {
    /// A user namespace with the container's maps.
    namespace: OwnedFd,
    /// Where they are mounted: an overlay takes nothing that is not in the mount namespace.
    place: PathBuf,
    made: usize,
}

impl IdMappedMounts {
    /// Makes the user namespace.
    pub(crate) fn prepare(identity: &Identity, run: &RunDirectory) -> Result<Self, Error> {
        let ids = identity.ids.as_ref().ok_or_else(|| {
            Error::NoIds("root.idmap has no ids to map: there is no user namespace".to_owned())
        })?;
        Ok(Self { namespace: user_namespace(ids)?, place: run.make("lower", 0o700)?, made: 0 })
    }

    /// Mounts an opened directory with mapped ids and returns what is mounted. `what` names it in an error.
    pub(crate) fn mount(&mut self, directory: &OwnedFd, what: &str, below: Below) -> Result<OwnedFd, Error> {
        let mount =
            clone_mount(directory, below).map_err(|e| Error::system(format!("open_tree of {what}"), e))?;
        if let Err(source) = self.map_ids(&mount, below) {
            return Err(Error::NoIdMappedMount { what: self.refused(directory, what, below), source });
        }
        let target = self.place.join(self.made.to_string());
        self.made += 1;
        fs::create_dir(&target).map_err(|e| Error::system(format!("mkdir {}", target.display()), e))?;
        move_mount(&mount, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| Error::system(format!("move_mount to {}", target.display()), e))?;
        Ok(mount)
    }

    /// Private, too: what the host mounts below the directory later would come without mapped ids.
    fn map_ids(&self, mount: &OwnedFd, below: Below) -> std::io::Result<()> {
        let namespace = u64::try_from(self.namespace.as_raw_fd()).expect("a descriptor is not negative");
        let attributes = libc::mount_attr {
            attr_set: libc::MOUNT_ATTR_IDMAP,
            attr_clr: 0,
            propagation: libc::MS_PRIVATE,
            userns_fd: namespace,
        };
        let recursive = if below == Below::Included { libc::AT_RECURSIVE } else { 0 };
        sys::mount_setattr(mount.as_fd(), recursive, &attributes)
    }

    /// What it was that cannot be mounted with mapped ids, and its file system.
    fn refused(&self, directory: &OwnedFd, what: &str, below: Below) -> String {
        let alone = || self.map_ids(&clone_mount(directory, Below::LeftOut).ok()?, Below::LeftOut).ok();
        if below == Below::Included && alone().is_some() {
            return format!("what is mounted below {what}");
        }
        let kind = file_system(directory).unwrap_or_else(|| "file system unknown".to_owned());
        format!("{what} ({kind})")
    }
}

fn clone_mount(directory: &OwnedFd, below: Below) -> rustix::io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, below == Below::Included);
    open_tree(directory, "", flags)
}

/// The type of the file system that a descriptor's mount has, by the mount's id; see proc_pid_mountinfo(5).
fn file_system(directory: &OwnedFd) -> Option<String> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", directory.as_raw_fd())).ok()?;
    let id = about.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.split(' ').next() == Some(id))?;
    mount.split_once(" - ")?.1.split(' ').next().map(str::to_owned)
}

/// A user namespace with these maps, kept by its descriptor alone.
fn user_namespace(ids: &SubordinateIds) -> Result<OwnedFd, Error> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| Error::system("socketpair", e))?;
    let member = match sys::fork().map_err(|e| Error::system("fork", e))? {
        Fork::Child => {
            drop(ours);
            std::process::exit(be_member(theirs))
        }
        Fork::Parent(pid) => pid,
    };
    drop(theirs);
    let namespace = map_namespace(ours, member, ids);
    // It has nothing to finish, and so nothing to wait for but its end.
    let _ = kill(member, Signal::SIGKILL);
    waitpid(member, None).map_err(|e| Error::system("wait for the member of a user namespace", e))?;
    namespace
}

/// The member's life: makes the namespace, tells so, and stays until the helper is done with it, or dead: either
/// closes the socket.
fn be_member(mut socket: UnixStream) -> i32 {
    let errno = unshare(CloneFlags::CLONE_NEWUSER).err().map_or(0, |errno| errno as i32);
    if socket.write_all(&errno.to_ne_bytes()).is_ok() {
        let _ = socket.read(&mut [0]);
    }
    0
}

/// Writes the maps of the member's namespace and opens it.
fn map_namespace(mut socket: UnixStream, member: Pid, ids: &SubordinateIds) -> Result<OwnedFd, Error> {
    let mut errno = [0; 4];
    socket.read_exact(&mut errno).map_err(|e| Error::system("make a user namespace", e))?;
    match i32::from_ne_bytes(errno) {
        0 => {}
        errno => {
            let source = std::io::Error::from_raw_os_error(errno);
            return Err(Error::system("unshare(CLONE_NEWUSER)", source));
        }
    }
    for (file, ranges) in [("uid_map", &ids.uid), ("gid_map", &ids.gid)] {
        let path = format!("/proc/{member}/{file}");
        // The kernel takes a map in one write, once.
        fs::write(&path, render_map(ranges))
            .map_err(|e| Error::system(format!("write the container's {file}"), e))?;
    }
    let namespace = fs::File::open(format!("/proc/{member}/ns/user"));
    Ok(namespace.map_err(|e| Error::system("open a user namespace", e))?.into())
}

/// The lines of uid_map and gid_map, see user_namespaces(7).
fn render_map(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.container, range.host, range.count)).collect()
}
