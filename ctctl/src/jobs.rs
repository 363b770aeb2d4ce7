// SPDX-License-Identifier: MIT OR Apache-2.0
//! `start`, `stop`, `restart`: jobs of systemd, all queued and then waited for. One that fails says with what, and the
//! last lines of the unit, or of the unit that it failed for.

mod failure;
mod interrupt;

use std::time::{Duration, Instant};

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::value::Timespan;
use ct_dbus::Systemd;
use ct_dbus::job::{JobResult, Jobs, Verb};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::{container_of, resolve_all};

/// Start containers, and wait until they are ready
///
/// systemd orders the starts. One that fails is told with the result of its job and the last lines of its log; those of
/// the unit that failed, if it was one that the container requires. Ctrl-C ends the waiting; the jobs go on.
#[derive(Debug, Args)]
pub struct StartArguments {
    #[command(flatten)]
    common: Arguments,
}

/// Stop containers, and wait until they have ended
///
/// A frozen container is thawed first: it could not hear the signal.
#[derive(Debug, Args)]
pub struct StopArguments {
    #[command(flatten)]
    common: Arguments,
}

/// Stop containers that run, and start them
#[derive(Debug, Args)]
pub struct RestartArguments {
    #[command(flatten)]
    common: Arguments,
}

#[derive(Debug, Args)]
struct Arguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Queue the jobs, and wait for none
    #[arg(long)]
    no_block: bool,
    /// Wait no longer than this (10s, 2min) for all of them; the jobs go on, and the exit code is 124
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "no_block")]
    timeout: Option<Duration>,
}

/// A time span of systemd.time(7), not infinity.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let span = Timespan::parse(text).map_err(|error| error.to_string())?;
    span.finite().ok_or_else(|| "leave the option out to wait without end".to_owned())
}

/// `ctctl start`
pub fn start(arguments: &StartArguments, context: &Context) -> Result<Status, Error> {
    run(Verb::Start, &arguments.common, context)
}

/// `ctctl stop`
pub fn stop(arguments: &StopArguments, context: &Context) -> Result<Status, Error> {
    run(Verb::Stop, &arguments.common, context)
}

/// `ctctl restart`
pub fn restart(arguments: &RestartArguments, context: &Context) -> Result<Status, Error> {
    run(Verb::Restart, &arguments.common, context)
}

fn run(verb: Verb, arguments: &Arguments, context: &Context) -> Result<Status, Error> {
    if arguments.no_block {
        let names = resolve_all(&arguments.names, context)?;
        let systemd = context.systemd()?;
        let queue = |name: &ContainerName| {
            thaw_before(verb, name, systemd)?;
            systemd.queue(verb, name.unit().as_str()).map_err(Error::from)
        };
        return Ok(names.iter().map(|name| told(queue(name))).fold(Status::Done, Status::and));
    }
    // Before there are other threads.
    let interrupt = interrupt::Interrupt::catch()?;
    let names = resolve_all(&arguments.names, context)?;
    let deadline = arguments.timeout.map(|after| Instant::now() + after);
    run_jobs(verb, &names, deadline, context, || interrupt.announce())
}

/// The same for other verbs, without an end to the waiting.
pub(crate) fn run_all(verb: Verb, names: &[ContainerName], context: &Context) -> Result<Status, Error> {
    run_jobs(verb, names, None, context, || {})
}

fn run_jobs(
    verb: Verb,
    names: &[ContainerName],
    deadline: Option<Instant>,
    context: &Context,
    queued: impl Fn(),
) -> Result<Status, Error> {
    let systemd = context.systemd()?;
    let mut jobs = systemd.jobs()?;
    let mut queue = |name: &ContainerName| {
        thaw_before(verb, name, systemd)?;
        jobs.queue(verb, name.unit().as_str()).map_err(Error::from)
    };
    let mut status = names.iter().map(|name| told(queue(name))).fold(Status::Done, Status::and);
    queued();
    while let Some((unit, result)) = jobs.next(deadline)? {
        if result != JobResult::Done {
            explain(verb, &unit, &result, &jobs, context);
            status = status.and(Status::Failed);
        }
    }
    let late = jobs.pending();
    if !late.is_empty() {
        let names: Vec<&str> = late.iter().filter_map(|unit| container_of(unit)).collect();
        eprintln!("ctctl: {} {}: not done in time; the job goes on", word(verb), names.join(", "));
        status = Status::TimedOut;
    }
    Ok(status)
}

/// One of several: its error is told, and the others go on.
pub(crate) fn told(result: Result<(), Error>) -> Status {
    match result {
        Ok(()) => Status::Done,
        Err(error) => {
            eprintln!("ctctl: {}", error.story());
            error.status()
        }
    }
}

/// systemd 257 refuses to stop a frozen unit.
fn thaw_before(verb: Verb, name: &ContainerName, systemd: &Systemd) -> Result<(), Error> {
    if verb == Verb::Start {
        return Ok(());
    }
    let unit = name.unit();
    if systemd.unit(unit.as_str())?.text("FreezerState").starts_with("fr") {
        systemd.thaw(unit.as_str())?;
    }
    Ok(())
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    }
}

fn explain(verb: Verb, unit: &str, result: &JobResult, jobs: &Jobs<'_>, context: &Context) {
    let name = container_of(unit).unwrap_or(unit);
    eprintln!("ctctl: {} {name}: {result}", word(verb));
    failure::explain(unit, result, jobs.failures(), context);
}
