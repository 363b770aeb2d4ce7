// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl status`: the state in words, the end of the last run, limits and score as they really are, and what is waited for.

use ct_tests::{Machine, Output, on_every_machine};
use serde_json::{Value, json};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, script: &str, tables: &str) {
    let root = "[root]\npath = \"/srv/rootfs\"\n";
    machine.container(name, &format!("{root}[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{tables}"));
}

/// `ctctl status NAME`, which ends with this code, once everything said before is in the journal.
fn status(machine: &Machine, name: &str, code: i32) -> Output {
    machine.run(["journalctl", "--sync"]).succeeds();
    machine.run(["ctctl", "status", name]).exits(code)
}

/// The value behind a label.
fn line(output: &Output, label: &str) -> String {
    let label = format!("{label:>9}: ");
    let line = output.stdout.lines().find_map(|line| line.strip_prefix(&label));
    line.unwrap_or_else(|| panic!("should have `{label}`: {output}")).to_owned()
}

/// The state without the moment.
fn state(machine: &Machine, name: &str, code: i32) -> String {
    let state = line(&status(machine, name, code), "state");
    match (state.split_once(" since "), state.split_once(" ago)")) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => state,
    }
}

fn json_of(machine: &Machine, name: &str) -> Value {
    let output = machine.run(["ctctl", "status", "--json", name]);
    let mut all: Vec<Value> =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"));
    all.remove(0)
}

