// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a container of runc's go on where it was, by CRIU, and is it refused what CRIU cannot take along?

use ct_tests::{System, VirtualMachine, on_the_virtual_machine};

use crate::container;

/// Counts in memory alone, and says how far it is.
const COUNTS: &str =
    "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i >/count; echo count $i; sleep 0.2; done";

fn reached(machine: &VirtualMachine) -> u32 {
    machine.read_file("/srv/rootfs/count").trim().parse().unwrap_or(0)
}

on_the_virtual_machine! {
    in System::Debian12;

    fn a_container_goes_on_where_it_was(machine: &VirtualMachine) {
        for log in ["pipe", "none"] {
            container(machine, log, "runtime = 'runc'\n", COUNTS, &format!("[log]\nmode = '{log}'\n"));
            machine.daemon_reload();
            let unit = &format!("ct@{log}");
            machine.start(unit);
            machine.wait_until("[ $(cat /srv/rootfs/count) -gt 3 ]");
            let pid = machine.main_pid(unit);
            let before = reached(machine);
            machine.run(["ctctl", "checkpoint", "--leave-running", log, "/var/lib/first"]).succeeds();
            assert_eq!(machine.main_pid(unit), pid);
            let first = (before, reached(machine));
            machine.wait_until(&format!("[ $(cat /srv/rootfs/count) -gt {} ]", first.1 + 2));
            machine.run(["ctctl", "checkpoint", log]).succeeds();
            let second = (reached(machine), reached(machine));
            let state = "systemctl show -P Result -P NRestarts -P ActiveState";
            assert_eq!(machine.shell(&format!("{state} {unit}")).stdout, "success\n0\ninactive\n");

            // Of each image what it was then, and of the first one twice.
            for (image, (low, high)) in [("/var/lib/first", first), ("", second), ("/var/lib/first", first)] {
                machine.shell("rm /srv/rootfs/count").succeeds();
                machine.shell(&format!("ctctl restore {log} {image}")).succeeds();
                machine.wait_until(&format!("[ $(cat /srv/rootfs/count) -gt {high} ]"));
                machine.run(["ctctl", "exec", log, "--", "true"]).succeeds();
                let lines = format!(
                    "journalctl --sync; id=$(systemctl show -P InvocationID {unit}); \
                     journalctl -q -o cat CT_INVOCATION=$id | grep -m 1 '^count'"
                );
                let line = machine.shell(&lines).stdout;
                let number: Option<u32> = line.trim().strip_prefix("count ").and_then(|number| number.parse().ok());
                match (log, number) {
                    ("none", None) => {}
                    // The one that was being printed may come again.
                    ("pipe", Some(number)) if (low..=high + 2).contains(&number) => {}
                    _ => panic!("{log}: {line:?} after {low} to {high}"),
                }
                machine.stop(unit);
                assert_eq!(machine.show(unit, "ExecMainStatus"), "7");
            }
            machine.shell(&format!("rm -r /var/lib/first /var/lib/ct/{log}")).succeeds();
        }
    }

    fn what_prints_to_the_journal_is_refused_and_goes_on(machine: &VirtualMachine) {
        container(machine, "web", "runtime = 'runc'\n", COUNTS, "");
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("[ $(cat /srv/rootfs/count) -gt 1 ]");
        let pid = machine.main_pid("ct@web");
        let said = machine.run(["ctctl", "checkpoint", "web"]).exits(1).stderr;
        let want = "web cannot be restored: CRIU has but one end of the journal's stream (log.mode = \"pipe\" and \"none\" can be)";
        assert!(said.contains(want), "{said}");
        assert_eq!(machine.main_pid("ct@web"), pid);
        let count = reached(machine);
        machine.wait_until(&format!("[ $(cat /srv/rootfs/count) -gt {} ]", count + 2));
    }
}
