// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal of a run: the runtime makes it inside the container and sends its other end, the master, to a socket
//! (runc's "detached terminals"). The caller's own terminal never goes inside.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, chown};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::exit::Error;
use crate::prepare::Prepared;

/// Where the runtime connects to.
#[derive(Debug)]
pub(super) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens, if there is to be a terminal, where the account that runs the runtime can connect.
    pub(super) fn listen(prepared: &Prepared<'_>, wanted: bool) -> Result<Option<Self>, Error> {
        if !wanted {
            return Ok(None);
        }
        let path = prepared.places.state.join("console");
        let failed = |what: &str, e: std::io::Error| Error::system(format!("{what} {}", path.display()), e);
        let listener = UnixListener::bind(&path).map_err(|e| failed("listen at", e))?;
        // What nobody has connected to when the runtime has ended never comes.
        listener.set_nonblocking(true).map_err(|e| failed("listen at", e))?;
        let account = &prepared.identity.account;
        if !account.is_root() {
            chown(&path, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))
                .map_err(|e| failed("chown", e.into()))?;
        }
        Ok(Some(Self { listener, path }))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The master that the runtime has sent.
    pub(super) fn receive(self) -> Result<OwnedFd, Error> {
        let failed = |e: std::io::Error| Error::system("receive the terminal from the runtime", e);
        let (stream, _) = self.listener.accept().map_err(failed)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; 4096];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut control, flags)
            .map_err(|e| failed(e.into()))?;
        let sent = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        sent.ok_or_else(|| failed(std::io::Error::other("it sent no descriptor")))
    }
}
