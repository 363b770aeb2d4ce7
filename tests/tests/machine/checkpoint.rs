// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl checkpoint` and `ctctl restore`: what ran goes on where it was, the unit has not failed in between, and what cannot
//! be done is refused and changes nothing.

use ct_tests::{Machine, on_every_machine};

/// Counts in memory alone.
const COUNTS: &str = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo count $i; sleep 0.1; done";

fn prepare(machine: &Machine) {
    machine.bring("/usr/bin/runsc");
    machine.busybox_rootfs("/srv/rootfs");
}

fn container(machine: &Machine, runtime: &str, more: &str) {
    machine.container(
        "web",
        &format!(
            "runtime = \"{runtime}\"\n[process]\ncommand = [\"sh\", \"-c\", '''{COUNTS}''']\n\
             [root]\npath = \"/srv/rootfs\"\n{more}"
        ),
    );
    machine.daemon_reload();
}

/// The last number that it has counted to.
fn count(machine: &Machine) -> u64 {
    let line = machine
        .shell("journalctl --sync; journalctl -q -u ct@web -o cat | grep '^count ' | tail -n 1")
        .stdout;
    line.trim().trim_start_matches("count ").parse().unwrap_or(0)
}

/// Waits until it has counted on, from this or a higher number.
fn wait_for_count(machine: &Machine, at_least: u64) {
    machine.wait_until_true(|| count(machine) >= at_least);
}

