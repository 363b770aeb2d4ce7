// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ready.notify`: a socket of the container's own for sd_notify(3). PID 1's is never shown to it: whoever can write
//! there could name another main process, or stop the unit.
//!
//! What arrives is believed only of processes in the container's control group, and only the few words below; nothing
//! is passed on as it came.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ct_config::container::{Create, Mount};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::PassCred;

use crate::cgroup::UnitCgroup;
use crate::claim::RunDirectory;
use crate::exit::{Error, printable};
use crate::sys;

/// Where the container finds it: on the tmpfs that every container has, so that nothing is made in its own files.
pub(crate) const TARGET: &str = "/dev/ct-notify";

/// As PID 1 limits it, in bytes.
const MAX_MESSAGE: usize = 4096;
/// Longer status texts are cut, in characters.
const MAX_STATUS: usize = 200;

/// How many messages are read at once: as many as the queue of a socket has room for where systemd is PID 1
/// (net.unix.max_dgram_qlen), so that the last word of one that has ended is among them.
const MAX_AT_ONCE: usize = 512;
/// How long nothing is read after that, in milliseconds. What comes faster stays in the queue, and then its sender waits: a container
/// that floods its socket must not make PID 1, who hears some of it, as busy as itself.
pub(super) const PAUSE: u16 = 50;

/// The socket, and where it is bound.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One assignment that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Ready,
    Reloading,
    Stopping,
    Watchdog,
    Extend(Duration),
    /// Fit for a terminal.
    Status(String),
}

impl NotifySocket {
    /// Makes it in /run/ct/NAME/, where no other user of the host gets at it.
    pub(crate) fn make(run: &RunDirectory) -> Result<Self, Error> {
        let path = run.make("notify", 0o700)?.join("socket");
        let failed = |what: &str, e: io::Error| Error::system(format!("{what} {}", path.display()), e);
        let socket = UnixDatagram::bind(&path).map_err(|e| failed("bind", e))?;
        // Any user of the container may speak; it is reached by the mount alone.
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).map_err(|e| failed("chmod", e))?;
        Self::from_socket(socket, path)
    }

    /// Takes over one that is bound already.
    pub(crate) fn adopt(socket: OwnedFd) -> Result<Self, Error> {
        Self::from_socket(UnixDatagram::from(socket), PathBuf::new())
    }

    fn from_socket(socket: UnixDatagram, path: PathBuf) -> Result<Self, Error> {
        socket.set_nonblocking(true).map_err(|e| Error::system("fcntl(O_NONBLOCK)", e))?;
        setsockopt(&socket, PassCred, &true).map_err(|e| Error::system("setsockopt(SO_PASSCRED)", e))?;
        Ok(Self { socket, path })
    }

    /// How it comes into the container.
    pub(crate) fn mount(&self) -> Mount {
        Mount {
            source: self.path.clone(),
            target: Path::new(TARGET).to_owned(),
            kind: "bind".to_owned(),
            options: Vec::new(),
            create: Create::File,
        }
    }

    /// A copy for another process.
    pub(crate) fn duplicate(&self) -> Result<OwnedFd, Error> {
        self.socket.as_fd().try_clone_to_owned().map_err(|e| Error::system("dup", e))
    }

    /// What the messages that are there say, and of each word only the last.
    pub(crate) fn receive(&self, cgroup: &UnitCgroup) -> Vec<Said> {
        let messages = (0..MAX_AT_ONCE).map_while(|_| self.receive_one(cgroup));
        only_the_last(messages.flatten().collect())
    }

    /// The next message; `None` when there is no other. One of somebody else, or one too long, says nothing.
    fn receive_one(&self, cgroup: &UnitCgroup) -> Option<Vec<Said>> {
        let mut bytes = [0; MAX_MESSAGE];
        // Descriptors are closed by then, which answers a BARRIER=1: what came before it has been read.
        let received = sys::receive(self.socket.as_fd(), &mut bytes).ok()?;
        let sender =
            received.sender.filter(|sender| *sender > 1 && !received.is_cut && cgroup.holds(*sender));
        let text = String::from_utf8_lossy(bytes.get(..received.length).unwrap_or_default());
        let said = sender.map(|_| parse(&text)).unwrap_or_default();
        Some(said)
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The assignments of a message that are understood; all others are as if they were not there.
fn parse(text: &str) -> Vec<Said> {
    let one = |line: &str| {
        let (key, value) = line.split_once('=')?;
        Some(match (key, value) {
            ("READY", "1") => Said::Ready,
            ("RELOADING", "1") => Said::Reloading,
            ("STOPPING", "1") => Said::Stopping,
            ("WATCHDOG", "1") => Said::Watchdog,
            ("EXTEND_TIMEOUT_USEC", number) => Said::Extend(Duration::from_micros(number.parse().ok()?)),
            ("STATUS", text) => Said::Status(printable(text, MAX_STATUS)),
            _ => return None,
        })
    };
    text.lines().filter_map(one).collect()
}

/// Of each word the last, in their order.
fn only_the_last(said: Vec<Said>) -> Vec<Said> {
    let mut last: Vec<Said> = Vec::new();
    for word in said {
        last.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&word));
        last.push(word);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_the_list_are_understood() {
        let text = "READY=1\nMAINPID=1\nSTATUS=\u{1b}[31mred\nFDSTORE=1\nNOTIFYACCESS=all\nWATCHDOG=trigger\n\
                    EXTEND_TIMEOUT_USEC=-1\nREADY=yes\nBARRIER=1\nX";
        assert_eq!(parse(text), [Said::Ready, Said::Status(" [31mred".to_owned())]);
        let text = "RELOADING=1\nSTOPPING=1\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=5000000";
        let want = [Said::Reloading, Said::Stopping, Said::Watchdog, Said::Extend(Duration::from_secs(5))];
        assert_eq!(parse(text), want);
        assert_eq!(parse(&format!("STATUS={}", "x".repeat(5000))), [Said::Status("x".repeat(200))]);
        assert_eq!(parse(""), []);
    }

    #[test]
    fn of_many_words_the_last_of_each_counts() {
        let said = parse("RELOADING=1\nSTATUS=a\nREADY=1\nRELOADING=1\nSTATUS=b\nREADY=1\nSTATUS=c");
        assert_eq!(only_the_last(said), [Said::Reloading, Said::Ready, Said::Status("c".to_owned())]);
    }
}
