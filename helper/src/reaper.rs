// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process between the runtime and PID 1.
//!
//! PID 1 must find init to be *its own child* when it is told MAINPID=: a main process that is not, systemd neither
//! waits for when it stops the unit (it kills at once) nor promises to notice its end. A process only changes its
//! parent when the parent ends. So the runtime is started by a child of the helper, the reaper, which is a subreaper
//! (prctl(2)): init becomes the reaper's child when the runtime ends, and PID 1's when the reaper does.
//!
//! That leaves a moment in which init is PID 1's child and PID 1 does not know yet whose main process it is; were init
//! to end just then, its status would be lost. The helper therefore traces init (ptrace(2), PTRACE_SEIZE, which does
//! not stop it) through that moment: the end of a traced process is its tracer's to see first, and PID 1's only after
//! the tracer is gone.

use std::fmt;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::exit::Error;
use crate::process_stat::ProcessStat;
use crate::sys::{self, Fork, retry};

/// How long the other threads of an init that ends may take, in milliseconds.
const THREADS_TIMEOUT: u16 = 5_000;

/// The container's first process.
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) pid: i32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Killed(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_real_time) => write!(f, "was killed by signal {number}"),
            },
        }
    }
}

/// Init's parent until the handover.
#[derive(Debug)]
pub(crate) struct Reaper {
    pid: Pid,
    /// Readable when it has ended.
    pidfd: OwnedFd,
    socket: UnixStream,
}

/// What came of the runtime's work.
pub(crate) enum Started {
    /// Init runs, or did.
    Init(Reaper, Init),
    /// The reaper has said why not, and this is the status to exit with.
    Failed(i32),
}

/// Forks the reaper, which lets `run` start the container and report init's pid. `failed` says in the reaper why it
/// could not, and gives the status to exit with.
pub(crate) fn start(
    run: impl FnOnce() -> Result<i32, Error>,
    failed: impl FnOnce(Error) -> i32,
) -> Result<Started, Error> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| Error::system("socketpair", e))?;
    match sys::fork().map_err(|e| Error::system("fork", e))? {
        Fork::Child => {
            drop(ours);
            std::process::exit(match become_reaper().and_then(|()| run()) {
                Ok(init) => serve(theirs, init),
                Err(error) => failed(error),
            })
        }
        Fork::Parent(pid) => {
            drop(theirs);
            let pidfd = sys::pidfd_open(pid.as_raw()).map_err(|e| Error::system("pidfd_open", e))?;
            Reaper { pid, pidfd, socket: ours }.init()
        }
    }
}

fn become_reaper() -> Result<(), Error> {
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| Error::system("prctl(PR_SET_CHILD_SUBREAPER)", e))
}

/// The reaper's life after the start: tells init's pid, then keeps still until the helper lets it go. Init is not
/// waited for: if it ends now, the helper or PID 1 shall see how.
fn serve(mut socket: UnixStream, init: i32) -> i32 {
    if socket.write_all(&init.to_ne_bytes()).is_err() {
        return 0;
    }
    // A byte, or the end of the helper; a signal is neither.
    let _ = socket.read_exact(&mut [0]);
    // Init ended before the helper took over: only its parent can say how.
    let end = end_of_all_threads(init, 0).unwrap_or(None);
    let _ = socket.write_all(&encode(end));
    0
}

