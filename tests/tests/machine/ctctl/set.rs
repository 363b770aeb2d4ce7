// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl set`: a container that runs gets other resources, limits and another oom score, in every process at once;
//! `--persist` keeps them. What controllers make of it is the virtual machine's to show.

use ct_tests::{Machine, on_every_machine};

/// An init with children that fork without pause.
const FORKS: &str = "trap 'exit 0' TERM; sleep 1000 & while :; do sleep 0.01; done";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.container(
        "web",
        &format!(
            "# kept\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{FORKS}\"]\n\
             [limits]\nnofile = \"100:1000\"\n[oom]\nscore_adjust = 100\n"
        ),
    );
    machine.daemon_reload();
}

const DROP_IN: &str = "/etc/ct/containers/web.toml.d/90-set.toml";

/// `FILE` of every process of the container, each line once.
fn of_each(machine: &Machine, pattern: &str) -> String {
    let group = "/sys/fs/cgroup/ct.slice/ct@web.service/payload/cgroup.procs";
    let script = format!("for pid in $(cat {group}); do {pattern}; done 2>/dev/null | sort -u");
    machine.shell(&script).succeeds().stdout
}

on_every_machine! {
    fn every_process_has_it_at_once(machine: &Machine) {
        prepare(machine);
        machine.start("ct@web");
        machine.run(["ctctl", "set", "web", "nofile=50:500", "oom_score_adj=321"]).succeeds();
        assert_eq!(of_each(machine, "cat /proc/$pid/oom_score_adj"), "321\n");
        let limits = of_each(machine, "grep '^Max open files' /proc/$pid/limits | tr -s ' '");
        assert_eq!(limits, "Max open files 50 500 files \n");
        // Until it is restarted.
        machine.run(["ctctl", "restart", "web"]).succeeds();
        assert_eq!(of_each(machine, "cat /proc/$pid/oom_score_adj"), "100\n");
        assert_eq!(machine.show("ct@web", "NeedDaemonReload"), "no");
    }

    fn resources_are_the_units(machine: &Machine) {
        prepare(machine);
        machine.start("ct@web");
        let pid = machine.main_pid("ct@web");
        machine.run(["ctctl", "set", "w", "memory_max=64M", "resources.cpu_quota=150%", "TasksMax=77", "ip_address_deny=[\"10.0.0.0/8\", \"fd00::/8\"]"]).succeeds();
        assert_eq!(machine.show("ct@web", "MemoryMax"), (64 << 20).to_string());
        assert_eq!(machine.show("ct@web", "CPUQuotaPerSecUSec"), "1.500000s");
        assert_eq!(machine.show("ct@web", "TasksMax"), "77");
        machine.run(["ctctl", "set", "web", "ip_address_deny=192.168.0.0/16"]).succeeds();
        assert_eq!(machine.show("ct@web", "IPAddressDeny"), "192.168.0.0/16", "a list replaces the one before");
        machine.daemon_reload();
        assert_eq!(machine.show("ct@web", "TasksMax"), "77", "it stays until the next boot");
        assert_eq!(machine.main_pid("ct@web"), pid, "nothing was restarted");
    }

    fn what_persists_is_in_a_drop_in_of_the_config(machine: &Machine) {
        prepare(machine);
        machine.start("ct@web");
        // What was set before, until the next boot, does not come between.
        machine.run(["ctctl", "set", "web", "tasks_max=77"]).succeeds();
        machine.run(["ctctl", "set", "--persist", "web", "tasks_max=88", "nofile=50:500", "stop.timeout=7s"]).succeeds();
        assert_eq!(machine.show("ct@web", "TasksMax"), "88");
        assert_eq!(of_each(machine, "grep '^Max open files' /proc/$pid/limits | tr -s ' '"), "Max open files 50 500 files \n");
        machine.run(["ctctl", "set", "--persist", "web", "score_adjust=333"]).succeeds();
        let text = machine.read_file(DROP_IN);
        for line in ["tasks_max = 88", "nofile = \"50:500\"", "timeout = \"7s\"", "score_adjust = 333"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(machine.read_file("/etc/ct/containers/web.toml").starts_with("# kept\n"));
        machine.run(["ctctl", "restart", "web"]).succeeds();
        assert_eq!(machine.show("ct@web", "TasksMax"), "88");
        assert_eq!(machine.show("ct@web", "TimeoutStopUSec"), "7s");
        assert_eq!(of_each(machine, "cat /proc/$pid/oom_score_adj"), "333\n");
    }

    fn a_container_between_two_runs_has_no_processes(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", "root.path = \"/srv/rootfs\"\nprocess.command = [\"false\"]\nrestart = { policy = \"always\", delay = \"1h\" }\n");
        machine.daemon_reload();
        machine.shell("systemctl start ct@web");
        machine.wait_for("ct@web", "SubState", "auto-restart");
        let all = "cat /proc/[0-9]*/oom_score_adj 2>/dev/null | sort -u";
        let before = machine.shell(all).stdout;
        let said = machine.run(["ctctl", "set", "web", "oom_score_adj=901", "nofile=50:500"]).exits(1).stderr;
        assert!(said.contains("does not run"), "{said}");
        assert_eq!(machine.shell(all).stdout, before, "the processes of the machine are not its");
        machine.run(["ctctl", "set", "--persist", "web", "oom_score_adj=901"]).succeeds();
        assert_eq!(machine.shell(all).stdout, before);
    }

    fn bad_values_change_nothing(machine: &Machine) {
        prepare(machine);
        machine.start("ct@web");
        let refused = |arguments: &[&str], code: i32, reason: &str| {
            let argv = ["ctctl", "set"].into_iter().chain(arguments.iter().copied());
            let said = machine.run(argv).exits(code).stderr;
            assert!(said.contains(reason), "{arguments:?}: {said}");
        };
        refused(&["web", "tasks_max=5", "memory_max=12Q"], 2, "memory_max=12Q: ");
        refused(&["web", "memory_mux=1G"], 2, "did you mean \"memory_max\"?");
        refused(&["web", "nofile=10:5"], 2, "the soft limit 10 is higher than the hard limit 5");
        refused(&["web", "score_adjust=2000"], 2, "score_adjust=2000: ");
        refused(&["web", "memory_max"], 2, "is not KEY=VALUE");
        refused(&["web", "=1"], 2, "is not KEY=VALUE");
        refused(&["web"], 2, "KEY=VALUE");
        refused(&["web", "stop.timeout=3s"], 2, "--persist");
        refused(&["--persist", "web", "stop.timeuot=3s"], 1, "did you mean `timeout`?");
        refused(&["--persist", "web", "tasks_max=5", "hostname=a\nb"], 1, "hostname");
        refused(&["nobody", "tasks_max=5"], 4, "there is no container");
        machine.shell(&format!("test ! -e {DROP_IN}")).succeeds();
        assert_ne!(machine.show("ct@web", "TasksMax"), "5");
        // More than systemd gave it: only the kernel can say so, of each process.
        refused(&["web", "oom_score_adj=-500"], 77, "processes could not be changed");
        machine.stop("ct@web");
        refused(&["web", "nofile=50:500"], 1, "does not run");
        machine.run(["ctctl", "set", "web", "tasks_max=66"]).succeeds();
        assert_eq!(machine.show("ct@web", "TasksMax"), "66", "a unit need not run for this");
        machine.run(["ctctl", "set", "--persist", "web", "nofile=50:500"]).succeeds();
        machine.start("ct@web");
        assert_eq!(of_each(machine, "grep '^Max open files' /proc/$pid/limits | tr -s ' '"), "Max open files 50 500 files \n");
    }
}