on_every_machine! {
    fn a_container_goes_on_where_it_was(machine: &Machine) {
        prepare(machine);
        // Started again after every end, but for this one.
        container(machine, "runsc", "[restart]\npolicy = \"always\"\ndelay = \"0s\"\n");
        // What stays by design.
        machine.shell("systemctl start ct.slice; mkdir -m 700 /run/ct-restore").succeeds();
        let before = machine.leaks();
        machine.start("ct@web");
        wait_for_count(machine, 5);
        machine.run(["ctctl", "checkpoint", "web"]).succeeds();
        let reached = count(machine);
        assert_eq!(machine.shell("systemctl is-active ct@web; systemctl show -P Result ct@web; systemctl show -P NRestarts ct@web").stdout, "inactive\nsuccess\n0\n");
        assert_eq!(machine.shell("ls /run/systemd/system; ls -A /var/lib/ct/web; stat -c %a /var/lib/ct/web/checkpoint; systemctl show -P SuccessExitStatus ct@web | grep -c KILL").stdout, "checkpoint\n700\n0\n");

        for name in ["first", "second"] {
            machine.run(["ctctl", "restore", "web"]).succeeds();
            let pid = machine.main_pid("ct@web");
            assert!(machine.read_file(format!("/proc/{pid}/cmdline")).starts_with("runsc-sandbox"), "{name}");
            // From what it was, not from 1: the lines of this invocation alone.
            let first = machine.shell("id=$(systemctl show -P InvocationID ct@web); until journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$id | grep -m 1 '^count'; do :; done");
            let number: u64 = first.succeeds().stdout.trim().trim_start_matches("count ").parse().expect("a number");
            assert!((reached..=reached + 2).contains(&number), "{name}: {number} after {reached}");
            machine.run(["ctctl", "exec", "web", "true"]).succeeds();
            assert_eq!(machine.shell("ls /run/ct-restore").stdout, "");
            machine.stop("ct@web");
            assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7", "{name}");
        }
        machine.start("ct@web");
        machine.shell("id=$(systemctl show -P InvocationID ct@web); until journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$id | grep -m 1 '^count'; do :; done | grep -qx 'count 1'").succeeds();
        machine.stop("ct@web");
        machine.shell("rm -r /var/lib/ct/web").succeeds();
        machine.assert_no_leaks(&before);
    }

    /// The other ends of its standard files are new ones.
    fn what_it_reads_and_prints_on_goes_on(machine: &Machine) {
        prepare(machine);
        let repeats = "trap 'exit 7' TERM; while read line; do echo $line; echo $line >>/file; done; sleep 1000 & wait";
        for (mode, reads) in [("none", true), ("journal", true), ("pipe", true), ("pipe", false)] {
            machine.shell("rm -rf /srv/rootfs/file /var/lib/ct/web; touch /srv/rootfs/file").succeeds();
            let script = if reads { repeats } else { COUNTS };
            machine.container("web", &format!("runtime = \"runsc\"\nlog.mode = {mode:?}\nroot.path = \"/srv/rootfs\"\n\
                process = {{ stdin_open = {reads}, command = [\"sh\", \"-c\", '''{script}'''] }}\n"));
            machine.daemon_reload();
            machine.start("ct@web");
            let types = |line: &str| {
                let to = if mode == "pipe" { "| timeout 200 ctctl console --once web >/dev/null" } else { ">/run/ct/web/stdin" };
                machine.shell(&format!("echo {line} {to} & until grep -qx {line} /srv/rootfs/file; do :; done; kill $! 2>/dev/null; wait")).succeeds();
            };
            if reads {
                types("before");
            } else {
                wait_for_count(machine, 1);
            }
            machine.run(["ctctl", "checkpoint", "web"]).succeeds();
            // The service of a pipe logs what it still has.
            machine.wait_until("! systemctl is-active ct-console@web");
            machine.forget_journal();
            machine.run(["ctctl", "restore", "web"]).succeeds();
            if reads {
                types("after");
            }
            let log = || machine.shell("journalctl --sync; journalctl -q -u ct@web -o cat SYSLOG_IDENTIFIER=web").stdout;
            match (mode, reads) {
                ("none", _) => assert_eq!(log(), ""),
                (_, true) => machine.wait_until_true(|| log().lines().any(|line| line == "after")),
                (_, false) => machine.wait_until_true(|| log().contains("count ")),
            }
            assert!(!log().lines().any(|line| matches!(line, "before" | "count 1")), "{mode} {reads}: {}", log());
            machine.stop("ct@web");
            assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7", "{mode} {reads}");
            machine.run(["systemctl", "reset-failed", "ct@web"]).succeeds();
        }
    }

    fn a_checkpoint_that_fails_leaves_container_and_older_checkpoint(machine: &Machine) {
        prepare(machine);
        machine.write_file("/usr/local/bin/runsc-broken", 0o755, "#!/bin/sh\ncase \" $* \" in *' checkpoint '*) test ! -e /srv/broken || {
            while test $# -gt 0; do case $1 in --image-path) echo half >$2/checkpoint.img;; --log) log=$2;; esac; shift; done
            echo '{\"msg\":\"no space\",\"level\":\"error\"}' >$log; exit 1; };; esac\nexec runsc \"$@\"\n");
        container(machine, "/usr/local/bin/runsc-broken", "");
        machine.start("ct@web");
        wait_for_count(machine, 2);
        machine.run(["ctctl", "checkpoint", "web", "/srv/kept"]).succeeds();
        machine.run(["ctctl", "restore", "web", "/srv/kept"]).succeeds();
        let (pid, sum) = (machine.main_pid("ct@web"), machine.shell("sha256sum /srv/kept/*").stdout);
        machine.shell("touch /srv/broken").succeeds();
        let said = machine.run(["ctctl", "checkpoint", "web", "/srv/kept"]).exits(1).stderr;
        assert_eq!(said, "ctctl: /usr/local/bin/runsc-broken failed: no space\n");
        assert_eq!((machine.main_pid("ct@web"), machine.shell("sha256sum /srv/kept/*").stdout), (pid, sum));
        assert_eq!(machine.shell("ls -A /srv /run/systemd/system").stdout, "/run/systemd/system:\n\n/srv:\nbroken\nkept\nrootfs\n");
        let reached = count(machine);
        wait_for_count(machine, reached + 2);
        machine.stop("ct@web");
    }

    fn what_cannot_be_done_is_refused(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; mkdir /srv/else; echo x >/srv/else/file").succeeds();
        let refused = |arguments: &str, reason: &str| {
            let said = machine.shell(&format!("ctctl {arguments}")).exits(1).stderr;
            assert!(said.contains(reason), "{arguments}: {said}");
        };
        container(machine, "runsc", "");
        refused("checkpoint web", "web is not running (inactive)");
        refused("restore web", "there is no checkpoint in /var/lib/ct/web/checkpoint");
        machine.start("ct@web");
        refused("checkpoint --leave-running web", "runsc failed: it cannot do that: its sandbox, the unit's main process, ends with a checkpoint");
        refused("checkpoint web /srv/else", "/srv/else is there, and is no checkpoint");
        refused("checkpoint web /tmp/open", "/tmp can be written to by others than root");
        machine.shell("setpriv --reuid=ct-web --clear-groups ctctl checkpoint web 2>&1 | grep -q 'not permitted: checkpoint takes root'").succeeds();
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        machine.run(["ctctl", "checkpoint", "web"]).succeeds();
        machine.start("ct@web");
        refused("restore web", "web runs (active): stop it first");
        machine.stop("ct@web");

        // A config that has changed, and a container that was another.
        container(machine, "runsc", "[oom]\nscore_adjust = 5\n");
        refused("restore web", "the config of web has changed since this checkpoint");
        assert_eq!(machine.shell("ls /run/ct-restore").stdout, "");

        // Where what it needs ends with it.
        container(machine, "runsc", "writable = \"ephemeral\"\n");
        machine.start("ct@web");
        refused("checkpoint web", "web cannot be restored: what it has written to its root file system ends with it");
        machine.stop("ct@web");

        machine.container("web", "runtime = \"runsc\"\nroot.path = \"/srv/rootfs\"\nprocess = { terminal = true, command = [\"sleep\", \"1000\"] }\n");
        machine.daemon_reload();
        machine.start("ct@web");
        refused("checkpoint web", "web cannot be restored: with another terminal it would hear no signal (process.terminal)");
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        machine.shell("systemctl kill -s KILL ct@web; systemctl stop ct@web; systemctl reset-failed ct@web");

        // CRIU is on one of the machines; crun has none in it. What they can is in virtual_machine/checkpoint.rs.
        let has_criu = machine.shell("command -v criu").status.success();
        let of_runc = if has_criu {
            "web cannot be restored: CRIU has but one end of the journal's stream"
        } else {
            "runc failed: it cannot do that: criu(8) is not installed"
        };
        for (runtime, reason) in [("crun", "crun failed: it cannot do that: "), ("runc", of_runc)] {
            container(machine, runtime, "");
            machine.start("ct@web");
            let pid = machine.main_pid("ct@web");
            for options in ["", "--leave-running"] {
                refused(&format!("checkpoint {options} web"), reason);
                assert_eq!(machine.main_pid("ct@web"), pid, "{runtime}");
            }
            let reached = count(machine);
            wait_for_count(machine, reached + 2);
            machine.stop("ct@web");
        }
        assert_eq!(machine.shell("ls /run/systemd/system").stdout, "");
    }
}
