// SPDX-License-Identifier: MIT OR Apache-2.0
//! The namespaces of a pod that belong to an account: made in a user namespace of that account, so that a runtime that is
//! only the account may join them (user_namespaces(7)).
//!
//! A process cannot come back from a user namespace, and another must write its maps. So a child makes them all and
//! waits until they have been opened.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::exit;

use ct_config::container::IdRange;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, setgroups, setresgid, setresuid};

use crate::account::{Account, SubordinateIds};
use crate::exit::Error;
use crate::namespaces::{self, Kind, Namespace};
use crate::sys::{self, Fork};

/// What child and parent tell each other when a step is done.
const DONE: u8 = 1;
/// What comes before the reason for which a step is not done.
const FAILED: u8 = 0;

/// Makes a user namespace and the namespaces of these types in it.
pub(crate) fn make(
    account: &Account,
    ids: &SubordinateIds,
    kinds: &[Kind],
    hostname: &str,
) -> Result<Vec<Namespace>, Error> {
    let (mut ours, mut theirs) = UnixStream::pair().map_err(|e| Error::system("socketpair", e))?;
    match sys::fork().map_err(|e| Error::system("fork", e))? {
        Fork::Child => {
            drop(ours);
            if let Err((call, errno)) = child(account, kinds, hostname, &mut theirs) {
                let _ = theirs.write_all(&[FAILED]);
                let _ = theirs.write_all(format!("{} {call}", errno as i32).as_bytes());
            }
            exit(0)
        }
        Fork::Parent(pid) => {
            drop(theirs);
            let made = parent(pid, ids, kinds, &mut ours);
            // The child ends at the end of this.
            drop(ours);
            let _ = waitpid(pid, None);
            made
        }
    }
}

fn parent(
    pid: Pid,
    ids: &SubordinateIds,
    kinds: &[Kind],
    child: &mut UnixStream,
) -> Result<Vec<Namespace>, Error> {
    hear(child)?;
    for (file, ranges) in [("uid_map", &ids.uid), ("gid_map", &ids.gid)] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, map(ranges)).map_err(|e| Error::system(format!("write {path}"), e))?;
    }
    child.write_all(&[DONE]).map_err(|e| Error::system("write to the child", e))?;
    hear(child)?;
    kinds.iter().chain([&Kind::User]).map(|kind| namespaces::of_process(&pid.to_string(), *kind)).collect()
}

/// The lines of uid_map and gid_map, in one write as the kernel wants it.
fn map(ranges: &[IdRange]) -> String {
    let line = |range: &IdRange| format!("{} {} {}\n", range.container, range.host, range.count);
    ranges.iter().map(line).collect()
}

/// Waits until the child has done a step.
fn hear(child: &mut UnixStream) -> Result<(), Error> {
    let mut byte = [FAILED];
    child.read_exact(&mut byte).map_err(|e| Error::system("read from the child", e))?;
    if byte == [DONE] {
        return Ok(());
    }
    let mut reason = String::new();
    child.read_to_string(&mut reason).map_err(|e| Error::system("read from the child", e))?;
    let (errno, call) = reason.split_once(' ').unwrap_or(("", &reason));
    let errno = errno.parse().map_or(Errno::UnknownErrno, Errno::from_raw);
    Err(Error::system(call, errno))
}

/// The child's part, with the call that failed.
fn child(
    account: &Account,
    kinds: &[Kind],
    hostname: &str,
    parent: &mut UnixStream,
) -> Result<(), (&'static str, Errno)> {
    let told = |_: std::io::Error| ("read from the parent", Errno::EIO);
    if !account.is_root() {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        setgroups(&[]).map_err(|e| ("setgroups", e))?;
        setresgid(gid, gid, gid).map_err(|e| ("setresgid", e))?;
        setresuid(uid, uid, uid).map_err(|e| ("setresuid", e))?;
    }
    // Whoever makes it owns it.
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|e| ("unshare(CLONE_NEWUSER)", e))?;
    parent.write_all(&[DONE]).map_err(told)?;
    let mut byte = [0];
    parent.read_exact(&mut byte).map_err(told)?;
    for kind in kinds {
        namespaces::unshare_into(*kind).map_err(|e| ("unshare in the user namespace", e))?;
    }
    if kinds.contains(&Kind::Uts) {
        nix::unistd::sethostname(hostname).map_err(|e| ("sethostname", e))?;
    }
    parent.write_all(&[DONE]).map_err(told)?;
    // Until they have been opened, or there is nobody any more to open them.
    let _ = parent.read(&mut byte);
    Ok(())
}
