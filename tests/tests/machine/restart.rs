// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restarting: by systemd's policies, and by a reboot from inside; what is fresh afterwards and what has stayed.

use ct_tests::{Machine, on_every_machine};

fn container(script: &str, more: &str) -> String {
    format!(
        "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n{more}"
    )
}

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

/// How often a word is on a line of its own in a unit's log.
fn count(machine: &Machine, unit: &str, word: &str) -> usize {
    machine.journal(unit).lines().filter(|line| *line == word).count()
}

/// Reboots the container `web` from inside, by way of a fifo, and waits until it is up again.
fn reboot(machine: &Machine) {
    let first = machine.main_pid("ct@web");
    machine.shell("echo reboot >/srv/talk/go").succeeds();
    machine.wait_for_another("ct@web", first);
    machine.wait_until("test -e /srv/talk/up");
}

/// Tells what it finds, then does what it is told through a fifo: `reboot` or `poweroff`.
const OBEDIENT: &str = "ls /root /data >/talk/found; touch /root/mark /data/mark; touch /talk/up; \
    read word </talk/go; rm /talk/up; $word -f; sleep 1000";

const MAY_REBOOT: &str = "[security]\ncapabilities = { add = [\"CAP_SYS_BOOT\"] }\n\
    [[mount]]\nsource = \"/srv/talk\"\ntarget = \"/talk\"\n\
    [[mount]]\nsource = \"tmpfs\"\ntarget = \"/data\"\ntype = \"tmpfs\"\n";

const PATIENT: &str = "delay = \"50ms\"\nstart_limit_interval = \"1min\"\nstart_limit_burst = 100\n";

