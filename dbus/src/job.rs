// SPDX-License-Identifier: MIT OR Apache-2.0
//! Jobs: queued by a call, done when JobRemoved says so. The signal is subscribed to before the call, for a quick job
//! is over before its answer is read.

use std::time::Duration;

use futures_lite::{FutureExt as _, StreamExt as _};
use zbus::block_on;
use zbus::zvariant::OwnedObjectPath;

use crate::connection::Systemd;
use crate::error::Error;
use crate::manager::JobRemovedStream;

/// What a job is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `StartUnit()`
    Start,
    /// `StopUnit()`
    Stop,
    /// `RestartUnit()`
    Restart,
}

/// How a job ended, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "systemd's own words, see org.freedesktop.systemd1(5), JobRemoved")]
pub enum JobResult {
    Done,
    Canceled,
    Timeout,
    Failed,
    Dependency,
    Skipped,
    /// One that a newer systemd has.
    Other(String),
}

impl JobResult {
    fn parse(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "canceled" => Self::Canceled,
            "timeout" => Self::Timeout,
            "failed" => Self::Failed,
            "dependency" => Self::Dependency,
            "skipped" => Self::Skipped,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for JobResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Dependency => "dependency",
            Self::Skipped => "skipped",
            Self::Other(word) => word,
        })
    }
}

impl Systemd {
    /// Queues a job and does not wait for it.
    pub fn queue(&self, verb: Verb, unit: &str) -> Result<(), Error> {
        block_on(self.call(verb, unit)).map(drop)
    }

    /// Queues a job and waits for its end; no longer than `timeout`, if there is one, and then the job goes on.
    pub fn run(&self, verb: Verb, unit: &str, timeout: Option<Duration>) -> Result<JobResult, Error> {
        self.wait_for_job(unit, timeout, self.call(verb, unit))
    }

    async fn call(&self, verb: Verb, unit: &str) -> Result<OwnedObjectPath, Error> {
        let (what, called) = match verb {
            Verb::Start => ("start", self.manager.start_unit(unit, "replace").await),
            Verb::Stop => ("stop", self.manager.stop_unit(unit, "replace").await),
            Verb::Restart => ("restart", self.manager.restart_unit(unit, "replace").await),
        };
        called.map_err(|error| Error::of_call(format!("{what} {unit}"), Some(unit), error))
    }

    /// Waits for the job that `call` queues.
    pub(crate) fn wait_for_job(
        &self,
        unit: &str,
        timeout: Option<Duration>,
        call: impl Future<Output = Result<OwnedObjectPath, Error>>,
    ) -> Result<JobResult, Error> {
        let failed = |error| Error::of_call("listen to jobs", None, error);
        block_on(async {
            let mut removed = self.manager.receive_job_removed().await.map_err(failed)?;
            // systemd sends signals only while somebody has asked for them. A second time is refused, and no harm.
            let _ = self.manager.subscribe().await;
            let job = call.await?;
            let end = async { result_of(&mut removed, &job).await.map_err(failed) };
            let Some(after) = timeout else { return end.await };
            let late = async {
                async_io::Timer::after(after).await;
                Err(Error::TimedOut { unit: unit.to_owned(), after })
            };
            end.or(late).await
        })
    }
}

async fn result_of(removed: &mut JobRemovedStream, job: &OwnedObjectPath) -> zbus::Result<JobResult> {
    while let Some(signal) = removed.next().await {
        let signal = signal.args()?;
        if signal.job() == job {
            return Ok(JobResult::parse(signal.result()));
        }
    }
    Err(zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::ConnectionAborted.into())))
}
