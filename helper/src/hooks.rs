// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[hooks]`: programs of the host, run as root at four moments of a container's life.
//!
//! As an OCI hook, each finds the container's state as JSON on its standard input (runtime-spec, "State"); what it
//! prints is in the unit's log. One that takes too long is killed with all it started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ct_config::container::Container;

use crate::account::Account;
use crate::cgroup::JobGroup;
use crate::exit::{Error, Failure, Step, printable};
use crate::instance::Instance;
use crate::job::{Job, Output};
use crate::journal::Journal;
use crate::notify;
use crate::runtime::call::SEARCH_PATH;
use crate::runtime::places::Places;

/// What systemd tells of the end of a service, passed on to hooks (systemd.exec(5), "Environment Variables Set or
/// Propagated by the Service Manager").
const OF_SYSTEMD: [&str; 3] = ["SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"];

/// The moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Stage {
    PreStart,
    PostStart,
    PreStop,
    PostStop,
}

impl Stage {
    /// As in the config.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PreStart => "pre_start",
            Self::PostStart => "post_start",
            Self::PreStop => "pre_stop",
            Self::PostStop => "post_stop",
        }
    }

    /// The container's `status` at that moment, in the words of the runtime-spec.
    fn status(self) -> &'static str {
        match self {
            Self::PreStart => "creating",
            Self::PostStart | Self::PreStop => "running",
            Self::PostStop => "stopped",
        }
    }
}

/// One moment of one container.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) container: &'a Container,
    /// Which life of it.
    pub(crate) instance: &'a Instance,
    pub(crate) stage: Stage,
    /// Its init, if it runs.
    pub(crate) pid: Option<i32>,
    /// Its root file system, where it can be seen.
    pub(crate) rootfs: Option<PathBuf>,
}

/// Runs the `pre_start` hooks in their order, up to the first that fails, in the mount namespace of this process.
pub(crate) fn before_start(container: &Container, instance: &Instance, rootfs: &Path) -> Result<(), Error> {
    let rootfs = Some(rootfs.to_owned());
    let moment = Moment { container, instance, stage: Stage::PreStart, pid: None, rootfs };
    for hook in moment.hooks() {
        if instance.has_manager() {
            notify::extend_timeout(moment.timeout())?;
        }
        moment.run_hook(hook, None)?;
    }
    Ok(())
}

impl Moment<'_> {
    /// Runs all of them; failures are logged, and the status of the last is returned. None is begun after `deadline`,
    /// and none outlives it.
    pub(crate) fn run_all(&self, journal: Journal, deadline: Option<Instant>) -> i32 {
        let mut status = 0;
        for (number, hook) in self.hooks().iter().enumerate() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let left = self.hooks().len() - number;
                let reason = format!("no time is left for it and {} more, see stop.timeout", left - 1);
                let program = printable(hook.first().map_or("", String::as_str), 200);
                let error = Error::HookFailed { stage: self.stage.as_str(), program, reason };
                return journal.survived(&Failure { step: Step::Hooks, error });
            }
            if let Err(error) = self.run_hook(hook, deadline) {
                status = journal.survived(&Failure { step: Step::Hooks, error });
            }
        }
        status
    }

    fn hooks(&self) -> &[Vec<String>] {
        let hooks = &self.container.hooks;
        match self.stage {
            Stage::PreStart => &hooks.pre_start,
            Stage::PostStart => &hooks.post_start,
            Stage::PreStop => &hooks.pre_stop,
            Stage::PostStop => &hooks.post_stop,
        }
    }

    fn timeout(&self) -> Duration {
        self.container.hooks.timeout.finite().unwrap_or(Duration::MAX)
    }

    fn run_hook(&self, argv: &[String], deadline: Option<Instant>) -> Result<(), Error> {
        let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
        let failed = |reason: String| Error::HookFailed {
            stage: self.stage.as_str(),
            program: printable(program, 200),
            reason,
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir("/");
        self.set_environment(&mut command);
        let own = Instant::now().checked_add(self.timeout());
        let deadline = match (own, deadline) {
            (Some(own), Some(deadline)) => Some(own.min(deadline)),
            (one, other) => one.or(other),
        };
        let group = JobGroup::beside_this_process()?;
        let account = &Account::root();
        let input = Some(self.state());
        let job = Job { command, group: &group, account, deadline, output: Output::Log, input };
        let finished = job.run(&[]).inspect_err(|_| group.remove(false)).map_err(|error| match error {
            Error::System { source, .. } => failed(crate::exit::in_small_letters(&source.to_string())),
            error => error,
        })?;
        if finished.end.is_success() { Ok(()) } else { Err(failed(finished.to_string())) }
    }

    /// All that a hook finds in its environment.
    fn set_environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("CT_NAME", self.container.name.as_str())
            .env("CT_STAGE", self.stage.as_str());
        if let Some(run) = self.instance.run() {
            command.env("CT_RUN", run.id.as_str());
        }
        if let Some(pid) = self.pid {
            command.env("CT_PID", pid.to_string());
        }
        if let Some(rootfs) = &self.rootfs {
            command.env("CT_ROOTFS", rootfs);
        }
        for name in OF_SYSTEMD {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
    }

    /// The state of runtime-spec, on one line.
    fn state(&self) -> String {
        let mut state = serde_json::json!({
            "ociVersion": "1.0.2",
            "id": self.instance.runtime_id(),
            "status": self.stage.status(),
            "bundle": Places::bundle_of(self.instance),
        });
        if let (Some(pid), Some(fields)) = (self.pid, state.as_object_mut()) {
            fields.insert("pid".to_owned(), pid.into());
        }
        format!("{state}\n")
    }
}
