// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must hold after a start with a fault, and after the stop.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use serde_json::Value;

use super::case::Case;
use crate::systemctl::comes_true;
use crate::tracer::{Fault, Point};
use crate::{Machine, Output, Snapshot};

/// Calls that a signal interrupts, see signal(7): one that was is made again, and nobody notices.
const INTERRUPTIBLE: [&str; 21] = [
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "pwrite64",
    "open",
    "openat",
    "openat2",
    "poll",
    "ppoll",
    "wait4",
    "waitid",
    "connect",
    "accept4",
    "recvmsg",
    "recvfrom",
    "sendmsg",
    "sendto",
    "futex",
    "clock_nanosleep",
];

/// PID 1's own lines about the end of a process or of a unit, see systemd.journal-fields(7): "process exited", "unit
/// failed".
const OF_PID_1: [&str; 2] = ["98e322203f7a4ed290d09fe03c09fe15", "d9b373ed55a64feb8242e02dbe79a49c"];

/// Whether a start may fail of this: not of what only happens beside the container, nor of a signal.
fn may_fail_the_start(case: Case, fault: Option<(&Point, Fault)>) -> bool {
    let is_signal = |(point, fault): (&Point, Fault)| {
        fault == Fault::Error(Errno::EINTR) && INTERRUPTIBLE.contains(&point.call_name())
    };
    matches!(case, Case::Start | Case::StartNotify | Case::PodStart)
        && fault.is_some_and(|fault| !is_signal(fault))
}

/// What the units log in one life.
pub(super) struct Journal {
    since: Duration,
}

impl Journal {
    pub(super) fn from_now() -> Self {
        Self { since: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// What is wrong with the unit after its start, in which `fault` happened.
    pub(super) fn after_start(
        &self,
        machine: &Machine,
        case: Case,
        start: &Output,
        fault: Option<(&Point, Fault)>,
    ) -> Option<String> {
        let unit = properties(machine, case.started());
        let (state, result) = (text(&unit, "ActiveState"), text(&unit, "Result"));
        match (state, result) {
            ("active", _) if !start.status.success() => Some("active after a start that failed".to_owned()),
            ("active", _) => not_alive(machine, case.started(), text(&unit, "MainPID")),
            ("failed", "timeout") => Some("a hang: ended by TimeoutStartSec=".to_owned()),
            _ if !may_fail_the_start(case, fault) => {
                Some(format!("the start should succeed: {start}{}", self.said(machine, case.unit())))
            }
            // The member of a pod that failed is not even tried.
            _ if case == Case::PodStart => self.unexplained(machine, case.unit(), fault),
            ("failed", "success") => Some("failed without a result".to_owned()),
            ("failed", _) => self.unexplained(machine, case.unit(), fault),
            _ => Some(format!("{state} ({result}) after a start that did not succeed")),
        }
    }

    /// What is wrong with the units after their stop.
    pub(super) fn after_stop(
        &self,
        machine: &Machine,
        case: Case,
        fault: Option<(&Point, Fault)>,
    ) -> Option<String> {
        let mut names = vec![case.started(), case.unit()];
        names.dedup();
        for name in names {
            let unit = properties(machine, name);
            match (text(&unit, "ActiveState"), text(&unit, "Result")) {
                ("inactive", _) => {}
                ("failed", "timeout") => return Some(format!("a hang of {name}: ended by TimeoutStopSec=")),
                // Said at its start already.
                ("failed", _) if case.is_of_start() => {}
                ("failed", _) => return self.unexplained(machine, name, fault),
                (state, result) => return Some(format!("{name} is {state} ({result}) after its stop")),
            }
        }
        None
    }

    /// A failed unit whose reason is not in the journal.
    fn unexplained(&self, machine: &Machine, unit: &str, fault: Option<(&Point, Fault)>) -> Option<String> {
        let lines = self.lines(machine, unit);
        // A signal, be it the test's own or abort(3), is PID 1's to tell; all else is the helper's.
        let by_signal = |line: &Value| {
            field(line, "MESSAGE_ID") == OF_PID_1[0]
                && ["killed", "dumped"].contains(&&*field(line, "EXIT_CODE"))
        };
        let by_helper = |line: &Value| {
            let is_error = field(line, "PRIORITY") == "3" && !field(line, "MESSAGE_ID").is_empty();
            // Where the journal's own socket was refused.
            let on_stderr =
                field(line, "_TRANSPORT") == "stdout" && field(line, "MESSAGE").starts_with("ct-helper: ");
            (field(line, "SYSLOG_IDENTIFIER") == "ct-helper" && is_error) || on_stderr
        };
        // The end of a child is the helper's to tell, its own is not.
        let killed = fault.is_some_and(|(point, fault)| fault == Fault::Kill && point.process.is_empty());
        // Before main() there is only the C library, which says what it can on stderr and exits with 127.
        let before_main = lines.iter().any(|line| field(line, "EXIT_STATUS") == "127")
            && lines.iter().any(|line| field(line, "_TRANSPORT") == "stdout");
        if before_main || lines.iter().any(|line| by_signal(line) || (!killed && by_helper(line))) {
            return None;
        }
        Some(format!("failed without a reason: {}", self.said(machine, unit)))
    }

    /// All that a unit has logged, for the message.
    fn said(&self, machine: &Machine, unit: &str) -> String {
        let said: Vec<String> = self.lines(machine, unit).iter().map(|line| field(line, "MESSAGE")).collect();
        said.join(" | ")
    }

    fn lines(&self, machine: &Machine, unit: &str) -> Vec<Value> {
        let since = format!("--since=@{}.{:06}", self.since.as_secs(), self.since.subsec_micros());
        let lines = machine.journalctl(&["--unit", unit, "--output=json", &since]);
        lines.lines().map(parse).collect()
    }
}

/// What is left of it when nothing should be.
pub(super) fn left_behind(machine: &Machine, before: &Snapshot) -> Option<String> {
    let mut left = Vec::new();
    comes_true(|| {
        left = before.difference(&machine.leaks());
        left.is_empty()
    });
    (!left.is_empty()).then(|| format!("left behind: {}", left.join(", ")))
}

/// What is wrong with the main process of an active container.
fn not_alive(machine: &Machine, unit: &str, pid: &str) -> Option<String> {
    let process = format!("/proc/{}/root/proc/{pid}", machine.pid());
    let cgroup = fs::read_to_string(format!("{process}/cgroup")).unwrap_or_default();
    let stat = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
    let is_zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    let is_inside = cgroup.trim_end().contains(&format!("/{unit}.service/payload"));
    (!is_inside || is_zombie)
        .then(|| format!("active, but its main process {pid} is not alive in payload/: {cgroup}{stat}"))
}

fn properties(machine: &Machine, unit: &str) -> BTreeMap<String, String> {
    let argv = ["systemctl", "show", "-p", "ActiveState", "-p", "Result", "-p", "MainPID", unit];
    let text = machine.run(argv).succeeds().stdout;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn text<'a>(unit: &'a BTreeMap<String, String>, property: &str) -> &'a str {
    unit.get(property).map_or("", String::as_str)
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_default()
}

fn field(line: &Value, name: &str) -> String {
    line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
