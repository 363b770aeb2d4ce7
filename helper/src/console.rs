// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal of a command: the runtime makes it inside the container and sends its other end, the master, to a socket
//! (runc's "detached terminals"). The caller's own terminal never goes inside.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::lchown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::account::Account;
use crate::exit::Error;

/// How long a runtime may take from its call to the terminal that it sends.
const TERMINAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the runtime connects to.
#[derive(Debug)]
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens in a directory that is root's (still): in one of the account's, it could put a link to any file there
    /// before the socket is given to it.
    pub(crate) fn listen(directory: &Path, account: &Account) -> Result<Self, Error> {
        let path = directory.join("console");
        let failed = |what: &str, e: io::Error| Error::system(format!("{what} {}", path.display()), e);
        let listener = UnixListener::bind(&path).map_err(|e| failed("listen at", e))?;
        // What nobody has connected to when the runtime has ended never comes.
        listener.set_nonblocking(true).map_err(|e| failed("listen at", e))?;
        if !account.is_root() {
            lchown(&path, Some(account.uid), Some(account.gid)).map_err(|e| failed("chown", e))?;
        }
        Ok(Self { listener, path })
    }

    /// `--console-socket`
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal from the runtime, if there is somebody who has one. It must be root or the account.
    pub(crate) fn accept(&self, account: &Account) -> io::Result<Option<OwnedFd>> {
        let (stream, _) = self.listener.accept()?;
        let peer = getsockopt(&stream, sockopt::PeerCredentials)?;
        if peer.uid() != 0 && peer.uid() != account.uid {
            return Ok(None);
        }
        stream.set_read_timeout(Some(TERMINAL_TIMEOUT))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        // Its name, which is of no use.
        let mut name = [0; 256];
        recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        Ok(control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        }))
    }

    /// The terminal of a runtime that has ended, and has sent it.
    pub(crate) fn sent(&self, account: &Account) -> Result<OwnedFd, Error> {
        let failed = |e: io::Error| Error::system("receive the terminal from the runtime", e);
        loop {
            // Until it is there, or nobody is left who has connected.
            if let Some(master) = self.accept(account).map_err(failed)? {
                return Ok(master);
            }
        }
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
