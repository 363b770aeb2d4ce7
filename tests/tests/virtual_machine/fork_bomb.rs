// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does `tasks_max` hold against a container that makes processes without end?

use ct_tests::{VirtualMachine, on_the_virtual_machine};

use crate::{SLEEPS, container};

/// Four that never give up, under an init that makes no further process.
const BOMB: &str = "trap 'exit 0' TERM; for i in 1 2 3 4; do \
                    awk 'BEGIN { while (1) system(\\\"sleep 1000 &\\\") }' 2>/dev/null & done; wait";

on_the_virtual_machine! {
    fn is_held_and_can_be_stopped(machine: &VirtualMachine) {
        container(machine, "bomb", "", BOMB, "resources.tasks_max = 64\n");
        container(machine, "bystander", "", SLEEPS, "");
        container(machine, "late", "", SLEEPS, "");
        machine.daemon_reload();
        machine.start("ct@bystander");
        let bystander = machine.main_pid("ct@bystander");

        machine.start("ct@bomb");
        let cgroup = "/sys/fs/cgroup/ct.slice/ct@bomb.service";
        machine.wait_until(&format!("read -r _ refused <{cgroup}/pids.events && [ $refused -gt 100 ]"));
        let peak = machine.read_file(format!("{cgroup}/pids.peak"));
        assert!(peak.trim().parse::<u32>().unwrap() <= 64, "{peak}");
        machine.start("ct@late");
        assert_eq!(machine.main_pid("ct@bystander"), bystander);

        machine.stop("ct@bomb");
        assert_eq!(machine.show("ct@bomb", "Result"), "success", "and not `timeout`: its init obeys the signal");
        machine.wait_until(&format!("[ ! -e {cgroup} ]"));
        assert_eq!(machine.main_pid("ct@bystander"), bystander);
        assert_eq!(machine.show("ct@late", "ActiveState"), "active");
    }
}
