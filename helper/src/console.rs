// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal of a command or of a container: the runtime makes it inside and sends its other end, the master, to a socket
//! (runc's "detached terminals"). The caller's own terminal never goes inside.
//!
//! A container's own is handed over to a service that stays: [`service`], of which the files of this directory are parts.

mod client;
mod clients;
mod ending;
mod handover;
mod life;
mod lines;
mod log;
mod peer;
mod pulse;
mod ring;
pub(crate) mod service;
mod session;
mod source;
mod store;
mod token;
mod unit;

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::lchown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

pub(crate) use self::handover::hand_over;
pub(crate) use self::life::Role;
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
        let path = directory.join("terminal");
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
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        // Its name, which is of no use.
        let mut name = [0; 256];
        recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten();
        match (descriptors.next(), descriptors.next()) {
            (Some(_), Some(_)) => Err(io::Error::other("it has sent more than one")),
            (Some(master), None) => Ok(Some(master)),
            (None, _) => Ok(None),
        }
    }

    /// The terminal of a container whose runtime has ended: exactly one. Were there another, whose would be the right one?
    pub(crate) fn sole(self, account: &Account) -> Result<OwnedFd, Error> {
        let failed = |e: io::Error| Error::system("receive the terminal from the runtime", e);
        let master = self.sent(account)?;
        loop {
            match self.accept(account) {
                Ok(None) => {}
                Ok(Some(_second)) => return Err(failed(io::Error::other("it has sent more than one"))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(failed(error)),
            }
        }
        std::fs::remove_file(&self.path).map_err(failed)?;
        if is_master(&master) { Ok(master) } else { Err(failed(io::Error::other("it is none"))) }
    }

    /// The terminal of a runtime that has ended, and has sent it.
    pub(crate) fn sent(&self, account: &Account) -> Result<OwnedFd, Error> {
        let failed = |e: io::Error| {
            let is_none = e.kind() == io::ErrorKind::WouldBlock;
            let e = if is_none { io::Error::other("it has sent none") } else { e };
            Error::system("receive the terminal from the runtime", e)
        };
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

/// Gives a terminal that has no size this many rows and columns: not every runtime heeds what config.json says.
pub(crate) fn give_size(master: &OwnedFd, (rows, columns): (u16, u16)) -> Result<(), Error> {
    let failed = |e: rustix::io::Errno| Error::system("set the size of the terminal", io::Error::from(e));
    let size = tcgetwinsize(master).map_err(failed)?;
    if (size.ws_row, size.ws_col) != (0, 0) {
        return Ok(());
    }
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ..size }).map_err(failed)
}

/// Whether it is the master of a terminal, and not a file whose reading never ends.
fn is_master(descriptor: &OwnedFd) -> bool {
    rustix::pty::ptsname(descriptor, Vec::new()).is_ok()
}
