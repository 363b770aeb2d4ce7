// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the runtime reads and leaves for one command: a directory in /run/ct/NAME/, gone with it.

use std::fs::{self, OpenOptions};
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use oci_spec::runtime::Process;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::account::Account;
use crate::exit::Error;
use crate::instance::Instance;
use crate::runtime::{last_error, read_untrusted};

/// How long a runtime may take from its call to the terminal that it sends.
const TERMINAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The directory. It is the account's, and so is all that is in there.
#[derive(Debug)]
pub(crate) struct ExecFiles {
    directory: PathBuf,
    /// Where the runtime sends the master of the command's terminal.
    console: Option<UnixListener>,
}

impl ExecFiles {
    /// Makes it, and the process in the runtime's words. All is made while the directory is root's: nobody can have
    /// prepared it.
    pub(crate) fn make(instance: &Instance, account: &Account, process: &Process) -> Result<Self, Error> {
        let directory = instance.directory().join(format!("exec-{}", std::process::id()));
        let shown = directory.display();
        let failed = |what: &str, e: std::io::Error| Error::system(format!("{what} {shown}"), e);
        // Of one that was killed, and had this number.
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|e| failed("mkdir", e))?;
        let mut files = Self { directory: directory.clone(), console: None };
        let json = serde_json::to_vec(process).map_err(|e| failed("render", e.into()))?;
        let options = OpenOptions::new().write(true).create_new(true).mode(0o400).clone();
        let mut file = options.open(files.process()).map_err(|e| failed("write to", e))?;
        file.write_all(&json).map_err(|e| failed("write to", e))?;
        let mut owned = vec![files.process()];
        if process.terminal() == Some(true) {
            let path = directory.join("console");
            let listener = UnixListener::bind(&path).map_err(|e| failed("bind a socket in", e))?;
            listener.set_nonblocking(true).map_err(|e| failed("listen in", e))?;
            files.console = Some(listener);
            owned.push(path);
        }
        owned.push(directory.clone());
        if !account.is_root() {
            for path in &owned {
                chown(path, Some(account.uid), Some(account.gid)).map_err(|e| failed("chown in", e))?;
            }
        }
        Ok(files)
    }

    /// The process, `process.json` of `exec --process`.
    pub(crate) fn process(&self) -> PathBuf {
        self.directory.join("process.json")
    }

    /// Where the runtime leaves the number of the command's process.
    pub(crate) fn pid(&self) -> PathBuf {
        self.directory.join("pid")
    }

    /// Where it says what went wrong.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// `--console-socket`
    pub(crate) fn console(&self) -> Option<PathBuf> {
        self.console.as_ref().map(|_| self.directory.join("console"))
    }

    /// The last error in the log.
    pub(crate) fn complaint(&self) -> Option<String> {
        read_untrusted(&self.log()).ok().and_then(|text| last_error(&text))
    }

    /// To be polled for the terminal.
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.console.as_ref().map(AsFd::as_fd)
    }

    /// Takes the terminal from the runtime, if there is somebody who has one. It must be root or the account.
    pub(crate) fn accept(&self, account: &Account) -> std::io::Result<Option<OwnedFd>> {
        let Some(listener) = &self.console else { return Ok(None) };
        let (stream, _) = listener.accept()?;
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
}

impl Drop for ExecFiles {
    fn drop(&mut self) {
        // With the container, if not now. Links in it are removed and not followed.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
