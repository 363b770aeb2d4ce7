// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl`: what systemctl(1) cannot do with the containers that are ct's units. A thin client: systemd acts, and systemd
//! says who may.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the command line: options for all, and one verb |
//! | [`context`] | what every verb needs: the configs, systemd, where to write |
//! | [`config_file`] | the configs, as they are written: checked, then whole or not at all |
//! | [`container_toml`] | the text of such a config, made key by key |
//! | [`names`] | which container a name means: exact, or a unique beginning |
//! | [`configs`], [`units`] | what is configured, and what systemd has loaded |
//! | [`phase`], [`cgroup`] | what a container is doing, in one word; what the kernel counts for it |
//! | [`exited`] | how the last run ended |
//! | [`amount`] | bytes and times as people read them |
//! | [`output`] | tables, JSON, and text that is safe for a terminal |
//! | [`scope`] | a process of ours in a transient unit |
//! | [`pty`], [`relay`], [`signals`] | the caller's terminal, streams and signals, passed on to a program inside |
//! | [`exit`] | the table of exit codes |
//! | [`error`] | what can go wrong |
//!
//! Every other module is one verb, or a family of them: its arguments, and `run`.

pub mod amount;
pub mod cgroup;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod completion;
pub mod config_file;
pub mod configs;
pub mod console;
pub mod container_toml;
pub mod context;
pub mod create;
pub mod destroy;
pub mod edit;
pub mod enable;
pub mod error;
pub mod exec;
pub mod exit;
pub mod exited;
pub mod freeze;
pub mod import;
pub mod import_image;
pub mod inspect;
pub mod jobs;
pub mod journal;
pub mod kill;
pub mod list;
pub mod logs;
pub mod names;
pub mod output;
pub mod phase;
pub mod processes;
pub mod pty;
mod question;
pub mod relay;
pub mod render;
pub mod run;
pub mod schema;
pub mod scope;
mod session;
pub mod set;
pub mod signals;
pub mod state;
pub mod stats;
pub mod status;
pub mod top;
pub mod units;
mod usage;
pub mod wait;

use cli::{Cli, Verb};
use context::Context;
use error::Error;
use exit::Status;

/// Runs the verb of a command line.
pub fn run(cli: &Cli) -> Result<Status, Error> {
    let context = Context::new(&cli.options);
    match &cli.verb {
        Verb::Exec(arguments) => exec::exec(arguments, &context),
        Verb::List(arguments) => list::list(arguments, &context),
        Verb::Create(arguments) => create::create(arguments, &context),
        Verb::Status(arguments) => status::status(arguments, &context),
        Verb::Run(arguments) => run::run(arguments, &context),
        Verb::ImportImage(arguments) => import_image::import_image(arguments, &context),
        Verb::Console(arguments) => console::console(arguments, &context),
        Verb::State(arguments) => state::state(arguments, &context),
        Verb::Inspect(arguments) => inspect::inspect(arguments, &context),
        Verb::Logs(arguments) => logs::logs(arguments, &context),
        Verb::Ps(arguments) => processes::ps(arguments, &context),
        Verb::Stats(arguments) => stats::stats(arguments, &context),
        Verb::Top(arguments) => top::top(arguments, &context),
        Verb::Start(arguments) => jobs::start(arguments, &context),
        Verb::Stop(arguments) => jobs::stop(arguments, &context),
        Verb::Restart(arguments) => jobs::restart(arguments, &context),
        Verb::Wait(arguments) => wait::wait(arguments, &context),
        Verb::Kill(arguments) => kill::kill(arguments, &context),
        Verb::Freeze(arguments) => freeze::freeze(arguments, &context),
        Verb::Thaw(arguments) => freeze::thaw(arguments, &context),
        Verb::Checkpoint(arguments) => checkpoint::checkpoint(arguments, &context),
        Verb::Restore(arguments) => checkpoint::restore(arguments, &context),
        Verb::Enable(arguments) => enable::enable(arguments, &context),
        Verb::Disable(arguments) => enable::disable(arguments, &context),
        Verb::Check(arguments) => check::check(arguments, &context),
        Verb::Render(arguments) => render::render(arguments, &context),
        Verb::Import(arguments) => import::import(arguments, &context),
        Verb::Schema(arguments) => schema::schema(arguments),
        Verb::Set(arguments) => set::set(arguments, &context),
        Verb::Edit(arguments) => edit::edit(arguments, &context),
        Verb::Destroy(arguments) => destroy::destroy(arguments, &context),
    }
}
