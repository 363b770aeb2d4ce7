// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl start`, `stop` and `restart`: jobs waited for, names resolved, failures told with the unit's last lines.

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, script: &str) {
    machine.container(
        name,
        &format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"),
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
}
