// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command, from the runtime's start to its own end, while `ctctl` has its say.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use ct_channel::Channel;
use ct_channel::message::{Event, Why};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::files::ExecFiles;
use super::{Inside, NotRun};
use crate::console::Console;
use crate::exit::{Error, in_small_letters};
use crate::job::until;
use crate::orders;
use crate::runtime::adoption::{adopt, has_executed};
use crate::sys::{self, Change, Signals};

/// What a command has after the scope's stop was asked for, before it and all that it started are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a runtime with a sandbox has to say which number the command has there, in milliseconds.
const NUMBER_TIMEOUT: u16 = 5_000;

/// Signals that mean the end of a command that does not run yet.
const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// What a runtime has, after such a signal, to be done with a command that may run already.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// A command that runs inside: our child.
#[derive(Debug)]
pub(super) struct Command {
    pid: i32,
    pidfd: OwnedFd,
    has_terminal: bool,
    /// Signals that came while the runtime was not done with it.
    early: Vec<i32>,
}

impl Inside<'_> {
    /// Kills a command that a runtime with a sandbox has perhaps started there, where nothing of ours reaches it: only when
    /// that runtime ends it has told the number.
    fn give_up(&self, started: &Child) {
        let Inside { runtime, places, account, group, .. } = self;
        if runtime.family.starts_in_payload() {
            let pidfd = sys::pidfd_open(started.id().cast_signed());
            let _ = pidfd.and_then(|pidfd| sys::ends_within(&pidfd, NUMBER_TIMEOUT));
            runtime.signal_inside(places, account, group, libc::SIGKILL);
        }
    }
}

impl Command {
    /// Waits for the runtime to end, and takes over what it leaves behind.
    pub(super) fn wait_for_start(
        mut runtime: Child,
        inside: &Inside<'_>,
        files: &ExecFiles,
        channel: &mut Channel,
    ) -> Result<Self, NotRun> {
        let waited = wait_for_runtime(&runtime, inside, files, channel);
        if waited.is_err() {
            inside.give_up(&runtime);
            let _ = runtime.kill();
        }
        let status = runtime.wait().map_err(|e| Error::system("wait for the runtime", e))?;
        let (has_terminal, early) = waited?;
        let name = inside.runtime.name();
        let failed = |reason: String| NotRun::because(format!("{name}: {reason}"));
        if !status.success() {
            return Err(failed(files.complaint(inside.runtime.family).unwrap_or_else(|| status.to_string())));
        }
        if files.console().is_some() && !has_terminal {
            return Err(failed("it has sent no terminal".to_owned()));
        }
        let pid = adopt(&files.pid(), &inside.cgroup).map_err(failed)?;
        let pidfd = sys::pidfd_open(pid).map_err(|e| Error::system("pidfd_open", e))?;
        // Whoever waits for it finds out by the end of the channel.
        let _ = channel.send(&Event::Started(inside.group.path().to_owned()), &[]);
        Ok(Self { pid, pidfd, has_terminal, early })
    }

    /// Waits for its end, and passes signals on to it.
    pub(super) fn wait_for_end(&self, inside: &Inside<'_>, channel: &mut Channel) -> Event {
        // Only now: what the runtime starts would not hear them either.
        let stop = Signals::catch_for_good(&[libc::SIGTERM]).ok();
        let mut deadline = None;
        let mut is_listening = true;
        let mut heard = orders::already_here(channel);
        heard.signals.splice(..0, self.early.iter().copied());
        loop {
            heard.signals.drain(..).for_each(|signal| self.signal(inside, signal));
            if heard.is_gone && is_listening {
                is_listening = false;
                self.kill(inside);
            }
            let stop_fd = stop.as_ref().map_or(self.pidfd.as_fd(), AsFd::as_fd);
            let channel_fd = if is_listening { channel.as_fd() } else { self.pidfd.as_fd() };
            let ready = ready(&[self.pidfd.as_fd(), stop_fd, channel_fd], until(deadline));
            if ready.first() == Some(&true)
                && let Some(event) = self.end()
            {
                return event;
            }
            if stop.as_ref().is_some_and(|stop| stop.next().is_some()) {
                // A shell on a terminal lets SIGTERM pass.
                self.signal(inside, if self.has_terminal { libc::SIGHUP } else { libc::SIGTERM });
                deadline = Instant::now().checked_add(STOP_TIMEOUT);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.kill(inside);
                deadline = None;
            }
            if is_listening && ready.get(2) == Some(&true) {
                heard = orders::hear(channel);
            }
        }
    }

