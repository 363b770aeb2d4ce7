// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PID 1 keeps for the service (sd_notify(3), FDSTORE=1) while it is not there: all that one life of the container needs,
//! each descriptor under its name.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::{fs, io};

use rustix::fs::fstat;

use crate::exit::Error;
use crate::{notify, sys};

/// The names. A set lacks none of them, or it was not taken over. Of a container without a terminal, `terminal` is the pipe
/// that its output comes from.
pub(super) const NAMES: [&str; 6] = ["listener", "init", "terminal", "memory", "pipe-out", "pipe-in"];

/// The pipe that a container reads, if it has one. PID 1 gets it before the others.
pub(super) const INPUT: &str = "input";

/// Of the life before, as long as journald has not taken all of it: the memory, its pipe, and, where there was no terminal, the
/// pipe that the output came from.
pub(super) const LAST: [&str; 4] = ["last-memory", "last-pipe-out", "last-pipe-in", "last-output"];

/// Takes what PID 1 has kept, by name. What has a name that this version does not know, PID 1 forgets.
pub(super) fn take() -> Result<BTreeMap<String, OwnedFd>, Error> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let own = std::process::id().to_string();
    let count = variable("LISTEN_FDS").parse().unwrap_or(0);
    if variable("LISTEN_PID") != own || count == 0 {
        return Ok(BTreeMap::new());
    }
    let descriptors =
        sys::descriptors_of_pid_1(count).map_err(|e| Error::system("take descriptors from PID 1", e))?;
    let names = variable("LISTEN_FDNAMES");
    let mut kept = BTreeMap::new();
    for (name, descriptor) in names.split(':').zip(descriptors) {
        if NAMES.contains(&name) || LAST.contains(&name) || name == INPUT {
            kept.insert(name.to_owned(), descriptor);
        } else {
            notify::forget_descriptor(name)?;
        }
    }
    Ok(kept)
}

/// What PID 1 gets after the others, and for a moment: it has no room for this if it had none for one of them. Unlike the
/// others it is one that PID 1 polls.
const WITNESS: &str = "witness";

/// Has PID 1 keep them; when this returns it does.
pub(super) fn keep<'a>(
    descriptors: impl IntoIterator<Item = (&'a str, BorrowedFd<'a>)>,
) -> Result<(), Error> {
    for (name, descriptor) in descriptors {
        notify::keep_descriptor(name, descriptor)?;
    }
    let (_ours, theirs) = std::io::pipe().map_err(|e| Error::system("pipe2", e))?;
    let theirs = OwnedFd::from(theirs);
    notify::store_descriptor(WITNESS, &theirs)?;
    notify::barrier(|| {})?;
    let witness = fstat(&theirs).map_err(|e| Error::system("fstat", e))?;
    if !is_polled_by_pid_1(witness.st_ino).map_err(|e| Error::system("read /proc/1/fd", e))? {
        let refused = "PID 1 keeps too few descriptors for this unit: FileDescriptorStoreMax= is too small";
        return Err(Error::Usage(refused.to_owned()));
    }
    notify::forget_descriptor(WITNESS)
}

/// Whether PID 1 polls what has this inode. PID 1 says nothing of what it does not keep, and closes that at any later time, by
/// another process; but what it keeps and polls is in its epoll(7) as soon as it keeps it. See proc_pid_fdinfo(5).
fn is_polled_by_pid_1(inode: u64) -> io::Result<bool> {
    let polled = format!(" ino:{inode:x} ");
    for entry in fs::read_dir("/proc/1/fd")? {
        let number = entry?.file_name();
        // One that is closed meanwhile is none.
        let is_epoll = fs::read_link(Path::new("/proc/1/fd").join(&number))
            .is_ok_and(|link| link.as_os_str() == "anon_inode:[eventpoll]");
        let info = Path::new("/proc/1/fdinfo").join(&number);
        if is_epoll && fs::read_to_string(info).is_ok_and(|info| info.contains(&polled)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Has PID 1 forget the life before. That it does is not waited for: whoever would find it, would find all of it logged.
pub(super) fn forget_last() -> Result<(), Error> {
    LAST.iter().try_for_each(|name| notify::forget_descriptor(name))
}

/// Has PID 1 forget all of this life.
pub(super) fn forget() -> Result<(), Error> {
    NAMES.iter().chain(&[INPUT]).try_for_each(|name| notify::forget_descriptor(name))?;
    notify::barrier(|| {})
}
