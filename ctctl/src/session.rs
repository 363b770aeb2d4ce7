// SPDX-License-Identifier: MIT OR Apache-2.0
//! One command inside a container: the helper that runs it, and what goes to and fro until its end.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use ct_channel::Channel;
use ct_channel::message::{Event, Order, Why};
use ct_config::settings::HELPER;
use ct_dbus::Systemd;
use ct_dbus::job::{JobResult, Verb};
use ct_dbus::property::BusProperty;
use ct_dbus::transient::Runs;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use crate::error::Error;
use crate::exit::Status;
use crate::pty::{self, RawTerminal};
use crate::relay::{self, Copy, End, Source};
use crate::signals::Signals;

/// Signals that mean the end of a command that does not run yet.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// A helper that waits for what to do.
#[derive(Debug)]
pub(crate) struct Session {
    helper: Child,
    channel: Channel,
    signals: Signals,
    /// What the command prints, on its way.
    copies: Vec<Copy>,
    end: End,
    /// The master of the command's terminal.
    terminal: Option<OwnedFd>,
    /// The command's control group.
    group: Option<PathBuf>,
}

impl Session {
    /// Starts the helper with its verb. It does nothing before [`Self::run`].
    pub(crate) fn start(verb: &[&str], signals: Signals) -> Result<Self, Error> {
        let (channel, theirs) = Channel::pair().map_err(|e| Error::system("socketpair", e))?;
        // Not ours: the runtime has it too, as an account that must not come near the caller's terminal.
        let (stderr, complain) = std::io::pipe().map_err(|e| Error::system("pipe2", e))?;
        let helper = Command::new(HELPER)
            .args(verb)
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(complain)
            .spawn()
            .map_err(|e| Error::system(format!("execute {HELPER}"), e))?;
        let end = End::new()?;
        let copies = vec![relay::from_program(stderr.into(), Source::Pipe, std::io::stderr(), &end)?];
        Ok(Self { helper, channel, signals, copies, end, terminal: None, group: None })
    }

    /// Has PID 1 put the helper into the scope `unit`, by its number. Nobody else can have that: it is waited for here
    /// alone. What the scope requires may take long to start; a signal that means the end is one of this, too.
    pub(crate) fn enter(
        &self,
        systemd: &Systemd,
        unit: &str,
        settings: Vec<BusProperty>,
    ) -> Result<JobResult, Error> {
        let mut jobs = systemd.jobs()?;
        jobs.start_transient(unit, &Runs::Pids(&[self.helper.id()]), settings)?;
        loop {
            if let Some((_, result)) = jobs.next_unless(self.signals.as_fd())? {
                return Ok(result);
            }
            while let Some(signal) = self.signals.next() {
                if ENDING.contains(&signal) {
                    // The job is replaced by that. The helper ends with the channel.
                    let _ = systemd.queue(Verb::Stop, unit);
                    return Err(Error::failed(format!("interrupted by {signal} before it ran")));
                }
            }
        }
    }

