// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run that is waited for: the helper is our child in a scope, and the command's streams and signals pass through us.

use std::fs;
use std::io::PipeReader;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use ct_channel::Channel;
use ct_channel::message::{Event, Order, Why};
use ct_config::container::Container;
use ct_config::run::{self, Request, RunName};
use ct_config::settings::HELPER;
use ct_dbus::Systemd;
use ct_dbus::job::JobResult;
use ct_dbus::property::Kind;
use ct_dbus::transient::Runs;
use ct_dbus::unit::Whom;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::properties;
use crate::error::Error;
use crate::exit::Status;
use crate::pty::{self, RawTerminal};
use crate::relay::{self, Copy, End, Source};
use crate::signals::{PASSED_ON, Signals};

/// What is to be run.
pub(super) struct Asked<'a> {
    pub(super) run: &'a RunName,
    pub(super) request: &'a Request,
    pub(super) interactive: bool,
}

/// Takes the signals that are for the command.
pub(super) fn catch_signals() -> Result<Signals, Error> {
    Signals::catch(PASSED_ON.into_iter().chain([Signal::SIGWINCH]))
}

/// Why a command did not run, as an error of ours.
pub(super) fn failed(why: Why, reason: String) -> Error {
    let status = match why {
        Why::NotStarted => Status::NotStarted,
        Why::NotExecutable => Status::NotExecutable,
        Why::NotFound => Status::CommandNotFound,
    };
    Error::Failed { reason, status }
}

/// Runs it to its end.
pub(super) fn run(
    asked: &Asked<'_>,
    container: &Container,
    signals: Signals,
    systemd: &Systemd,
) -> Result<Status, Error> {
    let (channel, theirs) = Channel::pair().map_err(|e| Error::system("socketpair", e))?;
    let mut helper = spawn(asked.run, theirs)?;
    let scope = asked.run.scope();
    let ended = enter_scope(&scope, container, &helper, systemd).and_then(|()| {
        let interactive = asked.interactive;
        let (output, end) = (Vec::new(), End::new()?);
        let mut conversation = Conversation { interactive, channel, signals, output, end, terminal: None };
        conversation.begin(asked)?;
        conversation.go_on()
    });
    if ended.is_err() {
        // It may have got as far as a container of its own, which only it would have ended.
        let _ = systemd.kill(&scope, Whom::All, Signal::SIGKILL as i32);
        let _ = helper.kill();
    }
    let _ = helper.wait();
    // A killed one has not taken it away.
    let _ = fs::remove_file(asked.run.directory());
    ended
}

/// The helper, which does nothing before it is asked to.
fn spawn(run: &RunName, channel: OwnedFd) -> Result<Child, Error> {
    let mut command = Command::new(HELPER);
    command.args(["run", run.container.as_str(), run.id.as_str()]);
    command.stdin(channel).stdout(Stdio::null());
    command.spawn().map_err(|e| Error::system(format!("execute {HELPER}"), e))
}

/// Has PID 1 put the helper into the scope.
fn enter_scope(scope: &str, container: &Container, helper: &Child, systemd: &Systemd) -> Result<(), Error> {
    let settings = properties(&run::scope_settings(container), Kind::Scope, systemd)?;
    match systemd.start_transient(scope, &Runs::Pids(&[helper.id()]), settings, None)? {
        JobResult::Done => Ok(()),
        result => Err(Error::failed(format!("start {scope}: {result}"))),
    }
}

/// With a helper that runs a command.
struct Conversation {
    interactive: bool,
    channel: Channel,
    signals: Signals,
    /// From the command to us.
    output: Vec<Copy>,
    end: End,
    /// Raw, and the other end of the command's own.
    terminal: Option<(Option<RawTerminal>, OwnedFd)>,
}

