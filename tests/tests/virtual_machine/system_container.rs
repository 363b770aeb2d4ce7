// SPDX-License-Identifier: MIT OR Apache-2.0
//! Can a systemd in a container give its units limits of their own, with the controllers that the host has?

use ct_tests::{VirtualMachine, on_the_virtual_machine};

/// Makes scopes and services with limits, and prints what the kernel has for them; then which controllers there are.
const LIMITED: &str = r#"
of() { echo "cat /sys/fs/cgroup\$(sed s/0::// /proc/self/cgroup)/$1"; }
systemd-run --quiet --scope -p TasksMax=7 sh -c "$(of pids.max)"
systemd-run --quiet --wait --pipe -p MemoryMax=64M sh -c "$(of memory.max)"
systemd-run --quiet --wait --pipe -p CPUQuota=50% sh -c "$(of cpu.max)"
systemd-run --quiet --scope -p TasksMax=3 sh -c 'sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 &' 2>/dev/null || echo refused
cat /sys/fs/cgroup/cgroup.controllers
"#;

/// What would not do in a container of the machine's own root: the way in for the test. On a file system of its own, since an
/// overlay takes no layers within each other.
const LESS: &str = "mkdir -p /run/less/etc/systemd/system && \
                    ln -sfn /dev/null /run/less/etc/systemd/system/ct-tests-agent.service";

on_the_virtual_machine! {
    fn units_inside_have_limits_of_their_own(machine: &VirtualMachine) {
        machine.shell(LESS).succeeds();
        // The longest way: the group goes from the unit to an account and to the container's root. And a short boot.
        let (name, unit) = ("debian", "ct@debian");
        machine.container(
            name,
            "user = 'ct-web'\nroot.layers = ['/', '/run/less']\nroot.writable = 'ephemeral'\nroot.idmap = true\n\
             process.command = ['/sbin/init', '--unit=basic.target']\nready.notify = true\n",
        );
        machine.daemon_reload();
        machine.start(unit);
        let controllers = machine.read_file(format!("/sys/fs/cgroup/ct.slice/{unit}.service/cgroup.controllers"));
        assert!(controllers.contains("memory"), "{controllers}");
        let limited = machine.run(["ctctl", "exec", name, "--", "sh", "-c", LIMITED]);
        let want = format!("7\n67108864\n50000 100000\nrefused\n{controllers}");
        assert_eq!(limited.stdout, want, "{}", limited.stderr);
        machine.stop(unit);
        assert_eq!(machine.show(unit, "Result"), "success");
    }
}
