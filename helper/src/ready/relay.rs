// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper relay PID`: what a container with `ready.watchdog` says after its start, passed on to PID 1 word by word.
//!
//! The one process of ct that stays, and only where a config asks for it: PID 1 takes a message for the unit only from
//! the main process itself (NotifyAccess=main), which must not see PID 1's socket. A privileged process may speak in the
//! name of another, see unix(7), "SCM_CREDENTIALS". It ends with the container.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use ct_config::name::ContainerName;
use ct_config::settings::HELPER;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, sendmsg, socket,
};

use super::notify_socket::{NotifySocket, PAUSE, Said};
use crate::cgroup::{self, UnitCgroup};
use crate::exit::Error;
use crate::reaper::Init;
use crate::sys;

/// Starts the relay, which has the container's socket as its standard input.
pub(crate) fn leave_behind(container: &NotifySocket, name: &ContainerName, init: &Init) -> Result<(), Error> {
    let started = Command::new(HELPER)
        .args(["relay", name.as_str(), &init.pid.to_string()])
        .stdin(Stdio::from(container.duplicate()?))
        .spawn();
    started.map(drop).map_err(|e| Error::system(format!("execute {HELPER} relay"), e))
}

/// The relay's life: as long as init's.
pub(crate) fn relay(name: &str, pid: i32) -> Result<(), Error> {
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|e| Error::system("dup", e))?;
    let container = NotifySocket::adopt(stdin)?;
    let cgroup = UnitCgroup::containing(&cgroup::own_path()?, &format!("ct@{name}.service"))?;
    let Ok(init) = sys::pidfd_open(pid) else { return Ok(()) };
    // It was over before, and somebody else has its number.
    if !cgroup.holds(pid) {
        return Ok(());
    }
    let manager = Manager::connect()?;
    loop {
        let mut fds =
            [PollFd::new(container.as_fd(), PollFlags::POLLIN), PollFd::new(init.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system("poll", errno)),
        }
        let heard = container.receive(&cgroup);
        // Its number may mean another main process by now.
        if sys::ends_within(&init, 0).unwrap_or(true) {
            return Ok(());
        }
        for said in &heard {
            // PID 1 gone deaf: there is nobody to tell.
            let _ = manager.send(&rendered(said), pid);
        }
        // Also the pause that keeps a flood from PID 1.
        if sys::ends_within(&init, PAUSE).unwrap_or(true) {
            return Ok(());
        }
    }
}

/// PID 1's socket.
struct Manager {
    socket: std::os::fd::OwnedFd,
    address: UnixAddr,
}

impl Manager {
    fn connect() -> Result<Self, Error> {
        let missing = || Error::Usage("NOTIFY_SOCKET is not set".to_owned());
        let path = std::env::var("NOTIFY_SOCKET").map_err(|_unset| missing())?;
        let address = match path.strip_prefix('@') {
            Some(name) => UnixAddr::new_abstract(name.as_bytes()),
            None => UnixAddr::new(path.as_str()),
        };
        let address = address.map_err(|e| Error::system(format!("use {path}"), e))?;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|e| Error::system("socket", e))?;
        Ok(Self { socket, address })
    }

    /// In the name of init.
    fn send(&self, text: &str, init: i32) -> nix::Result<()> {
        let credentials = UnixCredentials::from(libc::ucred { pid: init, uid: 0, gid: 0 });
        let message = [ControlMessage::ScmCredentials(&credentials)];
        let parts = [IoSlice::new(text.as_bytes())];
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.socket);
        sendmsg(fd, &parts, &message, MsgFlags::MSG_NOSIGNAL, Some(&self.address)).map(drop)
    }
}

fn rendered(said: &Said) -> String {
    match said {
        Said::Ready => "READY=1".to_owned(),
        Said::Reloading => "RELOADING=1".to_owned(),
        Said::Stopping => "STOPPING=1".to_owned(),
        Said::Watchdog => "WATCHDOG=1".to_owned(),
        Said::Extend(span) => format!("EXTEND_TIMEOUT_USEC={}", span.as_micros()),
        Said::Status(text) => format!("STATUS={text}"),
    }
}