impl Conversation {
    /// Asks for it, with the streams that it gets.
    fn begin(&mut self, asked: &Asked<'_>) -> Result<(), Error> {
        let sent = |e| Error::system("ask the helper", e);
        if asked.request.foreground.as_ref().is_some_and(|foreground| foreground.terminal.is_some()) {
            return self.channel.send(asked.request, &[]).map_err(sent);
        }
        let pipe = || std::io::pipe().map_err(|e| Error::system("pipe2", e));
        let (stdin, to_stdin): (OwnedFd, _) = if asked.interactive {
            let (reader, writer) = pipe()?;
            (reader.into(), Some(writer))
        } else {
            let null = fs::File::open("/dev/null").map_err(|e| Error::system("open /dev/null", e))?;
            (null.into(), None)
        };
        let ((stdout, to_stdout), (stderr, to_stderr)) = (pipe()?, pipe()?);
        self.channel
            .send(asked.request, &[stdin.as_fd(), to_stdout.as_fd(), to_stderr.as_fd()])
            .map_err(sent)?;
        drop((stdin, to_stdout, to_stderr));
        self.copy(stdout, std::io::stdout().as_fd())?;
        self.copy(stderr, std::io::stderr().as_fd())?;
        if let Some(writer) = to_stdin {
            relay::to_program(writer.into(), false);
        }
        Ok(())
    }

    fn copy(&mut self, from: PipeReader, to: BorrowedFd<'_>) -> Result<(), Error> {
        self.output.push(relay::from_program(from.into(), Source::Pipe, to, &self.end)?);
        Ok(())
    }

    /// Until the command has ended, and all that it printed is passed on.
    fn go_on(mut self) -> Result<Status, Error> {
        let told = self.listen();
        // From here on signals are for us: whoever does not read what is left would keep us for ever.
        drop(self.signals);
        self.end.has_come();
        let mut escaped = false;
        for copy in self.output {
            escaped |= copy.finish();
        }
        if self.terminal.is_some() && escaped {
            pty::reset();
        }
        drop(self.terminal);
        told
    }

    fn listen(&mut self) -> Result<Status, Error> {
        loop {
            let is_ready = {
                let mut fds =
                    [PollFd::new(&self.channel, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
                match poll(&mut fds, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(Error::system("poll", errno)),
                }
                fds.map(|fd| !fd.revents().is_empty())
            };
            while let Some(signal) = self.signals.next() {
                self.pass_on(signal);
            }
            if !is_ready.first().copied().unwrap_or_default() {
                continue;
            }
            let unheard = |e| Error::system("hear from ct-helper", e);
            let mut message = self.channel.receive().map_err(unheard)?;
            loop {
                match message {
                    Some((Event::Terminal, descriptors)) => self.use_terminal(descriptors)?,
                    Some((Event::Started(_), _)) => {}
                    Some((Event::Exited(status), _)) => {
                        return Ok(Status::Of(u8::try_from(status).unwrap_or(u8::MAX)));
                    }
                    Some((Event::Killed(signal), _)) => {
                        return Ok(Status::Of(u8::try_from(128 + signal).unwrap_or(u8::MAX)));
                    }
                    Some((Event::Failed { why, reason }, _)) => return Err(failed(why, reason)),
                    None => return Err(Error::failed("ct-helper was killed, and the command with it")),
                }
                message = self.channel.received().map_err(unheard)?;
                if message.is_none() {
                    break;
                }
            }
        }
    }

    fn pass_on(&self, signal: Signal) {
        match (signal, &self.terminal) {
            (Signal::SIGWINCH, Some((_, master))) => {
                if let Some(size) = pty::size() {
                    pty::resize(master, size);
                }
            }
            (Signal::SIGWINCH, None) => {}
            // One that has ended meanwhile will tell.
            _ => drop(self.channel.send(&Order::Signal(signal as i32), &[])),
        }
    }

    fn use_terminal(&mut self, descriptors: Vec<OwnedFd>) -> Result<(), Error> {
        let sent = descriptors.into_iter().next();
        let master = pty::checked_master(sent.ok_or_else(|| Error::failed("no terminal has come"))?)?;
        if let Some(size) = pty::size() {
            pty::resize(&master, size);
        }
        let raw = if self.interactive { RawTerminal::enter()? } else { None };
        let copy = || master.try_clone().map_err(|e| Error::system("dup", e));
        self.output.push(relay::from_program(copy()?, Source::Terminal, std::io::stdout(), &self.end)?);
        if self.interactive {
            relay::to_program(copy()?, true);
        }
        self.terminal = Some((raw, master));
        Ok(())
    }
}
