// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection to the console of a container: frames go in and come out, and nothing here waits.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ct_console::{ClientFrame, Decoder, ServerFrame};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::Error;

/// Read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    decoder: Decoder,
    /// To be sent.
    wire: Vec<u8>,
    chunk: Vec<u8>,
}

impl Link {
    /// Connects. Of a service that is being started anew the listener has a queue, which may be full: `WouldBlock`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self {
            stream: UnixStream::from(socket),
            decoder: Decoder::new(),
            wire: Vec::new(),
            chunk: vec![0; CHUNK],
        })
    }

    /// Has a frame sent, behind those before it.
    pub(super) fn push(&mut self, frame: &ClientFrame<'_>) {
        frame.encode(&mut self.wire);
    }

    /// Whether something waits to be sent.
    pub(super) fn is_full(&self) -> bool {
        !self.wire.is_empty()
    }

    /// Sends as much as there is room for. That the other end is gone is seen by the one who reads.
    pub(super) fn flush(&mut self) {
        while !self.wire.is_empty() {
            match self.stream.write(&self.wire) {
                Ok(count) => drop(self.wire.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.wire.clear(),
            }
        }
    }

    /// Nothing more will be sent.
    pub(super) fn end_input(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Takes what has come; false when there will be nothing more.
    pub(super) fn receive(&mut self, mut take: impl FnMut(ServerFrame<'_>)) -> Result<bool, Error> {
        let count = match self.stream.read(&mut self.chunk) {
            Ok(count) => count,
            Err(error) if [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind()) => {
                return Ok(true);
            }
            // Closed with something of ours unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(Error::system("read from the console", error)),
        };
        let failed =
            |error: ct_console::Error| Error::failed(format!("what the console says is wrong: {error}"));
        let mut rest = self.chunk.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let taken = self.decoder.take(rest);
            rest = rest.get(taken..).unwrap_or_default();
            while let Some(frame) = self.decoder.next_frame().map_err(failed)? {
                if let Some(frame) = ServerFrame::parse(frame).map_err(failed)? {
                    take(frame);
                }
            }
        }
        Ok(count > 0)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
