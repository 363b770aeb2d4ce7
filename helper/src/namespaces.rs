// SPDX-License-Identifier: MIT OR Apache-2.0
//! Namespaces that outlive the process that made them (namespaces(7)), without a file system mount and without a process.
//!
//! A namespace lives as long as somebody holds a descriptor of it, and PID 1 holds descriptors for its units (the
//! descriptor store, `FileDescriptorStoreMax=` of systemd.service(5)). It closes them with the unit, whatever ended that.
//! Nobody can ask PID 1 for one, but root finds it in /proc/1/fd by what its link says: `net:[4026532180]`, a number
//! that no other namespace has while this one is held.

use std::fmt;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::exit::{Error, Named};
use crate::sys::{self, retry};

/// Where PID 1's descriptors are.
const HELD: &str = "/proc/1/fd";
/// PID 1 gives its descriptors other numbers when it reloads, so that one look may miss one. Nobody reloads that often.
const LOOKS: u32 = 20;

/// The types of namespaces that a pod's members may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Net,
    Ipc,
    Uts,
    /// Whose root has rights over the others, see [`crate::user_namespace`].
    User,
    /// Not shared as such: it holds the /dev/shm of the pod, see [`crate::shared_memory`].
    Mnt,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Net, Self::Ipc, Self::Uts, Self::User, Self::Mnt];

    /// The name of the file in /proc/PID/ns/.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Mnt => "mnt",
        }
    }

    fn flag(self) -> CloneFlags {
        match self {
            Self::Net => CloneFlags::CLONE_NEWNET,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
            Self::User => CloneFlags::CLONE_NEWUSER,
            Self::Mnt => CloneFlags::CLONE_NEWNS,
        }
    }
}

/// One namespace, told apart from all others while it is held: `net:[4026532180]`, as in namespaces(7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(String);

impl Id {
    /// Checks that `text` is one, and of which type.
    pub(crate) fn parse(text: &str) -> Option<(Kind, Self)> {
        let (kind, number) = text.split_once(":[")?;
        let number = number.strip_suffix(']')?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            .then(|| (kind, Self(text.to_owned())))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A namespace, held.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) kind: Kind,
    pub(crate) id: Id,
    pub(crate) fd: OwnedFd,
}

/// Puts this process into a new namespace.
pub(crate) fn make(kind: Kind) -> Result<Namespace, Error> {
    unshare_into(kind)
        .map_err(|e| Error::system(format!("make a namespace of type {}", kind.as_str()), e))?;
    own(kind)
}

/// The same without opening it. A network has its loopback device up.
pub(crate) fn unshare_into(kind: Kind) -> Result<(), Errno> {
    unshare(kind.flag())?;
    if kind == Kind::Net {
        sys::bring_up_loopback().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
    }
    Ok(())
}

/// Puts this process into a namespace that somebody else made, named by a file.
pub(crate) fn enter(kind: Kind, path: &Path) -> Result<Namespace, Error> {
    // Without waiting: it may be a FIFO, or anything.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file =
        retry(|| open(path, flags, Mode::empty())).map_err(|e| Error::open(Named::Namespace, path, e))?;
    setns(&file, kind.flag()).map_err(|e| match e {
        Errno::EINVAL => {
            Error::ConfigText(format!("{} is not a namespace of type {}", path.display(), kind.as_str()))
        }
        _ => Error::system(format!("setns({:?}, {:?})", path, kind.flag()), e),
    })?;
    own(kind)
}

/// The namespace that this process is in.
pub(crate) fn own(kind: Kind) -> Result<Namespace, Error> {
    of_process("self", kind)
}

/// The namespace that a process is in.
pub(crate) fn of_process(pid: &str, kind: Kind) -> Result<Namespace, Error> {
    let path = format!("/proc/{pid}/ns/{}", kind.as_str());
    let failed = |e: std::io::Error| Error::system(format!("open {path}"), e);
    let fd = retry(|| open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()))
        .map_err(|e| failed(e.into()))?;
    let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(failed)?;
    match Id::parse(&link.to_string_lossy()) {
        Some((_, id)) => Ok(Namespace { kind, id, fd }),
        None => Err(failed(std::io::ErrorKind::InvalidData.into())),
    }
}

/// Puts this process into a namespace that was found by [`held_by_pid_1`].
pub(crate) fn enter_held(held: &OwnedFd, kind: Kind) -> Result<(), Error> {
    let failed = |e: Errno| Error::system(format!("setns({:?})", kind.flag()), e);
    // A place alone cannot be entered.
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let file =
        retry(|| open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())).map_err(failed)?;
    setns(&file, kind.flag()).map_err(failed)
}

/// Finds a namespace that PID 1 holds.
pub(crate) fn held_by_pid_1(id: &Id) -> Result<Option<OwnedFd>, Error> {
    for _ in 0..LOOKS {
        for entry in fs::read_dir(HELD).map_err(|e| Error::system(format!("read {HELD}"), e))?.flatten() {
            if fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == id.0.as_str())
                && let Some(fd) = take(&entry.path(), id)
            {
                return Ok(Some(fd));
            }
        }
    }
    Ok(None)
}

/// The descriptor behind a link of /proc/1/fd, if it still is the one that was looked for. As a place only (`O_PATH`):
/// should it have become another, nothing happens to that one.
fn take(path: &Path, id: &Id) -> Option<OwnedFd> {
    let fd = retry(|| open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())).ok()?;
    let own = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let is_namespace = fstatfs(&fd).is_ok_and(|file_system| file_system.filesystem_type() == NSFS_MAGIC);
    (is_namespace && own.as_os_str() == id.0.as_str()).then_some(fd)
}

/// Makes a held namespace a file that a runtime can open. In the unit's private mount namespace, so that it is gone with
/// the unit.
pub(crate) fn bind(fd: &OwnedFd, path: PathBuf) -> Result<PathBuf, Error> {
    fs::write(&path, "").map_err(|e| Error::system(format!("create {}", path.display()), e))?;
    let source = format!("/proc/self/fd/{}", fd.as_raw_fd());
    mount(Some(source.as_str()), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|e| Error::system(format!("bind mount at {}", path.display()), e))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_the_kernel_writes_and_nothing_else() {
        assert_eq!(Id::parse("net:[4026531840]").map(|(kind, _)| kind), Some(Kind::Net));
        assert_eq!(
            Id::parse("uts:[1]").map(|(kind, id)| (kind, id.to_string())),
            Some((Kind::Uts, "uts:[1]".to_owned()))
        );
        for bad in [
            "",
            "net",
            "net:[]",
            "net:[1",
            "net:[1]x",
            "net:[-1]",
            "pid:[1]",
            "socket:[1]",
            "net:[1] (deleted)",
        ] {
            assert_eq!(Id::parse(bad), None, "{bad:?}");
        }
    }
}
