// SPDX-License-Identifier: MIT OR Apache-2.0
//! The master of the container's terminal. Nothing on it ever blocks, and its end is never seen.
//!
//! Where nobody has a slave open, a master tells of that without pause, and a container that closes its terminal and opens it
//! again later is within its rights. So a slave is kept open here. One that vhangup(2) has taken away is opened again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ct_console::Size;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

/// See the file's head.
#[derive(Debug)]
pub(super) struct Source {
    master: OwnedFd,
    slave: Option<OwnedFd>,
}

impl Source {
    /// Of a master that was handed over.
    pub(super) fn of(master: OwnedFd) -> io::Result<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))?;
        let mut source = Self { master, slave: None };
        let _ = source.keep_open();
        Ok(source)
    }

    /// Opens the slave, again if it has been hung up. It can be refused: by a container that wants to be alone with it
    /// (TIOCEXCL), and when its file system is gone.
    pub(super) fn keep_open(&mut self) -> io::Result<()> {
        self.slave = None;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        self.slave = Some(ioctl_tiocgptpeer(&self.master, flags)?);
        Ok(())
    }

    /// What the container reads, as much as it takes now.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.master, bytes) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(0),
                // Nobody there to read.
                Err(rustix::io::Errno::IO) => return Ok(bytes.len()),
                other => return Ok(other?),
            }
        }
    }

    /// The size that it has, if it is one that the protocol knows.
    pub(super) fn size(&self) -> Option<Size> {
        let size = tcgetwinsize(&self.master).ok()?;
        Size::new(size.ws_row, size.ws_col)
    }

    /// Gives it another; the container hears of that.
    pub(super) fn resize(&self, size: Size) -> io::Result<()> {
        let (ws_row, ws_col) = (size.rows(), size.columns());
        Ok(tcsetwinsize(&self.master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}
