// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl kill`, `freeze`, `thaw`, `enable`, `disable` and `wait`.

use ct_tests::{Machine, Running, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, script: &str) {
    machine.container(
        name,
        &format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"),
    );
}

/// `ctctl wait`, listening already: it has come to rest.
fn waiting(machine: &Machine, names: &[&str]) -> Running {
    machine.shell("rm -f /tmp/waiting").succeeds();
    let argv = ["sh", "-c", "echo $$ >/tmp/waiting; exec ctctl wait \"$@\"", "sh"];
    let running = machine.command(argv.iter().chain(names)).spawn();
    machine.wait_until("grep -q '^ctctl' /proc/$(cat /tmp/waiting)/cmdline");
    machine.wait_until_at_rest(machine.read_file("/tmp/waiting").trim());
    running
}

on_every_machine! {
    fn signals_are_sent(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", "trap 'echo one' USR1; trap 'exit 0' TERM; sleep 1000 & while :; do wait; done");
        machine.daemon_reload();
        machine.start("ct@web");
        machine.run(["ctctl", "kill", "-s", "usr1", "web"]).succeeds();
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx one");
        machine.run(["ctctl", "kill", "--signal=SIGKILL", "--all", "web"]).succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "9");
        let down = machine.run(["ctctl", "kill", "web"]).exits(3).stderr;
        assert_eq!(down, "ctctl: web is not running\n");
        machine.run(["ctctl", "kill", "-s", "SIGNOTHING", "web"]).exits(2);
        machine.start("ct@web");
        machine.run(["ctctl", "kill", "web"]).succeeds();
        machine.wait_for("ct@web", "ActiveState", "inactive");
    }

    fn freezing_and_thawing(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", IDLE);
        machine.daemon_reload();
        assert_eq!(machine.run(["ctctl", "freeze", "web"]).exits(3).stderr, "ctctl: web is not running\n");
        machine.start("ct@web");
        let frozen = "grep -qx 'frozen 1' /sys/fs/cgroup/ct.slice/ct@web.service/cgroup.events";
        machine.shell(frozen).fails();
        machine.run(["ctctl", "freeze", "web"]).succeeds();
        machine.shell(frozen).succeeds();
        machine.run(["ctctl", "thaw", "web"]).succeeds();
        machine.shell(frozen).fails();
    }

    fn boot_is_told_what_to_start(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", IDLE);
        machine.container("auto", "root.path = \"/srv/rootfs\"\nautostart.enabled = true\n");
        machine.daemon_reload();
        machine.run(["ctctl", "enable", "--now", "web"]).succeeds();
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        let link = "/etc/systemd/system/ct.target.wants/ct@web.service";
        machine.run(["test", "-L", link]).succeeds();
        assert!(machine.show("ct.target", "Wants").contains("ct@web.service"), "it is loaded, too");
        machine.settle("ct@web");
        machine.run(["ctctl", "disable", "--now", "web"]).succeeds();
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive");
        machine.run(["test", "-L", link]).fails();
        let told = machine.run(["ctctl", "disable", "auto"]).succeeds().stderr;
        assert_eq!(told, "ctctl: boot still starts auto: its config has autostart.enabled = true\n");
    }

    fn waiting_ends_with_the_exit_code(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let until_told = |then: &str| format!("while [ ! -e /go ]; do sleep 0.05; done; {then}");
        container(machine, "seven", &until_told("exit 7"));
        container(machine, "well", &until_told("exit 0"));
        container(machine, "never", "exit 0");
        machine.daemon_reload();
        let never = machine.run(["ctctl", "wait", "never"]).exits(1).stderr;
        assert_eq!(never, "ctctl: wait never: systemd knows of no run of it\n");
        machine.run(["ctctl", "start", "seven", "well"]).succeeds();
        let late = machine.run(["ctctl", "wait", "--timeout", "100ms", "seven"]).exits(124).stderr;
        assert_eq!(late, "ctctl: wait seven: it has not ended in time\n");
        let seven = waiting(machine, &["seven"]);
        let well = waiting(machine, &["well"]);
        let both = waiting(machine, &["well", "seven"]);
        // What systemd forgets of its clients, or does not.
        machine.daemon_reload();
        machine.run(["systemctl", "daemon-reexec"]).succeeds();
        machine.shell("touch /srv/rootfs/go").succeeds();
        seven.wait().exits(7);
        well.wait().succeeds();
        assert_eq!(both.wait().exits(7).stdout, "well 0\nseven 7\n");
        // Once more, of what is over; systemd has unloaded the one that ended well.
        machine.run(["ctctl", "wait", "seven"]).exits(7);
        machine.run(["ctctl", "wait", "well"]).succeeds();
        container(machine, "killed", IDLE);
        machine.daemon_reload();
        machine.start("ct@killed");
        let killed = waiting(machine, &["killed"]);
        machine.run(["ctctl", "kill", "-s", "9", "killed"]).succeeds();
        killed.wait().exits(137);
    }

    /// The first end counts, however soon systemd starts it again.
    fn waiting_sees_an_end_before_a_restart(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let script = "n=$(cat /runs 2>/dev/null || echo 10); echo $((n + 1)) >/runs; while [ ! -e /go$n ]; do sleep 0.02; done; exit $n";
        machine.container("web", &format!(
            "root.path = \"/srv/rootfs\"\nprocess.command = [\"sh\", \"-c\", '{script}']\nrestart = {{ policy = \"always\", delay = \"0\", start_limit_interval = \"0\" }}\nstop.timeout = \"100ms\"\n"
        ));
        machine.daemon_reload();
        machine.start("ct@web");
        for run in 10..20 {
            machine.wait_until(&format!("grep -qx {} /srv/rootfs/runs", run + 1));
            machine.wait_for("ct@web", "ActiveState", "active");
            let waiting = waiting(machine, &["web"]);
            machine.shell(&format!("touch /srv/rootfs/go{run}")).succeeds();
            waiting.wait().exits(run);
        }
        // A restart by hand is an end, too.
        machine.wait_for("ct@web", "ActiveState", "active");
        let waiting = waiting(machine, &["web"]);
        machine.run(["systemctl", "restart", "ct@web"]).succeeds();
        waiting.wait().exits(137);
    }
}
