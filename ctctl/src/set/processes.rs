// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits and oom scores of every process of a cgroup, with those that are forked meanwhile: one passes on to its
//! children what it has, so when a look at all of them finds none to change, there is none left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use ct_config::value::{Limit, RlimitResource, Size};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit};

use crate::cgroup::UnitGroup;
use crate::output::safe;

/// Looks at all of them, before one that forks without end is given up.
const LOOKS: usize = 100;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// How many processes there were.
    pub(crate) all: usize,
    /// Those that could not be changed.
    pub(crate) failed: Vec<Failure>,
}

/// A process that could not be changed.
#[derive(Debug)]
pub(crate) struct Failure {
    pid: u32,
    command: String,
    error: io::Error,
}

impl Failure {
    pub(crate) fn is_not_permitted(&self) -> bool {
        self.error.kind() == ErrorKind::PermissionDenied
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pid, command, error } = self;
        write!(f, "process {pid} ({}): {error}", safe(command))
    }
}

/// Changes them all.
pub(crate) fn every_process(
    group: &UnitGroup,
    limits: &[(RlimitResource, Limit)],
    score: Option<i32>,
) -> Changed {
    let limits: Vec<(Resource, Rlimit)> =
        limits.iter().map(|(resource, limit)| (kernels(*resource), rlimit(*limit))).collect();
    let mut seen: BTreeMap<u32, Option<Failure>> = BTreeMap::new();
    for _ in 0..LOOKS {
        let mut changed_any = false;
        for pid in group.processes() {
            let outcome = change(pid, group, &limits, score);
            changed_any |= matches!(outcome, Ok(true));
            let failed = outcome.err().filter(|error| !is_gone(error));
            seen.insert(pid, failed.map(|error| Failure { pid, command: command_of(pid), error }));
        }
        if !changed_any {
            break;
        }
    }
    Changed { all: seen.len(), failed: seen.into_values().flatten().collect() }
}

/// Changes one process; whether there was anything to change.
fn change(
    pid: u32,
    group: &UnitGroup,
    limits: &[(Resource, Rlimit)],
    score: Option<i32>,
) -> io::Result<bool> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    // Held open, this directory stands for the process: a later one with the same number is not in it.
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
    // It may be a later one already: what is not in the group is somebody else's.
    if !group.contains(&read_file(&directory, "cgroup")?) {
        return Ok(false);
    }
    let mut changed = false;
    for (resource, limit) in limits {
        if rustix::process::prlimit(Some(id), *resource, *limit)? != *limit {
            changed = true;
        }
    }
    if let Some(score) = score {
        changed |= set_score(&directory, score)?;
    }
    Ok(changed)
}

/// See proc_pid_oom_score_adj(5).
fn set_score(directory: &OwnedFd, score: i32) -> io::Result<bool> {
    let text = score.to_string();
    if read_file(directory, "oom_score_adj")?.trim_ascii() == text {
        return Ok(false);
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, "oom_score_adj", flags, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes())?;
    Ok(true)
}

fn read_file(directory: &OwnedFd, name: &str) -> io::Result<String> {
    let file = rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::read_to_string(File::from(file))
}

/// It ended meanwhile.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn command_of(pid: u32) -> String {
    fs::read(format!("/proc/{pid}/comm"))
        .map(|name| String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
        .unwrap_or_default()
}

fn rlimit(limit: Limit) -> Rlimit {
    let number = |size| match size {
        Size::Finite(number) => Some(number),
        Size::Infinity => None,
    };
    Rlimit { current: number(limit.soft), maximum: number(limit.hard) }
}

fn kernels(resource: RlimitResource) -> Resource {
    match resource {
        RlimitResource::As => Resource::As,
        RlimitResource::Core => Resource::Core,
        RlimitResource::Cpu => Resource::Cpu,
        RlimitResource::Data => Resource::Data,
        RlimitResource::Fsize => Resource::Fsize,
        RlimitResource::Locks => Resource::Locks,
        RlimitResource::Memlock => Resource::Memlock,
        RlimitResource::Msgqueue => Resource::Msgqueue,
        RlimitResource::Nice => Resource::Nice,
        RlimitResource::Nofile => Resource::Nofile,
        RlimitResource::Nproc => Resource::Nproc,
        RlimitResource::Rss => Resource::Rss,
        RlimitResource::Rtprio => Resource::Rtprio,
        RlimitResource::Rttime => Resource::Rttime,
        RlimitResource::Sigpending => Resource::Sigpending,
        RlimitResource::Stack => Resource::Stack,
    }
}