    fn signal(&self, inside: &Inside<'_>, signal: i32) {
        let Inside { runtime, places, account, group, .. } = inside;
        if !runtime.signal_inside(places, account, group, signal) {
            // It may be gone.
            let _ = sys::send_signal(&self.pidfd, signal);
        }
    }

    fn kill(&self, inside: &Inside<'_>) {
        let Inside { runtime, places, account, group, .. } = inside;
        runtime.signal_inside(places, account, group, libc::SIGKILL);
        group.kill();
        // An account that owns the groups may have moved it out.
        let _ = sys::send_signal(&self.pidfd, libc::SIGKILL);
    }

    /// How it has ended, if it has.
    fn end(&self) -> Option<Event> {
        // Told of a zombie, too, and of nobody once it is waited for.
        let is_program = has_executed(self.pid);
        let changed = sys::wait(self.pid, libc::WEXITED).ok()??;
        Some(match changed {
            Change::Exited(status) if !is_program => Event::Failed {
                why: Why::NotExecutable,
                reason: format!("the runtime could not execute it, and ended with status {status}"),
            },
            Change::Exited(status) => Event::Exited(status),
            Change::Killed(signal) => Event::Killed(signal),
            Change::Stopped(_) => return None,
        })
    }
}

/// Whether it has sent a terminal, which is passed on at once; and which signals came meanwhile.
fn wait_for_runtime(
    runtime: &Child,
    inside: &Inside<'_>,
    files: &ExecFiles,
    channel: &mut Channel,
) -> Result<(bool, Vec<i32>), NotRun> {
    let failed = |e: std::io::Error| NotRun::from(Error::system("wait for the runtime", e));
    let pidfd = sys::pidfd_open(runtime.id().cast_signed()).map_err(failed)?;
    let mut has_terminal = false;
    let mut early = Vec::new();
    let mut deadline = None;
    // Along with the request.
    let mut heard = orders::already_here(channel);
    loop {
        if heard.is_gone {
            return Err(NotRun::because("nobody waits for it any more"));
        }
        early.append(&mut heard.signals);
        // It may run, and have said so itself: then it gets the signal.
        if let Some(signal) = early.iter().find(|signal| ENDING.contains(signal)) {
            let end = *deadline.get_or_insert_with(|| Instant::now() + START_TIMEOUT);
            if Instant::now() >= end {
                return Err(NotRun::because(format!("interrupted by signal {signal} before it ran")));
            }
        }
        let listener = files.console().filter(|_| !has_terminal).map_or(pidfd.as_fd(), AsFd::as_fd);
        let ready = ready(&[channel.as_fd(), listener, pidfd.as_fd()], until(deadline));
        if ready.first() == Some(&true) {
            heard = orders::hear(channel);
        }
        if let Some(console) = files.console().filter(|_| !has_terminal && ready.get(1) == Some(&true)) {
            has_terminal = pass_on_terminal(inside, console, channel)?;
        }
        if ready.get(2) == Some(&true) {
            early.append(&mut heard.signals);
            return Ok((has_terminal, early));
        }
    }
}

fn pass_on_terminal(inside: &Inside<'_>, console: &Console, channel: &Channel) -> Result<bool, NotRun> {
    let name = inside.runtime.name();
    let master = match console.accept(&inside.account) {
        Ok(Some(master)) => master,
        Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => {
            let reason = in_small_letters(&e.to_string());
            return Err(NotRun::because(format!("cannot take the terminal from {name}: {reason}")));
        }
        _ => return Ok(false),
    };
    let sent = channel.send(&Event::Terminal, &[master.as_fd()]);
    sent.map_err(|e| Error::system("pass on the terminal", e))?;
    Ok(true)
}

/// Which of these can be read.
fn ready(fds: &[BorrowedFd<'_>], timeout: PollTimeout) -> Vec<bool> {
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match poll(&mut fds, timeout) {
        Ok(_) => fds.iter().map(|fd| fd.any().unwrap_or(false)).collect(),
        // Interrupted, or out of memory for a moment: looked at again.
        Err(_) => Vec::new(),
    }
}
