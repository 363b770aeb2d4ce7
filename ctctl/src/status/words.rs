// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a container is doing, in a sentence.

use ct_config::container::ReadyWhen;

use crate::amount;
use crate::phase::Phase;

/// What the sentence is made of.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) phase: Phase,
    /// `SubState`
    pub(super) sub: &'a str,
    /// Microseconds since the epoch.
    pub(super) since: Option<u64>,
    /// How the last run ended, or why it failed.
    pub(super) ended: Option<&'a str>,
    /// The jobs of other units that come before its own.
    pub(super) waits_for: &'a [String],
    /// What makes it ready, as far as the config can be read.
    pub(super) ready: Option<&'a ReadyWhen>,
    /// `RestartUSec`, in microseconds.
    pub(super) restarts_after: Option<u64>,
}

impl Facts<'_> {
    /// `running since Sun 2026-11-22 07:23:08 UTC (2h5min ago)`
    pub(super) fn sentence(&self) -> String {
        let since =
            self.since.map(|since| format!(" since {} ({} ago)", amount::moment(since), amount::age(since)));
        let since = since.unwrap_or_default();
        let word = self.phase.as_str();
        let ended = self.ended.map(|ended| format!(": {ended}")).unwrap_or_default();
        match self.phase {
            Phase::Running if self.sub == "exited" => format!("running{since}, without a process"),
            Phase::Running | Phase::Frozen => format!("{word}{since}"),
            Phase::Starting | Phase::Stopping => match self.step() {
                Some(step) => format!("{word}{since}: {step}"),
                None => format!("{word}{since}"),
            },
            Phase::Waiting if self.waits_for.is_empty() => "waits for its turn".to_owned(),
            Phase::Waiting => format!("waits for {}", self.waits_for.join(", ")),
            Phase::Restarting => {
                let after = self.restarts_after.map(|span| format!(" {}", amount::span(span)));
                let again = after.map_or_else(
                    || "starts again".to_owned(),
                    |after| format!("starts again{after} after that"),
                );
                format!("failed{since}{ended}; {again}")
            }
            Phase::Stopped if self.since.is_none() => word.to_owned(),
            Phase::Stopped | Phase::Failed => format!("{word}{since}{ended}"),
        }
    }

    /// What a start or a stop is at.
    fn step(&self) -> Option<&'static str> {
        Some(match (self.sub, self.ready) {
            ("start", Some(ReadyWhen::Command { .. })) => "waits for ready.command",
            ("start", Some(ReadyWhen::Notified { .. })) => "waits for READY=1 from the container",
            ("start-post", _) => "runs hooks.post_start",
            ("stop", _) => "runs its stop command or hooks.pre_stop",
            ("stop-sigterm" | "final-sigterm", _) => "was sent its stop signal",
            ("stop-sigkill" | "final-sigkill", _) => "was sent SIGKILL",
            ("stop-watchdog" | "final-watchdog", _) => "was sent SIGABRT, for it missed its watchdog",
            ("stop-post", _) => "runs hooks.post_stop",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        phase: Phase::Stopped,
        sub: "dead",
        since: None,
        ended: None,
        waits_for: &[],
        ready: None,
        restarts_after: None,
    };

    #[test]
    fn each_phase_has_a_sentence() {
        assert_eq!(FACTS.sentence(), "stopped");
        let failed = Facts { phase: Phase::Failed, ended: Some("exited with status 7"), ..FACTS };
        assert_eq!(failed.sentence(), "failed: exited with status 7");
        let running = Facts { phase: Phase::Running, since: Some(amount::now() - 7_500_000_000), ..FACTS };
        assert!(running.sentence().starts_with("running since "), "{}", running.sentence());
        assert!(running.sentence().ends_with(" (2h5min ago)"), "{}", running.sentence());
        let starting = Facts { phase: Phase::Starting, sub: "start-post", ..FACTS };
        assert_eq!(starting.sentence(), "starting: runs hooks.post_start");
        let jobs = ["ct@db.service".to_owned(), "ct@log.service".to_owned()];
        let waiting = Facts { phase: Phase::Waiting, waits_for: &jobs, ..FACTS };
        assert_eq!(waiting.sentence(), "waits for ct@db.service, ct@log.service");
        let again = Facts { phase: Phase::Restarting, restarts_after: Some(3_000_000), ..failed };
        assert_eq!(again.sentence(), "failed: exited with status 7; starts again 3s after that");
    }
}
