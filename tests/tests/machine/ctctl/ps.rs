// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl ps`, `stats` and `top`: what containers run, and what they use, as the kernel counts it.

use ct_tests::{Machine, on_every_machine};
use serde_json::{Value, json};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, keys: &str, script: &str) {
    let root = "root.path = \"/srv/rootfs\"\n";
    machine.container(name, &format!("{keys}{root}process.command = ['sh', '-c', \"{script}\"]\n"));
}

fn json_of(machine: &Machine, argv: &[&str]) -> Value {
    let output = machine.run(argv).succeeds();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("should be JSON: {error}\n{output}"))
}

/// Waits until a container idles.
fn wait_for_sleep(machine: &Machine, name: &str) {
    machine.wait_until(&format!("pgrep -x sleep -P $(systemctl show -P MainPID ct@{name})"));
}

on_every_machine! {
    fn processes_are_the_hosts_and_their_words_harmless(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system --no-create-home ct-web && echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        container(machine, "web", "", IDLE);
        container(machine, "mine", "user = \"ct-web\"\n", "sleep $(printf '1000\\\\n\\\\033[2J') & trap 'exit 0' TERM; sh -c 'sleep 1001' 'two words \u{202e}' & wait");
        container(machine, "off", "", IDLE);
        machine.daemon_reload();
        machine.start("ct@web");
        machine.start("ct@mine");
        wait_for_sleep(machine, "web");
        machine.wait_until("pgrep -f '^sleep 1001'");
        let rows = json_of(machine, &["ctctl", "ps", "--json", "web"]);
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 2, "{rows:?}");
        let init = rows.iter().find(|row| row["pid_inside"] == 1).unwrap();
        let pid = machine.main_pid("ct@web");
        let keys: Vec<&str> = init.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "argv container cpu memory parent pid pid_inside state uid user");
        assert_eq!((&init["pid"], &init["user"], &init["uid"]), (&json!(pid), &json!("root"), &json!(0)));
        assert_eq!(init["argv"], json!(["sh", "-c", IDLE]));
        assert!(init["memory"].as_u64().unwrap() > 1000 && init["cpu"].as_u64().is_some(), "{init}");
        let child = rows.iter().find(|row| row["pid_inside"] != 1).unwrap();
        assert_eq!((&child["parent"], &child["argv"]), (&json!(pid), &json!(["sleep", "1000"])));

        // Of an account, with ids of its own.
        let mine = json_of(machine, &["ctctl", "ps", "--json", "mine"]);
        let uid = machine.shell(&format!("stat -c %u /proc/{}", machine.main_pid("ct@mine"))).succeeds().stdout;
        assert_eq!(mine[0]["uid"].to_string(), uid.trim());
        let table = machine.run(["ctctl", "ps"]).succeeds().stdout;
        assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "), "CONTAINER PID INSIDE USER STATE CPU MEMORY COMMAND");
        assert!(table.lines().any(|line| line.starts_with("web ")) && table.lines().any(|line| line.starts_with("mine ")), "{table}");
        let orders = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!table.contains(orders), "{table:?}");
        assert!(table.contains("\\u{202e}"), "{table:?}");

        assert_eq!(machine.run(["ctctl", "ps", "off"]).exits(3).stderr, "ctctl: off is not running\n");
        machine.run(["ctctl", "ps", "nobody"]).exits(4);
    }

    fn stats_are_differences_and_what_is_not_counted_is_unknown(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "busy", "", "trap 'exit 0' TERM; while :; do :; done");
        container(machine, "idle", "", IDLE);
        container(machine, "off", "", IDLE);
        machine.daemon_reload();
        machine.start("ct@busy");
        machine.start("ct@idle");
        wait_for_sleep(machine, "idle");
        // A loop takes what it is given, a sleep nothing; on a busy computer that may be little.
        let mut rows = Value::Null;
        machine.wait_until_true(|| {
            rows = json_of(machine, &["ctctl", "stats", "--no-stream", "--json", "--interval", "300ms"]);
            let percent = |row: usize| rows[row]["cpu_percent"].as_f64().unwrap();
            percent(0) > 1.0 && percent(1) < percent(0)
        });
        let keys: Vec<&str> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "cpu cpu_percent memory memory_limit memory_percent name read tasks tasks_limit written");
        assert_eq!((&rows[0]["name"], &rows[1]["name"], rows.as_array().unwrap().len()), (&json!("busy"), &json!("idle"), 2));
        // The machine has no controllers of memory and tasks.
        for key in ["memory", "memory_limit", "memory_percent", "tasks", "tasks_limit"] {
            assert_eq!(rows[0][key], Value::Null, "{key}");
        }
        let table = machine.run(["ctctl", "stats", "--no-stream", "--interval=100ms", "idle", "off"]).succeeds().stdout;
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0].join(" "), "NAME CPU% MEMORY LIMIT MEM% TASKS READ WRITTEN");
        assert_eq!((lines[1][0], &lines[1][2..6]), ("idle", ["-"; 4].as_slice()));
        assert_eq!((lines[2][0], &lines[2][1..]), ("off", ["-"; 7].as_slice()));
        // As often as somebody reads, and no longer.
        let script = "ctctl stats --interval 10ms --json | head -n 3";
        let lines = machine.shell(script).succeeds().stdout;
        assert_eq!(lines.lines().filter(|line| serde_json::from_str::<Vec<Value>>(line).is_ok()).count(), 3, "{lines}");
    }

    fn top_leaves_the_terminal_as_it_was(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "busy", "", "trap 'exit 0' TERM; while :; do :; done");
        container(machine, "aaa", "", IDLE);
        machine.daemon_reload();
        machine.start("ct@busy");
        machine.start("ct@aaa");
        wait_for_sleep(machine, "aaa");
        // Without a terminal, once; what is busy comes first.
        let mut table = String::new();
        machine.wait_until_true(|| {
            table = machine.run(["ctctl", "top", "--interval", "300ms"]).succeeds().stdout;
            let names: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
            names == ["NAME", "busy", "aaa"]
        });
        assert!(!table.contains('\x1b'), "{table:?}");

        // Keys, a signal: each ends it, and the terminal is what it was.
        let ends = ["printf nq", "printf '\\003'", "kill $(pgrep -x ctctl)"];
        for end in ends {
            let inside = "stty -g >/tmp/before; ctctl top --interval 50ms; echo \"code $?\"; stty -g >/tmp/after; cmp /tmp/before /tmp/after && echo same";
            machine.write_file("/tmp/inside.sh", 0o755, inside);
            // Not before it is on the screen: until then Ctrl-C is the shell's.
            let shown = "until grep -q 'by cpu' /tmp/shown; do sleep 0.05; done 2>/dev/null";
            let shown = machine.shell(&format!("rm -f /tmp/shown; {{ {shown}; {end}; sleep 0.2; }} | script -qefc 'sh /tmp/inside.sh' /tmp/shown")).succeeds().stdout;
            assert!(shown.contains("2 containers, cpu ") && shown.contains("by cpu"), "{end}: {shown:?}");
            assert!(shown.contains("code 0\r\n") && shown.contains("same\r\n"), "{end}: {shown:?}");
            let left = shown.rfind("\x1b[?1049l").unwrap();
            assert!(shown[left..].contains("code 0") && shown.contains("\x1b[?25h"), "{end}: {shown:?}");
        }
    }
}
