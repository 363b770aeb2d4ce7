// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl start`, `stop` and `restart`: jobs waited for, names resolved, failures told with the unit's last lines.

use std::os::unix::process::ExitStatusExt as _;

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, script: &str) {
    machine.container(
        name,
        &format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n[stop]\ntimeout = \"5min\"\n"),
    );
}

on_every_machine! {
    fn jobs_are_waited_for(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", IDLE);
        container(machine, "web-2", IDLE);
        machine.daemon_reload();
        assert_eq!(machine.run(["ctctl", "start", "web", "ct@web-2.service"]).succeeds().stdout, "");
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        assert_eq!(machine.show("ct@web-2", "ActiveState"), "active");
        let pid = machine.main_pid("ct@web");
        machine.run(["ctctl", "restart", "web"]).succeeds();
        assert_ne!(machine.main_pid("ct@web"), pid);
        ["ct@web", "ct@web-2"].iter().for_each(|unit| machine.settle(unit));
        machine.run(["ctctl", "stop", "web", "web-"]).succeeds();
        assert_eq!(machine.show("ct@web-2", "ActiveState"), "inactive");
    }

    fn names_are_exact_or_unique_beginnings(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        ["web", "web-2", "worker"].into_iter().for_each(|name| container(machine, name, IDLE));
        machine.daemon_reload();
        let ambiguous = machine.run(["ctctl", "start", "w"]).exits(2).stderr;
        assert_eq!(ambiguous, "ctctl: \"w\" may be any of: web, web-2, worker\n");
        let typo = machine.run(["ctctl", "start", "wbe"]).exits(4).stderr;
        assert_eq!(typo, "ctctl: there is no container \"wbe\" (did you mean \"web\"?)\n");
    }

    fn a_failed_job_is_told_with_the_last_lines(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("bad", "[root]\npath = \"/srv/nowhere\"\n");
        machine.daemon_reload();
        let failed = machine.run(["ctctl", "start", "bad"]).exits(1).stderr;
        assert!(failed.starts_with("ctctl: start bad: failed\n"), "{failed}");
        assert!(failed.contains("/srv/nowhere"), "{failed}");
    }

    /// One after the other they would take a second each to stop.
    fn several_are_waited_for_side_by_side(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let names: Vec<String> = (0..6).map(|number| format!("slow{number}")).collect();
        names.iter().for_each(|name| container(machine, name, "trap 'touch /stopping; while [ ! -e /go ]; do sleep 0.1; done; exit 0' TERM; sleep 1000 & wait"));
        machine.daemon_reload();
        let ctctl = |verb: &str| ["ctctl", verb].into_iter().chain(names.iter().map(String::as_str)).map(str::to_owned).collect::<Vec<_>>();
        machine.run(ctctl("start")).succeeds();
        names.iter().for_each(|name| machine.settle(&format!("ct@{name}")));
        machine.shell("rm -f /srv/rootfs/stopping").succeeds();
        let stop = machine.command(ctctl("stop")).spawn();
        for name in &names {
            machine.wait_for(&format!("ct@{name}"), "ActiveState", "deactivating");
        }
        machine.shell("touch /srv/rootfs/go").succeeds();
        stop.wait().succeeds();
        names.iter().for_each(|name| assert_eq!(machine.show(&format!("ct@{name}"), "ActiveState"), "inactive"));
    }

    fn the_dependency_that_failed_is_named(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("db", "[root]\npath = \"/srv/nowhere\"\n");
        machine.container("cache", "[root]\npath = \"/srv/rootfs\"\n[depends]\nrequires = [\"db\"]\n");
        machine.container("web", "[root]\npath = \"/srv/rootfs\"\n[depends]\nrequires = [\"cache\"]\n");
        machine.daemon_reload();
        let failed = machine.run(["ctctl", "start", "web"]).exits(1).stderr;
        assert!(failed.starts_with("ctctl: start web: dependency\nctctl: ct@db.service is required, and failed (exit-code)\n"), "{failed}");
        assert!(failed.contains("/srv/nowhere"), "{failed}");
        assert!(!failed.contains("ct@cache.service is required"), "{failed}");
    }

    fn a_job_goes_on_without_us(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let toml = "root.path = \"/srv/rootfs\"\nprocess.command = [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n[ready]\ncommand = [\"test\", \"-e\", \"/ready\"]\ninterval = \"50ms\"\n";
        machine.container("slow", toml);
        machine.daemon_reload();
        let late = machine.run(["ctctl", "start", "--timeout", "300ms", "slow"]).exits(124).stderr;
        assert_eq!(late, "ctctl: start slow: not done in time; the job goes on\n");
        assert_eq!(machine.show("ct@slow", "ActiveState"), "activating");
        // Ctrl-C
        let waiting = machine.command(["sh", "-c", "echo $$ >/tmp/pid; exec ctctl start slow"]).spawn();
        machine.wait_until("grep -q '^ctctl' /proc/$(cat /tmp/pid)/cmdline");
        machine.wait_until_at_rest(machine.read_file("/tmp/pid").trim());
        machine.wait_until("kill -INT $(cat /tmp/pid) && sleep 0.1; ! kill -0 $(cat /tmp/pid)");
        let interrupted = waiting.wait().fails();
        assert_eq!(interrupted.status.signal(), Some(2), "{interrupted}");
        assert_eq!(interrupted.stderr, "ctctl: no longer waiting; what was queued goes on\n");
        assert_eq!(machine.show("ct@slow", "ActiveState"), "activating");
        machine.shell("touch /srv/rootfs/ready").succeeds();
        machine.wait_for("ct@slow", "ActiveState", "active");
        machine.settle("ct@slow");
        machine.run(["ctctl", "stop", "--no-block", "slow"]).succeeds();
        machine.wait_for("ct@slow", "ActiveState", "inactive");
    }

    fn a_frozen_container_is_stopped(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", IDLE);
        machine.daemon_reload();
        machine.start("ct@web");
        machine.run(["ctctl", "freeze", "web"]).succeeds();
        assert_eq!(machine.show("ct@web", "FreezerState"), "frozen");
        machine.run(["ctctl", "restart", "web"]).succeeds();
        machine.settle("ct@web");
        machine.run(["ctctl", "freeze", "web"]).succeeds();
        machine.run(["ctctl", "stop", "web"]).succeeds();
        // By its own handler: it was not killed after a timeout.
        assert_eq!(machine.show("ct@web", "Result"), "success");
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive");
    }

    fn a_config_that_systemd_has_not_read_is_told_apart(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "new", IDLE);
        let failed = machine.run(["ctctl", "start", "new"]).exits(1).stderr;
        assert!(failed.contains("systemctl daemon-reload"), "{failed}");
        // One of several does not hold up the others.
        container(machine, "old", IDLE);
        machine.container("broken", "rot.path = \"/srv/rootfs\"\n");
        machine.daemon_reload();
        let failed = machine.run(["ctctl", "start", "broken", "old"]).exits(1).stderr;
        assert!(failed.contains("/etc/ct/containers/broken.toml:1:1: unknown key `rot`"), "{failed}");
        assert_eq!(machine.show("ct@old", "ActiveState"), "active");
    }
}
