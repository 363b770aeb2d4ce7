// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two cgroups below the unit's own: `supervisor/` for the helper while it lives, `payload/` for the container.
//!
//! cgroup2 allows no processes in a group that hands controllers on (cgroups(7), "no internal processes"), so the
//! helper leaves the unit's group first. The unit's own files, with the limits in them, stay PID 1's and root's; only
//! `payload/` is ever given away. See systemd's CGROUP_DELEGATION.

use std::fs;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{Gid, Uid, chown};

use crate::account::Account;
use crate::exit::Error;

const ROOT: &str = "/sys/fs/cgroup";

/// The mode of `cgroup.procs` as the kernel makes it, and with the right for a group.
const ALONE: u32 = 0o644;
const SHARED: u32 = 0o664;

/// How long killed processes may take to be gone, in milliseconds, and how often that is looked at.
const EMPTIED_WITHIN: u16 = 2_000;
const EMPTIED_SLICE: u16 = 500;

/// The group of one job: a program that is run to its end, and killed with all that it started.
#[derive(Debug)]
pub(crate) struct JobGroup {
    path: PathBuf,
}

impl JobGroup {
    /// Makes a group below that of this process, which hands no controllers on.
    pub(crate) fn beside_this_process() -> Result<Self, Error> {
        Self::make(&Path::new(ROOT).join(own_path()?.trim_start_matches('/')))
    }

    fn make(parent: &Path) -> Result<Self, Error> {
        static JOBS: AtomicU32 = AtomicU32::new(0);
        let number = JOBS.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("ct-job-{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(|e| Error::system(format!("mkdir {}", path.display()), e))?;
        Ok(Self { path })
    }

    /// Its `cgroup.procs`, open for writing.
    pub(crate) fn procs(&self) -> Result<OwnedFd, Error> {
        let path = self.path.join("cgroup.procs");
        let opened = fs::OpenOptions::new().write(true).open(&path);
        opened.map(OwnedFd::from).map_err(|e| Error::system(format!("open {}", path.display()), e))
    }

    /// It as a directory of the host.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The group as the runtime's `exec --cgroup` names it: from the container's own.
    pub(crate) fn below_payload(&self) -> PathBuf {
        Path::new("/").join(self.path.file_name().unwrap_or_default())
    }

    /// Kills every process in it. They are gone a moment later, see [`Self::remove`].
    pub(crate) fn kill(&self) {
        // The group may be gone with the container.
        let _ = fs::OpenOptions::new()
            .write(true)
            .open(self.path.join("cgroup.kill"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"1"));
    }

    /// Removes the group, after a kill as soon as it is empty. One that is not is left to the end of the unit: that of
    /// a hook that left something running, or of a process that not even SIGKILL ends.
    pub(crate) fn remove(&self, killed: bool) {
        if fs::remove_dir(&self.path).is_ok() || !killed {
            return;
        }
        let Ok(mut events) = fs::File::open(self.path.join("cgroup.events")) else { return };
        for _ in 0..EMPTIED_WITHIN / EMPTIED_SLICE {
            let mut text = String::new();
            let read = events.rewind().and_then(|()| events.read_to_string(&mut text));
            if read.is_err() || text.contains("populated 0") {
                break;
            }
            // POLLPRI: the file has changed since it was read (cgroups(7), "cgroup.events").
            let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            let _ = poll(&mut fds, EMPTIED_SLICE);
        }
        let _ = fs::remove_dir(&self.path);
    }
}

/// The unit's cgroup, prepared.
#[derive(Debug)]
pub(crate) struct UnitCgroup {
    /// As in /proc/self/cgroup: `/ct.slice/ct@web.service`.
    path: String,
    /// Who may move processes to `payload/` besides its owner.
    shared_with: Option<Gid>,
}

/// The cgroup of this process, which must be that of this unit itself: not the unit of somebody else who has our
/// environment, and none of the groups below.
pub(crate) fn of_unit(unit: &str) -> Result<String, Error> {
    Some(own_path()?)
        .filter(|path| path.rsplit('/').next() == Some(unit))
        .ok_or_else(|| Error::NotItsUnit { unit: unit.to_owned() })
}

/// The cgroup of this process, as in /proc/self/cgroup.
pub(crate) fn own_path() -> Result<String, Error> {
    let text =
        fs::read_to_string("/proc/self/cgroup").map_err(|e| Error::system("read /proc/self/cgroup", e))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    Ok(path.to_owned())
}

impl UnitCgroup {
    /// The unit's group, as PID 1 tells it.
    pub(crate) fn of_running(path: &str, unit: &str) -> Result<Self, Error> {
        if path.starts_with('/') && path.ends_with(&format!("/{unit}")) {
            return Ok(Self { path: path.to_owned(), shared_with: None });
        }
        Err(Error::NotItsUnit { unit: unit.to_owned() })
    }

