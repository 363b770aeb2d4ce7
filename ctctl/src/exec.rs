// SPDX-License-Identifier: MIT OR Apache-2.0
//! `exec`: a command inside a container that runs.
//!
//! ct-helper(8) does it, in a transient scope beside the container: it tells us how the command ended, and we pass on what
//! is typed and printed, signals, and the size of the terminal. When we die, it kills the command.

use std::path::PathBuf;

use clap::Args;
use ct_channel::message::{Request, Size, Unit as RunningUnit};
use ct_config::name::ContainerName;
use ct_config::value::RlimitResource;
use ct_dbus::job::JobResult;
use ct_dbus::unit::Unit;
use nix::sys::signal::Signal;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve;
use crate::pty;
use crate::scope::Scope;
use crate::session::Session;
use crate::signals::{PASSED_ON, Signals};
use crate::status::limits::{self, Limit};

/// Run a command inside a container that runs
///
/// The command has the container's namespaces, capabilities and system-call filter, and its limits (prlimit) and oom score
/// as systemd, or ctctl set, has set them. It is accounted with the container, and killed with it: it runs in a group of its own
/// below the container's control group. What it leaves running goes on when it ends.
///
/// Standard output and error stay apart, and are passed on as they come, byte by byte. Nothing of the caller gets inside:
/// no file, no terminal, no variable.
///
/// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 go to the command. A ctctl that is killed takes the command
/// along.
#[derive(Debug, Args)]
#[command(after_long_help = EXIT_CODES)]
pub struct ExecArguments {
    /// Pass on what comes on standard input; without this it is empty
    #[arg(short, long)]
    interactive: bool,
    /// Run on a terminal of its own; with -i, a shell can be worked with
    #[arg(short, long)]
    tty: bool,
    /// Run as this user of the container: names in its own /etc/passwd and /etc/group, or numbers; as its init by default
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Set a variable, also one that the container's config sets; without a value, the caller's
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file as EnvironmentFile= of systemd.exec(5) has them
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Run in this directory of the container; in that of its init by default
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Name of the container, or a beginning that is unique
    name: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const EXIT_CODES: &str = "\
Exit codes: that of the command; 128 and the number of the signal that killed it; 125 when ct or the runtime could not run \
it (no such container, not running, frozen, not root), 126 when there is such a file but it cannot be executed, 127 when \
there is none; 2 for a wrong command line.

Examples:
  ctctl exec web ps
  ctctl exec -it web sh
  ctctl exec -i -u postgres db psql <dump.sql
  ctctl exec -e LANG=C -w /srv web -- ls -l";

/// `ctctl exec`
pub fn exec(arguments: &ExecArguments, context: &Context) -> Result<Status, Error> {
    // Any other code would be taken for the command's.
    run(arguments, context).map_err(|error| {
        let status = match error.status() {
            of_command @ (Status::NotExecutable | Status::CommandNotFound) => of_command,
            _ => Status::NotStarted,
        };
        Error::Failed { reason: error.story(), status }
    })
}

fn run(arguments: &ExecArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("exec")?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::failed("not permitted: exec takes root"));
    }
    // Before the connection to systemd, which has threads.
    let signals = Signals::catch(PASSED_ON.into_iter().chain([Signal::SIGWINCH, Signal::SIGCONT]))?;
    let name = resolve(&arguments.name, context)?;
    let systemd = context.systemd()?;
    let unit_name = name.unit().to_string();
    let unit = systemd.unit(&unit_name)?;
    let request = request(arguments, running(&name, &unit)?)?;
    let session = Session::start(&["exec", name.as_str()], signals)?;
    let description = format!("{} in container {name}", arguments.command.first().map_or("", String::as_str));
    let scope = Scope::new("exec", &name, &description, unit.text("Slice"))?.within(&unit_name);
    let scope_name = scope.name().to_owned();
    match scope.start(systemd, &session)? {
        JobResult::Done => session.run(&request, request.terminal.is_some(), arguments.interactive),
        JobResult::Dependency => Err(Error::failed(format!("{name} is not running any more"))),
        result => Err(Error::failed(format!("{scope_name}: {result}"))),
    }
}

/// What the helper must know of the unit.
fn running(name: &ContainerName, unit: &Unit) -> Result<RunningUnit, Error> {
    let state = unit.text("ActiveState");
    let main_pid = unit.number("MainPID").and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    let is_running = ["active", "reloading", "refreshing"].contains(&state);
    if !is_running || main_pid == 0 {
        let state = if is_running { "without a main process" } else { state };
        return Err(Error::failed(format!("{name} is not running ({state})")));
    }
    let raw = |name: &str| unit.value(name).and_then(|value| value.downcast_ref::<u64>().ok());
    let of_init = u32::try_from(main_pid).ok().and_then(limits::read).unwrap_or_default();
    let limit = |resource: &RlimitResource| {
        let directive = resource.directive();
        let of_unit = (raw(&format!("{directive}Soft"))?, raw(directive)?);
        let init = of_init.iter().find(|(key, _)| *key == resource.key()).map(|(_, limit)| *limit);
        let (soft, hard) = init.map_or(of_unit, |init| current(of_unit, init));
        Some((resource.rlimit_name(), soft, hard))
    };
    let score = u32::try_from(main_pid).ok().and_then(limits::read_oom_score_adjust);
    Ok(RunningUnit {
        control_group: unit.text("ControlGroup").to_owned(),
        main_pid,
        oom_score_adjust: score.unwrap_or_default(),
        limits: RlimitResource::ALL.iter().filter_map(limit).collect(),
    })
}

/// The soft and hard limit that the container has by now: those of the unit, unless somebody has changed them since (`ctctl
/// set`, prlimit(1)), which init's show. That init has raised its own soft limit, as systemd does, is for itself.
fn current((soft, hard): (u64, u64), init: Limit) -> (u64, u64) {
    let (soft_of_init, hard_of_init) = (init.soft.number(), init.hard.number());
    if hard_of_init == hard { (soft.min(soft_of_init), hard) } else { (soft_of_init, hard_of_init) }
}

fn request(arguments: &ExecArguments, unit: RunningUnit) -> Result<Request, Error> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|e| Error::system(format!("find {}", path.display()), e))
    };
    let mut env: Vec<(String, String)> = Vec::new();
    if arguments.tty {
        // What the caller's terminal can do; the container's programs need not know of it.
        env.extend(std::env::var("TERM").ok().map(|kind| ("TERM".to_owned(), kind)));
    }
    for assignment in &arguments.env {
        env.extend(variable(assignment)?);
    }
    Ok(Request {
        unit,
        command: arguments.command.clone(),
        env_files: arguments.env_file.iter().map(absolute).collect::<Result<_, _>>()?,
        env,
        user: arguments.user.clone(),
        cwd: arguments.workdir.clone(),
        terminal: arguments.tty.then(|| pty::size().unwrap_or_default()).map(usual_size),
    })
}

/// `KEY=VALUE`, or `KEY` for the caller's value; nothing where the caller has none.
fn variable(assignment: &str) -> Result<Option<(String, String)>, Error> {
    let (key, value) = match assignment.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (assignment, std::env::var(assignment).ok()),
    };
    if key.is_empty() {
        return Err(Error::Usage(format!("{assignment:?} is not KEY=VALUE")));
    }
    Ok(value.map(|value| (key.to_owned(), value)))
}

/// A terminal that does not know its size, as on a serial line, has that of a screen of old.
fn usual_size(size: Size) -> Size {
    if size.rows == 0 || size.columns == 0 { Size { rows: 24, columns: 80 } } else { size }
}
