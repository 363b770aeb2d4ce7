// SPDX-License-Identifier: MIT OR Apache-2.0
//! systemd's own socket, for root and without a bus.
//!
//! What systemd sends there bears the sender `org.freedesktop.systemd1`. That is no unique name, which is what a sender
//! must be (D-Bus specification, "Message Format"), and zbus does not go on with such a message. So the name is replaced
//! as it comes in, by one of the same length that is well-formed.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use async_io::Async;
use zbus::connection::socket::{BoxedSplit, ReadHalf, Split, WriteHalf};

/// The header field: code 7, of the one type `s`, then length, text and NUL.
const SENDER: &[u8] = b"\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0";
const UNIQUE: &[u8] = b"\x07\x01s\0\x18\0\0\0:1.systemd.direct.socket\0";

/// By this name systemd is known on its socket: signals are taken from it alone, and it is not asked who it is.
pub(crate) const NAME: &str = ":1.systemd.direct.socket";

/// The stream as a socket of zbus.
pub(crate) fn socket(stream: UnixStream) -> std::io::Result<BoxedSplit> {
    let stream = Arc::new(Async::new(stream)?);
    let read: Box<dyn ReadHalf> = Box::new(Patched { stream: stream.clone() });
    let write: Box<dyn WriteHalf> = Box::new(stream);
    Ok(Split::new(read, write))
}

/// Reads as the stream does, but for the sender.
#[derive(Debug)]
struct Patched {
    stream: Arc<Async<UnixStream>>,
}

#[async_trait::async_trait]
impl ReadHalf for Patched {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> std::io::Result<(usize, Vec<OwnedFd>)> {
        let (length, descriptors) = self.stream.recvmsg(buffer).await?;
        // zbus reads a header's fixed part, and then all the rest: the fields are never in two pieces, since systemd
        // writes a message at once.
        if let Some(read) = buffer.get_mut(..length) {
            replace_sender(read);
        }
        Ok((length, descriptors))
    }

    fn can_pass_unix_fd(&self) -> bool {
        ReadHalf::can_pass_unix_fd(&self.stream)
    }
}

fn replace_sender(bytes: &mut [u8]) {
    let found = bytes.windows(SENDER.len()).position(|window| window == SENDER);
    if let Some(place) = found.and_then(|start| bytes.get_mut(start..start + SENDER.len())) {
        place.copy_from_slice(UNIQUE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sender_is_replaced() {
        let mut bytes = [b"l\x02 org.freedesktop.systemd1 ", SENDER, b" rest"].concat();
        replace_sender(&mut bytes);
        assert_eq!(bytes, [b"l\x02 org.freedesktop.systemd1 ".as_slice(), UNIQUE, b" rest"].concat());
        assert_eq!(SENDER.len(), UNIQUE.len());
    }
}
