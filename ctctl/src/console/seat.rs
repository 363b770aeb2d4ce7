// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who sits at the console of a container: the caller's terminal with its keys, its screen and its signals, and where they
//! are in what the container prints. It outlives the connections.

use std::time::Duration;

use ct_config::name::ContainerName;
use ct_console::{Mode, Resume};
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;

use super::keyboard::Keyboard;
use super::screen::{Item, Screen};
use crate::error::Error;
use crate::pty::{RawTerminal, wait_for_foreground};
use crate::signals::Signals;

/// How long what was printed before the end may take to be shown.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who sits there.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) name: ContainerName,
    pub(super) mode: Mode,
    pub(super) screen: Screen,
    pub(super) signals: Signals,
    pub(super) keyboard: Keyboard,
    /// The end of the container is that of everything.
    pub(super) once: bool,
    raw: Option<RawTerminal>,
    /// Where we are in what the container prints.
    pub(super) seen: Option<Resume>,
    /// There was an escape sequence, which the terminal may still be changed by.
    is_escaped: bool,
    /// It was said that we are there.
    pub(super) is_announced: bool,
}

impl Seat {
    pub(super) fn new(
        name: ContainerName,
        mode: Mode,
        signals: Signals,
        keyboard: Keyboard,
        once: bool,
    ) -> Result<Self, Error> {
        let screen = Screen::open()?;
        Ok(Self {
            name,
            mode,
            screen,
            signals,
            keyboard,
            once,
            raw: None,
            seen: None,
            is_escaped: false,
            is_announced: false,
        })
    }

    /// Says something of this container.
    pub(super) fn say(&mut self, text: &str) {
        let text = format!("{}: {text}", self.name);
        self.screen.say(text);
    }

    /// The terminal is the caller's again, as it was.
    pub(super) fn leave_terminal(&mut self) {
        if std::mem::take(&mut self.is_escaped) {
            self.screen.show(Item::Reset);
        }
        self.screen.finish(FAREWELL);
        self.raw = None;
    }

    /// The terminal stands for that of the container; or a signal that means the end has come while it was not ours.
    pub(super) fn enter_terminal(&mut self) -> Result<Option<Signal>, Error> {
        let end = wait_for_foreground(&self.signals);
        self.raw = None;
        if end.is_some() {
            return Ok(end);
        }
        self.raw = match self.mode {
            Mode::ReadOnly => RawTerminal::enter_to_watch()?,
            Mode::Write | Mode::Shared => RawTerminal::enter()?,
        };
        Ok(None)
    }

    /// Stops as a shell has it, and goes on when it says so; or a signal that means the end has come before that.
    pub(super) fn suspend(&mut self) -> Result<Option<Signal>, Error> {
        let was_raw = self.raw.take().is_some();
        // As the signal would have done, had it not been caught.
        kill(getpid(), Signal::SIGSTOP).map_err(|e| Error::system("kill", e))?;
        if was_raw { self.enter_terminal() } else { Ok(None) }
    }

    /// Whether the terminal stands for that of the container.
    pub(super) fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// Shows what the container has printed.
    pub(super) fn print(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if let Some(seen) = &mut self.seen {
            seen.offset += bytes.len() as u64;
        }
        self.is_escaped |= bytes.contains(&0x1b);
        self.screen.show(Item::Bytes(bytes));
    }

    /// Says, in a line of its own, where bytes are missing.
    pub(super) fn mark(&mut self, lost: u64) {
        let text =
            if lost == 0 { "bytes are lost here".to_owned() } else { format!("{lost} bytes are lost here") };
        self.say(&text);
    }

    /// Says, once, that we are there, and how to leave.
    pub(super) fn announce(&mut self, has_terminal: bool) {
        if std::mem::replace(&mut self.is_announced, true) {
            return;
        }
        let mut text = "attached".to_owned();
        if self.mode == Mode::ReadOnly {
            text.push_str(", to read only");
        }
        if self.keyboard.is_terminal() && !has_terminal {
            text.push_str("; Ctrl-C detaches");
        } else if self.keyboard.is_terminal() && !self.keyboard.keys().is_empty() {
            text.push_str(&format!("; {} detaches", self.keyboard.keys()));
        }
        self.say(&text);
    }
}
