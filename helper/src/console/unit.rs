// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PID 1 says of the container's unit, by way of systemctl(1): whether there will be another life.
//!
//! Nothing in the unit files could tell PID 1 when the service is done. By `StopWhenUnneeded=`, a config that is edited and
//! read again takes the terminal away from a running container; by `PropagatesStopTo=`, a kill of the service stops it.
//! So the service looks itself, and only while no container has its terminal.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sys;

/// How soon after an end the first look is, and how far apart the later ones get.
const FIRST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(2);
/// Before it is looked whether systemctl has ended.
const CHILD: Duration = Duration::from_millis(10);
/// How long PID 1 may take to answer, in milliseconds.
const PATIENCE: u16 = 5_000;

/// Looks, less and less often.
#[derive(Debug)]
pub(super) struct UnitWatch {
    unit: String,
    asked: Option<Child>,
    next: Instant,
    pause: Duration,
}

impl UnitWatch {
    /// From now on.
    pub(super) fn of(name: &str) -> Self {
        Self { unit: format!("ct@{name}.service"), asked: None, next: Instant::now() + FIRST, pause: FIRST }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Instant {
        self.next
    }

    /// Looks when it is time; whether there will be no other life than that of this invocation (or none at all).
    pub(super) fn is_done(&mut self, invocation: Option<&str>) -> bool {
        if Instant::now() < self.next {
            return false;
        }
        let Some(mut asked) = self.asked.take() else {
            let properties = "ActiveState,Job,InvocationID";
            self.asked = systemctl(&["show", "--property", properties, &self.unit]).spawn().ok();
            self.next = Instant::now() + if self.asked.is_some() { CHILD } else { self.pause };
            return false;
        };
        match asked.try_wait() {
            Ok(None) => {
                self.asked = Some(asked);
                self.next = Instant::now() + CHILD;
                false
            }
            _ended => {
                self.pause = (self.pause * 2).min(LATEST);
                self.next = Instant::now() + self.pause;
                let mut text = String::new();
                let read = asked.stdout.take().map(|mut stdout| stdout.read_to_string(&mut text));
                matches!(read, Some(Ok(_))) && is_done(&text, invocation)
            }
        }
    }
}

/// One that was asked and is not listened to any more would stay a zombie.
impl Drop for UnitWatch {
    fn drop(&mut self) {
        if let Some(mut asked) = self.asked.take() {
            let _ = asked.kill();
            let _ = asked.wait();
        }
    }
}

/// `ActiveState=inactive`, `Job=17`, ... a line each.
fn is_done(text: &str, invocation: Option<&str>) -> bool {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let has_job = value("Job").is_some_and(|job| !matches!(job, "" | "0"));
    match value("ActiveState") {
        Some("inactive" | "failed") => !has_job,
        // It is there, and has no terminal: it would have handed it over before.
        Some("active") => value("InvocationID") != invocation,
        _ => false,
    }
}

/// Whether PID 1 wants the service to stop, and not to start again.
pub(super) fn is_to_stop(name: &str) -> bool {
    let unit = format!("ct-console@{name}.service");
    answer(&["list-jobs", "--no-legend", "--plain", &unit]).is_ok_and(|jobs| is_stopping(&jobs, &unit))
}

/// `17 ct-console@web.service stop running`
fn is_stopping(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [_, name, "stop", _] if *name == unit)
    })
}

/// The `INVOCATION_ID` of the container's unit; empty if PID 1 does not say.
pub(super) fn invocation(name: &str) -> String {
    let shown = answer(&["show", "--property", "InvocationID", "--value", &format!("ct@{name}.service")]);
    shown.map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

/// Has PID 1 stop the container, in good order.
pub(super) fn stop_container(name: &str) -> io::Result<()> {
    answer(&["stop", "--no-block", &format!("ct@{name}.service")]).map(drop)
}

/// Has PID 1 start the service, if it should be there and is not.
pub(super) fn start_service(unit: &str) -> io::Result<()> {
    answer(&["start", "--no-block", unit]).map(drop)
}

/// What systemctl prints, which is little.
fn answer(arguments: &[&str]) -> io::Result<String> {
    let mut child = systemctl(arguments).spawn()?;
    let pidfd = sys::pidfd_open(child.id().cast_signed())?;
    if !sys::ends_within(&pidfd, PATIENCE)? {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn systemctl(arguments: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.args(arguments).args(["--no-pager", "--no-ask-password"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // What PID 1 tells this process is for it alone.
    command.env_clear().env("PATH", crate::runtime::call::SEARCH_PATH);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_when_there_will_be_no_other_life() {
        let state =
            |state: &str, job: &str, id: &str| format!("Job={job}\nInvocationID={id}\nActiveState={state}\n");
        assert!(is_done(&state("inactive", "", "a"), Some("a")));
        assert!(is_done("ActiveState=failed\n", None));
        assert!(!is_done(&state("inactive", "17", ""), None), "it is about to start");
        assert!(!is_done(&state("activating", "17", "b"), Some("a")), "it starts");
        assert!(!is_done(&state("activating", "", "a"), Some("a")), "it waits for its restart");
        assert!(!is_done(&state("deactivating", "18", "a"), Some("a")));
        assert!(!is_done(&state("active", "", "a"), Some("a")), "PID 1 has not seen its end yet");
        assert!(is_done(&state("active", "", "b"), Some("a")), "it has started without a terminal");
        assert!(is_done(&state("active", "", "b"), None));
        assert!(!is_done("", Some("a")), "no answer is none");
    }

    #[test]
    fn a_stop_is_told_from_a_restart() {
        let unit = "ct-console@web.service";
        assert!(is_stopping("17 ct-console@web.service stop running\n", unit));
        assert!(!is_stopping("17 ct-console@web.service restart running\n", unit));
        assert!(!is_stopping("18 ct@web.service stop running\n", unit));
        assert!(!is_stopping("", unit));
    }
}
