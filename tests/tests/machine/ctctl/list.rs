// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl list`: is every container there, in every state it can be in, and is what is said of it true?

use std::collections::BTreeMap;

use ct_tests::{Machine, on_every_machine};
use serde_json::{Value, json};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, script: &str, tables: &str) {
    machine.container(name, &toml(script, tables));
}

fn toml(script: &str, tables: &str) -> String {
    format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{tables}")
}

fn listed(machine: &Machine, arguments: &[&str]) -> Vec<Value> {
    let argv = ["ctctl", "list", "--json"].iter().chain(arguments);
    let output = machine.run(argv).succeeds();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("should be JSON: {error}\n{output}"))
}

/// `state config` of each.
fn words(machine: &Machine) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let word =
        |row: &Value| (text(&row["name"]), format!("{} {}", text(&row["state"]), text(&row["config"])));
    listed(machine, &[]).iter().map(word).collect()
}

/// Those that `words` should be.
fn want(words: &[(&str, &str)]) -> BTreeMap<String, String> {
    words.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned())).collect()
}

on_every_machine! {
    fn every_state_has_its_word(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for name in ["running", "frozen", "stopped", "never", "changed", "removed", "forgotten", "masked"] {
            container(machine, name, IDLE, "");
        }
        container(machine, "exits", "exit 7", "");
        container(machine, "killed", IDLE, "");
        container(machine, "stopping", "trap '' TERM; sleep 1000", "[stop]\ntimeout = \"1h\"\n");
        container(machine, "again", "exit 1", "[restart]\npolicy = \"always\"\ndelay = \"1h\"\n");
        container(machine, "starting", IDLE, "[ready]\ncommand = [\"false\"]\ntimeout = \"1h\"\n");
        container(machine, "waiting", IDLE, "[depends]\nrequires = [\"starting\"]\nafter = [\"nobody\"]\n");
        container(machine, "broken", IDLE, "[oom]\nscore_adjust = 5000\n");
        container(machine, "ring", IDLE, "[depends]\nrequires = [\"ring-2\"]\n");
        container(machine, "ring-2", IDLE, "[depends]\nrequires = [\"ring\"]\n");
        machine.daemon_reload();
        for name in ["running", "frozen", "stopped", "changed", "removed", "forgotten", "stopping", "killed"] {
            machine.start(&format!("ct@{name}"));
        }
        machine.run(["systemctl", "freeze", "ct@frozen"]).succeeds();
        machine.run(["systemctl", "stop", "ct@stopped", "ct@forgotten"]).succeeds();
        machine.run(["systemctl", "stop", "--no-block", "ct@stopping"]).succeeds();
        for name in ["exits", "broken", "again"] {
            machine.try_start(&format!("ct@{name}"));
        }
        machine.wait_for("ct@exits", "ActiveState", "failed");
        machine.run(["systemctl", "kill", "-s", "KILL", "ct@killed"]).succeeds();
        machine.wait_for("ct@killed", "ActiveState", "failed");
        machine.wait_for("ct@again", "SubState", "auto-restart");
        machine.run(["systemctl", "start", "--no-block", "ct@waiting"]).succeeds();
        machine.wait_for("ct@starting", "ActiveState", "activating");
        machine.wait_for("ct@stopping", "SubState", "stop-sigterm");
        container(machine, "changed", "exit 0", "");
        container(machine, "new", "exit 0", "");
        machine.run(["rm", "/etc/ct/containers/removed.toml", "/etc/ct/containers/forgotten.toml"]).succeeds();
        machine.run(["ln", "-sf", "/dev/null", "/etc/ct/containers/masked.toml"]).succeeds();
        // Stopped and without a config, the forgotten one is nothing any more.
        let mut expected = want(&[
            ("again", "restarting ok"),
            ("broken", "failed invalid"),
            ("changed", "running changed"),
            ("exits", "failed ok"),
            ("frozen", "frozen ok"),
            ("killed", "failed ok"),
            ("masked", "stopped masked"),
            ("never", "stopped ok"),
            ("new", "stopped new"),
            ("removed", "running removed"),
            ("ring", "stopped invalid"),
            ("ring-2", "stopped invalid"),
            ("running", "running ok"),
            ("starting", "starting ok"),
            ("stopped", "stopped ok"),
            ("stopping", "stopping ok"),
            ("waiting", "waiting ok"),
        ]);
        assert_eq!(words(machine), expected);

        machine.daemon_reload();
        expected.insert("changed".to_owned(), "running ok".to_owned());
        expected.insert("new".to_owned(), "stopped ok".to_owned());
        assert_eq!(words(machine), expected);

        let names = |arguments: &[&str]| {
            machine.run(["ctctl", "list", "-q"].iter().chain(arguments)).succeeds().stdout.replace('\n', " ")
        };
        assert_eq!(names(&["--failed"]), "broken exits killed ");
        assert_eq!(names(&["--running"]), "changed frozen removed running ");
        assert_eq!(names(&["--state", "waiting,starting"]), "starting waiting ");
        assert_eq!(names(&["ring*", "ex?ts"]), "exits ring ring-2 ");
        assert_eq!(names(&["nothing*"]), "");
        machine.run(["ctctl", "list", "["]).exits(2);
        machine.run(["ctctl", "list", "--state", "dead"]).exits(2);
        // They would otherwise hold up the machine's end.
        machine.run(["systemctl", "thaw", "ct@frozen"]).succeeds();
        machine.run(["systemctl", "kill", "-s", "KILL", "ct@stopping"]).succeeds();
    }

    fn the_columns_are_true_and_stable(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system --no-create-home ct-web && echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.write_file("/etc/ct/pods/shop.toml", 0o644, "");
        machine.container("idle", &format!("description = \"Does nothing\"\nruntime = \"runc\"\npod = \"shop\"\n{}", toml(IDLE, "")));
        machine.container("mine", &format!("user = \"ct-web\"\n{}", toml(IDLE, "[autostart]\nenabled = true\n")));
        machine.daemon_reload();
        machine.start("ct@idle");
        let rows = listed(machine, &[]);
        let since = machine.shell("date -d \"$(systemctl show --value -p ActiveEnterTimestamp ct@idle)\" +%s").succeeds().stdout;
        assert_eq!(rows[0]["since"].as_u64().unwrap() / 1_000_000, since.trim().parse::<u64>().unwrap());
        assert_eq!(rows[0], json!({
            "name": "idle", "unit": "ct@idle.service", "description": "Does nothing", "state": "running",
            "active_state": "active", "sub_state": "running", "pid": machine.main_pid("ct@idle"), "runtime": "runc",
            "account": "root", "pod": "shop", "memory": null, "since": rows[0]["since"], "autostart": false, "config": "ok",
        }));
        assert_eq!(rows[1], json!({
            "name": "mine", "unit": "ct@mine.service", "description": "Container mine", "state": "stopped",
            "active_state": "inactive", "sub_state": "dead", "pid": null, "runtime": "crun",
            "account": "ct-web", "pod": null, "memory": null, "since": null, "autostart": true, "config": "ok",
        }));
        // The order of the keys, too.
        let text = machine.run(["ctctl", "list", "--json", "mine"]).succeeds().stdout;
        let keys: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
        assert_eq!(keys.join(" "), "name unit description state active_state sub_state pid runtime account pod memory since autostart config");
        let table = machine.run(["ctctl", "list"]).succeeds().stdout;
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0].join(" "), "NAME STATE PID RUNTIME ACCOUNT MEMORY SINCE AUTOSTART CONFIG");
        let pid = machine.main_pid("ct@idle").to_string();
        assert_eq!(lines[1][..6], ["idle", "running", &*pid, "runc", "root", "-"]);
        assert_eq!(lines[2], ["mine", "stopped", "-", "crun", "ct-web", "-", "-", "yes", "ok"]);
        machine.run(["systemctl", "enable", "ct@idle"]).succeeds();
        assert_eq!(listed(machine, &["idle"])[0]["autostart"], true);
    }

    fn no_containers_are_an_empty_list(machine: &Machine) {
        machine.shell("rm -rf /etc/ct /run/ct /usr/lib/ct").succeeds();
        machine.daemon_reload();
        assert_eq!(machine.run(["ctctl", "list", "--json"]).succeeds().stdout, "[]\n");
        let header = "NAME  STATE  PID  RUNTIME  ACCOUNT  MEMORY  SINCE  AUTOSTART  CONFIG\n";
        assert_eq!(machine.run(["ctctl", "list"]).succeeds().stdout, header);
        assert_eq!(machine.run(["ctctl", "list", "--quiet"]).succeeds().stdout, "");
        machine.run(["mkdir", "-p", "/etc/ct/containers"]).succeeds();
        assert_eq!(machine.run(["ctctl", "list", "--json"]).succeeds().stdout, "[]\n");
    }

    fn broken_directories_and_names_are_told_and_hide_nobody(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", IDLE, "");
        machine.write_file("/run/ct/containers", 0o644, "not a directory");
        machine.write_file("/etc/ct/containers/a\x1b[2Jb.toml", 0o644, "");
        machine.daemon_reload();
        let output = machine.run(["ctctl", "list", "-q"]).succeeds();
        assert_eq!(output.stdout, "web\n");
        assert!(output.stderr.contains("/run/ct/containers: "), "{output}");
        assert!(output.stderr.contains("a\\x1b[2Jb.toml"), "{output}");
        assert!(!output.stderr.contains('\x1b'), "{output}");
    }

    fn an_ordinary_user_sees_what_is_readable(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "open", IDLE, "");
        container(machine, "secret", IDLE, "");
        machine.daemon_reload();
        machine.start("ct@open");
        machine.run(["chmod", "600", "/etc/ct/containers/secret.toml"]).succeeds();
        let as_user = |arguments: &[&str]| {
            let argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ctctl", "list"];
            machine.run(argv.iter().chain(arguments)).succeeds().stdout
        };
        let rows: Value = serde_json::from_str(&as_user(&["--json"])).unwrap();
        assert_eq!(rows[0]["pid"], machine.main_pid("ct@open"));
        let of = |row: usize| format!("{} {} {}", rows[row]["name"], rows[row]["state"], rows[row]["config"]);
        assert_eq!(of(0), "\"open\" \"running\" \"ok\"");
        assert_eq!(of(1), "\"secret\" \"stopped\" \"unreadable\"");
        assert_eq!(rows[1]["runtime"], Value::Null);
        machine.run(["chmod", "700", "/etc/ct/containers"]).succeeds();
        let rows: Value = serde_json::from_str(&as_user(&["--json"])).unwrap();
        assert_eq!((&rows[0]["name"], &rows[0]["config"]), (&json!("open"), &json!("unreadable")));
    }

    fn two_hundred_containers(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let one = toml(IDLE, "");
        let script = format!("mkdir -p /etc/ct/containers && cd /etc/ct/containers && for n in $(seq 100 299); do cat >c$n.toml <<'EOF'\n{one}EOF\ndone");
        machine.shell(&script).succeeds();
        machine.daemon_reload();
        machine.shell("systemctl start $(seq -f ct@c%.0f 100 149)").succeeds();
        let rows = listed(machine, &[]);
        assert_eq!(rows.len(), 200);
        let running: Vec<_> = rows.iter().filter(|row| row["state"] == "running").collect();
        assert_eq!(running.len(), 50);
        assert!(rows.iter().all(|row| row["config"] == "ok"));
        for row in running {
            let pid = row["pid"].as_u64().unwrap();
            let cgroup = machine.read_file(format!("/proc/{pid}/cgroup"));
            assert!(cgroup.contains(row["unit"].as_str().unwrap()), "{row}: {cgroup}");
        }
    }
}
