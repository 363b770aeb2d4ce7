// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the container's output comes from: the master of its terminal, or its pipe. Nothing on it ever blocks, and its end is
//! never seen.
//!
//! Where nobody has the other side open, a descriptor tells of that without pause, and a container that closes its terminal and
//! opens it again later is within its rights. So the other side is kept open here. A slave that vhangup(2) has taken away is
//! opened again. A pipe that is kept open here as well never breaks: nobody gets SIGPIPE of it, and nobody its end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ct_console::Size;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

/// See the file's head.
#[derive(Debug)]
pub(super) struct Source {
    /// The master, or where the pipe of the output ends.
    output: OwnedFd,
    /// The other side of that.
    kept: Option<OwnedFd>,
    is_terminal: bool,
    input: Option<Input>,
}

/// The pipe that a container reads.
#[derive(Debug)]
struct Input {
    writer: OwnedFd,
    _kept: OwnedFd,
}

impl Source {
    /// Of what was handed over; which of both it is, it says itself.
    pub(super) fn of(output: OwnedFd, input: Option<OwnedFd>) -> io::Result<Self> {
        let is_terminal = FileType::from_raw_mode(fstat(&output)?.st_mode) == FileType::CharacterDevice;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))?;
        let mut source = Self { output, kept: None, is_terminal, input: None };
        let kept = source.keep_open();
        if !is_terminal {
            kept?;
            source.input = input.map(Input::of).transpose()?;
        }
        Ok(source)
    }

    /// Whether it has a size, and needs no line feeds of two bytes.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether the container reads what is typed.
    pub(super) fn has_input(&self) -> bool {
        self.is_terminal || self.input.is_some()
    }

    /// The pipe that it reads, of one without a terminal.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(|input| input.writer.as_fd())
    }

    /// Opens the other side, again if it has been hung up. A slave can be refused: by a container that wants to be alone with
    /// it (TIOCEXCL), and when its file system is gone.
    pub(super) fn keep_open(&mut self) -> io::Result<()> {
        self.kept = None;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        self.kept = Some(if self.is_terminal {
            ioctl_tiocgptpeer(&self.output, flags)?
        } else {
            reopened(&self.output, OFlags::WRONLY)?
        });
        Ok(())
    }

    /// The pipe that the output comes from. A terminal is not given out.
    pub(super) fn into_pipe(self) -> Option<OwnedFd> {
        (!self.is_terminal).then_some(self.output)
    }

    /// What the container reads, as much as it takes now.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let to = match &self.input {
            Some(input) => &input.writer,
            None if self.is_terminal => &self.output,
            // It reads nothing at all.
            None => return Ok(bytes.len()),
        };
        loop {
            match rustix::io::write(to, bytes) {
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
        let size = tcgetwinsize(&self.output).ok()?;
        Size::new(size.ws_row, size.ws_col)
    }

    /// Gives it another; the container hears of that.
    pub(super) fn resize(&self, size: Size) -> io::Result<()> {
        let (ws_row, ws_col) = (size.rows(), size.columns());
        if !self.is_terminal {
            return Ok(());
        }
        Ok(tcsetwinsize(&self.output, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

impl Input {
    fn of(writer: OwnedFd) -> io::Result<Self> {
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_WRONLY))?;
        let kept = reopened(&writer, OFlags::RDONLY)?;
        Ok(Self { writer, _kept: kept })
    }
}

/// Another descriptor of the same pipe or memory, and not of the same open file: in proc(5) each can be opened anew, for either
/// direction.
pub(super) fn reopened(file: impl AsFd, direction: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(open(path, direction | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}
