// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes passed on between the caller's descriptors and those of a program inside a container, which never gets the
//! caller's own: whoever has a file, a terminal or a socket of the host open can do more with it than was meant.
//!
//! One thread for each direction, with one buffer of fixed size: who does not read makes the other one wait, and nothing
//! is ever collected or lost.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::Error;

/// As much as a pipe holds, in bytes.
const BUFFER: usize = 64 * 1024;

/// What a terminal may still have to say after the end of the program on it, in bytes, and how long nothing may come in
/// between, in nanoseconds. Only where the kernel does not hang up at once, as it does for the leader of a session.
const MOST_OF_A_TERMINAL: u64 = 1 << 20;
const HANG_UP: i64 = 200_000_000;

/// Ctrl-D, by which a terminal says that nothing more will be typed.
const END_OF_TYPING: [u8; 1] = [4];

/// Tells copies from a program that has ended to go on only as long as there is something to read: what it has left
/// running may hold the other end open for ever.
#[derive(Debug)]
pub struct End {
    /// Readable when it is over: hung up.
    reader: PipeReader,
    writer: PipeWriter,
}

impl End {
    /// Not yet.
    pub fn new() -> Result<Self, Error> {
        let (reader, writer) = io::pipe().map_err(|e| Error::system("pipe2", e))?;
        Ok(Self { reader, writer })
    }

    fn watch(&self) -> Result<OwnedFd, Error> {
        let copy = self.reader.as_fd().try_clone_to_owned();
        copy.map_err(|e| Error::system("dup", e))
    }

    /// It is.
    pub fn has_come(self) {
        drop(self.writer);
    }
}

/// A copy from the program to the caller.
#[derive(Debug)]
pub struct Copy {
    thread: JoinHandle<()>,
    escaped: Arc<AtomicBool>,
}

impl Copy {
    /// Waits until all is passed on. True if there was an escape sequence in it, which a terminal may still be changed by.
    pub fn finish(self) -> bool {
        let _ = self.thread.join();
        self.escaped.load(Ordering::Relaxed)
    }
}

/// What a program prints on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// All that it wrote before its end is there at its end.
    Pipe,
    /// A pty's master: the kernel is still on its way with the last bytes, and hangs up behind them.
    Terminal,
}

/// Passes on what a program prints, until nobody can print any more or `end` has come. When nobody reads `to` any more,
/// `from` is closed, which the program gets SIGPIPE of.
pub fn from_program(from: OwnedFd, source: Source, to: impl AsFd, end: &End) -> Result<Copy, Error> {
    let to = to.as_fd().try_clone_to_owned().map_err(|e| Error::system("dup", e))?;
    let end = end.watch()?;
    let escaped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&escaped);
    let thread = std::thread::spawn(move || {
        let mut buffer = vec![0; BUFFER];
        let mut left = Left::Unknown;
        while wait_for_more(&from, source, &end, &mut left) {
            let Ok(Some(bytes)) = read(&from, &mut buffer) else { return };
            left.is_less_by(bytes.len());
            if bytes.contains(&0x1b) {
                seen.store(true, Ordering::Relaxed);
            }
            if write_all(&to, bytes).is_err() {
                return;
            }
        }
    });
    Ok(Copy { thread, escaped })
}

/// How much is still to be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// The program runs.
    Unknown,
    /// So many bytes, when it has ended: what it left running may print for ever.
    Bytes(u64),
}

impl Left {
    fn is_less_by(&mut self, count: usize) {
        if let Self::Bytes(left) = self {
            *left = left.saturating_sub(count as u64);
        }
    }
}

/// Whether there is something to read, now or later.
fn wait_for_more(from: &OwnedFd, source: Source, end: &OwnedFd, left: &mut Left) -> bool {
    if *left == Left::Unknown {
        let mut fds = [PollFd::new(from, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        if retry(|| poll(&mut fds, None)).is_err() {
            return false;
        }
        if fds.iter().skip(1).all(|fd| fd.revents().is_empty()) {
            return true;
        }
        let there = rustix::io::ioctl_fionread(from).unwrap_or(0);
        *left = Left::Bytes(if source == Source::Pipe { there } else { MOST_OF_A_TERMINAL });
    }
    let patience = Timespec { tv_sec: 0, tv_nsec: if source == Source::Pipe { 0 } else { HANG_UP } };
    let mut fds = [PollFd::new(from, PollFlags::IN)];
    *left != Left::Bytes(0) && retry(|| poll(&mut fds, Some(&patience))).is_ok_and(|ready| ready > 0)
}

/// Passes our standard input on to a program, in a thread that ends with us: nobody can tell whether it would read more.
/// At the end a pipe is closed, and a terminal (`is_terminal`) told so.
pub fn to_program(to: OwnedFd, is_terminal: bool) {
    std::thread::spawn(move || {
        let stdin = io::stdin();
        let mut buffer = vec![0; BUFFER];
        while let Ok(Some(bytes)) = read(stdin.as_fd(), &mut buffer) {
            if write_all(&to, bytes).is_err() {
                return;
            }
        }
        if is_terminal {
            let _ = write_all(&to, &END_OF_TYPING);
        }
    });
}

/// Reads once; `None` at the end.
fn read(from: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<&[u8]>> {
    loop {
        match rustix::io::read(&from, &mut *buffer) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                retry(|| poll(&mut [PollFd::new(&from, PollFlags::IN)], None))?;
            }
            // Of a pty that nobody has open any more; or nothing was given to us.
            Ok(0) | Err(Errno::IO | Errno::BADF) => return Ok(None),
            Ok(count) => return Ok(buffer.get(..count)),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Writes all, also to a descriptor that others have made non-blocking.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                retry(|| poll(&mut [PollFd::new(&to, PollFlags::OUT)], None))?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
