// SPDX-License-Identifier: MIT OR Apache-2.0
//! `console`: the caller's terminal for that of a container, or its output for a pipe. It talks with `ct-console@NAME` in the
//! protocol of docs/console.md; where there is no console it waits for one.

mod attachment;
mod detach_keys;
mod keyboard;
mod link;
mod screen;
mod seat;
mod waiting;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::settings::has_console;
use ct_console::{End, Mode};
use nix::sys::signal::Signal;

use self::attachment::{Outcome, attach};
use self::detach_keys::DetachKeys;
use self::keyboard::Keyboard;
use self::link::Link;
use self::seat::Seat;
use self::waiting::{Next, Waiting};
use crate::configs::Configs;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve;
use crate::phase::Phase;
use crate::signals::{PASSED_ON, Signals};

/// Between two tries to connect to a console that is being started anew.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Sit at the console of a container
///
/// Shows what the container prints on its terminal, at first at most the last 64 KiB, and types into it what is typed here.
/// The container needs `process.terminal = true` in its config; or `log.mode = "pipe"`, and what it prints on the pipe is shown, and
/// with `process.stdin_open` typed into what it reads.
///
/// It stays attached when the container stops or starts again, and when its console service is started anew; for a container
/// that does not run it waits. What is lost meanwhile is marked by a line on standard error. It ends with 0 when the keys
/// are typed that detach (Ctrl-] twice, unless told otherwise), with 4 when the container is destroyed, and with 128 and the
/// number of the signal that ends it: Ctrl-C ends it while it waits, and with --read-only.
///
/// Only one may write, and others are told who it is: they can read with --read-only, or all of them write with --shared.
/// The terminal inside has the size of the one here, and follows it.
///
/// Standard input that is no terminal is typed as it comes; at its end nothing more is typed, and the output goes on.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  ctctl console web
  ctctl console --detach-keys ctrl-p,ctrl-q web
  ctctl console --read-only --once web >boot.log")]
pub struct ConsoleArguments {
    /// Type nothing, and leave the size of the terminal as it is
    #[arg(short, long, conflicts_with = "shared")]
    read_only: bool,
    /// Type together with others who want so, too
    #[arg(long)]
    shared: bool,
    /// Do not wait for a container: exit with 0 when this one ends, whatever its status, or with 3 if it does not run
    #[arg(long)]
    once: bool,
    /// The keys that detach: characters, or `ctrl-` with a letter or one of @[\]^_, and commas between them; empty for none
    #[arg(long, value_name = "KEYS", env = "CT_DETACH_KEYS", default_value = "ctrl-],ctrl-]")]
    detach_keys: DetachKeys,
    /// The name of a container, or a beginning that is unique
    name: String,
}

/// `ctctl console`
pub fn console(arguments: &ConsoleArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("console")?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::Failed {
            reason: "not permitted: console takes root".to_owned(),
            status: Status::NotPermitted,
        });
    }
    // Before there are threads.
    let others = [Signal::SIGWINCH, Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGALRM];
    let signals = Signals::catch(PASSED_ON.into_iter().chain(others))?;
    let name = resolve(&arguments.name, context)?;
    let mode = match (arguments.read_only, arguments.shared) {
        (true, _) => Mode::ReadOnly,
        (_, true) => Mode::Shared,
        _ => Mode::Write,
    };
    let keyboard = Keyboard::new(arguments.detach_keys.clone());
    let seat = Seat::new(name, mode, signals, keyboard, arguments.once)?;
    let mut console = Console { socket: socket(&seat.name), seat, context, was_attached: false, bare: None };
    let status = console.stay();
    console.seat.leave_terminal();
    let status = status?;
    console.seat.screen.fault().map_or(Ok(status), Err)
}

/// Where the console of a container is.
fn socket(name: &ContainerName) -> PathBuf {
    Path::new("/run/ct").join(name.as_str()).join("console")
}

struct Console<'c> {
    socket: PathBuf,
    seat: Seat,
    context: &'c Context,
    /// There was a connection.
    was_attached: bool,
    /// See [`Waiting`].
    bare: Option<String>,
}

