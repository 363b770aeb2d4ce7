// SPDX-License-Identifier: MIT OR Apache-2.0
//! A terminal for a test to sit at: a pty(7) whose other side a command in a machine has for its own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, Winsize, tcflow, tcgetattr, tcsetwinsize};

use crate::command::Command;
use crate::systemctl::comes_true;

/// The side of the one who types and reads.
pub struct Terminal {
    master: File,
    slave: OwnedFd,
    /// All that was ever shown: read at once, as a terminal does.
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// One of this size.
    ///
    /// # Panics
    /// When the host has no more of them.
    #[must_use]
    pub fn new(rows: u16, columns: u16) -> Terminal {
        let open = || -> std::io::Result<(File, OwnedFd)> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let slave = rustix::fs::open(ptsname(&master, Vec::new())?, flags, Mode::empty())?;
            Ok((File::from(master), slave))
        };
        let (master, slave) = open().expect("the host has ptys");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, all) = (master.try_clone().expect("descriptors can be copied"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                all.lock()
                    .expect("nobody panics with it")
                    .extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
        });
        let terminal = Terminal { master, slave, shown };
        terminal.resize(rows, columns);
        terminal
    }

    /// Gives it another size; the session on it hears of that.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a pty has a size");
    }

    /// Shows nothing more, and has those wait who print.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn hold(&self) {
        tcflow(&self.slave, Action::OOff).expect("a pty can be held");
    }

    /// Types.
    ///
    /// # Panics
    /// When nothing can be typed.
    pub fn type_in(&self, text: impl AsRef<[u8]>) {
        (&self.master).write_all(text.as_ref()).expect("the slave is open here");
    }

    /// Types as much as only a pasted text is, which somebody must read meanwhile.
    ///
    /// # Panics
    /// When nobody does.
    #[track_caller]
    pub fn paste(&self, text: &[u8]) {
        let (mut master, text) = (self.master.try_clone().expect("descriptors can be copied"), text.to_vec());
        let pasting = std::thread::spawn(move || master.write_all(&text));
        assert!(comes_true(|| pasting.is_finished()), "what is pasted should be read");
        pasting.join().expect("nothing in there panics").expect("the slave is open here");
    }

    /// What it has shown so far.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("nobody panics with it")).into_owned()
    }

    /// Waits until it shows this.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        assert!(comes_true(|| self.shown().contains(text)), "{text:?} is not shown: {:?}", self.shown());
    }

    /// Its modes, in one line.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn modes(&self) -> String {
        let modes = tcgetattr(&self.slave).expect("a pty has modes");
        let mut text = String::new();
        let (input, output) = (modes.input_modes, modes.output_modes);
        write!(text, "{input:?} {output:?} {:?} {:?}", modes.local_modes, modes.control_modes)
            .expect("a string");
        text
    }

    /// How many bytes were typed, by whomever, that nobody has read yet.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.slave).expect("a pty tells")
    }
}

impl Command<'_> {
    /// Has this terminal for input, output and errors, and to be controlled by.
    ///
    /// # Panics
    /// When there are no more descriptors.
    pub fn on(self, terminal: &Terminal) -> Self {
        let slave = terminal.slave.try_clone().expect("descriptors can be copied");
        let setsid = ["setsid", "--ctty", "--wait"];
        self.after(&setsid).on_terminal(slave)
    }
}
