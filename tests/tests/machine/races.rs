// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several orders at once: starts and stops of one container, and two containers of one root file system.

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(script: &str, more: &str) -> String {
    format!(
        "[root]\npath = \"/srv/rootfs\"\n{more}[process]\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n"
    )
}

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

on_every_machine! {
    /// The pauses are not waited for but tried out: a start takes some tens of milliseconds, and whatever step of it
    /// the stop comes in, the end is the same.
    fn a_stop_may_come_at_any_moment_of_a_start(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            let more = "[hooks]\npre_start = [[\"/bin/sleep\", \"0.005\"]]\npost_start = [[\"/bin/true\"]]\npost_stop = [[\"/bin/true\"]]\n\
                        [ready]\ncommand = [\"test\", \"-e\", \"/root\"]\n[restart]\nstart_limit_interval = \"0\"\n\
                        [stop]\ntimeout = \"2s\"\n";
            machine.container("web", &format!("runtime = \"{runtime}\"\n{}{more}", container(IDLE, "writable = \"ephemeral\"\n")));
            machine.daemon_reload();
            let script = "for pause in $(seq 0 0.004 0.12); do
                systemctl start --no-block ct@web
                sleep $pause
                systemctl stop ct@web || exit 1
                state=$(systemctl show --value -p ActiveState ct@web)
                case $state in inactive|failed) echo $state ;; *) echo after $pause: $state; exit 1 ;; esac
                systemctl reset-failed ct@web 2>/dev/null
            done; true";
            let states = machine.shell(script).succeeds().stdout;
            // Failed: the signal came before the shell had its handler, and what process 1 does not handle it never sees.
            assert_eq!(states.lines().count(), 31, "{runtime}: {states}");
            assert!(states.contains("inactive\n"), "{runtime}: {}", machine.journal("ct@web"));
            machine.start("ct@web");
            machine.stop("ct@web");
            // A temporary file of crun 1.8 may outlive it when it is killed.
            machine.shell("rm -rf /tmp/crun.??????").succeeds();
            machine.assert_no_leaks(&before);
        }
    }

    fn a_hundred_starts_of_one_container_are_one(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(&format!("echo once; {IDLE}"), "writable = \"ephemeral\"\n"));
        machine.daemon_reload();
        let before = machine.leaks();
        let starts = "for n in $(seq 100); do systemctl start ct@web & all=\"$all $!\"; done; for pid in $all; do wait $pid || exit 1; done";
        machine.shell(starts).succeeds();
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        machine.wait_until("journalctl --sync; journalctl -u ct@web -o cat | grep -qx once");
        assert_eq!(machine.journal("ct@web").lines().filter(|line| *line == "once").count(), 1);
        assert_eq!(machine.show("ct@web", "NRestarts"), "0");
        machine.stop("ct@web");
        machine.assert_no_leaks(&before);
    }

    fn two_containers_of_one_root_file_system_do_not_meet(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            let script = format!("hostname >/root/name; while [ ! -e /root/look ]; do sleep 0.05; done; cat /root/name; {IDLE}");
            for name in ["one", "two"] {
                let config = format!("runtime = \"{runtime}\"\n{}", container(&script, "writable = \"ephemeral\"\n"));
                machine.container(name, &config);
            }
            machine.daemon_reload();
            machine.run(["systemctl", "start", "ct@one", "ct@two"]).succeeds();
            for name in ["one", "two"] {
                let pid = machine.main_pid(&format!("ct@{name}"));
                machine.wait_until(&format!("test -s /proc/{pid}/root/root/name"));
                // Both have written by now.
                if name == "two" {
                    for name in ["one", "two"] {
                        let pid = machine.main_pid(&format!("ct@{name}"));
                        machine.shell(&format!("touch /proc/{pid}/root/root/look")).succeeds();
                    }
                }
            }
            for name in ["one", "two"] {
                machine.wait_until(&format!("journalctl --sync; journalctl -u ct@{name} -o cat | grep -qx {name}"));
            }
            // The end of one is nothing to the other.
            machine.stop("ct@one");
            assert_eq!(machine.show("ct@two", "ActiveState"), "active");
            let pid = machine.main_pid("ct@two");
            assert_eq!(machine.read_file(format!("/proc/{pid}/root/root/name")), "two\n");
            machine.stop("ct@two");
        }
        machine.shell("test -z \"$(ls /srv/rootfs/root)\"").succeeds();
        machine.assert_no_leaks(&before);
    }
}
