// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last lines that a unit has in the journal, as journalctl(1) gives them.

use std::process::{Command, Stdio};

use crate::output::safe_bytes;

/// The last lines of what a unit, and systemd of it, said since its start; none where the journal cannot be read.
pub fn last_lines(unit: &str, invocation: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager", "--output=cat", "--boot", "--lines", &count]);
    if invocation.is_empty() {
        command.arg(format!("--unit={unit}"));
    } else {
        // What the processes said, and what systemd said of them.
        command.args([
            format!("_SYSTEMD_INVOCATION_ID={invocation}"),
            "+".to_owned(),
            format!("INVOCATION_ID={invocation}"),
        ]);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(output) = output else { return Vec::new() };
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(safe_bytes).collect()
}