on_every_machine! {
    fn running_with_its_limits_and_score(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let tables = "[limits]\nnofile = \"1024:2048\"\ncore = 0\n[oom]\nscore_adjust = 300\n[autostart]\nenabled = true\n";
        container(machine, "web", "echo hello; trap 'exit 0' TERM; sleep 1000 & wait", tables);
        machine.daemon_reload();
        machine.start("ct@web");
        // Changed by hand: what counts is what the process has.
        let pid = machine.main_pid("ct@web");
        machine.shell(&format!("prlimit --pid {pid} --nproc=77:78 && echo 400 >/proc/{pid}/oom_score_adj")).succeeds();
        let output = status(machine, "web", 0);
        assert!(output.stdout.starts_with("web - Container web\n"), "{output}");
        assert!(line(&output, "state").starts_with("running since "), "{output}");
        assert_eq!(line(&output, "pid"), pid.to_string());
        assert_eq!(line(&output, "oom score"), "adjusted by 400");
        let limits = line(&output, "limits");
        assert!(limits.contains("core 0, ") && limits.contains("nofile 1024:2048, nproc 77:78, "), "{limits}");
        assert_eq!(line(&output, "config"), "/etc/ct/containers/web.toml (ok)");
        assert!(output.stdout.lines().any(|line| line == "hello"), "{output}");
        assert!(!output.stdout.contains("memory: 0"), "{output}");
        assert!(!machine.run(["ctctl", "status", "-n0", "web"]).exits(0).stdout.contains("hello"));

        machine.run(["systemctl", "freeze", "ct@web"]).succeeds();
        assert_eq!(state(machine, "web", 0), "frozen");
        machine.run(["systemctl", "thaw", "ct@web"]).succeeds();
        machine.stop("ct@web");
        assert_eq!(state(machine, "web", 3), "stopped: exited with status 0");
    }

    fn failed_by_status_by_signal_and_before_it_ran(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "exits", "until [ -e /go ]; do sleep 0.1; done; exit 78", "");
        container(machine, "early", "exit 78", "[ready]\ncommand = [\"false\"]\n");
        container(machine, "killed", IDLE, "");
        container(machine, "never-ready", IDLE, "[ready]\ncommand = [\"false\"]\ntimeout = \"100ms\"\n");
        container(machine, "broken", IDLE, "[oom]\nscore_adjust = 5000\n");
        machine.container("nowhere", "[root]\npath = \"/srv/nowhere\"\n");
        machine.daemon_reload();
        machine.start("ct@exits");
        machine.shell("touch /srv/rootfs/go").succeeds();
        machine.start("ct@killed");
        machine.run(["systemctl", "kill", "-s", "KILL", "ct@killed"]).succeeds();
        for name in ["early", "never-ready", "broken", "nowhere"] {
            machine.try_start(&format!("ct@{name}"));
        }
        for name in ["exits", "early", "killed", "never-ready", "broken", "nowhere"] {
            machine.wait_for(&format!("ct@{name}"), "ActiveState", "failed");
        }
        // Its own 78, and the helper's.
        assert_eq!(state(machine, "exits", 3), "failed: exited with status 78");
        assert_eq!(state(machine, "early", 3), "failed: exited with status 78 before it was ready");
        assert_eq!(state(machine, "broken", 3), "failed: could not be started: bad config (status 78)");
        assert_eq!(state(machine, "killed", 3), "failed: killed by SIGKILL");
        assert_eq!(state(machine, "never-ready", 3), "failed: could not be started: not ready in time (status 75)");
        let missing = "failed: could not be started: a root file system, bundle, layer or other file is missing (status 66)";
        assert_eq!(state(machine, "nowhere", 3), missing);
        let broken = status(machine, "broken", 3);
        assert!(line(&broken, "config").contains("(invalid, it cannot be started)"), "{broken}");
        assert!(line(&broken, "").starts_with("/etc/ct/containers/broken.toml:6:16: oom.score_adjust: "), "{broken}");
        assert!(status(machine, "nowhere", 3).stdout.contains("/srv/nowhere"));
    }

    fn starting_waiting_and_starting_again(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let slow = "[ready]\ncommand = [\"false\"]\ntimeout = \"1h\"\n";
        container(machine, "db", IDLE, slow);
        container(machine, "says", IDLE, "[ready]\nnotify = true\ntimeout = \"1h\"\n");
        container(machine, "web", IDLE, "[depends]\nrequires = [\"db\"]\n");
        container(machine, "again", "exit 3", "[restart]\npolicy = \"always\"\ndelay = \"1h\"\n");
        container(machine, "stubborn", "trap '' TERM; sleep 1000", "[stop]\ntimeout = \"1h\"\n");
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@web", "ct@says", "ct@again", "ct@stubborn"]).succeeds();
        for (name, property, value) in [("db", "ActiveState", "activating"), ("says", "ActiveState", "activating"),
            ("again", "SubState", "auto-restart"), ("stubborn", "ActiveState", "active")] {
            machine.wait_for(&format!("ct@{name}"), property, value);
        }
        machine.run(["systemctl", "stop", "--no-block", "ct@stubborn"]).succeeds();
        machine.wait_for("ct@stubborn", "SubState", "stop-sigterm");
        assert_eq!(state(machine, "db", 3), "starting: waits for ready.command");
        assert_eq!(state(machine, "says", 3), "starting: waits for READY=1 from the container");
        assert_eq!(state(machine, "web", 3), "waits for ct@db.service");
        assert_eq!(json_of(machine, "web")["waits_for"], json!([{"unit": "ct@db.service", "job": "start", "state": "running"}]));
        let again = state(machine, "again", 3);
        assert!(again.starts_with("failed: exited with status 3") && again.ends_with("; starts again 1h after that"), "{again}");
        assert_eq!(state(machine, "stubborn", 3), "stopping: was sent its stop signal");
        machine.run(["systemctl", "kill", "-s", "KILL", "ct@stubborn"]).succeeds();
    }

    fn configs_that_are_not_what_systemd_has(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        ["changed", "removed", "masked", "never"].into_iter().for_each(|name| container(machine, name, IDLE, ""));
        machine.daemon_reload();
        machine.start("ct@changed");
        machine.start("ct@removed");
        container(machine, "changed", "exit 0", "");
        machine.run(["rm", "/etc/ct/containers/removed.toml"]).succeeds();
        machine.run(["ln", "-sf", "/dev/null", "/etc/ct/containers/masked.toml"]).succeeds();
        let config = |name: &str, code| line(&status(machine, name, code), "config");
        assert_eq!(config("changed", 0), "/etc/ct/containers/changed.toml (changed since the last `systemctl daemon-reload`)");
        assert_eq!(config("removed", 0), "removed");
        assert_eq!(config("masked", 3), "masked by a link to /dev/null");
        assert_eq!(state(machine, "never", 3), "stopped");
    }

    fn the_json_is_stable_and_several_names_are_told_one_by_one(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", IDLE, "[limits]\nnofile = \"1024:2048\"\n");
        container(machine, "off", IDLE, "");
        machine.daemon_reload();
        machine.start("ct@web");
        let web = json_of(machine, "web");
        let keys: Vec<&str> = web.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "account active_state autostart config config_file cpu description last_exit limits log \
            memory memory_peak name oom_killed oom_kills oom_score_adjust pid pod problems ready ready_when restarts result \
            runtime since slice state status_text sub_state summary tasks unit waits_for");
        assert_eq!(web["limits"]["nofile"], json!({"soft": 1024, "hard": 2048}));
        assert_eq!(web["limits"]["cpu"], json!({"soft": "infinity", "hard": "infinity"}));
        // The machine has no controllers: unknown, and not 0.
        assert_eq!((&web["memory"], &web["tasks"]), (&json!({"current": null, "limit": null}), &json!({"current": null, "limit": null})));
        assert_eq!((&web["ready"], &web["pid"], &web["oom_killed"]), (&json!(true), &json!(machine.main_pid("ct@web")), &json!(false)));
        assert!(web["cpu"].as_u64().is_some());
        let off = json_of(machine, "off");
        assert_eq!((&off["ready"], &off["pid"], &off["limits"], &off["since"]), (&Value::Null, &Value::Null, &Value::Null, &Value::Null));

        let both = machine.run(["ctctl", "status", "off", "nobody", "web"]).exits(3);
        assert!(both.stdout.contains("web - Container web") && both.stdout.contains("off - Container off"), "{both}");
        assert_eq!(both.stderr, "ctctl: there is no container \"nobody\"\n");
        machine.run(["ctctl", "status", "nobody", "web"]).exits(4);
        machine.run(["ctctl", "status"]).exits(2);
    }

    fn nothing_of_a_container_reaches_the_terminal_as_an_order(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("evil", "description = \"right\u{202e}left\"\n[root]\npath = \"/srv/rootfs\"\n[process]\n\
            command = ['sh', '-c', \"printf 'a\\\\033[2Jb\\\\233c\\\\r\\\\0d\\\\377\\\\n'; trap 'exit 0' TERM; sleep 1000 & wait\"]\n");
        machine.daemon_reload();
        machine.start("ct@evil");
        machine.wait_until("journalctl --sync; journalctl -q -a -o cat -u ct@evil | grep -q 2Jb");
        for output in [status(machine, "evil", 0), machine.run(["ctctl", "list"]).succeeds()] {
            let orders = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{fffd}');
            assert!(!output.stdout.contains(orders), "{output}");
        }
        let output = status(machine, "evil", 0);
        assert!(output.stdout.contains("a\\x1b[2Jb\\x9bc"), "{output}");
        assert!(output.stdout.contains("right\\u{202e}left"), "{output}");
    }
}
