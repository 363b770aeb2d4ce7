// SPDX-License-Identifier: MIT OR Apache-2.0
//! ct-helper(8): the verbs that ct's units run. `start` is the main one; see [`start`].

mod account;
mod bundle;
mod capabilities;
mod cgroup;
mod checkpoint;
mod claim;
mod confined;
mod console;
mod container_user;
mod control;
mod devices;
mod env_file;
mod exec;
mod exit;
mod handover;
mod hearing;
mod hooks;
mod identity;
mod idmapped;
mod init_system;
mod inside;
mod instance;
mod job;
mod journal;
mod lxcfs;
mod message;
mod mounts;
mod namespaces;
mod notify;
mod orders;
mod pod;
mod prepare;
mod process_stat;
mod program;
mod read;
mod ready;
mod reaper;
mod rootfs;
mod run;
mod runtime;
mod seccomp;
mod shared_memory;
mod small_init;
mod sole_root;
mod standard_files;
mod start;
mod sys;
mod systemd;
mod user_namespace;

use std::path::PathBuf;
use std::process::exit;

use clap::{Parser, Subcommand};
use ct_config::name::ContainerName;
use ct_config::run::{RunId, RunName};
use nix::sys::stat::Mode;

use crate::console::service::Leave;
use crate::exit::{At, Failure, HANDED_OVER, Step};
use crate::hooks::Stage;
use crate::journal::Journal;
use crate::runtime::lxc::terminal;
use crate::start::Outcome;

/// Starts containers for ct@.service. Not meant to be run by hand: use systemctl.
#[derive(Debug, Parser)]
#[command(name = "ct-helper", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the container NAME and hand its init to PID 1
    Start { name: String },
    /// Say why the config of NAME cannot be used, and fail
    Broken {
        name: String,
        /// Reasons that the config's own files do not show
        reasons: Vec<String>,
    },
    /// Run the hooks of NAME for one moment of its life
    Hook {
        name: String,
        stage: Stage,
        /// Of one of its runs
        #[arg(long, value_name = "ID", value_parser = run_id)]
        run: Option<RunId>,
    },
    /// Run a command with the config of NAME, as ctctl asks for it on standard input
    Run {
        #[arg(value_parser = ContainerName::parse)]
        name: ContainerName,
        #[arg(value_parser = run_id)]
        id: RunId,
    },
    /// Pass on to PID 1 what the container NAME says of itself, as long as its init PID lives
    Relay { name: String, pid: i32 },
    /// What comes before the signal that stops NAME: its hooks, and the command inside
    Stop { name: String },
    /// Run a command inside the container NAME, for `ctctl exec`, which says on standard input what
    Exec { name: String },
    /// Write what runs in the container NAME to the directory IMAGE, for `ctctl checkpoint`
    Checkpoint {
        name: String,
        image: PathBuf,
        /// Let it go on
        #[arg(long)]
        leave_running: bool,
    },
    /// Hold the terminal of the container NAME: log it, and serve those who attach
    Console { name: String },
    /// Make the namespaces of the pod NAME and give them to PID 1
    PodStart { name: String },
}

/// EX_TEMPFAIL of sysexits(3): the unit says that another process is to be started then.
const TRY_AGAIN: i32 = 75;

fn run_id(text: &str) -> Result<RunId, String> {
    RunId::parse(text).ok_or_else(|| "eight hexadecimal digits are wanted".to_owned())
}

fn main() {
    terminal::take_if_asked(std::env::args_os().skip(1));
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        // Help and version are no errors; everything else is EX_USAGE.
        let _ = error.print();
        exit(if error.use_stderr() { 64 } else { 0 })
    });
    // Every mode below is said where the file is made, and means what it says. The unit's own is for the container.
    let umask = nix::sys::stat::umask(Mode::from_bits_truncate(bundle::USUAL_UMASK)).bits();
    let (outcome, journal) = match arguments.verb {
        Verb::Start { name } => {
            let journal = Journal::connect(&name);
            (start::start(&name, umask, journal), journal)
        }
        Verb::Broken { name, reasons } => {
            let journal = Journal::connect(&name);
            let error = read::broken(&name, &reasons, journal);
            (Err(Failure { step: Step::Config, error }), journal)
        }
        Verb::Hook { name, stage, run } => {
            let journal = Journal::connect(&name);
            (control::hook(&name, run, stage, journal).map(Outcome::AlreadyToldWhy), journal)
        }
        Verb::Run { name, id } => run::run(RunName { container: name, id }, umask),
        Verb::Relay { name, pid } => {
            let journal = Journal::connect(&name);
            (ready::relay::relay(&name, pid).map(|()| Outcome::Exited(0)).at(Step::Ready), journal)
        }
        Verb::Stop { name } => {
            let journal = Journal::connect(&name);
            (control::stop(&name, journal).map(Outcome::AlreadyToldWhy), journal)
        }
        Verb::Exec { name } => {
            // Not a line of the container's log: whoever asked is told.
            let journal = Journal::Stderr;
            (exec::exec(&name, journal).map(Outcome::AlreadyToldWhy).at(Step::Claim), journal)
        }
        Verb::Checkpoint { name, image, leave_running } => {
            let journal = Journal::Stderr;
            let made = checkpoint::checkpoint(&name, &image, leave_running, journal);
            (made.map(Outcome::Exited), journal)
        }
        Verb::Console { name } => {
            let journal = Journal::connect_console(&name);
            let served = console::service::serve(&name, journal).map(|leave| match leave {
                Leave::Done => Outcome::Exited(0),
                Leave::ForAnother => Outcome::Exited(TRY_AGAIN),
            });
            (served.at(Step::Console), journal)
        }
        Verb::PodStart { name } => {
            let journal = Journal::connect_pod(&name);
            let started = pod::start(&name, journal).map_err(Failure::of_pod);
            (started.map(|()| Outcome::Exited(0)), journal)
        }
    };
    match outcome {
        Ok(Outcome::HandedOver) => exit(HANDED_OVER),
        Ok(Outcome::Exited(status) | Outcome::AlreadyToldWhy(status)) => exit(status),
        Ok(Outcome::Killed(signal)) => sys::die_of(signal),
        Err(failure) => exit(journal.failure(&failure)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_manual_explains_each_verb_and_no_other() {
        let manual = include_str!("../../packaging/man/ct-helper.8");
        let section = manual.split(".SS Verbs\n").nth(1).and_then(|rest| rest.split("\n.SH").next());
        let entries = section.unwrap_or_default().split(".TP\n.BI ").skip(1);
        let explained: BTreeSet<String> =
            entries.filter_map(|entry| Some(entry.split_whitespace().next()?.replace("\\-", "-"))).collect();
        let command = Arguments::command();
        let verbs: BTreeSet<String> = command
            .get_subcommands()
            .map(|verb| verb.get_name().to_owned())
            .filter(|name| name != "help")
            .collect();
        assert_eq!(explained, verbs);
    }
}
