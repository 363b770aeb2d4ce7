// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl`: what systemctl(1) cannot do with the containers that are ct's units. A thin client: systemd acts, and systemd
//! says who may.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the command line: options for all, and one verb |
//! | [`context`] | what every verb needs: the configs, systemd, where to write |
//! | [`config_file`] | the configs, as they are written: checked, then whole or not at all |
//! | [`names`] | which container a name means: exact, or a unique beginning |
//! | [`output`] | tables, JSON, and text that is safe for a terminal |
//! | [`exit`] | the table of exit codes |
//! | [`error`] | what can go wrong |
//!
//! Every other module is one verb, or a family of them: its arguments, and `run`.

pub mod cli;
pub mod config_file;
pub mod context;
pub mod error;
pub mod exit;
pub mod jobs;
pub mod journal;
pub mod names;
pub mod output;

use cli::{Cli, Verb};
use context::Context;
use error::Error;
use exit::Status;

/// Runs the verb of a command line.
pub fn run(cli: &Cli) -> Result<Status, Error> {
    let context = Context::new(&cli.options);
    match &cli.verb {
        Verb::Start(arguments) => jobs::start(arguments, &context),
        Verb::Stop(arguments) => jobs::stop(arguments, &context),
        Verb::Restart(arguments) => jobs::restart(arguments, &context),
    }
}
