// SPDX-License-Identifier: MIT OR Apache-2.0
//! A frame is one byte that says what it is, four that say how long its payload is (little-endian), and the payload.
//!
//! A reader gets them in whatever pieces read(2) has. The [`Decoder`] holds at most one frame, so that nobody can have it
//! collect more, and says of a length that is too much when the header is there and not when the payload has come.

use crate::Error;

/// The longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Type and length, in bytes.
pub const HEADER: usize = 5;

/// Both sides: who I am. The first frame of each.
pub const HELLO: u8 = 0x01;
/// Both sides: bytes of the terminal.
pub const DATA: u8 = 0x02;
/// Client: the size that the terminal is to have.
pub const RESIZE: u8 = 0x03;
/// Client: I am about to go.
pub const DETACH: u8 = 0x04;
/// Server: no.
pub const REFUSED: u8 = 0x11;
/// Server: bytes are lost here.
pub const GAP: u8 = 0x12;
/// Server: the size that the terminal has.
pub const SIZE: u8 = 0x13;
/// Server: one frame was ignored, and why.
pub const NOTE: u8 = 0x14;
/// Server: nothing more will come.
pub const ENDED: u8 = 0x15;

/// One frame as it lies in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// One of the constants here, or of a later version.
    pub kind: u8,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

/// The header of a frame, for those who write the payload from where it lies.
///
/// # Panics
/// With more than [`MAX_PAYLOAD`] bytes: the other side would hang up.
#[must_use]
pub fn header(kind: u8, length: usize) -> [u8; HEADER] {
    assert!(length <= MAX_PAYLOAD, "a frame has at most {MAX_PAYLOAD} bytes");
    let length = u32::try_from(length).expect("it is less than u32::MAX").to_le_bytes();
    let [a, b, c, d] = length;
    [kind, a, b, c, d]
}

/// Appends a whole frame.
pub(crate) fn push(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(header(kind, parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        out.extend(*part);
    }
}

/// Appends bytes as DATA, in as many frames as it takes: none for none.
pub(crate) fn push_data(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(MAX_PAYLOAD) {
        push(DATA, &[chunk], out);
    }
}

/// Cuts frames out of a stream of bytes.
///
/// `take` some bytes, then ask for frames until there is none, and so on. It grows to one frame of the longest kind and no
/// further, and only as the bytes come, not as a header promises.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How much of `bytes` was given out.
    used: usize,
}

impl Decoder {
    /// The most that it ever holds, in bytes.
    pub const BOUND: usize = HEADER + MAX_PAYLOAD;

    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the beginning of these as long as there is room; how many, which is less only after a whole frame
    /// that has not been asked for.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        self.bytes.drain(..self.used);
        self.used = 0;
        let count = bytes.len().min(Self::BOUND - self.bytes.len());
        let (taken, _) = bytes.split_at(count);
        if self.bytes.capacity() < self.bytes.len() + count {
            // Not in powers of two: the bound is the bound.
            self.bytes.reserve_exact(count);
        }
        self.bytes.extend(taken);
        count
    }

    /// The next frame, if it has come whole. After an error there is nothing to be done but to hang up.
    ///
    /// # Errors
    /// [`Error::TooLong`]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        let Some((&[kind, a, b, c, d], rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let announced = u32::from_le_bytes([a, b, c, d]);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(Error::TooLong { kind, length: announced });
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        self.used += HEADER + length;
        Ok(Some(Frame { kind, payload }))
    }

    /// Whether the stream may end here: not within a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.used == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Types and payloads.
    type Frames = Vec<(u8, Vec<u8>)>;

    /// What comes out of a decoder that gets these pieces; and how much it ever held.
    fn decode(pieces: &[&[u8]]) -> (Frames, Result<(), Error>, usize) {
        let (mut decoder, mut frames, mut most) = (Decoder::new(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let count = decoder.take(rest);
                rest = &rest[count..];
                most = most.max(decoder.bytes.capacity());
                loop {
                    match decoder.next_frame() {
                        Ok(Some(frame)) => frames.push((frame.kind, frame.payload.to_vec())),
                        Ok(None) => break,
                        Err(error) => return (frames, Err(error), most),
                    }
                }
                if rest.is_empty() {
                    break;
                }
                assert!(count > 0, "a decoder without a whole frame has room");
            }
        }
        (frames, Ok(()), most)
    }

    /// Cuts `bytes` at these places, as far as there are such.
    fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
        places.sort_unstable();
        let ends = places.iter().copied().chain([bytes.len()]);
        let mut start = 0;
        let mut piece = |end| &bytes[std::mem::replace(&mut start, end)..end];
        ends.map(&mut piece).collect()
    }

    #[test]
    fn the_longest_frame_passes_and_a_longer_one_is_refused_by_its_header() {
        let mut stream = Vec::new();
        push(DATA, &[&[7; MAX_PAYLOAD]], &mut stream);
        let (frames, end, most) = decode(&[&stream, &stream]);
        assert_eq!((frames.len(), end), (2, Ok(())));
        assert!(most <= Decoder::BOUND, "{most}");
        let length = u32::try_from(MAX_PAYLOAD).unwrap() + 1;
        let mut header = vec![DATA];
        header.extend(length.to_le_bytes());
        assert_eq!(decode(&[&header]).1, Err(Error::TooLong { kind: DATA, length }));
    }

    #[test]
    fn no_more_is_kept_than_has_come() {
        let (_, end, most) = decode(&[&header(DATA, MAX_PAYLOAD), b"x"]);
        assert_eq!(end, Ok(()));
        assert!(most < 64, "{most} bytes for a promise");
    }

    #[test]
    fn an_end_within_a_frame_is_seen() {
        let mut decoder = Decoder::new();
        assert!(decoder.is_between_frames());
        decoder.take(&header(DETACH, 0));
        assert!(!decoder.is_between_frames());
        assert!(decoder.next_frame().unwrap().is_some());
        assert!(decoder.is_between_frames());
        decoder.take(&[DATA]);
        assert!(!decoder.is_between_frames());
    }

    #[test]
    #[should_panic(expected = "at most 65536")]
    fn nothing_longer_is_written() {
        let _ = header(DATA, MAX_PAYLOAD + 1);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
            places: Vec<usize>,
        ) {
            let mut stream = Vec::new();
            for (kind, payload) in &frames {
                push(*kind, &[payload], &mut stream);
            }
            let (decoded, end, most) = decode(&cut(&stream, &places));
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(decoded, frames);
            prop_assert!(most <= Decoder::BOUND);
        }

        #[test]
        fn garbage_is_an_error_or_waits_and_is_never_collected(
            // The high bytes of lengths are rarely 0 by chance.
            garbage in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..3000),
            places: Vec<usize>,
        ) {
            let (whole, end, most) = decode(&[&garbage]);
            prop_assert!(most <= Decoder::BOUND, "{}", most);
            let (split, split_end, most) = decode(&cut(&garbage, &places));
            prop_assert!(most <= Decoder::BOUND, "{}", most);
            prop_assert_eq!((whole, end), (split, split_end));
        }

        #[test]
        fn data_of_any_length_arrives(length in 0..200_000_usize) {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let mut stream = Vec::new();
            push_data(&bytes, &mut stream);
            let (frames, end, _) = decode(&[&stream]);
            prop_assert_eq!(end, Ok(()));
            prop_assert!(frames.iter().all(|(kind, payload)| *kind == DATA && !payload.is_empty()));
            prop_assert_eq!(frames.into_iter().flat_map(|(_, payload)| payload).collect::<Vec<_>>(), bytes);
        }
    }
}
