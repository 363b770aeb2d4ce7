// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process as the kernel describes it in one line: see proc_pid_stat(5).

/// What of it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// Of its first thread: `R` for running, `Z` for one that has ended and was not waited for.
    pub(crate) state: char,
    pub(crate) parent: i32,
    /// `PF_…` of the kernel.
    pub(crate) flags: u64,
}

impl ProcessStat {
    /// That of a process, if there is one.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        // Fifteen bytes of the name are kept, which can end in the middle of a character.
        parse(&String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/stat")).ok()?))
    }
}

/// The fields begin behind the name's last parenthesis: the name is the process's own to choose, and may have any in it.
fn parse(line: &str) -> Option<ProcessStat> {
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let flags = fields.nth(4)?.parse().ok()?;
    Some(ProcessStat { state, parent, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_read_past() {
        let line = "42 (a) Z 1 (b) S 7 42 42 0 -1 4194560 1 0";
        assert_eq!(parse(line), Some(ProcessStat { state: 'S', parent: 7, flags: 4_194_560 }));
        assert_eq!(parse("42 (a) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_described() {
        let own = ProcessStat::read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(own.parent, nix::unistd::getppid().as_raw());
        assert_eq!(ProcessStat::read(0), None);
    }
}
