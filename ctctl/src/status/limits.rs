// SPDX-License-Identifier: MIT OR Apache-2.0
//! The limits and the oom score that a process really has, as the kernel tells them: /proc/PID/limits and
//! /proc/PID/oom_score_adj, see proc(5).

use std::fs;

use serde::{Serialize, Serializer};

/// A bound, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    At(u64),
    Infinity,
}

impl Bound {
    /// As setrlimit(2) takes it.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::At(number) => number,
            Self::Infinity => u64::MAX,
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(number) => serializer.serialize_u64(*number),
            // As configs have it; the number that stands for it elsewhere does not survive JSON.
            Self::Infinity => serializer.serialize_str("infinity"),
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(number) => write!(f, "{number}"),
            Self::Infinity => f.write_str("infinity"),
        }
    }
}

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Limit {
    pub(crate) soft: Bound,
    pub(crate) hard: Bound,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.soft == self.hard {
            write!(f, "{}", self.soft)
        } else {
            write!(f, "{}:{}", self.soft, self.hard)
        }
    }
}

/// The kernel's words and those of the config, which are those of prlimit(1).
const NAMES: [(&str, &str); 16] = [
    ("Max address space", "as"),
    ("Max core file size", "core"),
    ("Max cpu time", "cpu"),
    ("Max data size", "data"),
    ("Max file size", "fsize"),
    ("Max file locks", "locks"),
    ("Max locked memory", "memlock"),
    ("Max msgqueue size", "msgqueue"),
    ("Max nice priority", "nice"),
    ("Max open files", "nofile"),
    ("Max processes", "nproc"),
    ("Max resident set", "rss"),
    ("Max realtime priority", "rtprio"),
    ("Max realtime timeout", "rttime"),
    ("Max pending signals", "sigpending"),
    ("Max stack size", "stack"),
];

/// Those of a process, in alphabetical order; `None` for one that is gone or not ours to look at.
pub(crate) fn read(pid: u32) -> Option<Vec<(&'static str, Limit)>> {
    Some(parse(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?))
}

/// Its oom_score_adj.
pub(crate) fn read_oom_score_adjust(pid: u32) -> Option<i32> {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?.trim_end().parse().ok()
}

fn parse(text: &str) -> Vec<(&'static str, Limit)> {
    let limit = |(kernels, name): &(&str, &'static str)| {
        let line = text.lines().find_map(|line| line.strip_prefix(kernels))?;
        let mut words = line.split_ascii_whitespace().map(bound);
        Some((*name, Limit { soft: words.next()??, hard: words.next()?? }))
    };
    NAMES.iter().filter_map(limit).collect()
}

fn bound(word: &str) -> Option<Bound> {
    if word == "unlimited" { Some(Bound::Infinity) } else { word.parse().ok().map(Bound::At) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_sixteen() {
        let limits = read(std::process::id()).unwrap();
        assert_eq!(limits.len(), 16, "{limits:?}");
        assert!(read_oom_score_adjust(std::process::id()).is_some());
    }

    #[test]
    fn the_kernels_table_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 65536                files     \n\
                    Max nice priority         0                    0                    \n";
        let shown: Vec<String> = parse(text).iter().map(|(name, limit)| format!("{name} {limit}")).collect();
        assert_eq!(shown, ["cpu infinity", "nice 0", "nofile 1024:65536"]);
    }
}
