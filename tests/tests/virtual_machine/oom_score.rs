// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the oom score the configured one, also below 0, which only a privileged process may set?

use ct_tests::{VirtualMachine, on_the_virtual_machine};

use crate::{SLEEPS, WAYS, container, of_each_process};

on_the_virtual_machine! {
    fn a_negative_score_is_the_whole_containers(machine: &VirtualMachine) {
        for (name, keys) in WAYS {
            container(machine, name, keys, SLEEPS, "oom.score_adjust = -500\n");
        }
        machine.daemon_reload();
        for (name, _) in WAYS {
            machine.start(&format!("ct@{name}"));
            let scores = of_each_process(machine, name, 2, "cat /proc/$pid/oom_score_adj");
            assert_eq!(scores, ["-500\n"; 2], "{name}");
        }
    }

    fn a_console_is_spared_and_its_container_is_not(machine: &VirtualMachine) {
        let ways = [WAYS[0], WAYS[3]];
        for (name, keys) in ways {
            container(machine, name, keys, SLEEPS, "oom.score_adjust = 300\nprocess.terminal = true\n");
        }
        machine.daemon_reload();
        for (name, _) in ways {
            machine.start(&format!("ct@{name}"));
            let scores = of_each_process(machine, name, 2, "cat /proc/$pid/oom_score_adj");
            assert_eq!(scores, ["300\n"; 2], "{name}");
            let console = machine.main_pid(&format!("ct-console@{name}"));
            assert_eq!(machine.read_file(format!("/proc/{console}/oom_score_adj")), "-1000\n", "{name}");
        }
    }

    fn nothing_of_ct_stays_and_without_a_score_it_is_0(machine: &VirtualMachine) {
        let ways = [WAYS[1], WAYS[3]];
        for (name, keys) in ways {
            container(machine, name, keys, SLEEPS, "");
        }
        machine.daemon_reload();
        machine.run(["systemctl", "start", "ct@crun-account", "ct@runc-account"]).succeeds();
        // No helper and no runtime is left beside two containers, a little after their start.
        let left = "pgrep -a 'ct-|crun|runc|newuidmap'; cat /sys/fs/cgroup/ct.slice/*/supervisor/cgroup.procs";
        machine.wait_until(&format!("[ -z \"$({left})\" ]"));
        for (name, _) in ways {
            assert_eq!(of_each_process(machine, name, 2, "cat /proc/$pid/oom_score_adj"), ["0\n"; 2], "{name}");
        }
    }
}
