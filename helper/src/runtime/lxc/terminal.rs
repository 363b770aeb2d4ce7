// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal of a container of LXC's. LXC would have its monitor copy between one inside and one outside, and ends the
//! container when a side is closed before it hears of init's end. So the helper makes one, as the OCI runtimes do: the
//! container has it as its standard files and as /dev/console, and nobody copies.
//!
//! It is made as root, which can give it to the container's root. To be init's controlling terminal it has to be asked for
//! by init itself (ioctl_tty(2), TIOCSCTTY), which LXC does not do: init begins as [`take_and_execute`].

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, fchown};
use oci_spec::runtime::{LinuxIdMapping, Spec};
use rustix::fs::Mode;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::exit::Error;

/// Where the container has the program that init begins as, and its first argument.
pub(super) const TAKER: &str = "/dev/.ct-init";
const VERB: &str = "take-terminal";

/// The group `tty` of Debian and nearly everyone.
const TTY_GROUP: u32 = 5;

/// A container's side of a terminal of which the other has been sent away.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) slave: OwnedFd,
    /// Its name on the host.
    pub(super) path: PathBuf,
}

/// Makes one for the container of a specification, and sends its master to the helper's socket.
pub(super) fn make(spec: &Spec, socket: &Path) -> Result<Terminal, Error> {
    let failed = |e: io::Error| Error::system("make a terminal", e);
    let made = || -> rustix::io::Result<(OwnedFd, Terminal)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes()));
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        let size = spec.process().as_ref().and_then(|process| process.console_size());
        let cells = |count: u64| u16::try_from(count).unwrap_or_default();
        if let Some(size) = size {
            let (ws_row, ws_col) = (cells(size.height()), cells(size.width()));
            tcsetwinsize(&master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?;
        }
        Ok((master, Terminal { slave, path }))
    };
    let (master, terminal) = made().map_err(|e| failed(e.into()))?;
    let (uid, gid) = owner(spec);
    fchown(&terminal.slave, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|e| failed(e.into()))?;
    rustix::fs::fchmod(&terminal.slave, Mode::from_bits_truncate(0o620)).map_err(|e| failed(e.into()))?;
    send(socket, &master).map_err(|e| Error::system("hand a terminal on", e))?;
    Ok(terminal)
}

/// The container's root and its group of terminals, as the host has them.
fn owner(spec: &Spec) -> (u32, u32) {
    let linux = spec.linux().as_ref();
    let host = |maps: Option<&Vec<LinuxIdMapping>>, id: u32| {
        let Some(maps) = maps else { return Some(id) };
        let inside = |map: &&LinuxIdMapping| id >= map.container_id() && id - map.container_id() < map.size();
        maps.iter().find(inside).map(|map| map.host_id() + (id - map.container_id()))
    };
    let users = linux.and_then(|linux| linux.uid_mappings().as_ref());
    let groups = linux.and_then(|linux| linux.gid_mappings().as_ref());
    let group = host(groups, TTY_GROUP).or_else(|| host(groups, 0));
    (host(users, 0).unwrap_or_default(), group.unwrap_or_default())
}

/// One message with one descriptor, as a runtime sends it.
fn send(socket: &Path, master: &OwnedFd) -> io::Result<()> {
    let connection = UnixStream::connect(socket)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [master.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(&connection, &[IoSlice::new(b"tty")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Does not come back when this program is to be [`TAKER`]: there is nothing in a container of what it needs else.
pub(crate) fn take_if_asked(mut arguments: impl Iterator<Item = OsString>) {
    if arguments.next().is_some_and(|verb| verb == VERB) {
        std::process::exit(take_and_execute(arguments));
    }
}

/// Inside the container, as its init: takes the standard input for the controlling terminal, and becomes the command. Comes
/// back with the status of a shell for a command that cannot be executed.
fn take_and_execute(mut command: impl Iterator<Item = OsString>) -> i32 {
    if let Err(error) = rustix::process::ioctl_tiocsctty(io::stdin()) {
        eprintln!("ct: no controlling terminal: {error}");
    }
    let Some(program) = command.next() else { return 127 };
    let error = Command::new(&program).args(command).exec();
    eprintln!("ct: cannot execute {}: {error}", program.to_string_lossy());
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_belongs_to_the_containers_root() {
        let spec = |maps: &str| {
            serde_json::from_str::<Spec>(&format!(r#"{{"ociVersion":"1.0.2","linux":{{{maps}}}}}"#))
        };
        assert_eq!(owner(&spec("").unwrap()), (0, 5));
        let mapped = r#""uidMappings":[{"containerID":0,"hostID":200000,"size":65536}],
                        "gidMappings":[{"containerID":0,"hostID":300000,"size":3}]"#;
        assert_eq!(owner(&spec(mapped).unwrap()), (200_000, 300_000));
    }
}
