// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl logs` is journalctl for one container, and on a terminal nothing of the container's is an order to it.

use ct_tests::{Machine, Terminal, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, script: &str) {
    let root = "[root]\npath = \"/srv/rootfs\"\n";
    machine.container(name, &format!("{root}[process]\ncommand = ['sh', '-c', \"{script}\"]\n"));
}

/// Runs a command, which alone ^C is for, and tells how it ended as a shell does.
const TELL_STATUS: &str = r#"system @ARGV; print "ended: ", $? & 127 ? 128 + ($? & 127) : $? >> 8, "\n""#;

/// What a program writes to a terminal.
fn on_a_terminal(machine: &Machine, command: &str) -> String {
    machine.run(["script", "--quiet", "--return", "--command", command, "/dev/null"]).succeeds().stdout
}

on_every_machine! {
    fn options_are_journalctls(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", &format!("echo one; echo two; {IDLE}"));
        container(machine, "other", &format!("echo not mine; {IDLE}"));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.start("ct@other");
        machine.restart("ct@web");
        machine.run(["journalctl", "--sync"]).succeeds();
        let logs = |arguments: &[&str]| machine.run(["ctctl", "logs"].iter().chain(arguments)).succeeds().stdout;
        let said = |text: &str| text.lines().filter(|line| ["one", "two"].contains(line)).count();
        let all = logs(&["web", "-o", "cat"]);
        assert_eq!(said(&all), 4, "{all}");
        assert!(!all.contains("not mine"), "{all}");
        assert_eq!(said(&logs(&["--this-run", "web", "--output=cat"])), 2);
        assert_eq!(logs(&["-n1", "web", "-o", "cat"]).lines().count(), 1);
        assert_eq!(logs(&["web", "-n", "1", "-o", "cat"]).lines().count(), 1);
        let json = logs(&["web", "-n1", "-o", "json"]);
        assert!(json.starts_with('{') && json.contains("\"ct@web.service\""), "{json}");
        // Its exit code, and its words.
        let refused = machine.run(["ctctl", "logs", "web", "--no-such-option"]).exits(1);
        assert!(refused.stderr.contains("no-such-option"), "{refused}");
        machine.run(["ctctl", "logs", "nobody"]).exits(4);
        machine.run(["ctctl", "-H", "host", "logs", "web"]).exits(2);
    }

    fn what_is_logged_later_follows(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.run(["mkfifo", "/srv/rootfs/tmp/go"]).succeeds();
        container(machine, "web", "trap 'exit 0' TERM; echo first; read word </tmp/go; echo later $word; sleep 1000 & wait");
        machine.daemon_reload();
        machine.start("ct@web");
        for command in ["exec ctctl logs -f web -o cat >/tmp/followed", "script -qec 'ctctl logs web -o cat -f' /dev/null >/tmp/followed"] {
            machine.restart("ct@web");
            machine.run(["rm", "-f", "/tmp/followed"]).succeeds();
            let follows = machine.command(["sh", "-c", command]).spawn();
            machine.wait_until("grep -q first /tmp/followed");
            machine.shell("echo on >/srv/rootfs/tmp/go").succeeds();
            machine.wait_until("grep -q 'later on' /tmp/followed");
            follows.kill();
        }
    }

    fn it_ends_as_journalctl_does(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "web", &format!("echo hello; {IDLE}"));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_for_line("ct@web", "hello");
        let on_a_terminal = |command: &str| format!("script --quiet --return --command '{command}' /dev/null");
        let both = |command: &str| [command.to_owned(), on_a_terminal(command)].map(|way| machine.shell(&way));
        for ended in both("ctctl logs web") {
            ended.succeeds();
        }
        for ended in both("ctctl logs nobody") {
            ended.exits(4);
        }
        for ended in both("ctctl logs web --no-such-option") {
            ended.exits(1);
        }
        for ended in both("PATH=/nowhere /usr/bin/ctctl logs web") {
            let said = ended.exits(1);
            assert!(format!("{said}").contains("cannot execute journalctl"), "{said}");
        }
        // Whatever that is.
        machine.write_file("/opt/own/journalctl", 0o755, "#!/bin/sh\necho shown; exit 42\n");
        for ended in both("PATH=/opt/own:$PATH ctctl logs web") {
            assert_eq!(ended.exits(42).stdout.trim_end(), "shown");
        }
        machine.write_file("/opt/own/journalctl", 0o755, "#!/bin/sh\nkill -KILL $$\n");
        for ended in both("PATH=/opt/own:$PATH ctctl logs web") {
            ended.exits(137);
        }
        // ^C ends both, on a terminal and elsewhere.
        for command in [&["ctctl", "logs", "-f", "web"][..], &["sh", "-c", "ctctl logs -f web | cat"]] {
            let terminal = Terminal::new(25, 80);
            let running = machine.command(["perl", "-e", TELL_STATUS].iter().chain(command)).on(&terminal).spawn();
            terminal.wait_for("hello");
            terminal.type_in("\x03");
            terminal.wait_for("ended: 130");
            running.wait().succeeds();
        }
    }

    fn a_terminal_gets_no_orders(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        container(machine, "evil", &format!("printf 'a\\\\033]0;title\\\\007b\\\\033[2Jc\\\\233d\\\\342\\\\200\\\\256e\\\\r\\\\377\\\\tf\\\\n'; {IDLE}"));
        machine.daemon_reload();
        machine.start("ct@evil");
        machine.wait_until("journalctl --sync; journalctl -q -a -o cat -u ct@evil | grep -q title");
        for options in ["-o cat", "-a", "-o cat -a", "", "-o verbose -a", "-o short-iso --no-hostname"] {
            let shown = on_a_terminal(machine, &format!("ctctl logs evil {options}"));
            // The terminal's own end of line.
            let shown = shown.replace("\r\n", "\n");
            let orders = |c: char| (c.is_control() && !"\n\t".contains(c)) || matches!(c, '\u{202e}' | '\u{fffd}');
            assert!(!shown.contains(orders), "{options}: {shown:?}");
            assert!(shown.contains("Started"), "{options}: {shown:?}");
        }
        let shown = on_a_terminal(machine, "ctctl logs evil -o cat");
        assert!(shown.contains("a\\x1b]0;title\\x07b\\x1b[2Jc\\x9bd\\u{202e}e\\x0d\\xff\tf"), "{shown:?}");
        // Into a file or a pipe go the very bytes, as journalctl has them.
        let script = "ctctl logs evil -o cat >/tmp/ours; journalctl -u ct@evil -o cat >/tmp/theirs; cmp /tmp/ours /tmp/theirs";
        machine.shell(script).succeeds();
    }
}
