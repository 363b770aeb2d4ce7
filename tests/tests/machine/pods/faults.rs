// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pods that cannot start, and pods killed while they do: is the reason told, and is nothing left behind?

use std::collections::BTreeMap;

use ct_tests::{Machine, on_every_machine};

use super::words::{container, inside, pod, prepare};

/// The last words of the helper for a unit.
fn reasons(machine: &Machine, unit: &str) -> Vec<String> {
    let text = machine.journalctl(&["--unit", unit, "--identifier", "ct-helper", "--output", "cat"]);
    text.lines().map(str::to_owned).collect()
}

/// Starts a unit that cannot be started; its helper's words.
fn fails(machine: &Machine, unit: &str) -> Vec<String> {
    machine.try_start(unit).fails();
    reasons(machine, unit)
}

/// Has the pod's unit run the helper under strace with these options.
fn under_strace(machine: &Machine, options: &str) {
    // -D: the helper, not strace, is the main process.
    let exec = format!("/usr/bin/strace -D -f -qq {options} /usr/libexec/ct/ct-helper pod-start %i");
    let drop_in = format!("[Service]\nExecStart=\nExecStart={exec}\n");
    machine.write_file("/run/systemd/system/ct-pod@shop.service.d/90-strace.conf", 0o644, drop_in);
    machine.daemon_reload();
}

