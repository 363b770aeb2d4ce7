// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.terminal = true`: a terminal inside, and the service that holds it.

use ct_tests::{Machine, on_every_machine};

fn container(script: &str, more: &str) -> String {
    format!(
        "{more}\n[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\n\
         command = [\"/bin/sh\", \"-c\", '''{script}''']\n"
    )
}

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

/// Waits until a line is in a unit's log.
fn wait_for_line(machine: &Machine, unit: &str, line: &str) {
    machine.wait_until(&format!("journalctl --sync; journalctl -q -u {unit} -o cat | grep -qxF '{line}'"));
}

on_every_machine! {
    fn the_container_has_a_terminal_of_the_usual_size(machine: &Machine) {
        prepare(machine);
        for runtime in ["crun", "runc"] {
            machine.container(runtime, &container(
                "tty; stty size; tty </dev/console; echo hi >/dev/console; trap 'exit 0' TERM; sleep 1000 & wait",
                &format!("runtime = \"{runtime}\""),
            ));
            machine.daemon_reload();
            let before = machine.leaks();
            let (unit, console) = (format!("ct@{runtime}"), format!("ct-console@{runtime}"));
            machine.start(&unit);
            wait_for_line(machine, &unit, "hi");
            machine.stop(&unit);
            machine.wait_for(&console, "ActiveState", "inactive");
            machine.assert_no_leaks(&before);
            let log = machine.journalctl(&["--unit", &unit, "--identifier", runtime, "--output", "cat"]);
            assert_eq!(log, "/dev/pts/0\n25 80\n/dev/console\nhi\n");
        }
    }
}
