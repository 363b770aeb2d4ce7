// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does `ctctl set` reach the kernel's controllers at once, and raise what takes a privilege to raise?

use ct_tests::{VirtualMachine, on_the_virtual_machine};

use crate::{SLEEPS, WAYS, container, of_each_process};

on_the_virtual_machine! {
    fn what_is_set_is_the_kernels_at_once(machine: &VirtualMachine) {
        for (name, keys) in WAYS {
            container(machine, name, keys, SLEEPS, "[resources]\nmemory_max = '100M'\n");
        }
        machine.daemon_reload();
        for (name, _) in WAYS {
            machine.start(&format!("ct@{name}"));
            let group = format!("/sys/fs/cgroup/ct.slice/ct@{name}.service");
            let told = || machine.shell(&format!("cd {group} && cat memory.max pids.max cpu.max")).succeeds().stdout;
            machine.shell(&format!(
                "ctctl set {name} memory_max=64M tasks_max=77 cpu_quota=150% nofile=1024:1048576 oom_score_adj=-500"
            )).succeeds();
            // systemd tells the kernel in its turn.
            machine.wait_until_true(|| told() == "67108864\n77\n150000 100000\n");
            for process in of_each_process(machine, name, 2, "cat /proc/$pid/oom_score_adj; grep 'open files' /proc/$pid/limits | tr -s ' '") {
                assert_eq!(process, "-500\nMax open files 1024 1048576 files \n", "{name}");
            }
            // With the config, and without a restart.
            machine.shell(&format!("ctctl set --persist {name} memory_max=32M")).succeeds();
            machine.wait_until_true(|| told().starts_with("33554432\n77\n"));
            machine.daemon_reload();
            assert!(told().starts_with("33554432\n77\n"), "{name}: {}", told());
            machine.shell(&format!("rm /etc/ct/containers/{name}.toml.d/90-set.toml; systemctl stop ct@{name}; rm -r /run/systemd/system.control/ct@{name}.service.d; systemctl daemon-reload")).succeeds();
        }
    }
}
