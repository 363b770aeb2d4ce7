// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a container becomes ready, stops and starts again: `[ready]`, `[stop]`, `[restart]` and `[hooks]`.

use super::{Check, parse_path};
use crate::container::{Hooks, Ready, ReadyWhen, Restart, Stop};
use crate::fragment::{self, List, Scalar, Spanned};
use crate::sources::HookFiles;
use crate::value::{Signal, Timespan};

/// More hooks for one moment are refused.
const MAX_HOOKS: usize = 100;

/// A pause as short as starting the command takes anyway.
const DEFAULT_INTERVAL: Timespan = Timespan::Finite(250_000);
/// The time of one command inside: long enough for a loaded machine, short enough to be tried again.
const DEFAULT_COMMAND_TIMEOUT: Timespan = Timespan::Finite(10_000_000);
/// As systemd's DefaultTimeoutStartSec=.
const DEFAULT_READY_TIMEOUT: Timespan = Timespan::Finite(90_000_000);
const DEFAULT_HOOK_TIMEOUT: Timespan = Timespan::Finite(30_000_000);

impl Check<'_> {
    pub(super) fn ready(&mut self, ready: fragment::Ready) -> Ready {
        let timeout = ready.timeout.and_then(|text| self.timeout(&text, "ready.timeout"));
        let interval = ready.interval.and_then(|text| self.pause(&text, "ready.interval"));
        let command_timeout =
            ready.command_timeout.and_then(|text| self.timeout(&text, "ready.command_timeout"));
        let watchdog = ready.watchdog.map(|text| (self.pause(&text, "ready.watchdog"), text));
        let notify = ready.notify.filter(|notify| *notify.get_ref());
        let command = ready.command.filter(|command| !command.get_ref().is_empty());
        if let (Some(notify), Some(_)) = (&notify, &command) {
            let reason = "ready.command is set as well, and only one of the two can say when it is ready";
            self.problem(notify, "ready.notify", reason);
        }
        if let (None, Some((_, text))) = (&notify, &watchdog) {
            let hint = Some("set ready.notify = true".to_owned());
            self.hint(text, "ready.watchdog", "has no effect without ready.notify", hint);
        }
        let when = match (command, notify) {
            (Some(command), _) => ReadyWhen::Command {
                command: self.command(command, "ready.command"),
                interval: interval.unwrap_or(DEFAULT_INTERVAL),
                timeout: command_timeout.unwrap_or(DEFAULT_COMMAND_TIMEOUT),
            },
            (None, Some(_)) => ReadyWhen::Notified { watchdog: watchdog.and_then(|(span, _)| span) },
            (None, None) => ReadyWhen::Started,
        };
        Ready { when, timeout: timeout.unwrap_or(DEFAULT_READY_TIMEOUT) }
    }

    pub(super) fn stop(&mut self, stop: fragment::Stop) -> Stop {
        let signal = |check: &mut Self, text: &Spanned<Scalar>| {
            check.parsed(text, "stop.signal", Signal::parse(&text.get_ref().0))
        };
        let command = stop.command.filter(|command| !command.get_ref().is_empty());
        let command_timeout =
            stop.command_timeout.and_then(|text| self.timeout(&text, "stop.command_timeout"));
        Stop {
            signal: stop.signal.and_then(|text| signal(self, &text)),
            timeout: stop.timeout.and_then(|text| self.timeout(&text, "stop.timeout")),
            command: command.map(|command| self.command(command, "stop.command")),
            command_timeout: command_timeout.unwrap_or(DEFAULT_COMMAND_TIMEOUT),
        }
    }

    pub(super) fn restart(&mut self, restart: fragment::Restart) -> Restart {
        let burst = restart.start_limit_burst.and_then(|burst| match u32::try_from(*burst.get_ref()) {
            Ok(number) => Some(number),
            Err(_) => {
                let reason = format!("{} is not from 0 to {}", burst.get_ref(), u32::MAX);
                self.problem(&burst, "restart.start_limit_burst", &reason);
                None
            }
        });
        Restart {
            policy: restart.policy,
            delay: restart.delay.and_then(|text| self.timespan(&text, "restart.delay")),
            start_limit_burst: burst,
            start_limit_interval: restart
                .start_limit_interval
                .and_then(|text| self.timespan(&text, "restart.start_limit_interval")),
        }
    }

    /// What the config lists, then what is in directories.
    pub(super) fn hooks(&mut self, hooks: fragment::Hooks, files: HookFiles) -> Hooks {
        let mut made = Hooks {
            pre_start: self.hook_list(hooks.pre_start, "hooks.pre_start"),
            post_start: self.hook_list(hooks.post_start, "hooks.post_start"),
            pre_stop: self.hook_list(hooks.pre_stop, "hooks.pre_stop"),
            post_stop: self.hook_list(hooks.post_stop, "hooks.post_stop"),
            timeout: hooks
                .timeout
                .and_then(|text| self.pause(&text, "hooks.timeout"))
                .unwrap_or(DEFAULT_HOOK_TIMEOUT),
        };
        files.append_to(&mut made);
        made
    }

    fn hook_list(&mut self, hooks: Option<Spanned<Vec<List>>>, key: &str) -> Vec<Vec<String>> {
        let Some(hooks) = hooks else { return Vec::new() };
        if let Some(beyond) = hooks.get_ref().get(MAX_HOOKS) {
            self.problem(beyond, key, &format!("more than {MAX_HOOKS} hooks"));
            return Vec::new();
        }
        hooks.into_inner().into_iter().map(|hook| self.hook(hook, key)).collect()
    }

    /// A program of the host, run as root: no search path decides which.
    fn hook(&mut self, hook: List, key: &str) -> Vec<String> {
        if let Some(program) = hook.get_ref().first().filter(|program| !program.get_ref().is_empty())
            && let Err(reason) = parse_path(program.get_ref())
        {
            self.problem(program, key, &reason);
        }
        self.command(hook, key)
    }

    /// To systemd a timeout of 0 is none; said plainly for whoever else reads it.
    fn timeout(&mut self, text: &Spanned<Scalar>, key: &str) -> Option<Timespan> {
        let span = self.timespan(text, key)?;
        Some(if span == Timespan::Finite(0) { Timespan::Infinity } else { span })
    }

    /// A span that ends.
    pub(super) fn finite(&mut self, text: &Spanned<Scalar>, key: &str) -> Option<Timespan> {
        let span = self.timespan(text, key)?;
        if span == Timespan::Infinity {
            self.problem(text, key, "must not be infinity");
            return None;
        }
        Some(span)
    }

    /// A span that ends, and not before it began.
    fn pause(&mut self, text: &Spanned<Scalar>, key: &str) -> Option<Timespan> {
        let span = self.finite(text, key)?;
        if span == Timespan::Finite(0) {
            self.problem(text, key, "must not be 0");
            return None;
        }
        Some(span)
    }
}
