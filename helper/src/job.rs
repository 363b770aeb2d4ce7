// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that the helper runs to its end, or to that of its time: a hook, a readiness probe, a stop command.
//!
//! It runs in a control group of its own, so that what it starts can be killed with it, whatever that does to hide
//! (cgroups(7), `cgroup.kill`). While it runs, other events (the end of the container, a signal) are waited for too.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Gid, Uid};

use crate::account::Account;
use crate::cgroup::JobGroup;
use crate::exit::Error;
use crate::sys;

/// What is kept of a program's output, in bytes: the end of it, for a message.
const KEPT: usize = 4096;
/// A program that prints more is killed, in bytes.
const MAX_OUTPUT: usize = 256 * 1024;

/// A program, ready to be run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// What to run; its standard files are set by [`Job::run`].
    pub(crate) command: Command,
    /// Where; removed when it is over.
    pub(crate) group: &'a JobGroup,
    /// Who it becomes before it executes.
    pub(crate) account: &'a Account,
    /// When it must be over; `None` for never.
    pub(crate) deadline: Option<Instant>,
    /// Where its output goes.
    pub(crate) output: Output,
    /// What it finds on its standard input.
    pub(crate) input: Option<String>,
}

/// What becomes of standard output and standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// They are the helper's own: the unit's log.
    Log,
    /// The end of it is kept. What the program leaves running is killed.
    Keep,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// By itself.
    Ended(ExitStatus),
    /// Killed: its time was over.
    TimedOut,
    /// Killed: it printed too much.
    Flooded,
    /// Killed: one of the watched descriptors became readable.
    Interrupted,
}

/// A job that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: JobEnd,
    /// The last line it printed, if it was kept.
    pub(crate) last_line: Option<String>,
}

impl JobEnd {
    /// Whether it ended with status 0.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Self::Ended(status) if status.success())
    }
}

impl std::fmt::Display for Finished {
    /// `exit status 2: connection refused`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.end {
            JobEnd::Ended(status) => {
                write!(f, "{}", status.to_string().replace("exit status:", "exit status"))?
            }
            JobEnd::TimedOut => f.write_str("killed, its time was over")?,
            JobEnd::Flooded => f.write_str("killed, it printed too much")?,
            JobEnd::Interrupted => f.write_str("killed, it was no longer needed")?,
        }
        self.last_line.as_ref().map_or(Ok(()), |line| write!(f, ": {line}"))
    }
}

impl Job<'_> {
    /// Runs it, and returns early, with the job killed, when a descriptor of `watched` becomes readable.
    pub(crate) fn run(mut self, watched: &[BorrowedFd<'_>]) -> Result<Finished, Error> {
        let reader = self.connect_output()?;
        let input = self.input.take();
        self.command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        sys::enter_cgroup_before_exec(&mut self.command, self.group.procs()?);
        if !self.account.is_root() {
            let (uid, gid) = (Uid::from_raw(self.account.uid), Gid::from_raw(self.account.gid));
            sys::switch_user_before_exec(&mut self.command, uid, gid, Vec::new());
        }
        let program = self.command.get_program().to_string_lossy().into_owned();
        let mut child = self.command.spawn().map_err(|e| Error::system(format!("execute {program}"), e))?;
        // The writing end of the pipe stays in the command.
        drop(self.command);
        let mut kept = Kept { reader, text: Vec::new(), total: 0 };
        let waited = feed(&mut child, input)
            .and_then(|()| sys::pidfd_open(child.id().cast_signed()))
            .and_then(|pidfd| wait(&pidfd, &mut kept, self.deadline, watched));
        let to_be_killed = self.output == Output::Keep || !matches!(waited, Ok(None));
        if to_be_killed {
            self.group.kill();
            // An account that owns the groups may have moved it out: it would be waited for without end.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|e| Error::system(format!("wait for {program}"), e))?;
        self.group.remove(to_be_killed);
        let killed = waited.map_err(|e| Error::system(format!("wait for {program}"), e))?;
        // More than a pipe holds comes only from one who moved out of the group and prints on.
        (0..MAX_OUTPUT / KEPT).for_each(|_| kept.read_more());
        Ok(Finished { end: killed.unwrap_or(JobEnd::Ended(status)), last_line: kept.last_line() })
    }

    fn connect_output(&mut self) -> Result<Option<PipeReader>, Error> {
        if self.output == Output::Log {
            return Ok(None);
        }
        let failed = |e: io::Error| Error::system("pipe2", e);
        let (reader, writer) = io::pipe().map_err(failed)?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| failed(e.into()))?;
        self.command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        Ok(Some(reader))
    }
}

/// Writes what fits into a pipe; a program that does not read it is no error.
fn feed(child: &mut Child, input: Option<String>) -> io::Result<()> {
    let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) else { return Ok(()) };
    match stdin.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Waits for the end of a process; says why it must be killed, if it must.
fn wait(
    pidfd: &OwnedFd,
    kept: &mut Kept,
    deadline: Option<Instant>,
    watched: &[BorrowedFd<'_>],
) -> io::Result<Option<JobEnd>> {
    loop {
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        fds.extend(watched.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
        fds.extend(kept.reader.as_ref().map(|reader| PollFd::new(reader.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, until(deadline)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        if ready.next().unwrap_or(false) {
            return Ok(None);
        }
        if ready.by_ref().take(watched.len()).any(|ready| ready) {
            return Ok(Some(JobEnd::Interrupted));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(Some(JobEnd::TimedOut));
        }
        kept.read_more();
        if kept.total > MAX_OUTPUT {
            return Ok(Some(JobEnd::Flooded));
        }
    }
}

/// The time to a deadline as poll(2) takes it: rounded up, so that it is never woken just before.
pub(crate) fn until(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// The end of a program's output.
struct Kept {
    reader: Option<PipeReader>,
    text: Vec<u8>,
    total: usize,
}

impl Kept {
    /// Reads what there is, once: a program that never stops printing must not keep us here.
    fn read_more(&mut self) {
        let mut buffer = [0; KEPT];
        let Some(reader) = &mut self.reader else { return };
        match reader.read(&mut buffer) {
            Ok(0) => self.reader = None,
            Ok(count) => {
                self.total += count;
                self.text.extend_from_slice(buffer.get(..count).unwrap_or_default());
                let excess = self.text.len().saturating_sub(KEPT);
                self.text.drain(..excess);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.reader = None,
        }
    }

    fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.text);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(crate::exit::printable(line.trim(), 200))
    }
}
