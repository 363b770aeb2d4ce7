// SPDX-License-Identifier: MIT OR Apache-2.0
//! What systemd runs beside the container: `ct-helper hook NAME STAGE` (ExecStartPost=, ExecStopPost=) and
//! `ct-helper stop NAME` (ExecStop=), only for containers whose config asks for it. Nothing here can keep a container
//! from starting or stopping; PID 1 sends the signal and has the timeouts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ct_config::container::{Container, RootSource};
use ct_config::run::{RunId, RunName};
use ct_config::settings::{DEFAULT_COMMAND, has_system_init, is_init_unknown, stop_signal};
use ct_config::value::Timespan;

use crate::bundle;
use crate::cgroup::{self, UnitCgroup};
use crate::claim;
use crate::exit::{At, Error, Failure, Step};
use crate::hearing;
use crate::hooks::{Moment, Stage};
use crate::identity;
use crate::init_system::{self, PowerOff};
use crate::inside::Inside;
use crate::instance::Instance;
use crate::job::Finished;
use crate::journal::Journal;
use crate::read;
use crate::runtime::Runtime;
use crate::runtime::family;
use crate::runtime::places::Places;
use crate::sys;

/// systemd's DefaultTimeoutStopSec=.
const STOP_TIMEOUT: Duration = Duration::from_secs(90);
/// What is left of it for us to say what went wrong.
const MARGIN: Duration = Duration::from_millis(500);

/// `ct-helper hook NAME STAGE [--run ID]`. Returns the status to exit with, all else is said.
pub(crate) fn hook(name: &str, run: Option<RunId>, stage: Stage, journal: Journal) -> Result<i32, Failure> {
    let container = read::config(name, journal).at(Step::Config)?;
    let instance = match run {
        None => Instance::Container(container.name.clone()),
        Some(id) => Instance::Service(RunName { container: container.name.clone(), id }),
    };
    claim::reopen(&container, &instance).at(Step::Hooks)?;
    // After a stop PID 1 kills us too when the time for that is over.
    let deadline = if stage == Stage::PostStop { stop_deadline(&container) } else { None };
    let status = moment(&container, &instance, stage).run_all(journal, deadline);
    if stage == Stage::PostStop
        && let Err(error) = run_poststop(&container, &instance)
    {
        return Ok(journal.survived(&Failure { step: Step::Hooks, error }));
    }
    Ok(status)
}

/// `ct-helper stop NAME`: what comes before the signal. Returns the status to exit with.
pub(crate) fn stop(name: &str, journal: Journal) -> Result<i32, Failure> {
    // ExecStop= is also run for a service whose main process has ended by itself: there is nothing left to ask.
    let Some(pid) = main_process() else { return Ok(0) };
    let container = read::config(name, journal).at(Step::Config)?;
    let instance = Instance::Container(container.name.clone());
    claim::reopen(&container, &instance).at(Step::Stop)?;
    let unit = instance.unit();
    let cgroup = cgroup::own_path().and_then(|own| UnitCgroup::containing(&own, &unit)).at(Step::Stop)?;
    // Nobody in a frozen container answers; PID 1 knows of `systemctl freeze`, but not of the runtime's `pause`.
    cgroup.thaw_payload();
    let deadline = stop_deadline(&container);
    let status = moment(&container, &instance, Stage::PreStop).run_all(journal, deadline);
    // Gone meanwhile, or no longer the container's.
    let Some(init) = sys::pidfd_open(pid).ok().filter(|_| cgroup.holds(pid)) else { return Ok(status) };
    let mut steps = vec![stop_inside(&container, &cgroup, &init, deadline)];
    if has_system_init(&container)
        && let Some(first) = family::of(container.runtime.family).init_of(pid, &cgroup)
        && let Ok(pidfd) = sys::pidfd_open(first)
    {
        steps.push(ask_init(&container, &cgroup, (first, &pidfd), deadline));
    }
    let failed = steps.into_iter().filter_map(Result::err);
    Ok(failed.fold(status, |_, error| journal.survived(&Failure { step: Step::Stop, error })))
}

/// When a program of a stop must have ended, a little before PID 1 would kill it and us.
fn stop_deadline(container: &Container) -> Option<Instant> {
    let limit = container.stop.timeout.map_or(Some(STOP_TIMEOUT), Timespan::finite)?;
    Instant::now().checked_add(limit - MARGIN.min(limit / 4))
}

