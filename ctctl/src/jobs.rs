// SPDX-License-Identifier: MIT OR Apache-2.0
//! `start`, `stop`, `restart`: jobs of systemd, waited for. One that fails says with what, and the unit's last lines.

use std::time::Duration;

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::value::Timespan;
use ct_dbus::Systemd;
use ct_dbus::job::{JobResult, Verb};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::journal;
use crate::names::resolve_all;

/// How many lines of the log a failed job is told with.
const LINES: usize = 10;

/// Start containers, and wait until they are ready
#[derive(Debug, Args)]
pub struct StartArguments {
    #[command(flatten)]
    common: Arguments,
}

/// Stop containers, and wait until they have ended
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
    let names = resolve_all(&arguments.names, context)?;
    let systemd = context.systemd()?;
    let mut status = Status::Done;
    for name in &names {
        let unit = name.unit().to_string();
        if arguments.no_block {
            systemd.queue(verb, &unit)?;
            continue;
        }
        let result = systemd.run(verb, &unit, arguments.timeout)?;
        if result != JobResult::Done {
            explain(verb, name, &result, systemd, context);
            status = status.and(Status::Failed);
        }
    }
    Ok(status)
}

fn explain(verb: Verb, name: &ContainerName, result: &JobResult, systemd: &Systemd, context: &Context) {
    let word = match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    };
    eprintln!("ctctl: {word} {name}: {result}");
    let unit = name.unit().to_string();
    if let Some(host) = context.host() {
        eprintln!("ctctl: see: ssh {host} journalctl -u {unit}");
        return;
    }
    let invocation = systemd.unit(&unit).map(|unit| unit.invocation()).unwrap_or_default();
    for line in journal::last_lines(&unit, &invocation, LINES) {
        eprintln!("  {line}");
    }
}
