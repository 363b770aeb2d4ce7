// SPDX-License-Identifier: MIT OR Apache-2.0
//! `wait`: until a container has ended, and then as it ended. It listens to the unit, so that an end is seen although
//! systemd starts the container again at once; and connects anew when systemd or the bus goes away and comes back.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ct_config::name::ContainerName;
use ct_dbus::Systemd;
use ct_dbus::unit::Unit;

use crate::context::{self, Context};
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::{parse_time, told};
use crate::journal;
use crate::names::resolve_all;
use crate::output::print;

/// CLD_EXITED of sigaction(2).
const EXITED: u64 = 1;
/// How long a bus or a systemd that went away may take to come back.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
/// Between two tries of ssh, which complains of each.
const REMOTE_PAUSE: Duration = Duration::from_secs(1);

/// Wait until containers have ended, and end with their exit code
///
/// The exit code is the container's, or 128 and the number of the signal that killed it. Of a container that has ended
/// already it is that of its last run, at once; one that ended well, and that systemd has forgotten since, counts as 0.
/// It is the first end that counts, also when `[restart]` has the container started again. With several names each is
/// waited for and printed with its code, and the exit code is the first that is not 0.
#[derive(Debug, Args)]
pub struct WaitArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Wait no longer than this (10s, 2min); the exit code is 124
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timeout: Option<Duration>,
}

/// `ctctl wait`
pub fn wait(arguments: &WaitArguments, context: &Context) -> Result<Status, Error> {
    let names = resolve_all(&arguments.names, context)?;
    let deadline = arguments.timeout.map(|after| Instant::now() + after);
    // One connection for all: ssh may ask for a password, and once is enough.
    let (systemd, host) = (context.systemd()?, context.host());
    if let [name] = names.as_slice() {
        return until_ended(name, deadline, systemd, host);
    }
    let ended: Vec<Result<Status, Error>> = thread::scope(|scope| {
        let wait = |name| scope.spawn(move || until_ended(name, deadline, systemd, host));
        let waits: Vec<_> = names.iter().map(wait).collect();
        let join = |wait: thread::ScopedJoinHandle<'_, _>| {
            wait.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        waits.into_iter().map(join).collect()
    });
    let mut status = Status::Done;
    for (name, ended) in names.iter().zip(ended) {
        let each = ended.unwrap_or_else(|error| told(Err(error)));
        print(&format!("{name} {}\n", each.code()))?;
        status = status.and(each);
    }
    Ok(status)
}

/// The run that is waited for: its invocation, and how it ended, as far as that is known.
struct Run {
    invocation: String,
    end: Option<Status>,
}

fn until_ended(
    name: &ContainerName,
    deadline: Option<Instant>,
    systemd: &Systemd,
    host: Option<&str>,
) -> Result<Status, Error> {
    let mut run = None;
    let mut first = Some(systemd);
    let mut lost_since: Option<Instant> = None;
    loop {
        let mut anew = None;
        let connected = match first.take() {
            Some(systemd) => Ok(systemd),
            None => context::connect(host).map(|systemd| &*anew.insert(systemd)),
        };
        let is_reached = connected.is_ok();
        let error = match connected.and_then(|systemd| watched(name, deadline, systemd, &mut run, host)) {
            Err(Error::Systemd(error)) if error.is_of_connection() => error,
            ended => return ended,
        };
        // systemd or its bus are being started anew, or the other machine.
        if is_reached && matches!(error, ct_dbus::Error::Lost { .. }) {
            lost_since = None;
        }
        let since = *lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(error.into());
        }
        thread::sleep(if host.is_some() { REMOTE_PAUSE } else { PAUSE });
    }
}

fn watched(
    name: &ContainerName,
    deadline: Option<Instant>,
    systemd: &Systemd,
    run: &mut Option<Run>,
    host: Option<&str>,
) -> Result<Status, Error> {
    let unit = name.unit();
    // First to listen and then to look: nothing happens in between.
    let mut watch = systemd.watch(unit.as_str())?;
    let state = systemd.unit(unit.as_str())?;
    let run = run.get_or_insert_with(|| Run { invocation: state.invocation(), end: None });
    if state.invocation() != run.invocation {
        return missed(name, run, &state, host);
    }
    if is_over(&state) {
        return end_of(&state).or(run.end).map_or_else(|| forgotten(name, &state, host), Ok);
    }
    loop {
        let Some(change) = watch.next(deadline)? else {
            let reason = format!("wait {name}: it has not ended in time");
            return Err(Error::Failed { reason, status: Status::TimedOut });
        };
        if change.value("ExecMainCode").is_some() {
            run.end = end_of(&change).or(run.end);
        }
        if change.value("ActiveState").is_none() {
            continue;
        }
        let is_next = change.value("InvocationID").is_some() && change.invocation() != run.invocation;
        if is_over(&change) || is_next {
            let state = systemd.unit(unit.as_str())?;
            // Else it was the end of the run before, said after we began to listen.
            if run.end.is_some() || is_over(&state) || state.invocation() != run.invocation {
                return missed(name, run, &state, host);
            }
        }
    }
}

/// Whether nothing of the container runs, though systemd may be about to start it again.
fn is_over(state: &Unit) -> bool {
    let is_between = state.text("SubState").starts_with("auto-restart");
    is_between || ["inactive", "failed"].contains(&state.text("ActiveState"))
}

/// How the main process ended; `None` while it runs, or if there was none.
fn end_of(state: &Unit) -> Option<Status> {
    let code = state.number("ExecMainCode").filter(|code| *code != 0)?;
    let number = u8::try_from(state.signed("ExecMainStatus")?).ok()?;
    Some(match (code, number) {
        (EXITED, 0) => Status::Done,
        (EXITED, status) => Status::Of(status),
        (_, signal) => Status::Of(signal.saturating_add(128)),
    })
}

/// Of a unit that systemd has unloaded, or that failed before it had a process.
fn forgotten(name: &ContainerName, state: &Unit, host: Option<&str>) -> Result<Status, Error> {
    if state.text("ActiveState") == "failed" {
        return Err(Error::failed(format!(
            "wait {name}: it failed without a process ({})",
            state.text("Result")
        )));
    }
    // systemd unloads what ended well, and nothing else.
    if host.is_none() && journal::has_ended_well(name.unit().as_str()) {
        return Ok(Status::Done);
    }
    Err(Error::failed(format!("wait {name}: systemd knows of no run of it")))
}

/// The run that was waited for is over, and how was not seen.
fn missed(name: &ContainerName, run: &Run, state: &Unit, host: Option<&str>) -> Result<Status, Error> {
    if let Some(end) = run.end {
        return Ok(end);
    }
    if is_over(state) {
        return end_of(state).map_or_else(|| forgotten(name, state, host), Ok);
    }
    Err(Error::failed(format!("wait {name}: it has ended and runs again; how it ended was not seen")))
}
