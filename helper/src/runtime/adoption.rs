// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that a runtime leaves behind: taken for the container's only when it is our own child by then, in the
//! container's cgroup. What the runtime says of it stands in a file that the account may write to.

use std::path::Path;

use super::said::read_untrusted;
use crate::cgroup::UnitCgroup;
use crate::exit::in_small_letters;
use crate::process_stat::ProcessStat;
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
        let Some(ProcessStat { parent, .. }) = ProcessStat::read(pid) else { return false };
        if Some(parent) == own {
            return true;
        }
        // Gone already: init has a new parent by now.
        let Ok(between) = sys::pidfd_open(parent) else { continue };
        let stays = ProcessStat::read(pid).is_some_and(|stat| stat.parent == parent);
        if stays && !sys::ends_within(&between, PARENT_TIMEOUT).unwrap_or(false) {
            return false;
        }
    }
    false
}

/// The children of a process. It may end meanwhile, and have none.
pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Whether a process is more than a fork of the runtime: those have PF_FORKNOEXEC. It is what execve(2) makes of one, and
/// nothing that a program could undo.
pub(crate) fn has_executed(pid: i32) -> bool {
    const PF_FORKNOEXEC: u64 = 0x40;
    ProcessStat::read(pid).is_none_or(|stat| stat.flags & PF_FORKNOEXEC == 0)
}
