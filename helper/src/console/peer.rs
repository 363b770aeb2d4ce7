// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is at the other end of a socket: nobody but root of this host may be.
//!
//! The uid alone does not tell: root of a container without a user namespace has it, too. Such a one is in another pid
//! namespace (unix(7), SO_PEERCRED; pid_namespaces(7)).

use std::fs::read_link;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};

use crate::sys;

/// A process of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) pid: i32,
    pub(super) uid: u32,
}

impl Peer {
    /// The one who has connected; as the error within, who it is that may not. Who it is cannot always be told: not when there
    /// are no descriptors left.
    pub(super) fn of(stream: &impl AsFd) -> io::Result<Result<Self, Self>> {
        let credentials = getsockopt(&stream.as_fd(), sockopt::PeerCredentials)?;
        let peer = Self { pid: credentials.pid(), uid: credentials.uid() };
        let is_root = peer.uid == 0 && peer.pid > 0 && peer.is_of_this_host(stream)?;
        Ok(if is_root { Ok(peer) } else { Err(peer) })
    }

    fn is_of_this_host(self, stream: &impl AsFd) -> io::Result<bool> {
        // The descriptor, where the kernel gives it (6.5), is of the one who connected and not of the next with its number.
        let pidfd: Result<OwnedFd, io::Error> =
            getsockopt(&stream.as_fd(), sockopt::PeerPidfd).map_err(io::Error::from);
        let pidfd = pidfd.or_else(|_older| sys::pidfd_open(self.pid))?;
        let theirs = read_link(format!("/proc/{}/ns/pid", self.pid));
        let ours = read_link("/proc/self/ns/pid");
        let is_same = matches!((theirs, ours), (Ok(theirs), Ok(ours)) if theirs == ours);
        Ok(is_same && !sys::ends_within(&pidfd, 0)?)
    }
}
