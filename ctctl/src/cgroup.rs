// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel counts for a container: the files of its unit's cgroup, see cgroups(7). What a controller would
//! tell that is not there is unknown, which is not 0.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
const PAYLOAD: &str = "payload";

/// Deeper trees of groups are made by nobody in good faith.
const MAX_DEPTH: u32 = 32;

/// The cgroup of a unit.
#[derive(Debug, Clone)]
pub struct UnitGroup {
    path: PathBuf,
}

/// Bytes read from and written to disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

impl UnitGroup {
    /// As `ControlGroup=` of the unit has it; `None` for a unit without processes.
    pub fn of_unit(control_group: &str) -> Option<Self> {
        let relative = control_group.strip_prefix('/').filter(|relative| !relative.is_empty())?;
        let path = Path::new(ROOT).join(relative);
        path.is_dir().then_some(Self { path })
    }

    /// The container's own part of it; all of it where there is none.
    #[must_use]
    pub fn payload(self) -> Self {
        let path = self.path.join(PAYLOAD);
        if path.is_dir() { Self { path } } else { self }
    }

    /// Whether a process is in it or below, by its /proc/PID/cgroup.
    pub fn contains(&self, cgroup_file: &str) -> bool {
        let own = cgroup_file.lines().find_map(|line| line.strip_prefix("0::/"));
        own.is_some_and(|own| Path::new(ROOT).join(own).starts_with(&self.path))
    }

    /// Of a unit by one of its processes, without a question to systemd.
    pub fn of_process(pid: u32, unit: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mut path = Path::new(own);
        while path.file_name()? != unit {
            path = path.parent()?;
        }
        Self::of_unit(path.to_str()?)
    }

    /// Bytes of memory in use.
    pub fn memory(&self) -> Option<u64> {
        self.number("memory.current")
    }

    /// The most that was ever in use.
    pub fn memory_peak(&self) -> Option<u64> {
        self.number("memory.peak")
    }

    /// The least of the limits of memory on it and on the groups above, in bytes; `None` where nothing limits it.
    pub fn memory_limit(&self) -> Option<u64> {
        self.least("memory.max")
    }

    /// Processes and threads.
    pub fn tasks(&self) -> Option<u64> {
        self.number("pids.current")
    }

    /// The least of the limits of tasks; `None` where nothing limits them.
    pub fn tasks_limit(&self) -> Option<u64> {
        self.least("pids.max")
    }

    /// Microseconds of processor time. The kernel counts these in each group, also without the cpu controller.
    pub fn cpu(&self) -> Option<u64> {
        self.field("cpu.stat", "usage_usec")
    }

    /// How many of its processes were killed for want of memory.
    pub fn oom_kills(&self) -> Option<u64> {
        self.field("memory.events", "oom_kill")
    }

    /// Whether its processes stand still.
    pub fn is_frozen(&self) -> bool {
        self.field("cgroup.events", "frozen") == Some(1)
    }

    /// What all disks together have read and written for it.
    pub fn io(&self) -> Option<Io> {
        let text = self.text("io.stat")?;
        let sum = |key: &str| {
            let words = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix(key));
            words.filter_map(|number| number.parse::<u64>().ok()).sum()
        };
        Some(Io { read: sum("rbytes="), written: sum("wbytes=") })
    }

    /// The processes of it and of the groups below, sorted.
    pub fn processes(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        collect(&self.path, MAX_DEPTH, &mut pids);
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.trim_end().parse().ok()
    }

    fn field(&self, file: &str, key: &str) -> Option<u64> {
        let text = self.text(file)?;
        text.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| *name == key))?.1.parse().ok()
    }

    fn least(&self, file: &str) -> Option<u64> {
        let groups = self.path.ancestors().take_while(|path| *path != Path::new(ROOT));
        groups
            .filter_map(|path| fs::read_to_string(path.join(file)).ok()?.trim_end().parse::<u64>().ok())
            .min()
    }
}

/// Groups come and go meanwhile: what is gone has no processes.
fn collect(group: &Path, depth: u32, pids: &mut Vec<u32>) {
    let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.extend(procs.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), depth, pids);
        }
    }
}
