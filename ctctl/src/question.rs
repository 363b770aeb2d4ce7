// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions with a yes or a no, to a person at a terminal.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::error::Error;

/// Asks on stderr and reads a line from stdin; `usual` is what Enter alone means. Without a terminal there is nobody to
/// answer, and the answer is an error.
pub(crate) fn ask(question: &str, usual: bool) -> Result<bool, Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("{question} There is no terminal to answer at (use --yes)")));
    }
    loop {
        eprint!("{question} [{}] ", if usual { "Y/n" } else { "y/N" });
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let length = read.map_err(|error| Error::system("cannot read the answer", error))?;
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            // Ctrl-D is no answer, and so no consent.
            "" if length == 0 => return Ok(false),
            "" => return Ok(usual),
            _ => {}
        }
    }
}
