// SPDX-License-Identifier: MIT OR Apache-2.0
//! Jobs: queued by a call, done when JobRemoved says so. The signal is subscribed to before the call, for a quick job
//! is over before its answer is read.

use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_lite::{FutureExt as _, StreamExt as _};
use zbus::block_on;
use zbus::zvariant::OwnedObjectPath;

use crate::connection::Systemd;
use crate::error::Error;
use crate::manager::{JobRemoved, JobRemovedStream};

/// Of jobs that are not ours, only those that failed are remembered, and no more than this.
const MOST_FAILURES: usize = 4096;

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

/// Jobs under way, of any number of units; systemd orders them.
#[derive(Debug)]
pub struct Jobs<'a> {
    pub(crate) systemd: &'a Systemd,
    removed: JobRemovedStream,
    /// The unit of each job that is waited for.
    pending: HashMap<OwnedObjectPath, String>,
    /// Ended while another one was being queued.
    ended: VecDeque<(OwnedObjectPath, JobResult)>,
    failures: Vec<(String, JobResult)>,
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

    /// Listens to the ends of jobs, before the first is queued.
    pub fn jobs(&self) -> Result<Jobs<'_>, Error> {
        let failed = |error| Error::of_call("listen to jobs", None, error);
        block_on(async {
            let removed = self.manager.receive_job_removed().await.map_err(failed)?;
            // systemd sends signals only while somebody has asked for them. A second time is refused, and no harm.
            let _ = self.manager.subscribe().await;
            Ok(Jobs {
                systemd: self,
                removed,
                pending: HashMap::new(),
                ended: VecDeque::new(),
                failures: Vec::new(),
            })
        })
    }

    async fn call(&self, verb: Verb, unit: &str) -> Result<OwnedObjectPath, Error> {
        let (what, method) = match verb {
            Verb::Start => ("start", "StartUnit"),
            Verb::Stop => ("stop", "StopUnit"),
            Verb::Restart => ("restart", "RestartUnit"),
        };
        let called = self.authorised(method, &(unit, "replace")).await;
        called.map_err(|error| Error::of_call(format!("{what} {unit}"), Some(unit), error))
    }

    /// Waits for the job that `call` queues.
    pub(crate) fn wait_for_job(
        &self,
        unit: &str,
        timeout: Option<Duration>,
        call: impl Future<Output = Result<OwnedObjectPath, Error>>,
    ) -> Result<JobResult, Error> {
        let mut jobs = self.jobs()?;
        jobs.add(unit, call)?;
        match jobs.next(timeout.map(|after| Instant::now() + after))? {
            Some((_, result)) => Ok(result),
            None => {
                let after = timeout.unwrap_or_default();
                Err(Error::TimedOut { units: vec![unit.to_owned()], after })
            }
        }
    }
}

impl Jobs<'_> {
    /// Queues one more.
    pub fn queue(&mut self, verb: Verb, unit: &str) -> Result<(), Error> {
        let systemd = self.systemd;
        self.add(unit, systemd.call(verb, unit))
    }

    pub(crate) fn add(
        &mut self,
        unit: &str,
        call: impl Future<Output = Result<OwnedObjectPath, Error>>,
    ) -> Result<(), Error> {
        block_on(async {
            let mut call = pin!(call);
            // The signals are read meanwhile: with a full queue of them, the answer would not be read either.
            loop {
                let answered = async { Ok(call.as_mut().await) };
                let signalled = async { Err(self.removed.next().await) };
                match answered.or(signalled).await {
                    Ok(job) => {
                        self.pending.insert(job?, unit.to_owned());
                        return Ok(());
                    }
                    Err(Some(signal)) => self.note(&signal)?,
                    Err(None) => return Err(lost(&[unit.to_owned()])),
                }
            }
        })
    }

    /// The next unit whose job ended, and how; `None` when none is left, or at the deadline.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Option<(String, JobResult)>, Error> {
        block_on(self.next_or(async {
            match deadline {
                Some(deadline) => async_io::Timer::at(deadline).await,
                None => std::future::pending().await,
            };
        }))
    }

    /// The same; `None` also when there is something to read from `interrupt`, which becomes non-blocking.
    pub fn next_unless(&mut self, interrupt: BorrowedFd<'_>) -> Result<Option<(String, JobResult)>, Error> {
        let watched = async_io::Async::new(interrupt)
            .map_err(|error| Error::of_call("watch for an interruption", None, error.into()))?;
        block_on(self.next_or(async {
            let _ = watched.readable().await;
        }))
    }

    async fn next_or(
        &mut self,
        interrupt: impl Future<Output = ()>,
    ) -> Result<Option<(String, JobResult)>, Error> {
        let mut interrupt = pin!(interrupt);
        loop {
            while let Some((job, result)) = self.ended.pop_front() {
                if let Some(unit) = self.pending.remove(&job) {
                    return Ok(Some((unit, result)));
                }
            }
            if self.pending.is_empty() {
                return Ok(None);
            }
            let signalled = async { Some(self.removed.next().await) };
            let interrupted = async {
                interrupt.as_mut().await;
                None
            };
            match signalled.or(interrupted).await {
                Some(Some(signal)) => self.note(&signal)?,
                Some(None) => return Err(lost(&self.pending())),
                None => return Ok(None),
            }
        }
    }

    /// The units whose jobs have not ended, by name.
    pub fn pending(&self) -> Vec<String> {
        let mut units: Vec<String> = self.pending.values().cloned().collect();
        units.sort();
        units
    }

    /// Every unit whose job did not end well meanwhile, whoever queued it: why a job has the result "dependency".
    pub fn failures(&self) -> &[(String, JobResult)] {
        &self.failures
    }

    fn note(&mut self, signal: &JobRemoved) -> Result<(), Error> {
        let signal = signal.args().map_err(|error| Error::of_call("listen to jobs", None, error))?;
        let result = JobResult::parse(signal.result());
        if result != JobResult::Done && self.failures.len() < MOST_FAILURES {
            self.failures.push(((*signal.unit()).to_owned(), result.clone()));
        }
        self.ended.push_back((signal.job().clone(), result));
        Ok(())
    }
}

fn lost(units: &[String]) -> Error {
    Error::Lost { units: units.join(", ") }
}
