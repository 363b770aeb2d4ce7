// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a container of LXC's ends, and when: is it always the unit's end, with the status that init had?

use ct_tests::{Machine, on_every_machine};

use super::{IDLE, account, container, prepare};

on_every_machine! {
    /// Before it executes anything else PID 1 gives /run/ct/NAME its mode back, by which no account gets in.
    fn what_a_stop_executes_does_not_change_how_a_container_of_an_account_ends(machine: &Machine) {
        prepare(machine);
        account(machine);
        machine.write_file("/etc/systemd/system/ct@web.service.d/90.conf", 0o644, "[Service]\nExecStop=/bin/true\n");
        machine.container("web", &container(IDLE, "user = \"ct-web\""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx up");
        machine.stop("ct@web");
        let log = machine.journal("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success", "{log}");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "0", "{log}");
    }

    fn nor_does_a_full_run(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /run/ct && mount -t tmpfs -o size=4m,nr_inodes=200 small /run/ct").succeeds();
        machine.container("web", &container("trap 'exit 7' TERM; echo up; sleep 1000 & wait", ""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx up");
        machine.shell("n=0; while touch /run/ct/full-$n; do n=$((n + 1)); done; test $n -gt 0").succeeds();
        machine.stop("ct@web");
        let log = machine.journal("ct@web");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7", "{log}");
    }
}
