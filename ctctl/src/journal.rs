// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last lines that a unit has in the journal, as journalctl(1) gives them.

use std::process::{Command, Stdio};

use crate::output::safe_bytes;

/// The kind of line that the helper logs of an init that ended before the handover, see ct-helper(8): the unit's status is
/// then the container's own.
const INIT_ENDED: &str = "32dd62a58e0444cb8f85bca979956ac8";

/// Whether the helper has said in this run that it was the container's init that ended.
pub fn says_that_init_ended(invocation: &str) -> bool {
    if invocation.is_empty() {
        return false;
    }
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager", "--output=cat", "--boot", "--lines=1"]);
    command.args([format!("MESSAGE_ID={INIT_ENDED}"), said_by_helper(invocation), ROOT.to_owned()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.is_ok_and(|output| !output.stdout.is_empty())
}

/// The helper exits right after it has said why: journald, which looks up a sender when it reads the line, may not find it
/// any more. This is a field of the line itself.
fn said_by_helper(invocation: &str) -> String {
    format!("CT_INVOCATION={invocation}")
}

/// Fields are what the sender says, but for those that journald adds.
const ROOT: &str = "_UID=0";

/// Has journald write down what has been said until now, before lines are read that have just been said. Root alone may ask
/// for it; it waits for the disk, so that once for all containers is enough.
pub fn sync() {
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("journalctl");
        let quiet = command.arg("--sync").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The lines that are there are shown without it, too.
        let _ = quiet.status();
    }
}

/// The last lines of what a unit, and systemd of it, said since its start; none where the journal cannot be read.
pub fn last_lines(unit: &str, invocation: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager", "--output=cat", "--boot", "--lines", &count]);
    if invocation.is_empty() {
        command.arg(format!("--unit={unit}"));
    } else {
        let or = || "+".to_owned();
        // What the processes said, what systemd said of them, and what the helper said in its last moment.
        command.args([
            format!("_SYSTEMD_INVOCATION_ID={invocation}"),
            or(),
            format!("INVOCATION_ID={invocation}"),
            or(),
            said_by_helper(invocation),
            ROOT.to_owned(),
        ]);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(output) = output else { return Vec::new() };
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(safe_bytes).collect()
}

/// systemd's own id of "Deactivated successfully".
const UNIT_SUCCESS: &str = "MESSAGE_ID=7ad2d189f7e94e70a38c781354912448";

/// Whether a unit has ended well since boot, as far as the journal may be read and goes back.
pub fn has_ended_well(unit: &str) -> bool {
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager", "--output=cat", "--boot", "--lines=1", "_PID=1", UNIT_SUCCESS]);
    let output = command.arg(format!("UNIT={unit}")).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.is_ok_and(|output| !output.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_knows_the_end_of_an_init() {
        let catalog = include_str!("../../packaging/catalog/ct.catalog");
        let (_, entry) = catalog.split_once(INIT_ENDED).unwrap();
        let subject = entry.lines().nth(1).unwrap();
        assert_eq!(subject, "Subject: Container @CT_NAME@ failed as soon as it was started");
    }
}
