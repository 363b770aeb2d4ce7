// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of systemctl(1) and journalctl(1).

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Inside, Output};

/// How long a state may take to come, also on a busy computer; a state that is there already costs one look.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between the first two looks at a state.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Between two later ones: each takes a process or two, which what is waited for has to share the processors with.
const LONGEST_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until a container's init has executed its program, and, where that is a shell that heeds SIGTERM, until it does:
/// what process 1 has no handler for it never sees, see pid_namespaces(7). A runtime is done before. The signal is the third
/// bit of the fourth digit, see proc_pid_status(5).
const SETTLED: &str = r#"
    case $1 in ct@*) ;; *) exit 0 ;; esac
    pid=$(systemctl show --value --property MainPID "$1") && cd "/proc/$pid" 2>/dev/null || exit 0
    while read -r comm <comm; do
        case $comm in
        *crun* | *runc* | *youki*) ;;
        *)
            case $(tr '\0' ' ' <cmdline) in *"trap '"[!\']*"' "*TERM*) ;; *) exit 0 ;; esac
            grep -q '^SigCgt:.*[4567cdef]...$' status && exit 0
            ;;
        esac
        sleep 0.02
    done 2>/dev/null
    exit 0
"#;

/// Whether a program of several threads has nothing more to do: it is not asked to go on by what PID 1, or the bus, had to
/// answer before.
const AT_REST: &str = r#"
    cd "/proc/$1" && [ "$(ls task | wc -l)" -gt 1 ] && before=$(grep -h ctxt task/*/status) && sleep 0.1 &&
        busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping &&
        ! grep -q '^State:.[^S]' task/*/status && [ "$before" = "$(grep -h ctxt task/*/status)" ]
"#;

impl dyn Inside {
    /// Has PID 1 run the generators and load all units anew.
    ///
    /// # Panics
    /// When systemctl fails.
    #[track_caller]
    pub fn daemon_reload(&self) {
        self.run(["systemctl", "daemon-reload"]).succeeds();
    }

    /// Starts a unit, and waits for the job; and for a container until it heeds SIGTERM, if it will.
    ///
    /// # Panics
    /// When the job fails, with the unit's own last words.
    #[track_caller]
    pub fn start(&self, unit: &str) {
        self.starts("start", unit);
    }

    /// Starts a unit anew, and waits as `start` does.
    ///
    /// # Panics
    /// When the job fails, with the unit's own last words.
    #[track_caller]
    pub fn restart(&self, unit: &str) {
        self.starts("restart", unit);
    }

    #[track_caller]
    fn starts(&self, verb: &str, unit: &str) {
        let output =
            self.run(["sh", "-c", &format!("systemctl {verb} \"$1\" || exit\n{SETTLED}"), "sh", unit]);
        assert!(output.status.success(), "should {verb} {unit}: {output}\n{}", self.journal(unit));
    }

    /// Waits until a container that somebody else has started heeds SIGTERM, if it will: before that it would have to be
    /// killed.
    ///
    /// # Panics
    /// When systemctl cannot be run.
    #[track_caller]
    pub fn settle(&self, unit: &str) {
        self.run(["sh", "-c", SETTLED, "sh", unit]).succeeds();
    }

    /// Starts a unit, and waits for the job, which may fail.
    ///
    /// # Panics
    /// When systemctl cannot be run.
    #[track_caller]
    pub fn try_start(&self, unit: &str) -> Output {
        self.run(["systemctl", "start", unit])
    }

    /// Stops a unit, and waits for the job.
    ///
    /// # Panics
    /// When the job fails.
    #[track_caller]
    pub fn stop(&self, unit: &str) {
        self.run(["systemctl", "stop", unit]).succeeds();
    }

    /// One property of a unit, as `systemctl show` prints it.
    ///
    /// # Panics
    /// When systemctl fails.
    #[track_caller]
    #[must_use]
    pub fn show(&self, unit: &str, property: &str) -> String {
        let output = self.run(["systemctl", "show", "--value", "--property", property, unit]).succeeds();
        output.stdout.trim_end_matches('\n').to_owned()
    }

    /// One property of a unit, as a number.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn show_number(&self, unit: &str, property: &str) -> u64 {
        let value = self.show(unit, property);
        value.parse().unwrap_or_else(|_| panic!("{property} of {unit} should be a number: `{value}`"))
    }

    /// The main process of a unit, as the machine counts.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn main_pid(&self, unit: &str) -> u64 {
        let pid = self.show_number(unit, "MainPID");
        assert_ne!(pid, 0, "{unit} should have a main process");
        pid
    }

    /// Kills the main process of a service that starts again by itself, and waits until another one serves.
    ///
    /// # Panics
    /// When there is none, or no other comes in time.
    #[track_caller]
    pub fn kill_service(&self, unit: &str) {
        let pid = self.main_pid(unit);
        self.run(["kill", "-KILL", &pid.to_string()]).succeeds();
        self.wait_for_another(unit, pid);
    }

    /// Waits until a unit is active with another main process than this one; which.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn wait_for_another(&self, unit: &str, pid: u64) -> u64 {
        self.wait_until(&format!(
            "pid=$(systemctl show --value -p MainPID {unit}); [ $pid != {pid} ] && [ $pid != 0 ] && \
             systemctl is-active -q {unit}"
        ));
        self.settle(unit);
        self.main_pid(unit)
    }

    /// Waits until a unit's property has this value.
    ///
    /// # Panics
    /// When it does not in time, with the unit's status.
    #[track_caller]
    pub fn wait_for(&self, unit: &str, property: &str, value: &str) {
        let mut seen = String::new();
        let came = comes_true(|| {
            seen = self.show(unit, property);
            seen == value
        });
        if !came {
            let status = self.run(["systemctl", "status", unit]).stdout;
            panic!("{property} of {unit} should become `{value}`, is `{seen}`\n{status}");
        }
    }

    /// Waits until what a test sees for itself is so.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn wait_until_true(&self, condition: impl FnMut() -> bool) {
        assert!(comes_true(condition), "what the test waits for does not come");
    }

    /// Waits until a shell command inside succeeds, where no property of a unit tells.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn wait_until(&self, condition: &str) {
        let came = comes_true(|| self.shell(condition).status.success());
        assert!(came, "should come true: {condition}");
    }

    /// Waits until a unit, or one of its processes, has logged this line.
    ///
    /// # Panics
    /// When it has not in time.
    #[track_caller]
    pub fn wait_for_line(&self, unit: &str, line: &str) {
        self.wait_until(&format!(
            "journalctl --sync; journalctl -q -u {unit} -o cat | grep -qxF -- \"{line}\""
        ));
    }

    /// Waits until a process that talks to systemd only waits.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn wait_until_at_rest(&self, pid: &str) {
        let is_at_rest = || self.run(["sh", "-c", AT_REST, "sh", pid]).status.success();
        assert!(comes_true(is_at_rest), "process {pid} should come to rest");
    }

    /// What a unit and its processes logged, one message a line.
    ///
    /// # Panics
    /// When journalctl fails.
    #[track_caller]
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        self.journalctl(&["--unit", unit, "--output", "cat"])
    }

    /// The same with every field, oldest first.
    ///
    /// # Panics
    /// When journalctl fails.
    #[track_caller]
    #[must_use]
    pub fn journal_entries(&self, unit: &str) -> Vec<Value> {
        let lines = self.journalctl(&["--unit", unit, "--output", "json"]);
        lines.lines().map(|line| serde_json::from_str(line).expect("journalctl prints JSON")).collect()
    }

    /// Has the journal forget all that was logged so far.
    ///
    /// # Panics
    /// When journalctl fails.
    #[track_caller]
    pub fn forget_journal(&self) {
        let script =
            "journalctl --sync && journalctl --rotate && rm -f /run/log/journal/*/*@* /var/log/journal/*/*@*";
        self.shell(script).succeeds();
    }

    /// What journalctl prints, once everything sent before is written.
    ///
    /// # Panics
    /// When journalctl fails.
    #[track_caller]
    #[must_use]
    pub fn journalctl(&self, options: &[&str]) -> String {
        self.run(["journalctl", "--sync"]).succeeds();
        self.run(["journalctl", "--quiet", "--no-pager"].iter().chain(options)).succeeds().stdout
    }
}

/// Looks again and again, for a while: the longer it takes, the seldomer.
pub(crate) fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut interval = SHORTEST_INTERVAL;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(interval);
        interval = (interval * 3 / 2).min(LONGEST_INTERVAL);
    }
}