/// `stop.command`, until it or the container has ended.
fn stop_inside(
    container: &Container,
    cgroup: &UnitCgroup,
    init: &OwnedFd,
    deadline: Option<Instant>,
) -> Result<(), Error> {
    let Some(command) = &container.stop.command else { return Ok(()) };
    let finished = run_inside(container, command, cgroup, init, deadline)?;
    let has_ended = sys::ends_within(init, 0).unwrap_or(false);
    if finished.end.is_success() || has_ended {
        return Ok(());
    }
    Err(Error::StopCommand {
        command: crate::exit::printable(&command.join(" "), 80),
        reason: finished.to_string(),
    })
}

/// Makes an init system that is not systemd power off. Its end is for PID 1 to wait for.
fn ask_init(
    container: &Container,
    cgroup: &UnitCgroup,
    (pid, init): (i32, &OwnedFd),
    deadline: Option<Instant>,
) -> Result<(), Error> {
    let signal = match power_off_once_it_hears(container, pid, init, deadline) {
        None => return Ok(()),
        Some(PowerOff::Signal(signal)) => signal,
        Some(PowerOff::Runlevel0) => {
            let command = [DEFAULT_COMMAND.to_owned(), "0".to_owned()];
            if run_inside(container, &command, cgroup, init, deadline)?.end.is_success() {
                return Ok(());
            }
            // Only process 1 may be busybox's init, which can be a file of that name as well. The other ones do
            // nothing of note at this signal.
            libc::SIGUSR2
        }
    };
    // ESRCH: it has ended.
    let _ = sys::send_signal(init, signal);
    Ok(())
}

/// How init is made to power off, when it has come up so far that it hears the signal for that, be it PID 1's, which comes
/// next.
fn power_off_once_it_hears(
    container: &Container,
    pid: i32,
    init: &OwnedFd,
    deadline: Option<Instant>,
) -> Option<PowerOff> {
    let until = Instant::now() + hearing::comes_up_within(pid);
    let until = deadline.map_or(until, |deadline| deadline.min(until));
    loop {
        let power_off = is_init_unknown(container).then(|| init_system::power_off(pid)).flatten();
        let hears = match power_off {
            None => hearing::hears(pid, stop_signal(container).0),
            Some(PowerOff::Signal(signal)) => hearing::hears(pid, signal),
            Some(PowerOff::Runlevel0) => true,
        };
        if hears || Instant::now() >= until || sys::ends_within(init, hearing::LOOK_AGAIN).unwrap_or(true) {
            return power_off;
        }
    }
}

fn run_inside(
    container: &Container,
    command: &[String],
    cgroup: &UnitCgroup,
    init: &OwnedFd,
    deadline: Option<Instant>,
) -> Result<Finished, Error> {
    let runtime = Runtime::locate(&container.runtime)?;
    let account = identity::account(container)?;
    let places = Places::of(&Instance::Container(container.name.clone()), &account)?;
    let inside =
        Inside { name: &container.name, runtime: &runtime, places: &places, account: &account, cgroup };
    let own = container.stop.command_timeout.finite().and_then(|limit| Instant::now().checked_add(limit));
    let deadline = own.into_iter().chain(deadline).min();
    inside.run(command, deadline, &[init.as_fd()])
}

/// The bundle's own hooks for the time after the container: its runtime runs them when it deletes what it keeps.
pub(crate) fn run_poststop(container: &Container, instance: &Instance) -> Result<(), Error> {
    let bundle = Places::bundle_of(instance);
    if !matches!(container.root.source, RootSource::Bundle(_)) || !bundle::has_poststop(&bundle) {
        return Ok(());
    }
    let runtime = Runtime::locate(&container.runtime)?;
    let account = identity::account(container)?;
    let places = Places::of(instance, &account)?;
    runtime.delete(&places, &account)
}

fn moment<'a>(container: &'a Container, instance: &'a Instance, stage: Stage) -> Moment<'a> {
    let pid = main_process();
    let cgroup = cgroup::own_path().and_then(|own| UnitCgroup::containing(&own, &instance.unit())).ok();
    let family = family::of(container.runtime.family);
    let seen_by = pid.and_then(|pid| cgroup.map_or(Some(pid), |cgroup| family.files_of(pid, &cgroup)));
    let rootfs = seen_by.map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
    Moment { container, instance, stage, pid, rootfs }
}

/// The container's init as PID 1 tells it (`$MAINPID`); none if it has ended.
fn main_process() -> Option<i32> {
    std::env::var("MAINPID").ok()?.parse().ok().filter(|pid| *pid > 1)
}
