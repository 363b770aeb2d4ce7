// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot of a machine, and what it may be told before.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::root::results_dir;
use crate::seed::Seed;
use crate::{Machine, Root, System};

/// Far above the half second of a boot, since many machines may share two processors.
const BOOT_DEADLINE: Duration = Duration::from_secs(300);

/// What no process of a machine may do, since it reaches the host, which has no namespace for it: set the clock, load
/// modules, use ports and memory of the hardware. As setpriv(1) has it.
pub(crate) const WITHOUT: &str = "--bounding-set=-sys_time,-sys_module,-sys_rawio";

/// A machine to be booted, with files that are there before its PID 1 runs.
#[must_use]
pub struct Preparation {
    root: Root,
    name: String,
    seed: Seed,
    layers: Vec<System>,
    may_be_degraded: bool,
}

impl Preparation {
    pub(crate) fn new(root: Root, name: &str) -> Self {
        Preparation {
            root,
            name: name.to_owned(),
            seed: Seed::default(),
            layers: Vec::new(),
            may_be_degraded: false,
        }
    }

    /// Puts a file there, with the directories above it.
    pub fn file(mut self, path: impl AsRef<Path>, mode: u32, text: &str) -> Self {
        self.seed.files.push((path.as_ref().to_owned(), mode, text.to_owned()));
        self
    }

    /// Puts a symbolic link there, as `systemctl enable` does.
    pub fn link(mut self, path: impl AsRef<Path>, target: &str) -> Self {
        self.seed.links.push((path.as_ref().to_owned(), target.to_owned()));
        self
    }

    /// Puts a container's config there: `/etc/ct/containers/NAME.toml`.
    pub fn container(self, name: &str, toml: &str) -> Self {
        self.file(format!("/etc/ct/containers/{name}.toml"), 0o644, toml)
    }

    /// Makes a root filesystem of busybox there.
    pub fn busybox_rootfs(mut self, path: impl AsRef<Path>) -> Self {
        self.seed.busybox_rootfs.push(path.as_ref().to_owned());
        self
    }

    /// Has a Debian there, `/var/lib/ct/layers/NAME` with its [`System::name`], read-only.
    pub fn layer(mut self, system: System) -> Self {
        self.layers.push(system);
        self
    }

    /// Takes units that fail at boot for what the test is about.
    pub fn may_be_degraded(mut self) -> Self {
        self.may_be_degraded = true;
        self
    }

    /// Boots it, and waits until it runs.
    ///
    /// # Panics
    /// When it does not come up, or comes up degraded.
    #[track_caller]
    pub fn boot(self) -> Machine {
        let lower = match self.root.lower() {
            Ok(lower) => lower,
            Err(missing) => panic!("cannot boot {}: {missing}", self.name),
        };
        match self.try_boot(&lower) {
            Ok((machine, ready)) => {
                if let Err(error) = wait_until_ready(&machine, &ready) {
                    panic!("{} does not boot: {error}\n{}", self.name, machine.console());
                }
                drop(ready); // with nobody to read it, PID 1's next notification must not find a full queue
                let state = machine.run(["systemctl", "is-system-running", "--wait"]).stdout;
                let failed = || machine.run(["systemctl", "--failed"]).stdout;
                assert!(
                    self.may_be_degraded || state == "running\n",
                    "{} boots {state}{}",
                    self.name,
                    failed()
                );
                machine
            }
            Err(error) => panic!("cannot boot {}: {error}", self.name),
        }
    }

    fn try_boot(&self, lower: &Path) -> std::io::Result<(Machine, UnixDatagram)> {
        let dir = results_dir().join(&self.name);
        fs::remove_dir_all(&dir).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        self.seed.fill(&dir.join("seed"))?;
        self.list_layers(&dir.join("layers"))?;
        let opened = File::open(&dir)?;
        // Through a descriptor, as a socket's path has room for 108 bytes only.
        let ready = UnixDatagram::bind(format!("/proc/self/fd/{}/notify", opened.as_raw_fd()))?;

        let group = cgroup2_mount()?.join(format!("ct-tests-{}-{}", std::process::id(), self.name));
        let mut guard = Command::new("setpriv")
            .args([WITHOUT, "sh"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/boot.sh"))
            .arg("guard")
            .args([&group, &lower.to_owned(), &dir])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("console"))?)
            .process_group(0) // ^C is for the tests: the guard has to outlive them
            .spawn()?;
        let stdout = guard.stdout.take().expect("asked for a pipe");
        let machine = Machine::new(&self.name, dir, group, guard);
        let mut pid = String::new();
        BufReader::new(stdout).read_line(&mut pid)?;
        match pid.trim().parse() {
            Ok(pid) => Ok((machine.with_pid(pid), ready)),
            Err(_) => Err(std::io::Error::other(machine.console())),
        }
    }
}

impl Preparation {
    /// One line for each, `NAME DIRECTORY`, for boot.sh.
    fn list_layers(&self, file: &Path) -> std::io::Result<()> {
        let mut lines = String::new();
        for layer in &self.layers {
            let directory = layer.directory().map_err(std::io::Error::other)?;
            writeln!(lines, "{} {}", layer.name(), directory.display()).expect("a string takes all");
        }
        fs::write(file, lines)
    }
}

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, or beside cgroup v1 `/sys/fs/cgroup/unified`.
fn cgroup2_mount() -> std::io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount =
        mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|fields| match *fields {
            [_source, path, "cgroup2", ..] => Some(PathBuf::from(path)),
            _ => None,
        });
    mount.ok_or_else(|| std::io::Error::other("no cgroup2 file system is mounted"))
}

/// PID 1 in a container says READY=1 when the default target is reached. See systemd(1), `$NOTIFY_SOCKET`.
fn wait_until_ready(machine: &Machine, ready: &UnixDatagram) -> Result<(), String> {
    let pid = i32::try_from(machine.pid()).ok().and_then(Pid::from_raw).ok_or("no PID 1")?;
    let pid1 = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("PID 1 is gone: {error}"))?;
    let deadline = Instant::now() + BOOT_DEADLINE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("minutes fit");
        let mut fds = [PollFd::new(ready, PollFlags::IN), PollFd::new(&pid1, PollFlags::IN)];
        poll(&mut fds, Some(&timeout)).map_err(|error| format!("cannot wait: {error}"))?;
        let [heard, ended] = fds.map(|fd| !fd.revents().is_empty());
        if heard {
            let mut message = [0; 4096];
            let length = ready.recv(&mut message).map_err(|error| format!("cannot hear: {error}"))?;
            let message = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
            if message.lines().any(|line| line == "READY=1") {
                return Ok(());
            }
        } else if ended {
            return Err("PID 1 ended".to_owned());
        } else {
            return Err(format!("not within {BOOT_DEADLINE:?}"));
        }
    }
}
