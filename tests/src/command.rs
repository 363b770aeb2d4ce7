// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands inside a machine, each in a cgroup of its own, so that none outlives its deadline. See nsenter(1).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::Machine;
use crate::preparation::WITHOUT;
use crate::systemctl::comes_true;

/// How long a command may take unless it says otherwise: far above any, also on a busy computer, far below a stuck CI job.
const DEADLINE: Duration = Duration::from_secs(300);

/// How often a command that is waited for is told to go on.
const GO_ON: Duration = Duration::from_secs(2);

/// A command to run inside a machine, as root, with a small clean environment.
#[must_use]
pub struct Command<'a> {
    machine: &'a Machine,
    argv: Vec<OsString>,
    stdin: Vec<u8>,
    env: Vec<(OsString, OsString)>,
    deadline: Duration,
    terminal: Option<OwnedFd>,
}

/// A command under way. Dropped, it is killed with all it started.
#[must_use]
pub struct Running {
    what: String,
    child: Child,
    cgroup: PathBuf,
    stdout: File,
    stderr: File,
    started: Instant,
    deadline: Duration,
}

/// What a command left: its status and everything it printed.
#[derive(Debug)]
pub struct Output {
    /// The command, for messages.
    pub what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// From the start of nsenter(1) to the end of the command.
    pub took: Duration,
}

impl<'a> Command<'a> {
    pub(crate) fn new<S: AsRef<OsStr>>(machine: &'a Machine, argv: impl IntoIterator<Item = S>) -> Self {
        Command {
            machine,
            argv: argv.into_iter().map(|argument| argument.as_ref().to_owned()).collect(),
            stdin: Vec::new(),
            env: Vec::new(),
            deadline: DEADLINE,
            terminal: None,
        }
    }

    /// Gives it this to read; nothing by default.
    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdin = text.as_ref().to_vec();
        self
    }

    /// Sets one environment variable.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Lets it take longer, or less, than the usual 300 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Has a program execute it.
    pub(crate) fn after(mut self, program: &[&str]) -> Self {
        self.argv.splice(0..0, program.iter().map(OsString::from));
        self
    }

    /// Reads from and prints on this, and nothing is kept.
    pub(crate) fn on_terminal(mut self, slave: OwnedFd) -> Self {
        self.terminal = Some(slave);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started, or misses its deadline.
    #[track_caller]
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Runs it to its end, where a panic would be out of place.
    pub(crate) fn try_run(self) -> Result<Output, String> {
        self.try_spawn("").map_err(|error| format!("cannot run: {error}"))?.try_wait()
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(self) -> Running {
        let what = self.argv.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
        match self.try_spawn(&what) {
            Ok(running) => running,
            Err(error) => panic!("cannot run `{what}`: {error}"),
        }
    }

    fn try_spawn(self, what: &str) -> std::io::Result<Running> {
        let (stdout, stderr) = (memory_file()?, memory_file()?);
        let mut stdin = memory_file()?;
        stdin.write_all(&self.stdin)?;
        stdin.seek(SeekFrom::Start(0))?;
        let cgroup = self.machine.new_command_cgroup()?;
        // A host with nsdelegate lets nobody enter the machine's cgroups from within its namespaces: first the cgroup.
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", r#"echo 0 >"$1/cgroup.procs" && shift && exec setpriv "$@""#, "sh"])
            .arg(&cgroup)
            .args([WITHOUT, "nsenter"])
            .args(["--all", "--target", &self.machine.pid().to_string(), "--"])
            .args(&self.argv)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs([("LANG", "C.UTF-8"), ("HOME", "/root"), ("TERM", "dumb"), ("SYSTEMD_PAGER", "")])
            .envs(self.env)
            .current_dir("/");
        match &self.terminal {
            Some(slave) => {
                command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave.try_clone()?)
            }
            None => command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?),
        };
        let child = command.spawn()?;
        let (started, deadline) = (Instant::now(), self.deadline);
        Ok(Running { what: what.to_owned(), child, cgroup, stdout, stderr, started, deadline })
    }
}

impl Running {
    /// Waits for its end.
    ///
    /// # Panics
    /// When it misses its deadline.
    #[track_caller]
    pub fn wait(self) -> Output {
        match self.try_wait() {
            Ok(output) => output,
            Err(late) => panic!("{late}"),
        }
    }

    fn try_wait(mut self) -> Result<Output, String> {
        let left = self.deadline.saturating_sub(self.started.elapsed());
        let pidfd =
            pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).expect("nobody reaped the child");
        let (what, stdout, stderr) = if self.ends_within(&pidfd, left) {
            (std::mem::take(&mut self.what), self.stdout(), self.stderr())
        } else {
            let (what, stdout, stderr) = (&self.what, self.stdout(), self.stderr());
            return Err(format!(
                "`{what}` takes over {:?}\nstdout: {stdout}\nstderr: {stderr}",
                self.deadline
            ));
        };
        let took = self.started.elapsed();
        let status = self.child.wait().expect("a child is waited for once");
        Ok(Output { what, status, stdout, stderr, took })
    }

    /// Waits for its end. nsenter(1) stops itself with its child, as systemd stops all that it is about to kill in a soft-reboot;
    /// nobody in there has it go on.
    fn ends_within(&self, pidfd: &OwnedFd, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if readable_within(pidfd, left.min(GO_ON)) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
            // One that has ended just now needs it no more.
            pidfd_send_signal(pidfd, Signal::CONT).ok();
        }
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        contents(&self.stdout)
    }

    /// What it has complained of so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        contents(&self.stderr)
    }

    /// Kills it, with all it started.
    ///
    /// Again until nobody is left: on Linux 6.18 one cgroup.kill in 600 missed a process that was being forked.
    pub fn kill(&self) {
        let populated =
            || fs::read_to_string(self.cgroup.join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty());
        comes_true(|| {
            // What is gone with the machine is killed as well.
            fs::write(self.cgroup.join("cgroup.kill"), "1").ok();
            !populated()
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill();
            self.child.wait().ok();
        }
        // Busy when the command left something running on purpose: then it goes with the machine.
        fs::remove_dir(&self.cgroup).ok();
    }
}

impl Output {
    /// Asserts exit status 0.
    ///
    /// # Panics
    /// On any other end, with all that was printed.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.status.success(), "should succeed: {self}");
        self
    }

    /// Asserts any end but exit status 0.
    ///
    /// # Panics
    /// On exit status 0, with all that was printed.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(!self.status.success(), "should fail: {self}");
        self
    }

    /// Asserts this very exit status.
    ///
    /// # Panics
    /// On any other end, with all that was printed.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "should exit with {code}: {self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`, {}\nstdout: {}\nstderr: {}", self.what, self.status, self.stdout, self.stderr)
    }
}

/// Waits until a descriptor can be read. See poll(2).
pub(crate) fn readable_within(fd: &impl std::os::fd::AsFd, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("deadlines are minutes");
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}

/// A file rather than a pipe: what a left-over child holds open does not keep the reader waiting.
fn memory_file() -> std::io::Result<File> {
    Ok(File::from(memfd_create("ct-tests", MemfdFlags::CLOEXEC)?))
}

fn contents(file: &File) -> String {
    let mut bytes = Vec::new();
    // By its name, since reading through the shared offset would move the writer's.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(lost: {error})"),
    }
}
