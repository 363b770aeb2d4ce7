// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what clap(3) reads it into. The texts here are also ctctl(1) and the completions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    check, checkpoint, console, create, destroy, edit, enable, exec, freeze, import, import_image, inspect,
    jobs, kill, list, logs, processes, render, run, schema, set, state, stats, status, top, wait,
};

/// What systemctl cannot do with containers that are systemd units.
///
/// A container is the unit ct@NAME.service: systemctl and journalctl work on it as on any other.
#[derive(Debug, Parser)]
#[command(name = "ctctl", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would make help of it")]
    pub options: Options,
    #[command(subcommand)]
    #[expect(missing_docs, reason = "clap would make help of it")]
    pub verb: Verb,
}

/// Options that all verbs have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for all verbs")]
pub struct Options {
    /// Talk to systemd on this machine, by ssh(1) and systemd-stdio-bridge(1)
    ///
    /// For list, status, start, stop, restart, kill, freeze, thaw, enable, disable and wait, and for set of resources without
    /// --persist. Verbs that need files or processes of the machine end with 2.
    #[arg(short = 'H', long, global = true, value_name = "[USER@]HOST")]
    pub host: Option<String>,
    /// Read configs below this folder instead of /
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CT_ROOT",
        default_value = "/",
        hide_default_value = true
    )]
    pub root: PathBuf,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum Verb {
    List(list::ListArguments),
    Status(status::StatusArguments),
    State(state::StateArguments),
    Inspect(inspect::InspectArguments),
    Logs(logs::LogsArguments),
    Ps(processes::PsArguments),
    Stats(stats::StatsArguments),
    Top(top::TopArguments),
    Start(jobs::StartArguments),
    Stop(jobs::StopArguments),
    Restart(jobs::RestartArguments),
    Kill(kill::KillArguments),
    Freeze(freeze::FreezeArguments),
    Thaw(freeze::ThawArguments),
    Checkpoint(checkpoint::CheckpointArguments),
    Restore(checkpoint::RestoreArguments),
    Enable(enable::EnableArguments),
    Disable(enable::DisableArguments),
    Wait(wait::WaitArguments),
    Exec(exec::ExecArguments),
    Run(run::RunArguments),
    Console(console::ConsoleArguments),
    Set(set::SetArguments),
    Create(Box<create::CreateArguments>),
    Edit(edit::EditArguments),
    Destroy(destroy::DestroyArguments),
    Check(check::CheckArguments),
    Render(render::RenderArguments),
    Schema(schema::SchemaArguments),
    Import(import::ImportArguments),
    ImportImage(Box<import_image::ImportImageArguments>),
}
