// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a container that reaches its `memory_max`? systemd counts `oom_kill` of the unit's memory.events,
//! which includes that of the groups below, and sets memory.oom.group of the unit's group for the policy "kill".

use ct_tests::{VirtualMachine, on_the_virtual_machine};

use crate::{SLEEPS, container, of_each_process};

/// Takes 200 MB at once, and uses them.
const EAT: &str = "dd if=/dev/zero of=/dev/null bs=200M count=1";

/// The policy's container, of which a child takes too much while init looks on; or init itself.
fn starve(machine: &VirtualMachine, policy: &str, init: bool) {
    machine.shell("rm -f /srv/rootfs/tmp/go; mkfifo /srv/rootfs/tmp/go").succeeds();
    let script = if init {
        format!("sleep 1000 & read go </tmp/go; exec {EAT}")
    } else {
        format!("trap 'exit 0' TERM; read go </tmp/go; {EAT}; echo its child is gone: $?; sleep 1000 & wait")
    };
    container(
        machine,
        "hungry",
        "",
        &script,
        &format!("resources.memory_max = '32M'\n[oom]\npolicy = '{policy}'\n"),
    );
    machine.daemon_reload();
    machine.start("ct@hungry");
    machine.shell("echo >/srv/rootfs/tmp/go").succeeds();
}

/// ActiveState, Result, and how init ended.
fn end(machine: &VirtualMachine, name: &str) -> String {
    let properties = "ActiveState,Result,ExecMainCode,ExecMainStatus";
    let shown =
        machine.run(["systemctl", "show", "--property", properties, &format!("ct@{name}")]).succeeds().stdout;
    let mut lines: Vec<&str> = shown.lines().collect();
    lines.sort_unstable();
    lines.join(" ")
}

const KILLED: &str = "ActiveState=failed ExecMainCode=2 ExecMainStatus=9 Result=oom-kill";

on_the_virtual_machine! {
    fn policy_kill_ends_the_container_whoever_took_too_much(machine: &VirtualMachine) {
        for init in [false, true] {
            starve(machine, "kill", init);
            machine.wait_for("ct@hungry", "ActiveState", "failed");
            assert_eq!(end(machine, "hungry"), KILLED, "init: {init}");
        }
    }

    fn policy_stop_lets_init_end_in_order(machine: &VirtualMachine) {
        starve(machine, "stop", false);
        machine.wait_for("ct@hungry", "ActiveState", "failed");
        assert_eq!(end(machine, "hungry"), "ActiveState=failed ExecMainCode=1 ExecMainStatus=0 Result=oom-kill");
        starve(machine, "stop", true);
        machine.wait_for("ct@hungry", "ActiveState", "failed");
        assert_eq!(end(machine, "hungry"), KILLED);
    }

    fn policy_continue_goes_on_as_long_as_init_does(machine: &VirtualMachine) {
        starve(machine, "continue", false);
        let gone = "journalctl --sync; journalctl -q -o cat -u ct@hungry | grep -q 'its child is gone: 137'";
        machine.wait_until(gone);
        assert_eq!(end(machine, "hungry"), "ActiveState=active ExecMainCode=0 ExecMainStatus=0 Result=success");
        machine.stop("ct@hungry");
        starve(machine, "continue", true);
        machine.wait_for("ct@hungry", "ActiveState", "failed");
        assert_eq!(end(machine, "hungry"), "ActiveState=failed ExecMainCode=2 ExecMainStatus=9 Result=signal");
    }

    fn a_limit_inside_the_container_counts_too(machine: &VirtualMachine) {
        container(machine, "nested", "", SLEEPS, "resources.memory_max = '100M'\n");
        machine.daemon_reload();
        machine.start("ct@nested");
        // As an init system inside would do for one of its services.
        let script = format!(
            "cd /sys/fs/cgroup/ct.slice/ct@nested.service/payload && mkdir init service || exit
             for pid in $(cat cgroup.procs); do echo $pid >init/cgroup.procs; done
             echo +memory >cgroup.subtree_control && echo 16M >service/memory.max || exit
             sh -c 'echo 0 >service/cgroup.procs; exec {EAT}'"
        );
        machine.shell(&script).exits(137);
        machine.wait_for("ct@nested", "ActiveState", "failed");
        assert_eq!(end(machine, "nested"), KILLED);
    }

    fn the_restart_has_score_and_limits_and_nobody_else_is_touched(machine: &VirtualMachine) {
        container(machine, "bystander", "", SLEEPS, "resources.memory_max = '32M'\n");
        machine.shell("rm -f /srv/rootfs/tmp/go; mkfifo /srv/rootfs/tmp/go").succeeds();
        let tables = "restart.policy = 'on-failure'\nresources.memory_max = '32M'\n\
                      oom.score_adjust = -300\nlimits.nofile = '1024:1048576'\n";
        let script = format!("trap 'exit 0' TERM; sleep 1000 & while read go </tmp/go; do {EAT}; done");
        container(machine, "again", "", &script, tables);
        machine.daemon_reload();
        machine.start("ct@bystander");
        let bystander = machine.main_pid("ct@bystander");
        machine.start("ct@again");

        let mut inits = vec![machine.main_pid("ct@again")];
        for restarts in 1..=3 {
            machine.shell("echo >/srv/rootfs/tmp/go").succeeds();
            machine.wait_for("ct@again", "NRestarts", &restarts.to_string());
            machine.wait_for("ct@again", "ActiveState", "active");
            inits.push(machine.main_pid("ct@again"));
            let each = of_each_process(
                machine,
                "again",
                2,
                "cat /proc/$pid/oom_score_adj; grep 'open files' /proc/$pid/limits",
            );
            for process in each {
                assert_eq!(process.split_whitespace().collect::<Vec<_>>().join(" "), "-300 Max open files 1024 1048576 files");
            }
        }
        let old = inits.len();
        inits.dedup();
        assert_eq!(inits.len(), old, "each restart should have an init of its own: {inits:?}");

        let unit = machine.journal("ct@again");
        for message in ["Main process exited, code=killed, status=9/KILL", "Failed with result 'oom-kill'"] {
            assert_eq!(unit.lines().filter(|line| line.contains(message)).count(), 3, "{message}: {unit}");
        }
        assert!(unit.contains("A process of this unit has been killed by the OOM killer"), "{unit}");
        for message in [
            "oom_memcg=/ct.slice/ct@again.service,task_memcg=/ct.slice/ct@again.service/payload,task=dd,",
            "Memory cgroup out of memory: Killed process",
            "Tasks in /ct.slice/ct@again.service are going to be killed due to memory.oom.group set",
        ] {
            // journald reads what the kernel says as it comes to it.
            machine.wait_until(&format!("journalctl --sync; journalctl --dmesg --output cat | grep -qF '{message}'"));
        }
        assert_eq!(machine.main_pid("ct@bystander"), bystander);
        let events = machine.read_file("/sys/fs/cgroup/ct.slice/ct@bystander.service/memory.events");
        assert!(events.contains("oom_kill 0\n"), "{events}");
    }
}
