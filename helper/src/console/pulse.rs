// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells PID 1 that the service is not stuck (`WatchdogSec=`, sd_notify(3)).
//!
//! The terminal's master comes from the container's runtime, which is an account's. Whoever has kept a copy can take O_NONBLOCK
//! from it at any time, and a call that has begun to wait then ends by a signal only. So PID 1 kills a service that keeps still,
//! and the next one sets O_NONBLOCK again.

use std::time::{Duration, Instant};

use crate::notify;

/// When PID 1 does not say how often it wants to hear, but a container takes its time to stop.
const USUAL: Duration = Duration::from_secs(5);
/// How long a container that is to stop is waited for, whatever it does.
const MOST: Duration = Duration::from_secs(15 * 60);

/// See the file's head.
#[derive(Debug)]
pub(super) struct Pulse {
    /// How often, if PID 1 wants to hear.
    period: Option<Duration>,
    next: Instant,
    /// Until when PID 1 is asked to wait: the container is to stop, and the service after it.
    stops_until: Option<Instant>,
}

impl Pulse {
    /// As PID 1 wants it, by `WATCHDOG_USEC`.
    pub(super) fn new() -> Self {
        let limit = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let period = limit.filter(|limit| *limit > 0).map(|limit: u64| Duration::from_micros(limit / 2));
        Self { period, next: Instant::now(), stops_until: None }
    }

    /// From now on the container is stopping.
    pub(super) fn wait_for_stop(&mut self) {
        self.stops_until.get_or_insert_with(|| Instant::now() + MOST);
        self.next = Instant::now();
        self.beat();
    }

    /// When the next beat is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.period.is_some() || self.stops_until.is_some()).then_some(self.next)
    }

    /// Tells PID 1 if it is time to. What it does not hear, it hears the next time.
    pub(super) fn beat(&mut self) {
        let now = Instant::now();
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let period = self.period.unwrap_or(USUAL).min(USUAL);
        self.next = now + period;
        if self.period.is_some() {
            let _ = notify::alive();
        }
        if self.stops_until.is_some_and(|until| now < until) {
            let _ = notify::extend_timeout(period);
        }
    }
}
