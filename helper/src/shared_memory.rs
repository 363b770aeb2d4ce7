// SPDX-License-Identifier: MIT OR Apache-2.0
//! The /dev/shm that the members of a pod share, shm_overview(7): a file system in memory that outlives each of them.
//!
//! It is the only mount, and the root, of a mount namespace in which no process is, and which PID 1 holds like the pod's
//! others. Nobody sees it mounted, and it is gone when PID 1 closes the descriptor.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, pivot_root};

use crate::exit::Error;
use crate::namespaces::{self, Kind, Namespace};
use crate::sys;

/// As that of a container without a pod.
const OPTIONS: &str = "mode=1777,size=65536k";

/// Makes the file system and the namespace around it. `directory` is one to mount it on meanwhile.
pub(crate) fn make(directory: &Path) -> Result<Namespace, Error> {
    let before = namespaces::own(Kind::Mnt)?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| Error::system("unshare(CLONE_NEWNS)", e))?;
    // Now, as long as there is a /proc to find it in.
    let made = namespaces::own(Kind::Mnt)?;
    let result = become_root(directory);
    back_to(&before.fd)?;
    result.map(|()| made)
}

/// Mounts the file system, and takes all else out of this process's mount namespace.
fn become_root(directory: &Path) -> Result<(), Error> {
    let failed = |what: &str, e| Error::system(format!("{what} {}", directory.display()), e);
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|e| Error::system("mount(\"/\", MS_REC|MS_PRIVATE)", e))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("shm"), directory, Some("tmpfs"), flags, Some(OPTIONS))
        .map_err(|e| failed("mount a tmpfs at", e))?;
    chdir(directory).map_err(|e| failed("enter", e))?;
    // The old root ends up on top of the new one, see pivot_root(2).
    pivot_root(".", ".").map_err(|e| failed("pivot_root to", e))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|e| Error::system("unmount the old root", e))
}

/// Mounts the file system of a held namespace at a new directory of this process's mount namespace.
pub(crate) fn attach(held: &OwnedFd, path: PathBuf) -> Result<PathBuf, Error> {
    std::fs::create_dir(&path).map_err(|e| Error::system(format!("create {}", path.display()), e))?;
    let target =
        std::fs::File::open(&path).map_err(|e| Error::system(format!("open {}", path.display()), e))?;
    let before = namespaces::own(Kind::Mnt)?;
    namespaces::enter_held(held, Kind::Mnt)?;
    // A copy of the mount that belongs to no namespace can be taken along.
    let tree = sys::clone_mount(Path::new("/"));
    back_to(&before.fd)?;
    let tree = tree.map_err(|e| Error::system("open_tree of the pod's /dev/shm", e))?;
    sys::attach_mount(&tree, &target.into())
        .map_err(|e| Error::system(format!("move_mount to {}", path.display()), e))?;
    Ok(path)
}

fn back_to(namespace: &OwnedFd) -> Result<(), Error> {
    setns(namespace, CloneFlags::CLONE_NEWNS)
        .map_err(|e| Error::system("setns back to the own mount namespace", e))
}
