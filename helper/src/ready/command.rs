// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ready.command`: run inside until it exits with 0.

use std::time::{Duration, Instant};

use ct_config::value::Timespan;

use super::{Wait, Waited, Watch};
use crate::exit::{Error, Failure, Step, printable};
use crate::inside::Inside;
use crate::job::JobEnd;
use crate::notify;

/// The command, and how often and how long it is run.
pub(super) struct Probe<'a> {
    pub(super) command: &'a [String],
    /// Between the end of one run and the begin of the next.
    pub(super) interval: Timespan,
    /// For one run; `None` for as long as the container may take to be ready.
    pub(super) timeout: Option<Duration>,
}

impl Probe<'_> {
    /// Runs it until it succeeds.
    pub(super) fn until_ready(
        &self,
        inside: &Inside<'_>,
        watch: &Watch<'_>,
        deadline: Option<Instant>,
    ) -> Result<Wait, Error> {
        let shown = printable(&self.command.join(" "), 80);
        let mut last = String::new();
        notify::status(&format!("Waiting until ready: {shown}"))?;
        loop {
            let limit = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let said = match inside.run(self.command, earlier(limit, deadline), &watch.descriptors()) {
                Ok(finished) if finished.end.is_success() => return Ok(Wait::Over(Waited::Ready)),
                // Cut short by the end of all: what the one before it said tells more.
                Ok(finished) if finished.end == JobEnd::TimedOut && is_over(deadline) && !last.is_empty() => {
                    last.clone()
                }
                Ok(finished) => finished.to_string(),
                // The container can be at one of its limits, at its end, or at work in its control group: as long as
                // it lives, this run has failed and the next may not.
                Err(error @ Error::System { .. }) => Failure { step: Step::Ready, error }.to_string(),
                Err(error) => return Err(error),
            };
            if watch.is_over()? {
                return Ok(Wait::Over(Waited::Ended));
            }
            if said != last {
                notify::status(&format!("Waiting until ready: {shown}: {said}"))?;
                last = said;
            }
            let pause = self.interval.finite().and_then(|pause| Instant::now().checked_add(pause));
            let next = earlier(pause, deadline);
            watch.sleep(&[], next)?;
            if watch.is_over()? {
                return Ok(Wait::Over(Waited::Ended));
            }
            if is_over(deadline) {
                return Ok(Wait::TimedOut(format!("{shown}: {last}")));
            }
        }
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
