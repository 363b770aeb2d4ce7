// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that prints when it is told to, and says when all is written: so that what is timed is the printing alone.
//!
//! Two FIFOs in the root file system, of which nobody else knows, say when. The same script runs in each variant.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{ROOTFS, Result};

/// Far above what it takes; but something may be broken.
const PATIENCE: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

pub(crate) struct Printer {
    name: String,
    begin: File,
    end: File,
}

impl Printer {
    /// Writes the script `/print-NAME`, which runs this command of a shell each time; it may print `$word`.
    pub(crate) fn new(name: &str, command: &str) -> Result<Self> {
        let fifo = |which: &str| -> Result<File> {
            let path = format!("{ROOTFS}/{which}-{name}");
            nix::unistd::mkfifo(path.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
            // Both halves: then neither side waits for the other one to open it.
            Ok(OpenOptions::new().read(true).write(true).open(path)?)
        };
        let (begin, end) = (fifo("begin")?, fifo("end")?);
        let script = format!("while read word </begin-{name}; do\n{command}\necho >/end-{name}\ndone\n");
        std::fs::write(format!("{ROOTFS}/print-{name}"), script)?;
        Ok(Printer { name: name.to_owned(), begin, end })
    }

    /// How long it takes until the program has written all. What lies in buffers behind it is not waited for.
    pub(crate) fn print(&mut self, word: &str) -> Result<Duration> {
        let start = Instant::now();
        self.begin.write_all(format!("{word}\n").as_bytes())?;
        if poll(&mut [PollFd::new(&self.end, PollFlags::IN)], Some(&PATIENCE))? == 0 {
            return Err(format!("{} does not get done", self.name).into());
        }
        self.end.read_exact(&mut [0])?;
        Ok(start.elapsed())
    }
}

/// The config of a container that runs the script, for ct.
pub(crate) fn ct_config(name: &str, log: &str, terminal: bool) -> String {
    format!(
        "root.path = \"{ROOTFS}\"\nlog.mode = \"{log}\"\nstop.signal = \"SIGKILL\"\n\
         [process]\nterminal = {terminal}\ncommand = [\"sh\", \"/print-{name}\"]\n"
    )
}
