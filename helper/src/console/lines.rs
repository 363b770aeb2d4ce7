// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what a terminal is sent to lines of a log: cut at line feeds, and without what only a terminal obeys.
//!
//! Escape sequences are those of one line: a container that opens one and never closes it loses that line and not the log.

/// A longer line is cut, in bytes as they were printed; LineMax= of journald.conf(5).
pub(super) const LONGEST: usize = 48 * 1024;

/// A line, and where in the stream it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Without the line feed. Empty when there is nothing in it to log.
    pub(super) text: String,
    /// The first byte that is not the line's.
    pub(super) end: u64,
}

/// Cuts a stream.
#[derive(Debug)]
pub(super) struct Splitter {
    /// Of a line that has not ended.
    bytes: Vec<u8>,
    /// The first byte that has not come.
    next: u64,
}

impl Splitter {
    /// Begins at this byte.
    pub(super) fn at(next: u64) -> Self {
        Self { bytes: Vec::new(), next }
    }

    /// The first byte that it has not been given.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Where the line begins that has not ended.
    pub(super) fn begun(&self) -> u64 {
        self.next - self.bytes.len() as u64
    }

    /// Takes bytes up to the end of a line, if there is one; how many, and the line.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, Option<Line>) {
        let room = LONGEST - self.bytes.len();
        let within = bytes.get(..room).unwrap_or(bytes);
        if let Some(feed) = within.iter().position(|byte| *byte == b'\n') {
            self.bytes.extend(within.get(..feed).unwrap_or_default());
            self.next += feed as u64 + 1;
            return (feed + 1, Some(self.line()));
        }
        self.bytes.extend(within);
        self.next += within.len() as u64;
        let line = (self.bytes.len() == LONGEST).then(|| self.line());
        (within.len(), line)
    }

    /// What there is of a line that will not be ended.
    pub(super) fn rest(&mut self) -> Option<Line> {
        (!self.bytes.is_empty()).then(|| self.line())
    }

    fn line(&mut self) -> Line {
        let line = Line { text: plain(&self.bytes), end: self.next };
        self.bytes.clear();
        line
    }
}

/// The text that a terminal shows, or would if it were as wide as it takes: no sequences, no control characters but tabs.
fn plain(bytes: &[u8]) -> String {
    let mut text = Text(String::with_capacity(bytes.len()));
    let mut parser = vte::Parser::new();
    parser.advance(&mut text, bytes);
    // The last character may be incomplete; the parser tells when something else follows.
    parser.advance(&mut text, b"\n");
    text.0.truncate(text.0.trim_end().len());
    text.0
}

struct Text(String);

impl vte::Perform for Text {
    fn print(&mut self, character: char) {
        // DEL, and those of the second half that came as UTF-8.
        if !character.is_control() {
            self.0.push(character);
        }
    }

    fn execute(&mut self, byte: u8) {
        if byte == b'\t' {
            self.0.push('\t');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let (mut splitter, mut lines) = (Splitter::at(0), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (count, line) = splitter.take(rest);
                lines.extend(line);
                rest = &rest[count..];
            }
        }
        lines.extend(splitter.rest());
        lines
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(&[bytes]).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn what_a_terminal_obeys_is_no_text() {
        assert_eq!(texts(b"\x1b[1;31mred\x1b[0m and\tnot\r\n"), ["red and\tnot"]);
        assert_eq!(texts(b"\x1b]0;title\x07shown\x08\x00\n"), ["shown"]);
        assert_eq!(texts("ünï\x1b(B\n".as_bytes()), ["ünï"]);
        assert_eq!(texts(b"cut \xc3\nnext\n"), ["cut \u{fffd}", "next"]);
        assert_eq!(texts("c1 \u{9b}31m\n".as_bytes()), ["c1 31m"]);
    }

    #[test]
    fn a_sequence_that_is_never_closed_takes_its_line_alone() {
        assert_eq!(texts(b"\x1b]0;for ever\nnext\n\x1bP\nlast\n"), ["", "next", "", "last"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LONGEST * 2 + 5];
        let lengths: Vec<usize> = texts(&long).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 5]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines_and_none_has_control_characters(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(0x1b)], 0..2000),
            places in prop::collection::vec(0_usize..2000, 0..6),
        ) {
            let whole = lines(&[&bytes]);
            let mut places: Vec<usize> = places.into_iter().map(|place| place.min(bytes.len())).collect();
            places.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for end in places.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[start..end]);
                start = end;
            }
            prop_assert_eq!(&lines(&pieces), &whole);
            for line in whole {
                prop_assert!(!line.text.chars().any(|c| c.is_control() && c != '\t'), "{:?}", line.text);
            }
        }
    }
}
