// SPDX-License-Identifier: MIT OR Apache-2.0
//! Follows a program system call by system call, through its forks up to their execve(2), and lets one call fail. See
//! ptrace(2).
//!
//! strace(1) counts calls for each process too, but its `inject=` meets every process that gets that far, the
//! container's own among them. Here a fault has one process. The tracer is a thread of the test, outside the machine:
//! the unit has no process more than it always has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What is done to one system call, which then is not executed (close(2) is: Linux never keeps the descriptor).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed as it enters the call.
    Kill,
    /// The call fails with this error.
    Error(Errno),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("SIGKILL"),
            Self::Error(errno) => write!(f, "{errno:?}"),
        }
    }
}

/// One system call of a program: the n-th of its kind in one of its processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Empty for the program's first process, `.2` for the second child of that, `.2.1` for the first child of that.
    pub process: String,
    /// The number of the system call.
    pub call: u64,
    /// Counted from 1.
    pub ordinal: usize,
}

impl Point {
    /// `openat`, as in syscalls(2).
    #[must_use]
    pub fn call_name(&self) -> &'static str {
        usize::try_from(self.call).ok().and_then(syscalls::Sysno::new).map_or("unknown", |call| call.name())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} #{}", self.process, self.call_name(), self.ordinal)
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Trace {
    /// Every call, in the order of their begin.
    pub points: Vec<Point>,
    /// Whether the point of the fault was reached.
    pub hit: bool,
}

/// A process that is followed.
#[derive(Default)]
struct Tracee {
    name: String,
    children: usize,
    /// Its program is the one to be followed, and not the shell before it.
    begun: bool,
    failing: bool,
    counts: BTreeMap<u64, usize>,
}

struct Tracer<'a> {
    fault: Option<(&'a Point, Fault)>,
    tracees: BTreeMap<Pid, Tracee>,
    /// New ones that stopped before their parent's own stop told whose they are.
    strangers: BTreeSet<Pid>,
    trace: Trace,
}

/// Follows what `pid` executes next, until nothing of it is left to be followed. `resume` lets `pid` go on.
///
/// # Errors
/// When it cannot be traced.
pub(crate) fn follow(
    pid: Pid,
    fault: Option<(&Point, Fault)>,
    resume: impl FnOnce() -> io::Result<()>,
) -> io::Result<Trace> {
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options)?;
    let tracees = BTreeMap::from([(pid, Tracee::default())]);
    let mut tracer = Tracer { fault, tracees, strangers: BTreeSet::new(), trace: Trace::default() };
    resume()?;
    // Children of other threads, which run commands, are theirs to wait for.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        match waitpid(None, Some(flags)) {
            Ok(status) => match tracer.step(status) {
                // Killed meanwhile, which the next wait tells.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            },
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(tracer.trace),
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl Tracer<'_> {
    fn step(&mut self, status: WaitStatus) -> nix::Result<()> {
        match status {
            WaitStatus::PtraceSyscall(pid) => self.system_call(pid),
            WaitStatus::PtraceEvent(pid, _, event) => self.event(pid, event),
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => {
                self.tracees.remove(&pid);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn event(&mut self, pid: Pid, event: i32) -> nix::Result<()> {
        let forked = [Event::PTRACE_EVENT_FORK, Event::PTRACE_EVENT_VFORK, Event::PTRACE_EVENT_CLONE];
        if forked.iter().any(|fork| *fork as i32 == event) {
            let child = Pid::from_raw(i32::try_from(ptrace::getevent(pid)?).unwrap_or(0));
            if let Some(parent) = self.tracees.get_mut(&pid) {
                parent.children += 1;
                let name = format!("{}.{}", parent.name, parent.children);
                self.tracees.insert(child, Tracee { name, begun: true, ..Tracee::default() });
            }
            if self.strangers.remove(&child) {
                self.go_on(child, None)?;
            }
        } else if event == Event::PTRACE_EVENT_EXEC as i32 {
            let Some(tracee) = self.tracees.get_mut(&pid) else { return Ok(()) };
            if tracee.begun {
                return self.let_go(pid, None);
            }
            tracee.begun = true;
        } else if !self.tracees.contains_key(&pid) {
            self.strangers.insert(pid);
            return Ok(());
        }
        self.go_on(pid, None)
    }

    fn system_call(&mut self, pid: Pid) -> nix::Result<()> {
        let begins = ptrace::syscall_info(pid)?.op == nix::libc::PTRACE_SYSCALL_INFO_ENTRY;
        let Some(tracee) = self.tracees.get_mut(&pid) else { return Ok(()) };
        if !begins {
            if let (true, Some((_, Fault::Error(errno)))) = (tracee.failing, self.fault) {
                fail(pid, errno)?;
            }
            return self.go_on(pid, None);
        }
        let call = number(pid)?;
        let count = tracee.counts.entry(call).or_default();
        *count += 1;
        let point = Point { process: tracee.name.clone(), call, ordinal: *count };
        if let Some((target, fault)) = self.fault
            && *target == point
        {
            self.trace.hit = true;
            match fault {
                Fault::Kill => return kill(pid, Signal::SIGKILL),
                Fault::Error(_) => {
                    tracee.failing = true;
                    // close(2) fails only after it has closed.
                    if target.call_name() != "close" {
                        skip(pid)?;
                    }
                    // Not let go yet: what it returns is set at its end.
                    return ptrace::syscall(pid, None);
                }
            }
        }
        self.trace.points.push(point);
        self.go_on(pid, None)
    }

    /// To the next stop; after the fault there is none.
    fn go_on(&mut self, pid: Pid, signal: Option<Signal>) -> nix::Result<()> {
        match self.tracees.get(&pid) {
            _ if self.trace.hit => self.let_go(pid, signal),
            Some(tracee) if tracee.begun => ptrace::syscall(pid, signal),
            _ => ptrace::cont(pid, signal),
        }
    }

    fn let_go(&mut self, pid: Pid, signal: Option<Signal>) -> nix::Result<()> {
        self.tracees.remove(&pid);
        ptrace::detach(pid, signal)
    }
}

/// The call that a process is about to make.
#[cfg(target_arch = "x86_64")]
fn number(pid: Pid) -> nix::Result<u64> {
    Ok(ptrace::getregs(pid)?.orig_rax)
}

/// Has the kernel execute nothing in its place.
#[cfg(target_arch = "x86_64")]
fn skip(pid: Pid) -> nix::Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers)
}

/// Sets what it returns.
#[cfg(target_arch = "x86_64")]
fn fail(pid: Pid, errno: Errno) -> nix::Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    registers.rax = i64::from(-(errno as i32)).cast_unsigned();
    ptrace::setregs(pid, registers)
}

#[cfg(not(target_arch = "x86_64"))]
fn number(_: Pid) -> nix::Result<u64> {
    Err(Errno::ENOSYS)
}

#[cfg(not(target_arch = "x86_64"))]
fn skip(_: Pid) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

#[cfg(not(target_arch = "x86_64"))]
fn fail(_: Pid, _: Errno) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}
