// SPDX-License-Identifier: MIT OR Apache-2.0
//! `stats`: what containers use, again and again.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::parse_time;
use crate::names::resolve_all;
use crate::output::{print_json, print_while_read, render_table};
use crate::pty::is_stdout_a_terminal;
use crate::usage::{HEADER, RIGHT, Sample, Usage};

/// Moves to the upper left corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Show what containers use of processors, memory, tasks and disks
///
/// CPU% is of one processor, since the last look. LIMIT is the least of the limits that hold for the container. `-` is what
/// the kernel does not count here, for want of a controller.
///
/// With --json an array of objects: name, cpu_percent, cpu (microseconds), memory, memory_limit, memory_percent, tasks,
/// tasks_limit, read, written (bytes); each time one line.
#[derive(Debug, Args)]
pub struct StatsArguments {
    /// Names of containers, or beginnings that are unique; all that run, if there is none
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Write once, and end
    #[arg(long)]
    no_stream: bool,
    /// How long to count for
    #[arg(short, long, value_name = "TIME", value_parser = parse_time, default_value = "1s")]
    interval: Duration,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// `ctctl stats`
pub fn stats(arguments: &StatsArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("stats")?;
    let names = resolve_all(&arguments.names, context)?;
    let clear = is_stdout_a_terminal() && !arguments.no_stream && !arguments.json;
    let mut before = Sample::take(&names, context)?;
    loop {
        sleep(arguments.interval);
        let now = Sample::take(&names, context)?;
        let usage = now.since(&before);
        before = now;
        if arguments.no_stream && arguments.json {
            print_json(&usage)?;
            return Ok(Status::Done);
        }
        let text = if arguments.json {
            let line = serde_json::to_string(&usage).map_err(|error| Error::system("write JSON", error))?;
            format!("{line}\n")
        } else {
            format!("{}{}", if clear { CLEAR } else { "" }, table(&usage))
        };
        if !print_while_read(&text)? || arguments.no_stream {
            return Ok(Status::Done);
        }
    }
}

/// The table of these, in their order.
pub(crate) fn table(usage: &[Usage]) -> String {
    let rows: Vec<Vec<String>> = usage.iter().map(Usage::cells).collect();
    render_table(&HEADER, &rows, &RIGHT)
}
