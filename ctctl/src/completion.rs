// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completion by the program itself: a shell asks it (`_CTCTL_COMPLETE` is set then) what may come next, so that names of
//! containers are those that there are. The scripts in packaging/completions/ do no more than ask.

use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use ct_config::name::ContainerName;
use ct_config::sources::Tree;

use crate::cli::Cli;

/// The variable that a shell sets when it asks.
pub const VARIABLE: &str = "_CTCTL_COMPLETE";

/// Verbs whose NAME is that of a container to come.
const NEW: [&str; 3] = ["create", "import", "import-image"];

/// The command line with what is known of its values.
pub fn command() -> Command {
    let with_names = |arg: Arg| {
        let is_name = match arg.get_value_names() {
            Some([name]) => name.as_str() == "NAME",
            _ => matches!(arg.get_id().as_str(), "name" | "names"),
        };
        if is_name && arg.is_positional() { arg.add(ArgValueCandidates::new(containers)) } else { arg }
    };
    Cli::command()
        .mut_subcommands(|verb| if NEW.contains(&verb.get_name()) { verb } else { verb.mut_args(with_names) })
}

/// Answers a shell that asks, and ends; returns if none does.
pub fn complete() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Those that have a config. systemd is not asked: it may be slow to answer, and a key was pressed.
fn containers() -> Vec<CompletionCandidate> {
    let root = std::env::var_os("CT_ROOT")
        .filter(|root| !root.is_empty())
        .map_or_else(|| PathBuf::from("/"), PathBuf::from);
    Tree::<ContainerName>::scan(&root).names().map(|name| CompletionCandidate::new(name.as_str())).collect()
}