    /// The unit's group, of a process in a group below it: one that systemd runs beside the container, or one that
    /// stays.
    pub(crate) fn containing(own: &str, unit: &str) -> Result<Self, Error> {
        let outside = || Error::NotItsUnit { unit: unit.to_owned() };
        let name = format!("/{unit}");
        let end = own.find(&format!("{name}/")).map(|start| start + name.len()).ok_or_else(outside)?;
        own.get(..end).map(|path| Self { path: path.to_owned(), shared_with: None }).ok_or_else(outside)
    }

    /// Whether nothing in the container runs, by a freeze of the unit or by the runtime's `pause`.
    pub(crate) fn is_frozen(&self) -> bool {
        self.read("payload/cgroup.events").is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Undoes a freeze of `payload/` alone, as the runtime's `pause` does it.
    pub(crate) fn thaw_payload(&self) {
        let file = "payload/cgroup.freeze";
        if self.read(file).is_ok_and(|frozen| frozen.trim() == "1") {
            let _ = self.write(file, "0");
        }
    }

    /// Makes both groups in the unit's own, and moves this process to `supervisor/`.
    pub(crate) fn prepare(path: String) -> Result<Self, Error> {
        if !Path::new(ROOT).join("cgroup.controllers").exists() {
            return Err(Error::NoUnifiedHierarchy { root: ROOT });
        }
        let cgroup = Self { path, shared_with: None };
        for child in ["supervisor", "payload"] {
            let path = cgroup.host_path().join(child);
            match fs::create_dir(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(Error::system(format!("mkdir {}", path.display()), e));
                }
                _ => {}
            }
        }
        cgroup.write("supervisor/cgroup.procs", "0")?;
        Ok(cgroup)
    }

    /// Hands every controller of the unit on to `payload/`, so that a container with a systemd of its own can use
    /// them. One that cannot be handed on (realtime processes block `cpu`) is left out; returned are those.
    pub(crate) fn delegate_controllers(&self) -> Result<Vec<String>, Error> {
        let available = self.read("cgroup.controllers")?;
        let refused = available
            .split_whitespace()
            .filter(|controller| self.write("cgroup.subtree_control", &format!("+{controller}")).is_err())
            .map(str::to_owned)
            .collect();
        Ok(refused)
    }

    /// Gives `payload/` to a user: the directory and the files that the kernel lists as safe to delegate.
    pub(crate) fn give_payload(&self, uid: u32, gid: u32) -> Result<(), Error> {
        let payload = self.host_path().join("payload");
        let give = |path: &Path| chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        give(&payload).map_err(|e| Error::system(format!("chown {}", payload.display()), e))?;
        let listed = fs::read_to_string("/sys/kernel/cgroup/delegate")
            .unwrap_or_else(|_| "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n".to_owned());
        for file in listed.lines().map(|name| payload.join(name)) {
            match give(&file) {
                // Files of controllers that are not enabled here.
                Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
                Err(e) => return Err(Error::system(format!("chown {}", file.display()), e)),
            }
        }
        Ok(())
    }

    /// Lets a group of users move processes to `payload/`, too. It is that of the container's root, which nobody on the
    /// host has but an account's runtime, while it starts the container.
    pub(crate) fn share_payload(&mut self, gid: u32) -> Result<(), Error> {
        self.set_payload_mode(SHARED)?;
        self.shared_with = Some(Gid::from_raw(gid));
        Ok(())
    }

    /// The supplementary groups that an account's runtime needs to move a process to `payload/`.
    pub(crate) fn groups_of_account(&self) -> Vec<Gid> {
        self.shared_with.into_iter().collect()
    }

    /// Lets a user move processes from `supervisor/`, where its runtime runs, to `payload/`: that takes the right to
    /// write the `cgroup.procs` of the group above both (cgroups(7), "Delegation containment"). Taken back before the
    /// container is handed over.
    pub(crate) fn lend_to(&self, uid: u32) -> Result<(), Error> {
        self.give_procs(uid)
    }

