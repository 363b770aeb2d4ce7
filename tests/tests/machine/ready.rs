// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readiness: when does a container count as started, and what happens to a start that waits?

use ct_tests::{Machine, on_every_machine};

/// A container of one of the two runtimes that becomes ready some time after it started.
fn container(runtime: &str, script: &str, more: &str) -> String {
    format!(
        "runtime = \"{runtime}\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}"
    )
}

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.run(["systemctl", "start", "ct.slice"]).succeeds();
}

/// The helper's own lines about a container.
fn said(machine: &Machine, name: &str) -> String {
    machine.journalctl(&["--unit", &format!("ct@{name}"), "--identifier", "ct-helper", "--output", "cat"])
}

on_every_machine! {
    fn a_start_waits_for_the_command_to_succeed(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            machine.container(
                "db",
                &container(
                    runtime,
                    "trap 'exit 0' TERM; rm -f /tmp/go; while [ ! -e /tmp/let ]; do sleep 0.1; done; touch /tmp/go; sleep 1000 & wait",
                    "[ready]\ncommand = [\"test\", \"-e\", \"/tmp/go\"]\ninterval = \"50ms\"\n",
                ),
            );
            machine.daemon_reload();
            machine.shell("rm -f /srv/rootfs/tmp/let").succeeds();
            machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
            machine.wait_until("systemctl status ct@db | grep -q 'Waiting until ready: test -e /tmp/go: exit status 1'");
            assert_eq!(machine.show("ct@db", "ActiveState"), "activating");
            machine.shell("touch /srv/rootfs/tmp/let").succeeds();
            machine.wait_for("ct@db", "ActiveState", "active");
            assert_eq!(machine.show("ct@db", "StatusText"), "", "the status of the start is over");
            let main = machine.main_pid("ct@db");
            let cgroup = machine.shell(&format!("cat /proc/{main}/cgroup")).stdout;
            assert!(cgroup.contains("/ct@db.service/payload"), "{cgroup}");
            // Nothing of the probes is left: neither process nor group.
            machine.shell("! ls /sys/fs/cgroup/ct.slice/ct@db.service/payload | grep ct-job").succeeds();
            machine.stop("ct@db");
            assert_eq!(machine.show("ct@db", "Result"), "success");
        }
        machine.assert_no_leaks(&before);
    }

    fn one_that_is_never_ready_fails_with_75_and_the_reason(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        machine.container(
            "db",
            &container("crun", IDLE, "[ready]\ncommand = [\"sh\", \"-c\", \"echo no connection; exit 3\"]\ntimeout = \"5s\"\n"),
        );
        machine.daemon_reload();
        assert!(!machine.try_start("ct@db").status.success());
        assert_eq!(machine.show("ct@db", "ExecMainStatus"), "75");
        let said = said(machine, "db");
        assert!(said.contains("not ready after 5s: sh -c echo no connection; exit 3: exit status 3: no connection"), "{said}");
        machine.run(["systemctl", "reset-failed", "ct@db"]).succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_container_that_ends_while_it_is_waited_for_fails_at_once_with_its_status(machine: &Machine) {
        prepare(machine);
        for (end, code, status) in [("exit 7", "1", "7"), ("kill -9 $$; sleep 1", "1", "0"), ("exit 0", "1", "0")] {
            // Killing oneself as process 1 has no effect: then it exits with 0 after all.
            machine.container(
                "db",
                &container("crun", &format!("until rm /tmp/go 2>/dev/null; do sleep 0.1; done; {end}"), "[ready]\ncommand = [\"false\"]\ntimeout = \"5min\"\n"),
            );
            machine.daemon_reload();
            let start = machine.command(["systemctl", "start", "ct@db"]).spawn();
            machine.wait_until("systemctl status ct@db | grep -q 'Waiting until ready: false: exit status 1'");
            machine.shell("touch /srv/rootfs/tmp/go").succeeds();
            assert!(!start.wait().status.success(), "{end}");
            assert_eq!(machine.show("ct@db", "ActiveState"), "failed", "{end}");
            assert_eq!(machine.show("ct@db", "ExecMainCode"), code, "{end}");
            assert_eq!(machine.show("ct@db", "ExecMainStatus"), status, "{end}");
            let said = said(machine, "db");
            assert!(said.contains(&format!("the container's init ended with status {status} before it was ready")), "{said}");
        }
    }

    fn a_probe_that_hangs_forks_or_floods_is_killed_with_all_it_started(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        let probes = [
            ("hangs", "trap '' TERM; while :; do sleep 1; done", "700ms", "its time was over"),
            ("forks", "for i in 1 2 3; do setsid sleep 4242 & done; trap '' TERM; sleep 4243", "700ms", "its time was over"),
            ("floods", "yes", "1min", "printed too much"),
        ];
        for runtime in ["crun", "runc"] {
            for (name, probe, timeout, reason) in probes {
                let more = format!("[ready]\ncommand = [\"sh\", \"-c\", \"{probe}\"]\ncommand_timeout = \"{timeout}\"\ninterval = \"1min\"\ntimeout = \"5min\"\n");
                machine.container("db", &container(runtime, IDLE, &more));
                machine.daemon_reload();
                machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
                machine.wait_until(&format!("systemctl status ct@db | grep -q 'killed, .*{reason}'"));
                machine.wait_until("! ls /sys/fs/cgroup/ct.slice/ct@db.service/payload | grep ct-job");
                // The shell and its sleep are alone.
                let left = "ps -o comm= -p $(cat $(find /sys/fs/cgroup/ct.slice/ct@db.service/payload -name cgroup.procs) | paste -sd,)";
                machine.wait_until(&format!("test \"$({left} | sort | paste -sd,)\" = sh,sleep"));
                assert_eq!(machine.show("ct@db", "ActiveState"), "activating", "{name}");
                machine.stop("ct@db");
            }
        }
        machine.assert_no_leaks(&before);
    }

    fn a_stop_during_the_wait_reaches_the_container(machine: &Machine) {
        prepare(machine);
        for signal in ["SIGTERM", "SIGRTMIN+4", "SIGWINCH"] {
            let script = "trap 'echo told to stop >/tmp/told; exit 0' TERM WINCH; trap 'echo told to stop >/tmp/told; exit 0' 38; touch /tmp/up; sleep 1000 & wait";
            machine.container(
                "db",
                &container("crun", script, &format!("[ready]\ncommand = [\"false\"]\ntimeout = \"5min\"\n[stop]\nsignal = \"{signal}\"\n")),
            );
            machine.daemon_reload();
            machine.shell("rm -f /srv/rootfs/tmp/told /srv/rootfs/tmp/up").succeeds();
            machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
            machine.wait_until("test -e /srv/rootfs/tmp/up && systemctl status ct@db | grep -q 'Waiting until ready: false: exit status 1'");
            machine.stop("ct@db");
            assert_eq!(machine.shell("cat /srv/rootfs/tmp/told").stdout, "told to stop\n", "{signal}");
            assert_eq!(machine.show("ct@db", "Result"), "success", "{signal}");
        }
    }

    fn a_long_wait_is_not_cut_short_by_the_units_own_timeout(machine: &Machine) {
        prepare(machine);
        machine.container(
            "db",
            &container("crun", "sleep 7; touch /tmp/up; trap 'exit 0' TERM; sleep 1000 & wait", "[ready]\ncommand = [\"test\", \"-e\", \"/tmp/up\"]\n[systemd.service]\nTimeoutStartSec = \"5s\"\n"),
        );
        machine.daemon_reload();
        machine.start("ct@db");
        assert_eq!(machine.show("ct@db", "ActiveState"), "active");
    }

    fn probes_work_through_an_account(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; chown -R 200000:200000 /srv/rootfs").succeeds();
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            let more = "[ready]\ncommand = [\"sh\", \"-c\", \"test $(id -u) = 0 && test -e /proc/1/stat\"]\n";
            machine.container("db", &format!("user = \"ct-web\"\n{}", container(runtime, IDLE, more)));
            if runtime == "runc" {
                machine.shell("chown -R ct-web:ct-web /srv/rootfs").succeeds();
            }
            machine.daemon_reload();
            machine.start("ct@db");
            // The right to move processes was only lent.
            assert_eq!(machine.shell("stat -c %u /sys/fs/cgroup/ct.slice/ct@db.service/cgroup.procs").stdout, "0\n");
            machine.stop("ct@db");
        }
        machine.assert_no_leaks(&before);
    }

    fn a_probe_that_its_account_moved_away_is_killed_all_the_same(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; chown -R 200000:200000 /srv/rootfs").succeeds();
        let before = machine.leaks();
        let more = "[ready]\ncommand = [\"sleep\", \"1000\"]\ntimeout = \"10s\"\n";
        machine.container("db", &format!("user = \"ct-web\"\n{}", container("crun", IDLE, more)));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
        let payload = "/sys/fs/cgroup/ct.slice/ct@db.service/payload";
        // The runtime's process and the command.
        machine.wait_until(&format!("test $(cat {payload}/ct-job-*/cgroup.procs | wc -l) -ge 2"));
        let moves = format!("for pid in $(cat {payload}/ct-job-*/cgroup.procs); do echo $pid >{payload}/cgroup.procs; done");
        machine.run(["setpriv", "--reuid", "ct-web", "--regid", "ct-web", "--clear-groups", "sh", "-c", &moves]).succeeds();
        machine.wait_for("ct@db", "ActiveState", "failed");
        assert_eq!(machine.show("ct@db", "ExecMainStatus"), "75");
        machine.shell("systemctl reset-failed ct@db").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_probe_that_cannot_be_run_now_is_run_again(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; chown -R 200000:200000 /srv/rootfs").succeeds();
        let before = machine.leaks();
        let more = "[ready]\ncommand = [\"test\", \"-e\", \"/tmp/up\"]\ntimeout = \"1min\"\ninterval = \"100ms\"\n";
        machine.container("db", &format!("user = \"ct-web\"\n{}", container("crun", IDLE, more)));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
        machine.wait_until("systemctl status ct@db | grep -q 'Waiting until ready: .*exit status 1'");
        // A group of threads beside those of the probes forbids them, cgroups(7), "Thread mode".
        let payload = "/sys/fs/cgroup/ct.slice/ct@db.service/payload";
        // Refused while one of the probes' groups is populated.
        machine.wait_until(&format!("mkdir -p {payload}/threads && echo threaded >{payload}/threads/cgroup.type"));
        machine.wait_until("systemctl status ct@db | grep -q 'Waiting until ready: .*: execute /usr/bin/crun: '");
        machine.shell(&format!("rmdir {payload}/threads; touch /srv/rootfs/tmp/up")).succeeds();
        machine.wait_for("ct@db", "ActiveState", "active");
        machine.stop("ct@db");
        machine.assert_no_leaks(&before);
    }

    fn a_hangup_during_the_wait_does_not_end_it(machine: &Machine) {
        prepare(machine);
        let script = "trap 'touch /tmp/up' HUP; trap 'exit 0' TERM; touch /tmp/hears; while :; do sleep 1000 & wait; done";
        machine.container("db", &container("crun", script, "[ready]\ncommand = [\"test\", \"-e\", \"/tmp/up\"]\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
        machine.wait_until("test -e /srv/rootfs/tmp/hears && systemctl status ct@db | grep -q 'Waiting until ready: .*: exit status 1'");
        machine.run(["systemctl", "kill", "--kill-whom=main", "--signal=HUP", "ct@db"]).succeeds();
        machine.wait_for("ct@db", "ActiveState", "active");
    }
}
