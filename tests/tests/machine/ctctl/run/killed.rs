// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl run` in the foreground, killed: is anything left of it, whoever was killed, and whenever?

use ct_tests::{Machine, on_every_machine};

/// Tells where it is, and waits there until it is told to go on; of the moments, only the one that is asked for.
const WAIT_AT: &str = "#!/bin/sh\n[ \"$(cat /run/moment)\" = \"$1\" ] || exit 0\necho $1 >/run/reached\n\
                       while [ -e /run/reached ]; do sleep 0.05; done\n";

/// A runtime that waits before and after its work.
const RUNTIME: &str = "#!/bin/sh\ncase \"$*\" in *\" run \"*) ;; *) exec crun \"$@\";; esac\n\
                       /usr/local/bin/wait-at before\ncrun \"$@\"; status=$?\n/usr/local/bin/wait-at after\nexit $status\n";

const MOMENTS: [&str; 4] = ["hook", "before", "after", "running"];

fn prepare(machine: &Machine, user: &str) {
    machine
        .shell(
            "id ct-web || useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid",
        )
        .succeeds();
    machine.busybox_rootfs("/srv/rootfs");
    machine.write_file("/usr/local/bin/wait-at", 0o755, WAIT_AT);
    machine.write_file("/usr/local/bin/crun-slow", 0o755, RUNTIME);
    machine.shell("systemctl start ct.slice; chmod 755 /run; mkdir -p /srv/rootfs/tmp").succeeds();
    machine.container(
        "web",
        &format!(
            "runtime = \"/usr/local/bin/crun-slow\"\nuser = \"{user}\"\n[root]\npath = \"/srv/rootfs\"\n\
             [[mount]]\nsource = \"/srv\"\ntarget = \"/mnt\"\n\
             [hooks]\npre_start = [[\"/usr/local/bin/wait-at\", \"hook\"]]\n"
        ),
    );
    machine.daemon_reload();
}

/// Starts a run and waits until it is there; its ctctl is $(cat /run/pid).
fn run_until(machine: &Machine, moment: &str) -> ct_tests::Running {
    machine.shell(&format!("rm -f /srv/rootfs/tmp/running; echo {moment} >/run/moment; : >/run/reached; chmod 666 /run/reached; rm -f /run/pid")).succeeds();
    let script = "echo $$ >/run/pid; exec ctctl run web -- sh -c 'echo >/tmp/running; sleep 1000'";
    let running = machine.command(["sh", "-c", script]).spawn();
    match moment {
        "running" => machine.wait_until("test -e /srv/rootfs/tmp/running"),
        moment => machine.wait_until(&format!("grep -qx {moment} /run/reached")),
    }
    running
}

const HELPER: &str = "$(pgrep -f '^/usr/libexec/ct/ct-helper run')";

on_every_machine! {
    /// A stop of a scope is for the helper as for the command, and the helper may look when that has ended already.
    fn a_stop_that_comes_with_the_end_does_not_hide_how_it_was(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", "root.path = \"/srv/rootfs\"\nprocess.command = [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n");
        machine.daemon_reload();
        for verb in ["run", "exec"] {
            if verb == "exec" {
                machine.start("ct@web");
            }
            let script = "trap 'exit 3' TERM; while :; do sleep 0.1; done";
            let running = machine.command(["ctctl", verb, "web", "--", "sh", "-c", script]).spawn();
            let helper = format!("$(pgrep -f '^/usr/libexec/ct/ct-helper {verb} web')");
            // By then the runtime has gone, and the helper takes signals from a descriptor.
            machine.wait_until(&format!("pgrep -x sh -P {helper} && grep -q '^SigBlk:.*4...$' /proc/{helper}/status"));
            machine.wait_until(&format!("grep -q '^SigCgt:.*4...$' /proc/$(pgrep -x sh -P {helper})/status"));
            machine
                .shell(&format!(
                    "helper={helper}; init=$(pgrep -x sh -P $helper); kill -STOP $helper && kill -TERM $helper $init && \
                     until grep -q '^State:.Z' /proc/$init/status; do sleep 0.01; done; kill -CONT $helper"
                ))
                .succeeds();
            running.wait().exits(3);
        }
    }

    fn whoever_is_killed_at_whatever_moment_nothing_is_left(machine: &Machine) {
        for user in ["root", "ct-web"] {
            prepare(machine, user);
            machine.shell(": >/run/reached; echo none >/run/moment; chown 200000 /srv/rootfs/tmp; ctctl run web true").succeeds();
            let before = machine.leaks();
            for moment in MOMENTS {
                for victim in ["$(cat /run/pid)", HELPER] {
                    let running = run_until(machine, moment);
                    // The helper has processes of its own, which may just have ended.
                    machine.shell(&format!("pids={victim}; test -n \"$pids\" && {{ kill -KILL $pids; true; }}")).succeeds();
                    if victim != HELPER {
                        machine.shell("rm -f /run/reached").succeeds();
                    }
                    // A crun that is killed in the middle of its work leaves files of its own in /tmp.
                    let output = running.wait();
                    if victim == HELPER {
                        assert_eq!(output.status.code(), Some(125), "{user} {moment}: {output}");
                        assert!(output.stderr.contains("ct-helper is gone (signal: 9 (SIGKILL))"), "{user} {moment}: {output}");
                    }
                    machine.wait_until("! systemctl list-units --all --no-legend 'ct-run-*' | grep .");
                    machine.assert_no_leaks(&before);
                }
            }
            // It is nobody's, and the next one works.
            machine.shell("echo none >/run/moment; ctctl run web true").succeeds();
        }
    }

    fn a_killed_command_ends_the_run(machine: &Machine) {
        prepare(machine, "root");
        let before = machine.leaks();
        let running = run_until(machine, "running");
        machine.wait_until("kill -KILL $(pgrep -f '^sleep 1000')");
        assert_eq!(running.wait().status.code(), Some(137));
        machine.assert_no_leaks(&before);
    }

    fn a_mark_that_nobody_holds_is_taken_away(machine: &Machine) {
        prepare(machine, "root");
        machine.shell("echo none >/run/moment; mkdir -p /run/ct-run; : >/run/ct-run/web-0123abcd").succeeds();
        machine.run(["ctctl", "run", "web", "true"]).succeeds();
        machine.shell("test ! -e /run/ct-run/web-0123abcd").succeeds();
    }
}
