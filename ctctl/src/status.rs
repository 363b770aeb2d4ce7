// SPDX-License-Identifier: MIT OR Apache-2.0
//! `status`: one container in words, with limits and score as they really are, and the last lines of its log.

pub(crate) mod limits;
mod report;
mod words;

use clap::Args;

use crate::amount;
use crate::configs::{Configs, Verdict};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::journal;
use crate::names::resolve;
use crate::output::{print, print_json, safe};
use crate::phase::Phase;
use report::{Report, Used};

/// Show what containers do, in words, with their limits as they really are and the last lines of their logs
///
/// The exit code is 0 if all of them run, 3 if one does not, 4 if there is no such container.
///
/// With --json an array of objects. Limits are numbers or "infinity"; memory is in bytes, cpu in microseconds, moments in
/// microseconds since the epoch; null is what is unknown, of a limit of memory or tasks that there is none. With --host,
/// whatever is in files is null.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How many lines of the log to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// `ctctl status`
pub fn status(arguments: &StatusArguments, context: &Context) -> Result<Status, Error> {
    // Without systemd there is nothing to say of any.
    context.systemd()?;
    let configs = context.host().is_none().then(|| Configs::read(context));
    let mut reports = Vec::with_capacity(arguments.names.len());
    if context.host().is_none() {
        journal::sync();
    }
    let mut status = Status::Done;
    for name in &arguments.names {
        let gathered = resolve(name, context)
            .and_then(|name| Report::gather(&name, configs.as_ref(), context, arguments.lines));
        match gathered {
            Ok(report) => {
                let runs = matches!(report.state, Phase::Running | Phase::Frozen);
                status = status.and(if runs { Status::Done } else { Status::NotRunning });
                reports.push(report);
            }
            Err(error) => {
                error.report();
                status = status.and(error.status());
            }
        }
    }
    if arguments.json {
        print_json(&reports)?;
    } else {
        let texts: Vec<String> = reports.iter().map(render).collect();
        print(&texts.join("\n"))?;
    }
    Ok(status)
}

/// For a person.
fn render(report: &Report) -> String {
    let mut text = format!("{} - {}\n", report.name, safe(&report.description));
    for (label, value) in lines(report) {
        text.push_str(&format!("{label:>9}: {}\n", safe(&value)));
    }
    if let Some(log) = report.log.as_ref().filter(|log| !log.is_empty()) {
        text.push('\n');
        // Safe since it was read.
        log.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    text
}

/// Each with its label; what is unknown has no line.
fn lines(report: &Report) -> Vec<(&'static str, String)> {
    let mut lines = vec![("state", report.summary.clone())];
    let mut add = |label, value: Option<String>| lines.extend(value.map(|value| (label, value)));
    add("says", report.status_text.clone());
    add("pid", report.pid.map(|pid| pid.to_string()));
    add("restarts", Some(report.restarts).filter(|count| *count > 0).map(|count| count.to_string()));
    let kills = report.oom_kills.filter(|kills| *kills > 0);
    add("killed", kills.map(|kills| format!("{kills} of its processes, for want of memory")));
    let place = report.slice.as_ref().map(|slice| format!("{} in {slice}", report.unit));
    add("unit", Some(place.unwrap_or_else(|| report.unit.clone())));
    let account = report.account.as_ref().filter(|account| *account != "root");
    let account = account.map(|account| format!(", run by {account}")).unwrap_or_default();
    let pod = report.pod.as_ref().map(|pod| format!(", in the pod {pod}")).unwrap_or_default();
    add("runtime", report.runtime.as_ref().map(|runtime| format!("{runtime}{account}{pod}")));
    add("config", report.config.map(|verdict| config(report, verdict)));
    report.problems.iter().for_each(|problem| add("", Some(problem.clone())));
    add(
        "boot",
        report.autostart.map(|starts| if starts { "starts it" } else { "does not start it" }.to_owned()),
    );
    add("ready", ready(report));
    let peak =
        report.memory_peak.map(|peak| format!(", at most {}", amount::bytes(peak))).unwrap_or_default();
    add("memory", used(&report.memory, amount::bytes).map(|used| format!("{used}{peak}")));
    add("tasks", used(&report.tasks, |number| number.to_string()));
    add("cpu", report.cpu.map(amount::span));
    add("oom score", report.oom_score_adjust.map(|score| format!("adjusted by {score}")));
    add(
        "limits",
        report.limits.as_ref().map(|limits| {
            let texts: Vec<String> = limits.iter().map(|(name, limit)| format!("{name} {limit}")).collect();
            texts.join(", ")
        }),
    );
    lines
}

fn config(report: &Report, verdict: Verdict) -> String {
    match &report.config_file {
        Some(file) => format!("{} ({})", file.display(), verdict.explained()),
        None => verdict.explained().to_owned(),
    }
}

fn ready(report: &Report) -> Option<String> {
    let words = match (report.ready_when?, report.ready) {
        ("command", Some(true)) => "yes, ready.command has succeeded",
        ("command", Some(false)) => "not yet, ready.command has not succeeded",
        ("command", None) => "when ready.command succeeds",
        ("notify", Some(true)) => "yes, the container has said READY=1",
        ("notify", Some(false)) => "not yet, the container has not said READY=1",
        ("notify", None) => "when the container says READY=1",
        _ => return None,
    };
    Some(words.to_owned())
}

fn used(used: &Used, shown: impl Fn(u64) -> String) -> Option<String> {
    let limit = used.limit.map(|limit| format!(" of {}", shown(limit))).unwrap_or_default();
    used.current.map(|current| format!("{}{limit}", shown(current)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report in which every text is this one.
    fn report(text: &str) -> Report {
        let owned = || Some(text.to_owned());
        let unknown = || Used { current: None, limit: None };
        Report {
            name: "web".to_owned(),
            unit: "ct@web.service".to_owned(),
            description: text.to_owned(),
            state: Phase::Running,
            summary: text.to_owned(),
            active_state: text.to_owned(),
            sub_state: text.to_owned(),
            result: text.to_owned(),
            since: None,
            pid: Some(7),
            ready: Some(true),
            ready_when: Some("command"),
            status_text: owned(),
            waits_for: Vec::new(),
            last_exit: None,
            oom_kills: Some(0),
            oom_killed: false,
            restarts: 0,
            oom_score_adjust: Some(-5),
            limits: None,
            memory: unknown(),
            memory_peak: None,
            tasks: unknown(),
            cpu: Some(1_000_000),
            slice: owned(),
            runtime: owned(),
            account: owned(),
            pod: owned(),
            autostart: Some(false),
            config: Some(Verdict::Invalid),
            config_file: Some(text.into()),
            problems: vec![text.to_owned()],
            log: Some(vec!["the last line".to_owned()]),
        }
    }

    #[test]
    fn what_is_unknown_has_no_line() {
        let report =
            Report { memory: Used { current: Some(3 << 20), limit: Some(64 << 20) }, ..report("text") };
        let text = render(&report);
        assert!(text.contains("\n   memory: 3M of 64M\n"), "{text}");
        assert!(text.contains("\n    ready: yes, ready.command has succeeded\n"), "{text}");
        assert!(!text.contains("tasks:") && !text.contains("limits:"), "{text}");
        assert!(text.ends_with("\n\nthe last line\n"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn no_report_is_an_order(chars: Vec<char>) {
            let text: String = chars.into_iter().collect();
            let lines = render(&report("x")).lines().count();
            let shown = render(&report(&text));
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
            assert_eq!(shown.lines().count(), lines, "{shown:?}");
        }
    }
}
