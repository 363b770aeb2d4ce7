// SPDX-License-Identifier: MIT OR Apache-2.0
//! `root.lxcfs`: files of /proc that show the container's own limits and uptime in place of the host's, from lxcfs(1)
//! where that runs. It finds out by the reader's process who is asking, so that all containers share one.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

use ct_config::container::{Create, Lxcfs, Mount};

use crate::exit::{Error, Step};
use crate::inside::Inside;
use crate::journal::Journal;
use crate::message::Message;

/// Where its own unit has it serve.
const SERVED_AT: &str = "/var/lib/lxcfs";

/// What both runtimes let be mounted over: runc has a list of such files.
const FILES: [&str; 9] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/slabinfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "sys/devices/system/cpu/online",
];

/// How long a container may take for the first reading.
const PRIMING: Duration = Duration::from_secs(5);

/// The files that it serves, as mounts into the container; none where it does not run, unless the config insists.
pub(crate) fn mounts(wanted: Lxcfs) -> Result<Vec<Mount>, Error> {
    if wanted == Lxcfs::No {
        return Ok(Vec::new());
    }
    match why_not_served() {
        None => {}
        Some(_) if wanted == Lxcfs::Auto => return Ok(Vec::new()),
        Some(reason) => return Err(Error::NoLxcfs { reason }),
    }
    let served = FILES.into_iter().filter(|file| Path::new(SERVED_AT).join(file).exists());
    Ok(served.map(mount).collect())
}

/// Whether files of lxcfs are among these mounts.
pub(crate) fn is_among(mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| mount.source.starts_with(SERVED_AT))
}

fn mount(file: &str) -> Mount {
    Mount {
        source: Path::new(SERVED_AT).join(file),
        target: Path::new("/").join(file),
        kind: "bind".to_owned(),
        options: ["nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
        create: Create::AsSource,
    }
}

/// Whether the directory is a file system of lxcfs, and one that answers: it stays mounted when lxcfs has died.
fn why_not_served() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // proc_pid_mountinfo(5): the fifth field is where, and the type follows a dash.
    let is_served = |line: &str| {
        let mut fields = line.split(' ');
        fields.nth(4) == Some(SERVED_AT) && line.contains(" - fuse.lxcfs ")
    };
    if !mounts.lines().any(is_served) {
        return Some(format!("lxcfs does not serve at {SERVED_AT}"));
    }
    match std::fs::metadata(Path::new(SERVED_AT).join("proc/uptime")) {
        Ok(file) if file.is_file() || file.file_type().is_char_device() => None,
        Ok(_) => Some(format!("{SERVED_AT}/proc/uptime is no file")),
        Err(error) => Some(format!("lxcfs at {SERVED_AT} does not answer: {error}")),
    }
}

/// Has the container read two of the files once: lxcfs begins to count its load and its use of processors when they are
/// first asked for.
pub(crate) fn prime(inside: &Inside<'_>, journal: Journal) {
    let argv = ["cat", "/proc/stat", "/proc/loadavg"].map(str::to_owned);
    let read = inside.run(&argv, Instant::now().checked_add(PRIMING), &[]);
    let reason = match read {
        Ok(finished) if finished.end.is_success() => return,
        Ok(finished) => finished.to_string(),
        Err(error) => error.to_string(),
    };
    let line = format!("cannot read /proc/stat in the container for lxcfs: {reason}, ignoring");
    journal.warning(Step::Ready, Message::NotPrimed, &line);
}