    /// Runs the command that is asked for to its end, on a terminal of its own or with three pipes.
    pub(crate) fn run(
        mut self,
        request: &impl Serialize,
        has_terminal: bool,
        is_interactive: bool,
    ) -> Result<Status, Error> {
        let mut raw = None;
        if has_terminal {
            if is_interactive {
                raw = self.enter_terminal()?;
            }
            self.send_request(request, &[])?;
        } else {
            self.connect(request, is_interactive)?;
        }
        let told = self.wait(is_interactive);
        // From here on signals are for us: whoever does not read what is left would keep us for ever.
        let Self { mut helper, channel, signals, copies, end, terminal, group } = self;
        drop(signals);
        let is_told = matches!(told, Ok(Some(_)));
        // The helper kills the command when the channel is closed; one that has died leaves it to us.
        drop(channel);
        if !is_told {
            kill(group);
        }
        end.has_come();
        let mut is_changed = false;
        for copy in copies {
            is_changed |= copy.finish();
        }
        if terminal.is_some() && is_changed {
            pty::reset();
        }
        drop(raw);
        let ended = helper.wait().map_err(|e| Error::system("wait for ct-helper", e))?;
        match told? {
            Some(Event::Exited(status)) => Ok(Status::Of(u8::try_from(status).unwrap_or(u8::MAX))),
            Some(Event::Killed(signal)) => Ok(Status::Of(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
            Some(Event::Failed { why, reason }) => Err(Error::Failed { reason, status: status_of(why) }),
            Some(Event::Terminal | Event::Started(_)) | None => {
                Err(Error::failed(format!("ct-helper is gone ({ended}), and the command with it")))
            }
        }
    }

    /// The caller's terminal, as soon as it is ours.
    fn enter_terminal(&self) -> Result<Option<RawTerminal>, Error> {
        match pty::wait_for_foreground(&self.signals) {
            Some(signal) => Err(Error::failed(format!("interrupted by {signal} before it ran"))),
            None => RawTerminal::enter(),
        }
    }

    fn send_request(&self, request: &impl Serialize, streams: &[OwnedFd]) -> Result<(), Error> {
        let streams: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
        self.channel.send(request, &streams).map_err(|e| Error::system("tell ct-helper what to run", e))
    }

    /// Pipes of our own, one for each stream.
    fn connect(&mut self, request: &impl Serialize, is_interactive: bool) -> Result<(), Error> {
        let pipe = || std::io::pipe().map_err(|e| Error::system("pipe2", e));
        let stdin: OwnedFd = if is_interactive {
            let (theirs, ours) = pipe()?;
            relay::to_program(ours.into(), false);
            theirs.into()
        } else {
            let null = std::fs::File::open("/dev/null");
            null.map_err(|e| Error::system("open /dev/null", e))?.into()
        };
        let ((stdout, print), (stderr, complain)) = (pipe()?, pipe()?);
        let streams = [stdin, print.into(), complain.into()];
        self.send_request(request, &streams)?;
        let out = relay::from_program(stdout.into(), Source::Pipe, std::io::stdout(), &self.end)?;
        let err = relay::from_program(stderr.into(), Source::Pipe, std::io::stderr(), &self.end)?;
        self.copies.extend([out, err]);
        Ok(())
    }

    /// Passes signals on, until the end is told; `None` when the helper has died.
    fn wait(&mut self, is_interactive: bool) -> Result<Option<Event>, Error> {
        let failed = |e: std::io::Error| Error::system("hear from ct-helper", e);
        loop {
            let mut fds =
                [PollFd::new(&self.channel, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let has_message = fds.iter().take(1).any(|fd| !fd.revents().is_empty());
            while let Some(signal) = self.signals.next() {
                self.pass_on(signal);
            }
            if !has_message {
                continue;
            }
            let mut message = self.channel.receive::<Event>().map_err(failed)?;
            loop {
                match message {
                    None => return Ok(None),
                    Some((Event::Terminal, master)) => self.connect_terminal(master, is_interactive)?,
                    Some((Event::Started(group), _)) => self.group = Some(group),
                    Some((end, _)) => return Ok(Some(end)),
                }
                message = self.channel.received().map_err(failed)?;
                if message.is_none() {
                    break;
                }
            }
        }
    }

    fn connect_terminal(&mut self, master: Vec<OwnedFd>, is_interactive: bool) -> Result<(), Error> {
        let failed = |e| Error::system("dup", e);
        let Some(master) = master.into_iter().next() else {
            return Err(Error::failed("ct-helper has sent no terminal"));
        };
        let master = pty::checked_master(master)?;
        let out = master.try_clone().map_err(failed)?;
        self.copies.push(relay::from_program(out, Source::Terminal, std::io::stdout(), &self.end)?);
        if is_interactive {
            relay::to_program(master.try_clone().map_err(failed)?, true);
        }
        self.terminal = Some(master);
        // The caller's may have changed since it was asked.
        self.resize();
        Ok(())
    }

    fn pass_on(&self, signal: Signal) {
        match signal {
            Signal::SIGWINCH => return self.resize(),
            // We were stopped; it was not.
            Signal::SIGCONT => return,
            _ => {}
        }
        // It may have ended; then that is told next.
        let _ = self.channel.send(&Order::Signal(signal as i32), &[]);
    }

    fn resize(&self) {
        if let (Some(master), Some(size)) = (&self.terminal, pty::size()) {
            pty::resize(master, size);
        }
    }
}

/// What the helper cannot kill any more.
fn kill(group: Option<PathBuf>) {
    let Some(group) = group else { return };
    // Only a group of ct's own: the path has come from a process that died.
    if group.starts_with("/sys/fs/cgroup") {
        let _ = std::fs::write(group.join("cgroup.kill"), "1");
    }
}

/// The exit code of a command that never ran.
pub(crate) fn status_of(why: Why) -> Status {
    match why {
        Why::NotStarted => Status::NotStarted,
        Why::NotExecutable => Status::NotExecutable,
        Why::NotFound => Status::CommandNotFound,
    }
}