impl Reaper {
    /// Waits for the reaper's report.
    fn init(mut self) -> Result<Started, Error> {
        let mut pid = [0; 4];
        match self.hear(&mut pid) {
            // The reaper keeps init from being reaped, so that the number goes on meaning it.
            Ok(()) => return Ok(Started::Init(self, Init { pid: i32::from_ne_bytes(pid) })),
            Err(ended) if ended.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(Error::system("wait for the process that starts the container", error)),
        }
        match retry(|| waitpid(self.pid, None)) {
            Ok(WaitStatus::Exited(_, status)) if status != 0 => Ok(Started::Failed(status)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Err(Error::Interrupted(format!(
                "the process that starts the container was killed by {signal}"
            ))),
            Ok(_) => Err(Error::Interrupted(
                "the process that starts the container ended without a word".to_owned(),
            )),
            Err(errno) => Err(Error::system("wait for the process that starts the container", errno)),
        }
    }

    /// Reads what the reaper says, unless it ends without a word. Its end, not that of the socket, is waited for: a
    /// copy of the socket in some other process must not make the start hang.
    fn hear(&mut self, words: &mut [u8]) -> std::io::Result<()> {
        let mut fds = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if fds.iter().take(1).any(|socket| socket.any().unwrap_or(false)) {
            self.socket.read_exact(words)
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Ends the reaper: init is PID 1's child from now on, and traced by this process. Says how init ended if it did
    /// so before.
    pub(crate) fn release(mut self, init: &Init) -> Result<Option<End>, Error> {
        // Where tracing is forbidden (kernel.yama.ptrace_scope=3) the moment is left unguarded: a container that ends
        // in it then fails with status 99 in place of its own.
        let _ = ptrace::seize(Pid::from_raw(init.pid), ptrace::Options::empty());
        let failed = |e| Error::system("talk to the process that starts the container", e);
        self.socket.write_all(&[0]).map_err(failed)?;
        let mut end = [0; 8];
        self.hear(&mut end).map_err(failed)?;
        retry(|| waitpid(self.pid, None))
            .map_err(|e| Error::system("wait for the process that starts the container", e))?;
        match decode(end) {
            Some(end) => Ok(Some(end)),
            None => end_of_traced(init),
        }
    }
}

/// How init ended, if it did while it was traced. It stays to be waited for by PID 1.
pub(crate) fn end_of_traced(init: &Init) -> Result<Option<End>, Error> {
    end_of_all_threads(init.pid, libc::WNOWAIT).or_else(|error| match error.raw_os_error() {
        // Not traced, and not our child.
        Some(libc::ECHILD) => Ok(None),
        _ => Err(Error::system(format!("waitid({})", init.pid), error)),
    })
}

/// As [`end_of`]. When the first thread of a process has ended it can neither be traced any more nor become the main
/// process, while the others that are about to end keep its status back.
fn end_of_all_threads(pid: i32, how: i32) -> std::io::Result<Option<End>> {
    match end_of(pid, how)? {
        None if ProcessStat::read(pid).is_some_and(|stat| matches!(stat.state, 'Z' | 'X')) => {
            let _ = sys::ends_within(&sys::pidfd_open(pid)?, THREADS_TIMEOUT);
            end_of(pid, how)
        }
        end => Ok(end),
    }
}

/// Lets a traced init go on that was stopped to be given a signal.
pub(crate) fn pass_signals_on(init: &Init) {
    if let Ok(Some(sys::Change::Stopped(signal))) = sys::wait(init.pid, libc::WSTOPPED) {
        // ESRCH: it was killed meanwhile.
        let _ = sys::trace_continue(init.pid, signal);
    }
}

fn end_of(pid: i32, how: i32) -> std::io::Result<Option<End>> {
    match sys::wait(pid, libc::WEXITED | how)? {
        Some(sys::Change::Exited(status)) => Ok(Some(End::Exited(status))),
        Some(sys::Change::Killed(signal)) => Ok(Some(End::Killed(signal))),
        Some(sys::Change::Stopped(_)) | None => Ok(None),
    }
}

/// Two numbers: what happened, and the status or signal.
fn encode(end: Option<End>) -> [u8; 8] {
    let (kind, number) = match end {
        None => (0_i32, 0),
        Some(End::Exited(status)) => (1, status),
        Some(End::Killed(signal)) => (2, signal),
    };
    let mut bytes = [0; 8];
    let (first, second) = bytes.split_at_mut(4);
    first.copy_from_slice(&kind.to_ne_bytes());
    second.copy_from_slice(&number.to_ne_bytes());
    bytes
}

fn decode([a, b, c, d, e, f, g, h]: [u8; 8]) -> Option<End> {
    let number = i32::from_ne_bytes([e, f, g, h]);
    match i32::from_ne_bytes([a, b, c, d]) {
        1 => Some(End::Exited(number)),
        2 => Some(End::Killed(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_survive_the_way_to_the_helper() {
        for end in [None, Some(End::Exited(7)), Some(End::Exited(0)), Some(End::Killed(9))] {
            assert_eq!(decode(encode(end)), end);
        }
    }
}