on_every_machine! {
    fn each_policy_restarts_what_it_says(machine: &Machine) {
        prepare(machine);
        // After status 0, status 1 and a signal.
        let policies = [
            ("no", "no", [false, false, false]),
            ("always", "always", [true, true, true]),
            ("on-success", "on-success", [true, false, false]),
            ("on-failure", "on-failure", [false, true, true]),
            ("on-abnormal", "on-abnormal", [false, false, true]),
            ("on-abort", "on-abort", [false, false, true]),
            ("on-watchdog", "on-watchdog", [false, false, false]),
        ];
        for (policy, ..) in policies {
            let script = "read status </root/$(hostname); exit $status";
            machine.container(policy, &container(script, &format!("[restart]\npolicy = \"{policy}\"\n{PATIENT}")));
            machine.shell(&format!("mkfifo /srv/rootfs/root/{policy}")).succeeds();
        }
        machine.daemon_reload();
        for (policy, shown, restarts) in policies {
            let unit = format!("ct@{policy}");
            assert_eq!(machine.show(&unit, "Restart"), shown);
            for (end, restarts) in ["0", "1", "KILL"].into_iter().zip(restarts) {
                machine.start(&unit);
                let fifo = format!("/srv/rootfs/root/{policy}");
                machine.shell(&match end {
                    "KILL" => format!("kill -KILL {}", machine.main_pid(&unit)),
                    status => format!("echo {status} >{fifo}"),
                }).succeeds();
                if restarts {
                    machine.wait_for(&unit, "NRestarts", "1");
                    machine.wait_for(&unit, "ActiveState", "active");
                    // It waits for the next word: a shell that reads from a fifo has no other open file.
                    machine.shell(&format!("kill -KILL {}; systemctl stop {unit}", machine.main_pid(&unit))).succeeds();
                } else {
                    machine.wait_until(&format!("systemctl show -p SubState {unit} | grep -qxE 'SubState=(dead|failed)'"));
                    assert_eq!(machine.show(&unit, "NRestarts"), "0", "{policy} {end}");
                }
                machine.shell(&format!("systemctl reset-failed {unit} || true")).succeeds();
            }
        }
    }

    fn a_crash_loop_ends_at_the_start_limit(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        // As it is up, and while it is waited for.
        for (name, ready) in [("up", ""), ("waiting", "[ready]\ncommand = [\"false\"]\n")] {
            let limits = "[restart]\npolicy = \"on-failure\"\ndelay = \"30ms\"\nstart_limit_burst = 3\nstart_limit_interval = \"2min\"\n";
            machine.container(name, &container("echo run; sleep 0.2; exit 5", &format!("{limits}{ready}")));
            machine.daemon_reload();
            let unit = format!("ct@{name}");
            assert_eq!(machine.show(&unit, "StartLimitBurst"), "3");
            assert_eq!(machine.show(&unit, "StartLimitIntervalUSec"), "2min");
            assert_eq!(machine.show(&unit, "RestartUSec"), "30ms");
            machine.try_start(&unit);
            machine.wait_until(&format!("journalctl --sync; journalctl -u {unit} -o cat | grep -q 'Start request repeated too quickly'"));
            machine.wait_for(&unit, "ActiveState", "failed");
            assert_eq!(count(machine, &unit, "run"), 3, "{}", machine.journal(&unit));
            assert_eq!(machine.show(&unit, "ExecMainStatus"), "5");
            // Nobody starts it now until told that it may.
            assert!(!machine.try_start(&unit).status.success());
            assert_eq!(count(machine, &unit, "run"), 3);
            machine.run(["systemctl", "reset-failed", &unit]).succeeds();
            machine.try_start(&unit);
            machine.wait_until(&format!("journalctl --sync; test $(journalctl -u {unit} -o cat | grep -cx run) -ge 4"));
            machine.stop(&unit);
            machine.shell(&format!("systemctl reset-failed {unit} || true")).succeeds();
        }
        machine.assert_no_leaks(&before);
    }

    fn a_reboot_is_a_fresh_start_in_all_but_what_persists(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir /srv/talk; mkfifo /srv/talk/go").succeeds();
        machine.write_file("/usr/local/bin/note", 0o755, "#!/bin/sh\necho $CT_STAGE >>/srv/talk/hooks\n");
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            for (writable, kept) in [("ephemeral", false), ("persistent", true)] {
                let config = format!(
                    "runtime = \"{runtime}\"\n{}{MAY_REBOOT}[ready]\ncommand = [\"test\", \"-e\", \"/talk/up\"]\ninterval = \"20ms\"\n\
                     [hooks]\npre_start = [[\"/usr/local/bin/note\"]]\npost_stop = [[\"/usr/local/bin/note\"]]\n\
                     [restart]\npolicy = \"no\"\n{PATIENT}",
                    container(OBEDIENT, "").replace("[process]", &format!("writable = \"{writable}\"\n[process]"))
                );
                machine.container("web", &config);
                machine.shell("rm -f /srv/talk/hooks /srv/talk/up /srv/rootfs/root/mark").succeeds();
                machine.daemon_reload();
                machine.start("ct@web");
                assert_eq!(machine.read_file("/srv/talk/found"), "/data:\n\n/root:\n");
                let look = |command: &str| machine.shell(command).succeeds().stdout;
                let mounts = || look(&format!("wc -l </proc/{}/mountinfo; wc -l </proc/1/mountinfo", machine.main_pid("ct@web")));
                let group = || look("stat -c %i /sys/fs/cgroup/ct.slice/ct@web.service/payload");
                let (first_mounts, mut last_group) = (mounts(), group());
                for number in 1..=5 {
                    reboot(machine);
                    let found = if kept { "/data:\n\n/root:\nmark\n" } else { "/data:\n\n/root:\n" };
                    assert_eq!(machine.read_file("/srv/talk/found"), found, "{runtime} {writable}");
                    assert_eq!(mounts(), first_mounts, "{runtime} {writable}: mounts pile up");
                    assert_ne!(group(), last_group, "{runtime} {writable}: the control group should be a new one");
                    last_group = group();
                    assert_eq!(machine.show("ct@web", "NRestarts"), number.to_string());
                }
                machine.shell("echo poweroff >/srv/talk/go").succeeds();
                machine.wait_until("systemctl show -p SubState ct@web | grep -qx SubState=dead");
                assert_eq!(machine.show("ct@web", "Result"), "success");
                let hooks = machine.read_file("/srv/talk/hooks");
                assert_eq!(hooks, "pre_start\npost_stop\n".repeat(6), "{runtime} {writable}");
            }
        }
        machine.assert_no_leaks(&before);
    }

    fn a_reboot_while_it_is_waited_for_restarts_too(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir /srv/talk; mkfifo /srv/talk/go").succeeds();
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            let more = format!("{MAY_REBOOT}[ready]\ncommand = [\"test\", \"-e\", \"/talk/second\"]\n[restart]\n{PATIENT}");
            let script = "touch /talk/up; read word </talk/go; rm /talk/up; $word -f; sleep 1000";
            machine.container("web", &format!("runtime = \"{runtime}\"\n{}", container(script, &more)));
            machine.shell("rm -f /srv/talk/up /srv/talk/second").succeeds();
            machine.daemon_reload();
            machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
            machine.wait_until("test -e /srv/talk/up && systemctl status ct@web | grep -q 'Waiting until ready'");
            machine.shell("touch /srv/talk/second; echo reboot >/srv/talk/go").succeeds();
            machine.wait_until("test -e /srv/talk/up && systemctl is-active -q ct@web");
            // To power off is a stop. Before it is ready it is a start that failed too: who waits for it waits in vain.
            machine.shell("echo poweroff >/srv/talk/go").succeeds();
            machine.wait_for("ct@web", "ActiveState", "inactive");
            machine.shell("rm /srv/talk/second").succeeds();
            machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
            machine.wait_until("test -e /srv/talk/up && systemctl status ct@web | grep -q 'Waiting until ready'");
            machine.shell("echo poweroff >/srv/talk/go").succeeds();
            machine.wait_until("systemctl show -p SubState ct@web | grep -qxE 'SubState=(dead|failed)'");
            assert_eq!(machine.show("ct@web", "Result"), "protocol", "{runtime}: {}", machine.journal("ct@web"));
            assert_eq!(machine.show("ct@web", "NRestarts"), "0");
            machine.run(["systemctl", "reset-failed", "ct@web"]).succeeds();
        }
        machine.assert_no_leaks(&before);
    }
}
