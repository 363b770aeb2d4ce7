// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ctctl status`, `list`, `stats` and `ps` say where the kernel counts memory and tasks, and of a container that had
//! too little of it.

use ct_tests::{VirtualMachine, on_the_virtual_machine};
use serde_json::{Value, json};

use crate::container;

const LIMITED: &str = "resources.memory_max = '64M'\nresources.tasks_max = 50\n[oom]\npolicy = ";

fn json_of(machine: &VirtualMachine, command: &str) -> Value {
    let output = machine.shell(command);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("should be JSON: {error}\n{output}"))
}

/// Has the container take 200 MB at once, and use them.
fn starve(machine: &VirtualMachine, name: &str, policy: &str) {
    let eat =
        "read go </tmp/go; dd if=/dev/zero of=/dev/null bs=200M count=1; touch /tmp/gone; sleep 1000 & wait";
    machine.shell("rm -f /srv/rootfs/tmp/go /srv/rootfs/tmp/gone; mkfifo /srv/rootfs/tmp/go").succeeds();
    container(machine, name, "", &format!("trap 'exit 0' TERM; {eat}"), &format!("{LIMITED}'{policy}'\n"));
    machine.daemon_reload();
    machine.start(&format!("ct@{name}"));
    // The helper ends a little after the start.
    machine.wait_until(&format!("[ $(cat /sys/fs/cgroup/ct.slice/ct@{name}.service/pids.current) = 1 ]"));
}

on_the_virtual_machine! {
    fn what_is_used_and_what_is_too_much_is_told(machine: &VirtualMachine) {
        starve(machine, "hungry", "kill");
        let status = &json_of(machine, "ctctl status --json hungry")[0];
        assert_eq!((&status["memory"]["limit"], &status["tasks"]), (&json!(64 << 20), &json!({"current": 1, "limit": 50})), "{status}");
        let listed = &json_of(machine, "ctctl list --json hungry")[0];
        let stats = &json_of(machine, "ctctl stats --no-stream --json --interval 100ms hungry")[0];
        for used in [&status["memory"]["current"], &listed["memory"], &stats["memory"]] {
            assert!((1..64 << 20).contains(&used.as_u64().unwrap()), "{status}\n{listed}\n{stats}");
        }
        assert_eq!((&stats["tasks"], &stats["memory_limit"], &stats["tasks_limit"]), (&json!(1), &json!(64 << 20), &json!(50)));
        assert!(stats["memory_percent"].as_f64().unwrap() > 0.0, "{stats}");
        // What holds is the least of what is above it, too.
        machine.shell("systemctl set-property --runtime ct.slice MemoryMax=48M").succeeds();
        assert_eq!(json_of(machine, "ctctl status --json hungry")[0]["memory"]["limit"], 48 << 20);
        machine.shell("systemctl revert ct.slice").succeeds();

        machine.shell("echo >/srv/rootfs/tmp/go").succeeds();
        machine.wait_for("ct@hungry", "ActiveState", "failed");
        let output = machine.run(["ctctl", "status", "hungry"]).exits(3);
        let state = output.stdout.lines().find(|line| line.contains("state: ")).unwrap();
        assert!(state.contains("state: failed since ") && state.ends_with(": killed by SIGKILL (out of memory)"), "{output}");
        assert_eq!(json_of(machine, "ctctl status --json hungry")[0]["oom_killed"], true);

        starve(machine, "goes-on", "continue");
        machine.shell("echo >/srv/rootfs/tmp/go").succeeds();
        machine.wait_until("test -e /srv/rootfs/tmp/gone");
        let output = machine.run(["ctctl", "status", "goes-on"]).exits(0);
        assert!(output.stdout.contains("killed: 1 of its processes, for want of memory\n"), "{output}");
    }
}
