// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys that end an attachment: how they are named, as podman-attach(1) has it, and how they are found in what is typed.

use std::fmt;
use std::str::FromStr;

/// More of them nobody types by mistake.
const MOST: usize = 16;

/// A sequence of keys; empty for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl FromStr for DetachKeys {
    type Err = String;

    /// Keys with commas between them: `ctrl-` and a letter or one of `@[\]^_`, or any other character of ASCII.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let keys = text.split(',').map(parse_key).collect::<Result<Vec<u8>, String>>()?;
        if keys.len() > MOST {
            return Err(format!("more than {MOST} keys"));
        }
        Ok(Self(keys))
    }
}

fn parse_key(word: &str) -> Result<u8, String> {
    let control = word.get(..5).filter(|start| start.eq_ignore_ascii_case("ctrl-"));
    let (key, is_control) = match control {
        Some(_) => (word.get(5..).unwrap_or_default(), true),
        None => (word, false),
    };
    match key.as_bytes() {
        // What a terminal sends for Ctrl and a key, see ascii(7).
        [key @ (b'a'..=b'z' | b'A'..=b'Z' | b'@'..=b'_')] if is_control => Ok(key & 0x1f),
        [key @ b'!'..=b'~'] if !is_control => Ok(*key),
        _ => Err(format!("{word:?} is no key (try: ctrl-a, ctrl-], or one character)")),
    }
}

impl fmt::Display for DetachKeys {
    /// As they are pressed: `Ctrl-] Ctrl-]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            match key {
                0..=0x1f => write!(formatter, "{space}Ctrl-{}", char::from(key + 0x40).to_ascii_lowercase())?,
                _ => write!(formatter, "{space}{}", char::from(*key))?,
            }
        }
        Ok(())
    }
}

impl DetachKeys {
    /// No keys at all.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }
}

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub(crate) struct Search {
    keys: DetachKeys,
    /// How many of them were typed last, and not passed on.
    held: usize,
}

impl Search {
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Self { keys, held: 0 }
    }

    /// Appends to `passed` what is not part of the keys; true when all of them were typed, and what is behind them in
    /// `typed` means nothing any more.
    pub(crate) fn find(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        let keys = &self.keys.0;
        for byte in typed {
            // Those that are held are the beginning of the keys; with this one they, or an end of them, may be it still.
            let mut tried: Vec<u8> = keys.iter().take(self.held).chain([byte]).copied().collect();
            while !keys.starts_with(&tried) {
                passed.push(tried.remove(0));
            }
            self.held = tried.len();
            if self.held == keys.len() && !keys.is_empty() {
                self.held = 0;
                return true;
            }
        }
        false
    }

    /// Whether something is held that may become the keys.
    pub(crate) fn is_within(&self) -> bool {
        self.held > 0
    }

    /// Nothing came behind the beginning: it was meant for the container.
    pub(crate) fn give_up(&mut self, passed: &mut Vec<u8>) {
        passed.extend(self.keys.0.iter().take(self.held));
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_read_and_shown() {
        let shown = |text: &str| text.parse::<DetachKeys>().map(|keys| keys.to_string());
        assert_eq!(shown("ctrl-],ctrl-]").unwrap(), "Ctrl-] Ctrl-]");
        assert_eq!(shown("ctrl-p,CTRL-Q,x,~").unwrap(), "Ctrl-p Ctrl-q x ~");
        assert_eq!(
            shown("ctrl-@,ctrl-[,ctrl-\\,ctrl-^,ctrl-_").unwrap(),
            "Ctrl-@ Ctrl-[ Ctrl-\\ Ctrl-^ Ctrl-_"
        );
        assert_eq!(shown("").unwrap(), "");
        assert_eq!("ctrl-],q".parse::<DetachKeys>().unwrap().0, [0x1d, b'q']);
        for bad in ["ctrl-", "ctrl-1", "ctrl-]]", "ab", ",", "a,", "ü", "\x1b", "ctrl-ü", " "] {
            assert!(shown(bad).is_err(), "{bad:?}");
        }
        assert!(shown(&["a"; 17].join(",")).is_err());
    }

    fn search(keys: &str, typed: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut search = Search::new(keys.parse().unwrap());
        let mut passed = Vec::new();
        let found = typed.iter().any(|typed| search.find(typed, &mut passed));
        (passed, found)
    }

    #[test]
    fn what_only_begins_so_is_passed_on() {
        assert_eq!(search("a,a,b", &[b"xaaab", b"c"]), (b"xa".to_vec(), true));
        assert_eq!(search("a,a,b", &[b"a", b"a", b"a", b"c"]), (b"aaac".to_vec(), false));
        assert_eq!(search("ctrl-],ctrl-]", &[b"\x1d", b"\x1d", b"lost"]), (vec![], true));
        assert_eq!(search("ctrl-],ctrl-]", &[b"\x1dq"]), (b"\x1dq".to_vec(), false));
        assert_eq!(search("", &[b"\x1d\x1d"]), (b"\x1d\x1d".to_vec(), false));
        let mut held = Search::new("a,b".parse().unwrap());
        let mut passed = Vec::new();
        assert!(!held.find(b"xa", &mut passed) && held.is_within());
        held.give_up(&mut passed);
        assert_eq!(passed, b"xa");
        assert!(!held.is_within() && !held.find(b"b", &mut passed), "it begins anew");
    }

    proptest! {
        /// As a search through all that was typed at once finds them.
        #[test]
        fn nothing_is_lost_and_nothing_is_missed(
            keys in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 1..5),
            typed in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'c')], 0..6), 0..12),
        ) {
            let all = typed.concat();
            let mut search = Search::new(DetachKeys(keys.clone()));
            let mut passed = Vec::new();
            let found = typed.iter().any(|typed| search.find(typed, &mut passed));
            let place = all.windows(keys.len()).position(|window| window == keys);
            prop_assert_eq!(found, place.is_some());
            search.give_up(&mut passed);
            prop_assert_eq!(passed, all.get(..place.unwrap_or(all.len())).unwrap());
        }
    }
}
