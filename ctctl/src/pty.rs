// SPDX-License-Identifier: MIT OR Apache-2.0
//! The caller's terminal, while it stands for one inside a container: raw, and as it was afterwards, however we end.
//! It never goes inside itself: what runs there has a pty of its own, see pty(7).

use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use ct_channel::message::Size;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{getpgrp, getpid, tcgetpgrp};
use rustix::fs::{FileType, fstat, major, minor};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::error::Error;
use crate::signals::Signals;

/// What the terminal was before; also for the panic hook, since a release build does not unwind.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Undoes what programs leave switched on when they are killed: colours, hidden cursor, other screen, mouse, marks
/// around what is pasted. The cursor stays where it is.
const RESET: &[u8] =
    b"\x1b[!p\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[0m";

/// The caller's terminal in raw mode, as long as this lives.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Makes standard input raw: every key is the program's. `None` where it is no terminal.
    pub fn enter() -> Result<Option<Self>, Error> {
        Self::enter_with(LocalModes::empty())
    }

    /// The same for one who only looks on: keys are not shown, and those that mean signals are for us.
    pub fn enter_to_watch() -> Result<Option<Self>, Error> {
        Self::enter_with(LocalModes::ISIG)
    }

    fn enter_with(kept: LocalModes) -> Result<Option<Self>, Error> {
        static HOOK: Once = Once::new();
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Ok(None) };
        let mut raw = before.clone();
        raw.make_raw();
        raw.local_modes |= before.local_modes & kept;
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                next(panic);
            }));
        });
        let guard = Self(());
        tcsetattr(&stdin, OptionalActions::Now, &raw)
            .map_err(|e| Error::system("make the terminal raw", e))?;
        Ok(Some(guard))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    // In the background it is the shell's already, and whoever changes it is stopped.
    if let Some(before) = before.filter(|_| !is_in_background()) {
        // Now, and not when all is written: a terminal that is held (Ctrl-S) would hold us, too.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}

/// Before the terminal is changed: waits until a shell gives it to us, stopped as whoever changes it from the background
/// (SIGTTOU, see termios(3)). A signal that came meanwhile and means the end is returned: taken from a descriptor, it would
/// not end one who is stopped again and again. SIGCONT must be among `signals`.
pub fn wait_for_foreground(signals: &Signals) -> Option<Signal> {
    let mut was_stopped = true;
    while is_in_background() {
        let come: Vec<Signal> = std::iter::from_fn(|| signals.next()).collect();
        let is_end =
            |signal: &&Signal| !matches!(signal, Signal::SIGCONT | Signal::SIGTSTP | Signal::SIGWINCH);
        if let Some(end) = come.iter().find(is_end) {
            return Some(*end);
        }
        // One without a shell (an orphaned process group) is not stopped. What it does to the terminal is refused.
        if !was_stopped && !come.contains(&Signal::SIGCONT) {
            return None;
        }
        was_stopped = kill(getpid(), Signal::SIGTTOU).is_err();
    }
    None
}

/// Whether standard input is the terminal of our session, and is not ours now.
fn is_in_background() -> bool {
    tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground != getpgrp())
}

/// Whether our own output is read by a terminal.
pub fn is_stdout_a_terminal() -> bool {
    isatty(std::io::stdout())
}

/// Has the terminal forget modes that a program may have left on.
pub fn reset() {
    if is_stdout_a_terminal() {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(RESET).and_then(|()| stdout.flush());
    }
}

/// The size of the caller's terminal, if there is one.
pub fn size() -> Option<Size> {
    let of = |size: Winsize| Size { rows: size.ws_row, columns: size.ws_col };
    let stdout = tcgetwinsize(std::io::stdout());
    stdout.or_else(|_| tcgetwinsize(std::io::stdin())).ok().map(of)
}

/// Gives a pty this size; whoever runs on it gets SIGWINCH.
pub fn resize(master: impl AsFd, size: Size) {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // A pty that is gone needs none.
    let _ = tcsetwinsize(master, size);
}

/// Takes a descriptor for a pty's master if it is one. A runtime that runs as another account may send anything.
pub fn checked_master(descriptor: OwnedFd) -> Result<OwnedFd, Error> {
    let stat = fstat(&descriptor).map_err(|e| Error::system("fstat", e))?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    // /dev/ptmx, see the kernel's list of devices.
    if is_device && (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2) {
        return Ok(descriptor);
    }
    Err(Error::failed("what the runtime sent is no terminal"))
}
