// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper killed, or refused a system call, at any point of a start: is the unit either up with its init or failed
//! with a reason, is nothing left behind, and does the next start work at once?

use std::collections::BTreeMap;
use std::fmt::Write;

use ct_tests::{Machine, on_every_machine};

/// A container that uses most of what a start does: layers, an upper layer, mounts, an account.
const CONTAINER: &str = "user = \"ct-web\"\n\
    [root]\nlayers = [\"base\", \"app\"]\nwritable = \"ephemeral\"\n\
    [process]\ncommand = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\nuser = \"www-data\"\n\
    [[mount]]\nsource = \"/srv/data\"\ntarget = \"/mnt\"\n\
    [stop]\ntimeout = \"5s\"\n";

/// What is done to a system call, in strace(1)'s words, and how often: every n-th point.
const FAULTS: [(&str, usize); 4] =
    [("signal=SIGKILL", 7), ("error=ENOSPC", 17), ("error=ENOMEM", 19), ("error=EPERM", 23)];

fn prepare(machine: &Machine) {
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
    machine.busybox_rootfs("/var/lib/ct/layers/base");
    machine.shell("mkdir -p /var/lib/ct/layers/app/etc /srv/data /var/lib/ct/layers/base/mnt; systemctl start ct.slice")
        .succeeds();
    machine.container("web", CONTAINER);
    machine.daemon_reload();
}

/// Has the unit run the helper under strace with these options; none takes the drop-in away.
fn under_strace(machine: &Machine, options: Option<&str>) {
    let path = "/run/systemd/system/ct@web.service.d/strace.conf";
    match options {
        None => machine.shell(&format!("rm -f {path}")).succeeds(),
        Some(options) => {
            // -D: the helper, not strace, is the main process.
            let drop_in = format!(
                "[Service]\nTimeoutStartSec=20s\nExecStart=\nExecStart=/usr/bin/strace -D -f -qq {options} /usr/libexec/ct/ct-helper start %i\n"
            );
            machine.write_file(path, 0o644, drop_in);
            machine.shell("true")
        }
    };
    machine.daemon_reload();
}

/// Every (call, ordinal) of the helper and its reaper in one good start, in order; the runtime's own are left out.
fn points(machine: &Machine) -> Vec<(String, usize)> {
    under_strace(machine, Some("-o /tmp/trace"));
    machine.start("ct@web");
    machine.stop("ct@web");
    under_strace(machine, None);
    let trace = machine.read_file("/tmp/trace");
    // strace counts ordinals per process; a line is PID CALL(ARGUMENTS) = RESULT.
    let mut helper = None;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if !call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        if *helper.get_or_insert_with(|| pid.to_owned()) != pid {
            continue;
        }
        let count = counts.entry(call.to_owned()).or_default();
        *count += 1;
        points.push((call.to_owned(), *count));
    }
    points
}

/// The unit's state after a start with a fault: what is wrong with it, if anything.
fn wrong(machine: &Machine) -> Option<String> {
    // A handed-over or failed unit settles by itself; "activating" would be a hang.
    machine.wait_until("case $(systemctl show --value -p ActiveState ct@web) in active | failed | inactive) ;; *) exit 1;; esac");
    let state = machine.show("ct@web", "ActiveState");
    let result = machine.show("ct@web", "Result");
    match (state.as_str(), result.as_str()) {
        ("active", _) => {
            let pid = machine.main_pid("ct@web");
            let cgroup = machine.shell(&format!("cat /proc/{pid}/cgroup")).stdout;
            (!cgroup.contains("0::/ct.slice/ct@web.service/payload"))
                .then(|| format!("active with main process {pid} in {cgroup}"))
        }
        ("failed", "success") => Some("failed without a reason".to_owned()),
        ("failed", _) => None,
        (state, result) => Some(format!("{state} ({result}) after a start that did not succeed")),
    }
}

on_every_machine! {
    fn a_fault_at_any_system_call_leaves_nothing_behind(machine: &Machine) {
        prepare(machine);
        let points = points(machine);
        assert!(points.len() > 100, "a start should have more than {} system calls", points.len());
        let before = machine.leaks();
        let mut violations = String::new();
        let mut tried = 0;
        for (fault, step) in FAULTS {
            for (call, ordinal) in points.iter().skip(step / 2).step_by(step) {
                // A fault in strace's own exec of the helper is no fault of the helper.
                if call == "execve" {
                    continue;
                }
                tried += 1;
                under_strace(machine, Some(&format!("-o /dev/null -e inject={call}:{fault}:when={ordinal}")));
                machine.try_start("ct@web");
                let what = wrong(machine);
                machine.run(["systemctl", "stop", "ct@web"]);
                machine.run(["systemctl", "reset-failed", "ct@web"]);
                let left = if before.difference(&machine.leaks()).is_empty() { None } else { Some(machine.leaks()) };
                if let Some(what) = what {
                    writeln!(violations, "{fault} at {call} #{ordinal}: {what}").unwrap();
                }
                if left.is_some() {
                    machine.assert_no_leaks(&before);
                }
            }
        }
        under_strace(machine, None);
        machine.start("ct@web");
        machine.stop("ct@web");
        machine.assert_no_leaks(&before);
        println!("{tried} faults at {} points, {} violations", points.len(), violations.lines().count());
        assert_eq!(violations, "", "of {tried} faults");
    }

    fn a_container_killed_whole_leaves_nothing_and_starts_again(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for _ in 0..5 {
            machine.start("ct@web");
            machine.shell("echo 1 >/sys/fs/cgroup/ct.slice/ct@web.service/cgroup.kill").succeeds();
            machine.wait_for("ct@web", "ActiveState", "failed");
        }
        machine.run(["systemctl", "reset-failed", "ct@web"]).succeeds();
        machine.assert_no_leaks(&before);
    }

    fn mounts_are_never_seen_by_pid_1(machine: &Machine) {
        prepare(machine);
        let before = machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout;
        machine.start("ct@web");
        assert_eq!(machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout, before);
        machine.stop("ct@web");
        // An administrator who switches the private mount namespace off still gets one.
        machine.write_file("/etc/systemd/system/ct@web.service.d/90.conf", 0o644, "[Service]\nPrivateMounts=no\n");
        machine.daemon_reload();
        machine.start("ct@web");
        assert_eq!(machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout, before);
        machine.stop("ct@web");
    }

    fn what_a_crash_left_in_the_run_directory_is_cleared(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /run/ct/web/runtime/containers/web /run/ct/web/bundle; echo x >/run/ct/web/pid").succeeds();
        machine.start("ct@web");
        machine.stop("ct@web");
        machine.shell("test ! -e /run/ct/web").succeeds();
    }

    fn an_unwritable_run_directory_fails_the_start_with_its_reason(machine: &Machine) {
        prepare(machine);
        // A full /run: what the helper writes there does not fit.
        machine.shell("mkdir -p /run/ct && mount -t tmpfs -o size=8k,nr_inodes=6 full /run/ct").succeeds();
        let output = machine.try_start("ct@web");
        assert!(!output.status.success());
        let journal = machine.journalctl(&["--unit", "ct@web", "--identifier", "ct-helper", "--output", "cat"]);
        assert!(journal.to_lowercase().contains("no space left on device"), "{journal}");
        machine.shell("umount /run/ct").succeeds();
        machine.run(["systemctl", "reset-failed", "ct@web"]);
        machine.start("ct@web");
    }
}