    /// Undoes [`Self::lend_to`] and [`Self::share_payload`]: in the container, too, there may be users of that group. What is
    /// run in it later begins in a group of its own.
    pub(crate) fn take_back(&self) -> Result<(), Error> {
        if self.shared_with.is_some() {
            self.set_payload_mode(ALONE)?;
        }
        self.give_procs(0)
    }

    fn set_payload_mode(&self, mode: u32) -> Result<(), Error> {
        let path = self.payload_on_host().join("cgroup.procs");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(|e| Error::system(format!("chmod {}", path.display()), e))
    }

    fn give_procs(&self, uid: u32) -> Result<(), Error> {
        let path = self.host_path().join("cgroup.procs");
        chown(&path, Some(Uid::from_raw(uid)), None)
            .map_err(|e| Error::system(format!("chown {}", path.display()), e))
    }

    /// Kills every process of the container.
    pub(crate) fn kill_payload(&self) {
        // Gone already, or never made.
        let _ = self.write("payload/cgroup.kill", "1");
    }

    /// `cgroup.procs` of the container's group, open for writing.
    pub(crate) fn payload_procs(&self) -> Result<OwnedFd, Error> {
        let path = self.payload_on_host().join("cgroup.procs");
        let opened = fs::OpenOptions::new().write(true).open(&path);
        opened.map(OwnedFd::from).map_err(|e| Error::system(format!("open {}", path.display()), e))
    }

    /// The processes of the container's own group, without those in groups below.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let text = self.read("payload/cgroup.procs").unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The container's group, where the host sees it.
    pub(crate) fn payload_on_host(&self) -> PathBuf {
        self.host_path().join("payload")
    }

    /// `linux.cgroupsPath` of config.json.
    pub(crate) fn payload(&self) -> PathBuf {
        PathBuf::from(format!("{}/payload", self.path))
    }

    /// Whether a process is in `payload/` or below.
    pub(crate) fn holds(&self, pid: i32) -> bool {
        self.has(pid, "payload")
    }

    /// Whether a process is in this group in `payload/` or below.
    pub(crate) fn holds_in(&self, pid: i32, group: &str) -> bool {
        self.has(pid, &format!("payload/{group}"))
    }

    fn has(&self, pid: i32, group: &str) -> bool {
        let payload = format!("{}/{group}", self.path);
        fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| {
            text.lines()
                .filter_map(|line| line.strip_prefix("0::"))
                // The kernel marks the group of a dead process's removed cgroup.
                .map(|path| path.trim_end_matches(" (deleted)"))
                .any(|path| path == payload || path.starts_with(&format!("{payload}/")))
        })
    }

    /// A group below `payload/` for something that is run inside the container, given to the account whose runtime runs
    /// it, or else to whom `payload/` was given.
    pub(crate) fn job_in_payload(&self, account: &Account) -> Result<JobGroup, Error> {
        let payload = self.innermost();
        let owner = if account.is_root() {
            fs::metadata(&payload)
                .map_err(|e| Error::system(format!("stat {}", payload.display()), e))
                .map(|payload| (payload.uid(), payload.gid()))?
        } else {
            (account.uid, account.gid)
        };
        let group = JobGroup::make(&payload)?;
        if owner != (0, 0) {
            let (uid, gid) = owner;
            for path in [group.path.clone(), group.path.join("cgroup.procs")] {
                chown(&path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                    .map_err(|e| Error::system(format!("chown {}", path.display()), e))?;
            }
        }
        Ok(group)
    }

    /// The group that is the container's own "/": LXC makes one more.
    fn innermost(&self) -> PathBuf {
        let payload = self.host_path().join("payload");
        Some(payload.join("lxc.payload")).filter(|group| group.is_dir()).unwrap_or(payload)
    }

    fn host_path(&self) -> PathBuf {
        Path::new(ROOT).join(self.path.trim_start_matches('/'))
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        let path = self.host_path().join(file);
        fs::read_to_string(&path).map_err(|e| Error::system(format!("read {}", path.display()), e))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Error> {
        let path = self.host_path().join(file);
        // Not fs::write(): O_CREAT on a cgroup file is refused with a confusing EACCES when it does not exist.
        let mut opened = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|e| Error::system(format!("open {}", path.display()), e))?;
        std::io::Write::write_all(&mut opened, text.as_bytes())
            .map_err(|e| Error::system(format!("write {text:?} to {}", path.display()), e))
    }
}