/// Every (call, ordinal) of one good start of the pod, in order.
fn points(machine: &Machine) -> Vec<(String, usize)> {
    under_strace(machine, "-o /tmp/trace");
    machine.start("ct@web");
    machine.stop("ct@web");
    machine.wait_for("ct-pod@shop", "ActiveState", "inactive");
    machine.stop("ct-shop.slice");
    let trace = machine.read_file("/tmp/trace");
    machine.shell("rm /tmp/trace").succeeds();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let calls = trace.lines().filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('));
    let calls = calls.filter(|(call, _)| {
        *call != "execve" && call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    let mut points = Vec::new();
    for (call, _) in calls {
        let count = counts.entry(call.to_owned()).or_default();
        *count += 1;
        points.push((call.to_owned(), *count));
    }
    points
}

/// Starts the pod again and again, each time killed at another system call, every n-th of them.
fn killed_at_points(machine: &Machine, user: &str, step: usize) {
    prepare(machine);
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
    pod(machine, "shop", user);
    container(machine, "web", &format!("{user}pod = \"shop\""));
    machine.daemon_reload();
    let before = machine.leaks();
    let points = points(machine);
    assert!(points.len() > 150, "a pod's start should have more than {} system calls", points.len());
    let (mut tried, mut killed) = (0, 0);
    for (call, ordinal) in points.iter().step_by(step) {
        under_strace(machine, &format!("-o /dev/null -e inject={call}:signal=SIGKILL:when={ordinal}"));
        tried += 1;
        let started = machine.try_start("ct@web").status.success();
        if started {
            // A call that this time did not come so often.
            assert_eq!(inside(machine, "web", "hostname"), "shop", "{call} #{ordinal}");
        } else {
            killed += 1;
            assert_eq!(machine.show("ct-pod@shop", "ActiveState"), "failed", "{call} #{ordinal}");
            // Of the account's two processes it may have been the other, whose end is told.
            let result = machine.show("ct-pod@shop", "Result");
            assert!(
                result == "signal" || result == "exit-code" && !user.is_empty(),
                "{result}: {call} #{ordinal}"
            );
        }
        machine
            .shell("systemctl stop ct-pod@shop ct@web; systemctl reset-failed; systemctl stop ct-shop.slice")
            .succeeds();
        machine.assert_no_leaks(&before);
    }
    assert!(killed > tried * 3 / 4, "{killed} of {tried} starts were killed");
    machine.shell("rm -r /run/systemd/system/ct-pod@shop.service.d").succeeds();
    machine.daemon_reload();
    machine.start("ct@web");
}

on_every_machine! {
    fn a_pod_whose_account_cannot_have_one_fails_with_the_reason(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system no-ids; : >/etc/subuid; : >/etc/subgid").succeeds();
        pod(machine, "none", "user = \"no-ids\"\n");
        pod(machine, "typo", "user = \"nobody-here\"\n");
        pod(machine, "shop", "user = \"no-ids\"\n[idmap]\nuid = [[0, 300000, 1000]]\ngid = [[0, 300000, 1000]]\n");
        machine.daemon_reload();
        machine.start("ct.slice");
        let before = machine.leaks();
        let none = fails(machine, "ct-pod@none");
        assert_eq!(none.len(), 1);
        assert!(none.iter().all(|line| line.starts_with("the account \"no-ids\" has no ids to map in /etc/subuid")), "{none:?}");
        assert_eq!(machine.show("ct-pod@none", "ExecMainStatus"), "67");
        assert_eq!(fails(machine, "ct-pod@typo"), ["no account \"nobody-here\" on this host"]);
        // What the kernel says to the child, and the child's own end, are told as well.
        for (fault, reason) in [
            ("unshare:error=ENOSPC:when=1", "unshare(CLONE_NEWUSER): no space left on device"),
            ("unshare:error=EPERM:when=2", "unshare in the user namespace: operation not permitted"),
            ("unshare:signal=SIGKILL:when=2", "read from the child: failed to fill whole buffer"),
        ] {
            under_strace(machine, &format!("-o /dev/null -e inject={fault}"));
            machine.try_start("ct-pod@shop").fails();
            assert_eq!(reasons(machine, "ct-pod@shop").pop().as_deref(), Some(reason), "{fault}");
        }
        machine.shell("systemctl reset-failed; systemctl stop 'ct-*.slice'").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn what_cannot_be_is_said_where_it_is_started(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        pod(machine, "shop", "");
        pod(machine, "bad", "\n[resources]\nmemory_mux = 1\n");
        pod(machine, "away", "");
        machine.shell("ln -sf /dev/null /etc/ct/pods/away.toml").succeeds();
        let at = |name: &str, what: &str| format!("/etc/ct/containers/{name}.toml:{what}");
        let bad = "/etc/ct/pods/bad.toml:3:1: resources: unknown key `memory_mux` (did you mean `memory_max`?)";
        let cases = [
            ("typo", "pod = \"shpo\"", at("typo", "1:7: pod: no pod is called shpo: there is no /etc/ct/pods/shpo.toml (did you mean shop?)")),
            ("masked", "pod = \"away\"", at("masked", "1:7: pod: the pod away is masked: its file is a link to /dev/null")),
            ("broken", "pod = \"bad\"", at("broken", &format!("1:7: pod: the pod bad cannot be used: {bad}"))),
            (
                "name",
                "pod = \"shop\"\nhostname = \"x\"",
                at("name", "2:12: hostname: the members of the pod shop share one host name (set hostname in the pod, or leave \"uts\" out of its share)"),
            ),
            (
                "network",
                "pod = \"shop\"\nnetwork.mode = \"host\"",
                at("network", "2:16: network.mode: the members of the pod shop share one network (set [network] in the pod, or leave \"net\" out of its share)"),
            ),
            (
                "account",
                "user = \"ct-web\"\npod = \"shop\"",
                at("account", "1:8: user: ct-web cannot join the namespaces of the pod shop, which are root's (set user = \"root\" here, or user = \"ct-web\" in the pod)"),
            ),
            (
                "slice",
                "slice = \"ct-other.slice\"\npod = \"shop\"",
                at("slice", "1:9: slice: the slice of the pod shop is ct-shop.slice (leave out one of slice and pod)"),
            ),
        ];
        for (name, top, _) in &cases {
            container(machine, name, top);
        }
        machine.daemon_reload();
        let before = machine.leaks();
        for (name, _, reason) in &cases {
            assert_eq!(fails(machine, &format!("ct@{name}")), [reason.as_str()]);
            assert_eq!(machine.show(&format!("ct@{name}"), "ExecMainStatus"), "78");
        }
        // The pods themselves, each with one line.
        assert_eq!(fails(machine, "ct-pod@bad"), [bad]);
        let typo = "no pod is called shpo: there is no /etc/ct/pods/shpo.toml (did you mean shop?)";
        assert_eq!(fails(machine, "ct-pod@shpo"), [typo]);
        assert_eq!(fails(machine, "ct-pod@away"), ["the pod away is masked: its file is a link to /dev/null"]);
        machine.run(["/usr/libexec/ct/ct-helper", "pod-start", "shop"]).exits(64);
        // A pod's line has its own field, id and explanation.
        machine.run(["journalctl", "--update-catalog"]).succeeds();
        let entries = machine.journal_entries("ct-pod@bad");
        let line = entries.iter().find(|entry| entry["SYSLOG_IDENTIFIER"] == "ct-helper").expect("the helper's line");
        assert_eq!((&line["CT_POD"], &line["CT_STEP"]), (&"bad".into(), &"config".into()));
        let explained = machine.journalctl(&["--catalog", "--unit", "ct-pod@bad"]);
        assert!(explained.contains("Subject: The pod bad cannot be started\n"), "{explained}");
        machine.run(["systemctl", "reset-failed"]).succeeds();
        machine.shell("systemctl stop 'ct-*.slice'").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_change_that_pid_1_does_not_have_is_told(machine: &Machine) {
        prepare(machine);
        pod(machine, "shop", "");
        container(machine, "web", "pod = \"shop\"");
        let lines = fails(machine, "ct-pod@shop");
        assert_eq!(lines, ["/etc/ct/pods/shop.toml is not loaded; run `systemctl daemon-reload` and start again"]);
        machine.daemon_reload();
        machine.start("ct@web");
        // Into a pod of which PID 1 knows nothing yet.
        machine.stop("ct@web");
        pod(machine, "other", "");
        container(machine, "web", "pod = \"other\"");
        machine.try_start("ct@web").fails();
        let last = reasons(machine, "ct@web").pop().unwrap_or_default();
        assert!(last.contains("the pod other is not running") && last.contains("daemon-reload"), "{last}");
    }

    fn killed_at_any_point_a_pod_leaves_nothing(machine: &Machine) {
        killed_at_points(machine, "", 7);
    }

    fn killed_at_any_point_a_pod_of_an_account_leaves_nothing(machine: &Machine) {
        killed_at_points(machine, "user = \"ct-web\"\n", 11);
    }
}
