// SPDX-License-Identifier: MIT OR Apache-2.0
//! `run`: the container's config with another command, in a unit of its own: a scope in the foreground, a transient
//! service with `-d`. The helper does what it does for every start; see [`ct_config::run`] for what is another.

mod detached;
mod foreground;

use clap::Args;
use ct_config::container::Container;
use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::run::{self, Request, RunName, RunSettings};
use ct_dbus::Systemd;
use ct_dbus::property::{BusProperty, Kind, bus_properties, known};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names;
use crate::output::safe;
use crate::pty;
use crate::scope::random_id;

/// Run a command with a container's config, in a container of its own
///
/// The config is that of NAME, with COMMAND in place of process.command: the same root file system, mounts, namespaces,
/// limits, resources, account and pod. NAME itself may be stopped, and is not started. What it requires is started, as
/// for a start of NAME.
///
/// Without -d the command runs in the scope ct-run-NAME-ID.scope of the container's slice, with our standard output and
/// error, and ctctl waits for its end. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to it. Nobody
/// but the command handles them: as process 1 of its container it ignores those that it has no handler for. When ctctl
/// is killed, so is the command.
///
/// With -d it runs in the service ct-run-NAME-ID.service, whose name is printed: systemctl stops it, journalctl -u has
/// its output.
///
/// A root file system that keeps what is written to it (root.writable = "persistent", the default) has one user at a
/// time: while NAME runs, or another run of it, the command is refused, and as long as it runs, so is a start of NAME. Use
/// `ctctl exec` to run a command inside of NAME, or set root.writable to "ephemeral" or "no".
///
/// Of the hooks, pre_start and post_stop are run, with CT_RUN=ID in their environment. What the config says of readiness,
/// restarts, autostart and stop.command, and its verbatim settings for systemd, are not of a run.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct RunArguments {
    /// Pass standard input on; else there is none
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal of its own
    #[arg(short, long)]
    tty: bool,
    /// Run it as a service, and print the unit's name
    #[arg(short, long, conflicts_with_all = ["interactive", "tty"])]
    detach: bool,
    /// With -d: have systemd forget a run that failed at once; else it shows it as failed until `systemctl reset-failed`.
    /// Nothing else of a run remains in any case
    #[arg(long)]
    rm: bool,
    /// User inside, by name or number, in place of process.user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Environment variable on top of the config's; without a value it is ours
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Working directory inside, in place of process.cwd
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Name of the container, or a beginning that is unique
    #[arg(value_name = "NAME")]
    name: String,
    /// Program and arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

const AFTER: &str = "\
Exit status:
  That of the command, or 128 and the number of the signal that killed it.
  125  ct or the runtime failed, or the run was refused; the reason is on standard error
  126  the command is there and cannot be executed
  127  there is no such command
  With -d it is 0 once the command has been started.

Examples:
  ctctl run web -- nginx -t
  ctctl run -it --rm web -- sh
  unit=$(ctctl run -d web -- /usr/bin/backup) && journalctl -f -u $unit";

/// `ctctl run`
pub fn run(arguments: &RunArguments, context: &Context) -> Result<Status, Error> {
    try_run(arguments, context).map_err(not_started)
}

/// Any other code may be the command's own.
fn not_started(error: Error) -> Error {
    match error {
        Error::Failed { status: Status::NotExecutable | Status::CommandNotFound, .. } => error,
        error => Error::Failed { reason: error.story(), status: Status::NotStarted },
    }
}

fn try_run(arguments: &RunArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("run")?;
    if context.root() != std::path::Path::new("/") {
        return Err(Error::Usage("run does not work with --root".to_owned()));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::failed("not permitted: run takes root"));
    }
    // Before anything of ours has threads.
    let caught = if arguments.detach { None } else { Some(foreground::catch_signals()?) };
    let name = names::resolve(&arguments.name, context)?;
    let config = load(&name, context)?;
    refuse_while_it_runs(&config, context)?;
    // What the caller's terminal can do.
    let term = if arguments.tty { assignment("TERM") } else { None };
    let mut request = Request {
        command: arguments.command.clone(),
        env: term
            .into_iter()
            .chain(arguments.env.iter().filter_map(|variable| assignment(variable)))
            .collect(),
        user: arguments.user.clone(),
        cwd: arguments.workdir.clone(),
        digest: config.digest.0.clone(),
        foreground: None,
    };
    let container = run::container(config, &request).map_err(Error::Usage)?;
    if !container.extra_unit.is_empty() || !container.extra_service.is_empty() {
        eprintln!("ctctl: the verbatim settings of {name} for systemd are its own unit's, and not a run's");
    }
    let run = RunName { container: name, id: random_id()? };
    match caught {
        None => detached::run(&run, &container, &request, arguments.rm, context.systemd()?),
        Some(signals) => {
            let systemd = context.systemd()?;
            let terminal =
                arguments.tty.then(|| pty::size().map_or((0, 0), |size| (size.rows, size.columns)));
            let limits = systemd.default_limits()?;
            request.foreground = Some(run::Foreground { terminal, limits });
            let asked =
                foreground::Asked { run: &run, request: &request, interactive: arguments.interactive };
            foreground::run(&asked, &container, signals, systemd)
        }
    }
}

/// `KEY=VALUE`, or `KEY` with the value that it has for us, if any.
fn assignment(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.to_owned())),
        None => std::env::var(text).ok().map(|value| (text.to_owned(), value)),
    }
}

/// The config as it is now; all that is wrong with it, in the parser's words.
fn load(name: &ContainerName, context: &Context) -> Result<Container, Error> {
    let (host, problems) = Host::load(context.root());
    for problem in problems {
        eprintln!("ctctl: {}, ignoring", safe(&problem.to_string()));
    }
    ct_config::load(context.tree(), &host, name).map_err(|broken| {
        let lines: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
        // One line each, and the last is the error's own.
        let (last, others) = lines.split_last().map_or(("", [].as_slice()), |(last, others)| (last, others));
        others.iter().for_each(|line| eprintln!("ctctl: {}", safe(line)));
        Error::failed(last)
    })
}

/// As properties, without those that this systemd is too old for.
fn properties(settings: &RunSettings, kind: Kind, systemd: &Systemd) -> Result<Vec<BusProperty>, Error> {
    let mut properties = bus_properties(&settings.unit);
    properties.extend(bus_properties(&known(&settings.own, kind, systemd.major_version()?)));
    Ok(properties)
}

/// The helper sees to it that a root file system has one user; here it is told before anything is done, and also in the
/// pause before a restart.
fn refuse_while_it_runs(config: &Container, context: &Context) -> Result<(), Error> {
    if !run::is_sole(config) {
        return Ok(());
    }
    let unit = config.name.unit().to_string();
    let state = context.systemd()?.unit(&unit)?.text("ActiveState").to_owned();
    if matches!(state.as_str(), "inactive" | "failed" | "") {
        return Ok(());
    }
    Err(Error::failed(format!(
        "the root file system of {} is in use by {unit}, and keeps what is written to it; run the command in it with \
         `ctctl exec`, or set root.writable to \"ephemeral\" or \"no\"",
        config.name
    )))
}
