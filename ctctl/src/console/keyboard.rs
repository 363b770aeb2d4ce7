// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standard input: what is typed, or comes from a pipe, until the container takes it; and the keys that are for us.

use std::io::{IsTerminal as _, stdin};
use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::detach_keys::{DetachKeys, Search};

/// As much as is kept for a container that does not read, in bytes. Beyond that nothing is read.
const MOST: usize = 64 * 1024;
/// The same at a terminal: the keys that detach are to be found also behind what was pasted.
const MOST_TYPED: usize = 4 * 1024 * 1024;

/// What reading has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// Keys for the container, or none.
    Keys,
    /// The keys that detach.
    Detach,
    /// Nothing will come any more.
    End,
}

/// Standard input.
#[derive(Debug)]
pub(super) struct Keyboard {
    is_terminal: bool,
    /// The keys that detach, as they are pressed.
    keys: String,
    search: Search,
    has_ended: bool,
    /// Typed, and not taken.
    unread: Vec<u8>,
}

impl Keyboard {
    /// Looks for these keys on a terminal. In a pipe's bytes there are none.
    pub(super) fn new(keys: DetachKeys) -> Self {
        let is_terminal = stdin().is_terminal();
        let keys = if is_terminal { keys } else { DetachKeys::none() };
        let shown = keys.to_string();
        Self { is_terminal, keys: shown, search: Search::new(keys), has_ended: false, unread: Vec::new() }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The keys that detach, as they are pressed; empty for none.
    pub(super) fn keys(&self) -> &str {
        &self.keys
    }

    /// Whether there is room for more, and may be more.
    pub(super) fn wants_more(&self) -> bool {
        let most = if self.is_terminal { MOST_TYPED } else { MOST };
        !self.has_ended && self.unread.len() < most
    }

    /// Whether all that will ever come was taken.
    pub(super) fn is_done(&self) -> bool {
        self.has_ended && self.unread.is_empty()
    }

    /// Whether a beginning of the keys is held back.
    pub(super) fn is_within_keys(&self) -> bool {
        self.search.is_within()
    }

    /// The beginning of the keys was meant for the container.
    pub(super) fn give_up_keys(&mut self) {
        self.search.give_up(&mut self.unread);
    }

    /// Reads once; to be called when there is something.
    pub(super) fn read(&mut self) -> Typed {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin().as_fd(), &mut buffer) {
            Ok(count @ 1..) => {
                let typed = buffer.get(..count).unwrap_or_default();
                let is_found = self.search.find(typed, &mut self.unread);
                if is_found { Typed::Detach } else { Typed::Keys }
            }
            Err(Errno::INTR | Errno::AGAIN) => Typed::Keys,
            _ => {
                self.has_ended = true;
                Typed::End
            }
        }
    }

    /// What the container gets next, if there is something.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }
}
