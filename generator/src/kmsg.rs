// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where messages go. Run by systemd, to the kernel's log: the journal may not be up, and systemd keeps nobody waiting on
//! a generator's stderr. Run by hand, to stderr.
//!
//! /dev/kmsg takes one record a write, cuts long ones, and everyone's are rate-limited: so few lines, and short ones.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::unit_file::Printable;

/// Lines of one run, the last of which may say how many there were besides.
const MAX_LINES: usize = 20;
/// Bytes of one line, its end included.
const MAX_BYTES: usize = 200;

/// Writes the lines to the kernel's log, or to stderr if there is no path to one.
pub fn write(kernel_log: Option<&Path>, lines: &[String]) {
    match kernel_log {
        Some(path) => write_kernel_log(path, lines),
        None => write_stderr(lines),
    }
}

/// Writes the lines to the kernel's log at `path`, else to stderr.
///
/// A system without a kernel log, or that keeps it from us, is an ordinary one: a container, for instance.
fn write_kernel_log(path: &Path, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let flags = OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let Ok(mut log) = OpenOptions::new().write(true).custom_flags(flags.bits()).open(path) else {
        return write_stderr(lines);
    };
    let shown = if lines.len() > MAX_LINES { MAX_LINES - 1 } else { lines.len() };
    lines.iter().take(shown).for_each(|line| write_record(&mut log, line));
    if lines.len() > shown {
        write_record(&mut log, &format!("... and {} more", lines.len() - shown));
    }
}

fn write_record(log: &mut File, line: &str) {
    // EAGAIN, EPERM, EINVAL: there is nobody left to tell.
    let _ = log.write_all(kernel_line(std::process::id(), line).as_bytes());
}

/// One record at level "warning" (4), of at most 200 bytes.
fn kernel_line(pid: u32, message: &str) -> String {
    const CUT: &str = "...";
    let mut line = format!("<4>ct-generator[{pid}]: {}", Printable(message));
    if line.len() >= MAX_BYTES {
        line.truncate(line.floor_char_boundary(MAX_BYTES - CUT.len() - 1));
        line.push_str(CUT);
    }
    line.push('\n');
    line
}

/// Writes all lines, whole, to stderr.
pub fn write_stderr(lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{}\n", Printable(line))).collect();
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short_and_cut_between_characters() {
        for length in 0..300 {
            let line = kernel_line(4_194_304, &"ä".repeat(length));
            assert!(line.len() <= MAX_BYTES && line.ends_with('\n'), "{} bytes", line.len());
        }
        assert_eq!(kernel_line(7, "web is bad"), "<4>ct-generator[7]: web is bad\n");
        assert!(kernel_line(7, &"x".repeat(300)).ends_with("xxx...\n"));
    }

    #[test]
    fn a_line_stays_one_record_without_escape_sequences() {
        let line = kernel_line(7, "a\n<0>b\u{1b}[2J\u{9b}c");
        assert_eq!(line, "<4>ct-generator[7]: a\\x0a<0>b\\x1b[2J\\u{9b}c\n");
    }

    #[test]
    fn at_most_twenty_lines() {
        let path = std::env::temp_dir().join(format!("ct-kmsg-{}", std::process::id()));
        for (count, written, last) in
            [(20, 20, "line 19"), (21, 20, "... and 2 more"), (5000, 20, "... and 4981 more")]
        {
            std::fs::write(&path, "").unwrap();
            let lines: Vec<String> = (0..count).map(|number| format!("line {number}")).collect();
            write_kernel_log(&path, &lines);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count(), written);
            assert!(text.ends_with(&format!(": {last}\n")), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
