// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the virtual machine what the other tests take it for? The harness tests itself.

use ct_tests::{VirtualMachine, on_the_virtual_machine};

on_the_virtual_machine! {
    fn has_every_controller_and_every_capability(machine: &VirtualMachine) {
        let controllers = machine.read_file("/sys/fs/cgroup/cgroup.controllers");
        for controller in ["cpu", "cpuset", "io", "memory", "pids"] {
            assert!(controllers.split_whitespace().any(|word| word == controller), "{controller}: {controllers}");
        }
        machine.shell("[ $(cat /proc/1/comm) = systemd ] && echo -1000 >/proc/self/oom_score_adj").succeeds();
    }

    fn commands_tell_how_they_ended(machine: &VirtualMachine) {
        let output = machine.shell("seq 100000; echo 'it''s wrong' >&2; exit 7").exits(7);
        assert_eq!(output.stdout.lines().count(), 100_000);
        assert!(output.stdout.ends_with("\n99999\n100000\n"));
        assert_eq!(output.stderr, "its wrong\n");
        let text = "a 'quoted' word, \"another\", $HOME \\ and no newline at the end".repeat(2000);
        machine.write_file("/run/some/file", 0o600, &text);
        assert_eq!(machine.read_file("/run/some/file"), text);
        machine.shell("stat -c %a /run/some/file | grep -x 600").succeeds();
    }
}
