// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that a runtime leaves behind: taken for the container's only when it is our own child by then, in the
//! container's cgroup. What the runtime says of it stands in a file that the account may write to.

use std::path::Path;

use super::said::read_untrusted;
use crate::cgroup::UnitCgroup;
use crate::exit::in_small_letters;
use crate::sys;

/// How long a runtime's own helper process may outlive the runtime, in milliseconds.
const PARENT_TIMEOUT: u16 = 5_000;

/// Takes the process that the pid file names for init only if it is our own child, in the container's cgroup: the
/// file lies in a directory that the account may write to.
pub(crate) fn adopt(pid_file: &Path, cgroup: &UnitCgroup) -> Result<i32, String> {
    let text = read_untrusted(pid_file)
        .map_err(|e| format!("it left no pid file: {}", in_small_letters(&e.to_string())))?;
    let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 1).ok_or("its pid file names no process")?;
    if !becomes_own_child(pid) {
        return Err(format!("process {pid} of its pid file is not the container's init"));
    }
    if !cgroup.holds(pid) {
        return Err(format!("the container's init {pid} is not in {}", cgroup.payload().display()));
    }
    Ok(pid)
}

/// Waits until init is a child of this process. crun leaves a process between the two for a moment; that one ends by
/// itself, and a pidfd tells when. A parent that stays is a runtime that hands over nothing.
fn becomes_own_child(pid: i32) -> bool {
    let own = i32::try_from(std::process::id()).ok();
    // crun has one such process; more than a few would be no runtime we know.
    for _ in 0..4 {
        let Some(parent) = parent_of(pid) else { return false };
        if Some(parent) == own {
            return true;
        }
        // Gone already: init has a new parent by now.
        let Ok(between) = sys::pidfd_open(parent) else { continue };
        if parent_of(pid) == Some(parent) && !sys::ends_within(&between, PARENT_TIMEOUT).unwrap_or(false) {
            return false;
        }
    }
    false
}

/// The parent of a process, from proc_pid_stat(5): the second field after the command's closing parenthesis.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The children of a process. It may end meanwhile, and have none.
pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Whether a process is more than a fork of the runtime: those have PF_FORKNOEXEC among their flags, the seventh field
/// behind the name in proc_pid_stat(5). It is what execve(2) makes of one, and nothing that a program could undo.
pub(crate) fn has_executed(pid: i32) -> bool {
    const PF_FORKNOEXEC: u64 = 0x40;
    let flags = || -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()
    };
    flags().is_none_or(|flags| flags & PF_FORKNOEXEC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_past_hostile_command_names() {
        assert_eq!(
            parent_of(i32::try_from(std::process::id()).unwrap()),
            Some(nix::unistd::getppid().as_raw())
        );
        assert_eq!(parent_of(0), None);
    }
}
