// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ctctl exec` and `ct-helper exec` say to each other: JSON, a line each, over a pair of unix(7) stream sockets, and
//! descriptors along with it.
//!
//! The end of the stream is a message, too: the other one has died. See [`message`] for the words.

pub mod message;

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The most descriptors that one message has: standard input, output and error, or what a console is made of.
pub const MOST_DESCRIPTORS: usize = 8;

/// The longest message, in bytes: command line and environment, which execve(2) limits to less.
const LONGEST: usize = 8 << 20;

/// One end.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    unread: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

/// A line.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// How many of the descriptors that have come are this message's.
    descriptors: usize,
    message: T,
}

impl Channel {
    /// An end, and the other one for a child.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::from(OwnedFd::from(ours)), theirs.into()))
    }

    /// Another one for the same end, to send from another thread. It has read nothing.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::from(OwnedFd::from(self.stream.try_clone()?)))
    }

    /// Sends a message, and copies of descriptors with it.
    pub fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Envelope { descriptors: descriptors.len(), message })?;
        line.push(b'\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        // Descriptors go with the first byte, and need not be said again with the others.
        let sent = loop {
            match sendmsg(&self.stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        (&self.stream).write_all(line.get(sent..).unwrap_or_default())
    }

    /// Waits for the next message; `None` when the other end is closed.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.received()? {
                return Ok(Some(message));
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// A message that has been read already, as poll(2) would not tell.
    pub fn received<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let envelope: Envelope<T> = serde_json::from_slice(&line)?;
        let count = envelope.descriptors.min(self.descriptors.len());
        Ok(Some((envelope.message, self.descriptors.drain(..count).collect())))
    }

    /// Reads what there is; false at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        if self.unread.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message without end"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 16 * 1024];
        let received = loop {
            let parts = &mut [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.stream, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                // The other end was closed with something of ours unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(false),
                other => break other?.bytes,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.unread.extend_from_slice(bytes.get(..received).unwrap_or_default());
        Ok(received > 0)
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self { stream: socket.into(), unread: Vec::new(), descriptors: VecDeque::new() }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_and_their_descriptors() {
        let (ours, theirs) = Channel::pair().unwrap();
        let mut theirs = Channel::from(theirs);
        let (mut reader, writer) = io::pipe().unwrap();
        ours.send(&"first", &[]).unwrap();
        ours.send(&"second", &[writer.as_fd()]).unwrap();
        ours.send(&"third".repeat(10_000), &[]).unwrap();
        drop((ours, writer));
        let (first, none) = theirs.receive::<String>().unwrap().unwrap();
        assert_eq!((first.as_str(), none.len()), ("first", 0));
        let (second, one) = theirs.receive::<String>().unwrap().unwrap();
        assert_eq!((second.as_str(), one.len()), ("second", 1));
        for descriptor in one {
            std::fs::File::from(descriptor).write_all(b"through").unwrap();
        }
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "through");
        assert_eq!(theirs.receive::<String>().unwrap().unwrap().0.len(), 50_000);
        assert!(theirs.receive::<String>().unwrap().is_none(), "the end");
    }
}
