// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standard output, and what is said in between on standard error, in one order.
//!
//! A thread writes: a terminal that is held, or a pager that is not read, stops it and not the one who wants to detach.

use std::io::{self, ErrorKind, IsTerminal as _, PipeReader, Write as _, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OutputModes, Termios, tcgetattr};

use crate::error::Error;
use crate::output::safe;
use crate::pty;

/// Something to be shown.
#[derive(Debug)]
pub(super) enum Item {
    /// Of the container, as it is.
    Bytes(Vec<u8>),
    /// Of ours, in a line of its own.
    Line(String),
    /// The end of what programs may have switched on.
    Reset,
}

/// Where everything goes, one behind the other.
#[derive(Debug)]
pub(super) struct Screen {
    items: Sender<Item>,
    /// A byte for each item that was written; the end when nobody reads any more.
    written: PipeReader,
    /// How many were not.
    waiting: usize,
    is_gone: bool,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Screen {
    pub(super) fn open() -> Result<Self, Error> {
        let (written, mut tell) = io::pipe().map_err(|e| Error::system("pipe2", e))?;
        let (items, take): (Sender<Item>, Receiver<Item>) = channel();
        let write = move || {
            let mut cursor = Cursor { is_in_line: false };
            take.into_iter().try_for_each(|item| {
                cursor.show(item)?;
                tell.write_all(b".")
            })
        };
        let writer = Builder::new().spawn(write).map_err(|e| Error::system("start a thread", e))?;
        Ok(Self { items, written, waiting: 0, is_gone: false, writer: Some(writer) })
    }

    /// Has the thread write it.
    pub(super) fn show(&mut self, item: Item) {
        self.waiting += 1;
        self.is_gone |= self.items.send(item).is_err();
    }

    /// Says something of ours.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.show(Item::Line(text.into()));
    }

    /// Whether something is not written yet. Then nothing more is taken from the container, so that nothing is collected
    /// here.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting > 0
    }

    /// Whether nobody reads what is written.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Why nothing can be written any more, unless it is that nobody reads.
    pub(super) fn fault(&mut self) -> Option<Error> {
        let writer = self.writer.take_if(|_| self.is_gone)?;
        let error = writer.join().ok()?.err()?;
        let is_hung_up = error.kind() == ErrorKind::BrokenPipe || stdout().is_terminal();
        (!is_hung_up).then(|| Error::system("write to standard output", error))
    }

    /// Counts what was written; to be called when there is something to read.
    pub(super) fn note(&mut self) {
        match rustix::io::read(&self.written, &mut [0; 64]) {
            Ok(count @ 1..) => self.waiting = self.waiting.saturating_sub(count),
            Err(Errno::INTR) => {}
            _ => self.is_gone = true,
        }
    }

    /// Waits until all is written, but not for ever.
    pub(super) fn finish(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.is_busy() && !self.is_gone {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(left) = left.try_into() else { return };
            match poll(&mut [PollFd::new(&self.written, PollFlags::IN)], Some(&left)) {
                Ok(1..) => self.note(),
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

impl AsFd for Screen {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.written.as_fd()
    }
}

/// Where we are on the screen.
struct Cursor {
    is_in_line: bool,
}

impl Cursor {
    fn show(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Bytes(bytes) => {
                self.is_in_line = bytes.last().is_none_or(|last| *last != b'\n');
                print(&bytes)
            }
            Item::Reset => {
                pty::reset();
                Ok(())
            }
            Item::Line(text) => {
                let mut stderr = io::stderr().lock();
                // Of a raw terminal, the end of a line is no beginning of the next.
                let is_raw = |modes: Termios| !modes.output_modes.contains(OutputModes::OPOST);
                let after = if tcgetattr(&stderr).is_ok_and(is_raw) { "\r\n" } else { "\n" };
                let is_shared = stderr.is_terminal() && stdout().is_terminal();
                let before = if self.is_in_line && is_shared { after } else { "" };
                self.is_in_line = false;
                // Who does not want to read it, does not.
                let _ = write!(stderr, "{before}ctctl: {}{after}", safe(&text));
                Ok(())
            }
        }
    }
}

/// Writes all of it to standard output, also where another program has left that so that it does not wait (O_NONBLOCK).
fn print(mut bytes: &[u8]) -> io::Result<()> {
    let stdout = stdout();
    while !bytes.is_empty() {
        match rustix::io::write(&stdout, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
