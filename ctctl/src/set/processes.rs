// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits and oom scores of every process of a cgroup, with those that are forked meanwhile: one passes on to its
//! children what it has, so when a look at all of them finds none to change, there is none left.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ct_config::value::{Limit, RlimitResource, Size};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit};

use crate::error::Error;
use crate::output::safe;

/// Where cgroup v2 is mounted, see cgroups(7).
const CGROUPS: &str = "/sys/fs/cgroup";
/// The container's own part of its unit's cgroup.
const PAYLOAD: &str = "payload";
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
    pid: i32,
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
    control_group: &str,
    limits: &[(RlimitResource, Limit)],
    score: Option<i32>,
) -> Result<Changed, Error> {
    let unit = PathBuf::from(format!("{CGROUPS}{control_group}"));
    let payload = unit.join(PAYLOAD);
    let cgroup = if payload.is_dir() { payload } else { unit };
    let limits: Vec<(Resource, Rlimit)> =
        limits.iter().map(|(resource, limit)| (kernels(*resource), rlimit(*limit))).collect();
    let mut seen: BTreeMap<i32, Option<Failure>> = BTreeMap::new();
    for _ in 0..LOOKS {
        let mut pids = Vec::new();
        read_pids(&cgroup, &mut pids)
            .map_err(|error| Error::system(format!("read the processes of {}", cgroup.display()), error))?;
        let mut changed_any = false;
        for pid in pids {
            let outcome = change(pid, &limits, score);
            changed_any |= matches!(outcome, Ok(true));
            let failed = outcome.err().filter(|error| !is_gone(error));
            seen.insert(pid, failed.map(|error| Failure { pid, command: command_of(pid), error }));
        }
        if !changed_any {
            break;
        }
    }
    Ok(Changed { all: seen.len(), failed: seen.into_values().flatten().collect() })
}

/// Changes one process; whether there was anything to change.
fn change(pid: i32, limits: &[(Resource, Rlimit)], score: Option<i32>) -> io::Result<bool> {
    let Some(id) = Pid::from_raw(pid) else { return Ok(false) };
    // Held open, this directory stands for the process: a later one with the same number is not in it.
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
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
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, "oom_score_adj", flags, Mode::empty())?;
    let mut buffer = [0; 16];
    let length = rustix::io::read(&file, &mut buffer)?;
    let text = score.to_string();
    let now = buffer.get(..length).unwrap_or_default();
    if now.trim_ascii() == text.as_bytes() {
        return Ok(false);
    }
    rustix::io::pwrite(&file, text.as_bytes(), 0)?;
    Ok(true)
}

/// It ended meanwhile.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Of a group and all below it; a group that is gone has none.
fn read_pids(group: &Path, pids: &mut Vec<i32>) -> io::Result<()> {
    let text = match fs::read_to_string(group.join("cgroup.procs")) {
        Ok(text) => text,
        Err(error)
            if is_gone(&error) || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) =>
        {
            return Ok(());
        }
        // A group with threads only has no processes to read.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {
            String::new()
        }
        Err(error) => return Err(error),
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    let Ok(below) = fs::read_dir(group) else { return Ok(()) };
    for entry in below.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            read_pids(&entry.path(), pids)?;
        }
    }
    Ok(())
}

fn command_of(pid: i32) -> String {
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
