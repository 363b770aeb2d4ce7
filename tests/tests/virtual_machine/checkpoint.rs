// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a container of runc's go on where it was, by CRIU? What CRIU cannot take along, and that it is refused, is in
//! `machine/checkpoint.rs`.

use ct_tests::{System, VirtualMachine, on_the_virtual_machine};

use crate::container;

/// Counts in memory alone, and says how far it is: in a link, for a file that it may have open at the moment of a checkpoint
/// must be there again at that of a restore. One file it always has open.
const COUNTS: &str = "trap 'exit 7' TERM; exec 9>/held; i=0; \
    while :; do i=$((i+1)); ln -sfn $i /count; echo count $i; sleep 0.2; done";

/// What the shell asks for when it has come so far.
fn is_beyond(count: u32) -> String {
    format!("[ $(readlink /srv/rootfs/count) -gt {count} ]")
}

fn reached(machine: &VirtualMachine) -> u32 {
    let link = machine.shell("until readlink /srv/rootfs/count; do :; done").succeeds().stdout;
    link.trim().parse().expect("a number")
}

/// The first number that this life of the unit's has printed.
fn first_printed(machine: &VirtualMachine, unit: &str) -> u32 {
    let lines = format!(
        "journalctl -q -o cat CT_INVOCATION=$(systemctl show -P InvocationID {unit}) | grep '^count' | head -n 1"
    );
    // The console's service logs them when it has read them.
    machine.wait_until(&format!("journalctl --sync; test -n \"$({lines})\""));
    let line = machine.shell(&lines).stdout;
    line.trim().strip_prefix("count ").and_then(|number| number.parse().ok()).expect("a number")
}

/// Starts a container whose name is its `log.mode`.
fn started(machine: &VirtualMachine, log: &str) {
    machine.shell("rm -f /srv/rootfs/count").succeeds();
    container(machine, log, "runtime = 'runc'\n", COUNTS, &format!("[log]\nmode = '{log}'\n"));
    machine.daemon_reload();
    machine.start(&format!("ct@{log}"));
    machine.wait_until(&is_beyond(3));
}

/// Restores it from an image, and sees it beyond this number.
fn goes_on(machine: &VirtualMachine, name: &str, image: &str, count: u32) {
    machine.shell("rm -f /srv/rootfs/count").succeeds();
    machine.shell(&format!("ctctl restore {name} {image}")).succeeds();
    machine.wait_until(&is_beyond(count));
    machine.run(["ctctl", "exec", name, "--", "true"]).succeeds();
}

on_the_virtual_machine! {
    in System::Debian12;

    fn a_container_goes_on_where_it_was(machine: &VirtualMachine) {
        started(machine, "pipe");
        let pid = machine.main_pid("ct@pipe");
        let before = reached(machine);
        machine.run(["ctctl", "checkpoint", "--leave-running", "pipe", "/var/lib/first"]).succeeds();
        assert_eq!(machine.main_pid("ct@pipe"), pid);
        let first = (before, reached(machine));
        machine.wait_until(&is_beyond(first.1 + 2));
        machine.run(["ctctl", "checkpoint", "pipe"]).succeeds();
        let second = (reached(machine), reached(machine));
        let state = "systemctl show -P Result -P NRestarts -P ActiveState ct@pipe";
        assert_eq!(machine.shell(state).stdout, "success\n0\ninactive\n");

        // What has gone meanwhile is told by its name.
        machine.shell("mv /srv/rootfs/held /srv/rootfs/gone").succeeds();
        let said = machine.run(["ctctl", "restore", "pipe"]).exits(1).stderr;
        assert!(said.contains("Can't open file held on restore: No such file"), "{said}");
        machine.shell("mv /srv/rootfs/gone /srv/rootfs/held").succeeds();

        // Of each image what it was then, and of the first one twice.
        for (image, (low, high)) in [("/var/lib/first", first), ("", second), ("/var/lib/first", first)] {
            goes_on(machine, "pipe", image, high);
            let number = first_printed(machine, "ct@pipe");
            // The one that was being printed may come again.
            assert!((low..=high + 2).contains(&number), "{number} after {low} to {high}");
            machine.stop("ct@pipe");
            assert_eq!(machine.show("ct@pipe", "ExecMainStatus"), "7");
        }
        machine.shell("rm -r /var/lib/first /var/lib/ct/pipe").succeeds();
    }

    fn one_that_prints_to_nobody_goes_on_too(machine: &VirtualMachine) {
        started(machine, "none");
        machine.run(["ctctl", "checkpoint", "none"]).succeeds();
        goes_on(machine, "none", "", reached(machine));
        machine.stop("ct@none");
        assert_eq!(machine.show("ct@none", "ExecMainStatus"), "7");
        machine.shell("rm -r /var/lib/ct/none").succeeds();
    }
}