impl Console<'_> {
    /// One connection after the other, and waiting in between.
    fn stay(&mut self) -> Result<Status, Error> {
        loop {
            let ended = match Link::connect(&self.socket) {
                Ok(link) => self.attach(link)?,
                Err(error) if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => {
                    self.wait()?
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.pause()?,
                Err(error) => {
                    return Err(Error::system(format!("connect to {}", self.socket.display()), error));
                }
            };
            if let Some(status) = ended {
                return Ok(status);
            }
        }
    }

    fn attach(&mut self, link: Link) -> Result<Option<Status>, Error> {
        if !self.was_attached {
            self.tell_if_frozen();
        }
        self.was_attached = true;
        self.bare = None;
        match attach(&mut self.seat, link)? {
            Outcome::Detached => {
                self.seat.leave_terminal();
                self.seat.say("detached");
                Ok(Some(Status::Done))
            }
            Outcome::Gone => Ok(Some(Status::Done)),
            Outcome::Interrupted(signal) => Ok(Some(by(signal))),
            Outcome::Lost => self.pause(),
            Outcome::Ended(End::Slow) => {
                self.seat.say("this side has read too slowly, and was left out; going on");
                self.pause()
            }
            Outcome::Ended(end) => {
                let text = if end == End::Restarted { "starts again" } else { "has stopped" };
                self.seat.leave_terminal();
                self.seat.is_announced = false;
                self.seat.say(text);
                if self.seat.once { Ok(Some(Status::Done)) } else { self.pause() }
            }
        }
    }

    fn pause(&mut self) -> Result<Option<Status>, Error> {
        match waiting::pause(&self.seat.signals, PAUSE) {
            Some(Signal::SIGTSTP) => Ok(self.seat.suspend()?.map(by)),
            signal => Ok(signal.map(by)),
        }
    }

    /// Until it is worth to try again.
    fn wait(&mut self) -> Result<Option<Status>, Error> {
        // The listener outlives the service: without it the container has ended, and Ctrl-C is for us.
        self.seat.leave_terminal();
        self.seat.is_announced = false;
        let mut is_patient = false;
        loop {
            let Self { seat, context, .. } = self;
            let bare = self.bare.take();
            let mut waiting = Waiting { name: &seat.name, root: context.root(), socket: &self.socket, bare };
            let next = waiting.next(&seat.signals, is_patient)?;
            self.bare = waiting.bare;
            match next {
                Next::Connect => return Ok(None),
                Next::Interrupted(Signal::SIGTSTP) => {
                    if let Some(signal) = self.seat.suspend()? {
                        return Ok(Some(by(signal)));
                    }
                }
                Next::Interrupted(signal) => return Ok(Some(by(signal))),
                Next::NoConsole => return Err(self.no_console()),
                Next::Abandoned => {
                    let unit = self.seat.name.console_unit();
                    let reason =
                        format!("the console of {} is gone (see: journalctl -u {unit})", self.seat.name);
                    return Err(Error::failed(reason));
                }
                Next::Destroyed => {
                    self.seat.say("there is no such container any more");
                    return Ok(Some(Status::NoSuchContainer));
                }
                Next::Stopped(phase) => {
                    if let Some(status) = self.stopped(phase)? {
                        return Ok(Some(status));
                    }
                    is_patient = true;
                }
            }
        }
    }

    /// Before the waiting proper: is there anything to wait for?
    fn stopped(&mut self, phase: Phase) -> Result<Option<Status>, Error> {
        if self.seat.once && self.was_attached {
            // Its end came while the connection was lost.
            self.seat.say("has stopped");
            return Ok(Some(Status::Done));
        }
        let container = Configs::read(self.context).of(&self.seat.name).container;
        if container.is_some_and(|container| !has_console(&container)) {
            return Err(self.no_console());
        }
        if self.seat.once {
            let reason = format!("{} is not running ({})", self.seat.name, phase.as_str());
            return Err(Error::Failed { reason, status: Status::NotRunning });
        }
        let is = if phase == Phase::Failed { "has failed" } else { "is not running" };
        self.seat.say(&format!("{is}; waiting until it is started (Ctrl-C ends)"));
        Ok(None)
    }

    fn no_console(&self) -> Error {
        let name = &self.seat.name;
        Error::failed(format!(
            "{name} has no console (set process.terminal = true or log.mode = \"pipe\" in its config and restart it, or see: ctctl logs {name})"
        ))
    }

    /// It shows nothing and reads nothing, which looks as if it hung.
    fn tell_if_frozen(&mut self) {
        let unit = self.seat.name.unit();
        let unit = self.context.systemd().and_then(|systemd| Ok(systemd.unit(unit.as_str())?));
        if unit.is_ok_and(|unit| unit.text("FreezerState").starts_with("fr")) {
            let text =
                format!("is frozen, and neither prints nor reads (see: ctctl thaw {})", self.seat.name);
            self.seat.say(&text);
        }
    }
}

fn by(signal: Signal) -> Status {
    Status::Of(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX))
}
