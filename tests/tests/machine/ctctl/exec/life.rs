// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl exec`: where a command lives, what ends it, and that nothing of it stays.

use std::time::Duration;

use ct_tests::{Machine, Root, on_every_machine};

use super::container::{KINDS, prepare, start};

/// The only scope of a command there is.
fn scope(machine: &Machine) -> String {
    let list = "systemctl list-units --plain --no-legend --state=running 'ct-exec-*' | cut -d' ' -f1";
    machine.wait_until(&format!("test -n \"$({list})\""));
    machine.shell(list).succeeds().stdout.trim().to_owned()
}

/// A command that waits, in the container and found from outside.
const WAIT: [&str; 5] = ["ctctl", "exec", "web", "sleep", "4242"];
const IS_THERE: &str = "pgrep -f '^sleep 4242'";
const IS_GONE: &str = "! pgrep -f '^sleep 4242' && test -z \"$(systemctl list-units --all --no-legend 'ct-exec-*')\" && ! ls /run/ct/web/exec-* 2>/dev/null";

on_every_machine! {
    fn it_lives_in_a_scope_and_in_the_containers_cgroup(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            start(machine, kind, "");
            let running = machine.command(WAIT).spawn();
            machine.wait_until(IS_THERE);
            let scope = scope(machine);
            let id = scope.strip_prefix("ct-exec-web-").and_then(|rest| rest.strip_suffix(".scope")).expect(&scope);
            assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{scope}");
            assert_eq!(machine.show(&scope, "Slice"), "ct-prod.slice");
            assert_eq!(machine.show(&scope, "CollectMode"), "inactive-or-failed");
            // BindsTo= would start a container that has stopped meanwhile.
            assert_eq!(machine.show(&scope, "Requisite"), "ct@web.service");
            assert!(machine.show(&scope, "After").contains("ct@web.service"));
            // The helper, and no runtime that waits.
            let group = format!("/sys/fs/cgroup/$(systemctl show -P ControlGroup {scope})");
            machine.wait_until(&format!("test \"$(ps -o comm= -p $(cat {group}/cgroup.procs))\" = ct-helper"));
            let cgroup = machine.shell("cat /proc/$(pgrep -f '^sleep 4242')/cgroup").succeeds().stdout;
            let payload = format!("{}/payload/ct-job-", machine.show("ct@web", "ControlGroup"));
            assert!(cgroup.lines().any(|line| line.starts_with(&format!("0::{payload}"))), "{kind:?} {cgroup}");
            machine.shell("pkill -f '^sleep 4242'").succeeds();
            running.wait().exits(143);
            machine.wait_until(IS_GONE);
        }
    }

    fn it_dies_with_the_container(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            for end in ["systemctl stop ct@web", "systemctl kill --kill-whom=main -s KILL ct@web", "systemctl restart ct@web"] {
                start(machine, kind, "");
                // A shell on a terminal would let SIGTERM pass.
                let deaf = machine.command(["ctctl", "exec", "web", "sh", "-c", "trap '' TERM HUP; sleep 4242; sleep 4242"]).spawn();
                let running = machine.command(WAIT).spawn();
                machine.wait_until("test $(pgrep -cf '^sleep 4242') = 2");
                machine.shell(end).succeeds();
                let code = running.wait().status.code();
                assert!(matches!(code, Some(143 | 137)), "{kind:?} {end} {code:?}");
                let code = deaf.wait().status.code();
                assert!(matches!(code, Some(137)), "{kind:?} {end} {code:?}");
                machine.wait_until(IS_GONE);
            }
        }
    }

    fn it_dies_with_its_caller(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            start(machine, kind, "");
            let before = machine.leaks();
            for killed in ["ctctl", "ct-helper"] {
                let running = machine.command(["ctctl", "exec", "web", "sh", "-c", "trap '' TERM HUP; sleep 4242; sleep 4242"]).spawn();
                machine.wait_until(IS_THERE);
                machine.shell(&format!("kill -KILL $(pgrep -x {killed})")).succeeds();
                let output = running.wait();
                if killed == "ct-helper" {
                    assert!(output.exits(125).stderr.starts_with("ctctl: ct-helper is gone"));
                }
                machine.wait_until("! pgrep -f '^sleep 4242' && test -z \"$(systemctl list-units --all --no-legend 'ct-exec-*')\"");
                // What a killed helper leaves is root's, and gone with the container.
                machine.shell("rm -rf /run/ct/web/exec-*; rmdir /sys/fs/cgroup/$(systemctl show -P ControlGroup ct@web)/payload/ct-job-* 2>/dev/null; true").succeeds();
            }
            machine.assert_no_leaks(&before);
        }
    }

    fn a_signal_is_the_commands_as_soon_as_that_runs(machine: &Machine) {
        prepare(machine);
        // Its command runs for a while before it says so.
        let slow = "#!/bin/sh\nrunc \"$@\" || exit\ncase \" $* \" in *' exec '*) sleep 2.5;; esac\n";
        machine.write_file("/usr/local/bin/runc-slow", 0o755, slow);
        let sleeps = "trap 'exit 0' TERM; sleep 1000 & wait";
        machine.container(
            "web",
            &format!("runtime = '/usr/local/bin/runc-slow'\nroot.path = '/srv/rootfs'\nprocess.command = ['sh', '-c', \"{sleeps}\"]\n"),
        );
        machine.daemon_reload();
        machine.start("ct@web");
        for (signal, code) in [("INT", 3), ("USR1", 7)] {
            let script = format!("trap 'echo got; exit {code}' {signal}; echo up; while :; do sleep 0.1; done");
            let running = machine.command(["ctctl", "exec", "web", "sh", "-c", &script]).spawn();
            machine.wait_until_true(|| running.stdout() == "up\n");
            machine.shell(&format!("kill -{signal} $(pgrep -x ctctl)")).succeeds();
            assert_eq!(running.wait().exits(code).stdout, "up\ngot\n", "{signal}");
        }
        machine.stop("ct@web");
    }

    fn signals_are_the_commands(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            start(machine, kind, "");
            for (signal, code) in [("INT", 3), ("TERM", 4), ("HUP", 5), ("QUIT", 6), ("USR1", 7), ("USR2", 8)] {
                let script = format!("trap 'echo got; exit {code}' {signal}; echo up; while :; do sleep 0.1; done");
                let running = machine.command(["ctctl", "exec", "web", "sh", "-c", &script]).spawn();
                machine.wait_until_true(|| running.stdout() == "up\n");
                machine.shell(&format!("kill -{signal} $(pgrep -x ctctl)")).succeeds();
                assert_eq!(running.wait().exits(code).stdout, "up\ngot\n", "{kind:?} {signal}");
            }
            // A caller that ignores a signal, as nohup(1) has it do, makes nobody else ignore it.
            let script = "trap '' HUP INT; exec ctctl exec web grep SigIgn /proc/self/status";
            let ignored = machine.shell(script).succeeds().stdout;
            let ignored = u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).unwrap();
            assert_eq!(ignored & 0x7fff_ffff, 0, "{kind:?}");
        }
    }

    fn a_reader_that_is_stuck_costs_no_memory(machine: &Machine) {
        prepare(machine);
        start(machine, KINDS[0], "");
        let pipe = "ctctl exec web yes | { head -c 100000000 >/dev/null; touch /srv/read; sleep 1000; }";
        let _running = machine.command(["bash", "-c", pipe]).spawn();
        machine.wait_until("test -e /srv/read");
        // Everybody waits for somebody: the command, and the thread that passes on what it prints.
        machine.wait_until("grep -q pipe_write /proc/$(pgrep -x yes)/wchan && cat /proc/$(pgrep -x ctctl)/task/*/wchan | grep -q pipe_write || { grep -q '^State:.S' /proc/$(pgrep -x yes)/status && test \"$(cat /proc/$(pgrep -x yes)/wchan)\" = 0; }");
        let resident = machine.shell("cat /proc/$(pgrep -x ctctl)/status /proc/$(pgrep -x ct-helper)/status | grep VmRSS | tr -dc '0-9\\n'").succeeds().stdout;
        for kilobytes in resident.lines().map(|line| line.parse::<u32>().unwrap()) {
            assert!(kilobytes < 12_000, "{resident}");
        }
    }
}

on_every_machine! {
    fn a_thousand_in_a_row_leave_nothing(root: Root) {
        let machine = Machine::boot_from(root, &ct_tests::test_name());
        prepare(&machine);
        for (kind, count) in KINDS.into_iter().zip(if root == Root::Host { [1000, 50, 50] } else { [50, 50, 50] }) {
            start(&machine, kind, "");
            machine.run(["ctctl", "exec", "web", "true"]).succeeds();
            let before = machine.leaks();
            let loops = format!("for i in $(seq {count}); do ctctl exec web true || exit 1; done");
            machine.command(["sh", "-c", &loops]).deadline(Duration::from_secs(3000)).run().succeeds();
            machine.assert_no_leaks(&before);
        }
    }
}
