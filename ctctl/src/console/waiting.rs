// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container that has no console now: is it about to have one, will it ever, and waiting until then. systemd tells of
//! each change; what it does not tell (a config that is gone) is looked at now and then.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ct_config::name::ContainerName;
use ct_config::sources::Tree;
use ct_dbus::unit::Unit;
use nix::sys::signal::Signal;

use crate::context;
use crate::error::Error;
use crate::phase::{Phase, States};
use crate::signals::Signals;

/// Between two looks at a container that starts: its console is there before it is ready.
const SHORT: Duration = Duration::from_millis(50);
/// Between two looks at one that does not run.
const LONG: Duration = Duration::from_secs(2);
/// How long a bus or a systemd that went away may take to come back.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// There may be a console now.
    Connect,
    /// It runs and has none.
    NoConsole,
    /// It runs and had one, which nobody serves.
    Abandoned,
    /// It does not run, and nobody starts it. Said once for each look; then `Waiting::wait` is to be called.
    Stopped(Phase),
    /// There is no such container any more.
    Destroyed,
    /// A signal has come.
    Interrupted(Signal),
}

/// What is known while waiting.
#[derive(Debug)]
pub(super) struct Waiting<'w> {
    pub(super) name: &'w ContainerName,
    pub(super) root: &'w Path,
    pub(super) socket: &'w Path,
    /// Which run was seen to be up without a console; the second time it has none.
    pub(super) bare: Option<String>,
}

impl Waiting<'_> {
    /// Looks, and waits a little if it cannot take long; with `is_patient` until there is something else to be done.
    pub(super) fn next(&mut self, signals: &Signals, is_patient: bool) -> Result<Next, Error> {
        let mut lost_since: Option<Instant> = None;
        loop {
            let error = match self.look(signals, is_patient, &mut lost_since) {
                Err(Error::Systemd(error)) if error.is_of_connection() => error,
                other => return other,
            };
            if lost_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return Err(error.into());
            }
            if let Some(signal) = pause(signals, 2 * SHORT) {
                return Ok(Next::Interrupted(signal));
            }
        }
    }

    fn look(
        &mut self,
        signals: &Signals,
        is_patient: bool,
        lost_since: &mut Option<Instant>,
    ) -> Result<Next, Error> {
        let systemd = context::connect(None)?;
        *lost_since = None;
        let unit_name = self.name.unit();
        let mut watch = systemd.watch(unit_name.as_str())?;
        loop {
            let unit = systemd.unit(unit_name.as_str())?;
            let phase = phase(&unit);
            let time = match phase {
                Phase::Running | Phase::Frozen => return Ok(self.up(&unit)),
                // Its console is there before it is ready, and as long as something of it is.
                Phase::Starting | Phase::Stopping => SHORT,
                Phase::Restarting | Phase::Waiting => LONG,
                Phase::Stopped | Phase::Failed if !Tree::only(self.root, self.name).contains(self.name) => {
                    return Ok(Next::Destroyed);
                }
                Phase::Stopped | Phase::Failed if !is_patient => return Ok(Next::Stopped(phase)),
                Phase::Stopped | Phase::Failed => LONG,
            };
            watch.next_unless(Some(Instant::now() + time), signals.as_fd())?;
            if let Some(signal) = next_of_weight(signals) {
                return Ok(Next::Interrupted(signal));
            }
            if phase == Phase::Starting && self.socket.exists() {
                return Ok(Next::Connect);
            }
        }
    }

    /// The console is there before a container is up. One that is started again between our looks has another invocation.
    fn up(&mut self, unit: &Unit) -> Next {
        let run = unit.invocation();
        if self.bare.as_ref() == Some(&run) {
            return if self.socket.exists() { Next::Abandoned } else { Next::NoConsole };
        }
        self.bare = Some(run);
        Next::Connect
    }
}

fn phase(unit: &Unit) -> Phase {
    Phase::of(States {
        active: unit.text("ActiveState"),
        sub: unit.text("SubState"),
        start_queued: unit.job().is_some(),
        frozen: false,
    })
}

/// Lets some time pass; a signal that ends us, or stops us for a while, is the end of it.
pub(super) fn pause(signals: &Signals, time: Duration) -> Option<Signal> {
    signals.wait(time);
    next_of_weight(signals)
}

fn next_of_weight(signals: &Signals) -> Option<Signal> {
    let has_weight = |signal: &Signal| ![Signal::SIGWINCH, Signal::SIGCONT].contains(signal);
    std::iter::from_fn(|| signals.next()).find(has_weight)
}
