// SPDX-License-Identifier: MIT OR Apache-2.0
//! A new terminal, whose master goes to a socket of the helper's, as an OCI runtime sends one (`--console-socket`).

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// The helper's socket. To be called where the helper's own files are.
pub(crate) fn connect(socket: &Path) -> Result<UnixStream, String> {
    UnixStream::connect(socket).map_err(|error| format!("cannot connect to {}: {error}", socket.display()))
}

/// Makes a terminal, of those that are where this process is by now: its standard files and its controlling terminal.
pub(crate) fn take(connection: &UnixStream, rows: u16, columns: u16) -> Result<(), String> {
    let made = || -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let flags = OpenptFlags::from_bits_retain((OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC).bits());
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        if (rows, columns) != (0, 0) {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&master, size)?;
        }
        let mut modes = tcgetattr(&slave)?;
        modes.output_modes |= OutputModes::ONLCR;
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        Ok((master, slave))
    };
    let (master, slave) = made().map_err(|error| format!("cannot make a terminal: {error}"))?;
    send(connection, &master).map_err(|error| format!("cannot send the terminal: {error}"))?;
    let adopted = || -> rustix::io::Result<()> {
        // It is no failure to lead a session already.
        let _ = rustix::process::setsid();
        rustix::process::ioctl_tiocsctty(&slave)?;
        rustix::stdio::dup2_stdin(&slave)?;
        rustix::stdio::dup2_stdout(&slave)?;
        rustix::stdio::dup2_stderr(&slave)
    };
    adopted().map_err(|error| format!("cannot take the terminal: {error}"))
}

fn send(connection: &UnixStream, master: &OwnedFd) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [master.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(connection, &[IoSlice::new(b"tty")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
