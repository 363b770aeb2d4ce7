// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[log] mode` and `process.stdin_open`: what the standard files of a container are, and who reads and writes at their other
//! ends.

use ct_console::{ClientFrame, End, Mode, Reason, ServerFrame, Size};
use ct_tests::{Heard, Machine, on_every_machine};

use crate::console::container::{configure, prepare};

/// Runtime and account of each kind of container.
const KINDS: [(&str, &str); 6] = [
    ("crun", "root"),
    ("runc", "root"),
    ("crun", "ct-web"),
    ("lxc", "root"),
    ("lxc", "ct-web"),
    ("runsc", "root"),
];

/// Prints by /dev/stdout and /dev/stderr, as programs do that know of nothing else, and idles.
const OPENS: &str = "trap 'exit 0' TERM; echo direct; echo by-name >/dev/stdout; echo error >/dev/stderr; echo d''one; sleep 1000 & wait\n";

/// All of them, with what Debian 13 has no package of.
fn kinds(machine: &Machine) -> [(&'static str, &'static str); 6] {
    machine.bring("/usr/bin/runsc");
    KINDS
}

/// The process of the container's init, and its standard files as proc(5) names them.
fn files(machine: &Machine) -> Vec<String> {
    let script = "p=$(systemctl show -P MainPID ct@web); grep -qx ct-lxc /proc/$p/comm && read p </proc/$p/task/$p/children; \
                  for n in 0 1 2; do readlink /proc/${p% }/fd/$n; done";
    machine.shell(script).succeeds().stdout.lines().map(str::to_owned).collect()
}

fn log(machine: &Machine) -> String {
    machine.shell("journalctl -q -u ct@web -o cat SYSLOG_IDENTIFIER=web").stdout
}

on_every_machine! {
    fn a_pipe_can_be_opened_by_name(machine: &Machine) {
        prepare(machine);
        for kind in kinds(machine) {
            for user in ["0", "33"] {
                machine.forget_journal();
                configure(machine, kind, OPENS, &format!("process.user = {user}\nlog.mode = \"pipe\"\n"));
                machine.start("ct@web");
                machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx done");
                for line in ["direct\n", "by-name\n", "error\n"] {
                    assert!(log(machine).contains(line), "{kind:?} {user}: {}", log(machine));
                }
                let files = files(machine);
                // Those of a sandbox are not what it has for the container.
                let output = if kind.0 == "runsc" { "/null" } else { "pipe:" };
                assert!(files.iter().skip(1).all(|file| file.contains(output)), "{files:?}");
                // That of the host's /dev, seen from outside.
                assert!(files.first().is_some_and(|file| file.ends_with("/null")), "{files:?}");
                assert_eq!(machine.show("ct-console@web", "ActiveState"), "active");
                machine.stop("ct@web");
            }
        }
        // The journal's own stream is a socket, and cannot.
        configure(machine, KINDS[0], OPENS, "");
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -q \"can't\"");
        assert_ne!(machine.show("ct-console@web", "ActiveState"), "active");
    }

    fn a_pipe_survives_its_reader(machine: &Machine) {
        prepare(machine);
        let counter = "trap 'exit 0' TERM; n=0; while [ $n -lt 100000 ]; do n=$((n+1)); echo $n; done; sleep 1000 & wait\n";
        configure(machine, KINDS[0], counter, "log.mode = \"pipe\"\n");
        machine.start("ct@web");
        let main = machine.main_pid("ct@web");
        for _ in 0..10 {
            machine.kill_service("ct-console@web");
        }
        machine.wait_until("journalctl -q -u ct@web -o cat -n 1 SYSLOG_IDENTIFIER=web | grep -qx 100000");
        assert_eq!(machine.main_pid("ct@web"), main, "no SIGPIPE");
        // None is missing, for the container waits for the log. A line that was on its way may be there twice.
        let missing = "journalctl -q -u ct@web -o cat SYSLOG_IDENTIFIER=web | uniq | awk '$1 != ++n { print; exit }'";
        assert_eq!(machine.shell(missing).succeeds().stdout, "");
    }

    fn a_pipe_does_not_wait_for_a_journal_that_is_not_there(machine: &Machine) {
        prepare(machine);
        let counter = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); printf '%01000d\\n' $n; echo $n >/count; done\n";
        configure(machine, KINDS[0], counter, "log.mode = \"pipe\"\n");
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat SYSLOG_IDENTIFIER=web | grep -q .");
        let sockets = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket";
        machine.shell(&format!("systemctl stop {sockets} systemd-journald; rm -f /run/systemd/journal/socket")).succeeds();
        // More than pipe and ring hold, by far.
        let goes_on = "n=$(cat /srv/rootfs/count); [ ${n:-0} -gt $(($(cat /tmp/count) + 10000)) ]";
        machine.shell("cp /srv/rootfs/count /tmp/count").succeeds();
        machine.wait_until(goes_on);
        // In the flood a socket may come too late for a journald that runs already, and is refused.
        machine.wait_until(&format!("systemctl start {sockets} systemd-journald; systemctl is-active systemd-journald"));
        machine.wait_until("journalctl -q -u ct@web CT_LOST_LINES | grep -q . || journalctl -q -o cat -u ct@web | grep -q 'missing here'");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
    }

    fn a_pipe_waits_for_a_journal_that_is_slow(machine: &Machine) {
        prepare(machine);
        let counter = "trap 'exit 0' TERM; until [ -e /go ]; do sleep 0.1; done; n=0\n\
            while [ $n -lt 2000 ]; do n=$((n+1)); printf '%01000d\\n' $n; echo $n >/count; done; sleep 1000 & wait\n";
        configure(machine, KINDS[0], counter, "log.mode = \"pipe\"\n");
        machine.start("ct@web");
        machine.shell("systemctl kill --signal STOP systemd-journald").succeeds();
        machine.write_file("/srv/rootfs/go", 0o644, "");
        // More than the ring has, and less than there is.
        machine.wait_until(
            "n=$(cat /srv/rootfs/count) && [ $n -gt 1050 ] && grep -q pipe_write /proc/$(systemctl show -P MainPID ct@web)/wchan",
        );
        machine.shell("systemctl kill --signal CONT systemd-journald").succeeds();
        machine.wait_until("journalctl --sync; journalctl -q -u ct@web -o cat -n 1 SYSLOG_IDENTIFIER=web | grep -qx 0*2000");
        let numbers: Vec<u32> = log(machine).lines().map(|line| line.parse().expect("no word of missing lines")).collect();
        assert!(numbers == Vec::from_iter(1..=2000), "{numbers:?}");
    }

    fn what_is_open_can_be_written_to(machine: &Machine) {
        prepare(machine);
        let echo = "trap 'exit 0' TERM; echo up; while read line; do echo \"read $line\"; done; echo end\n";
        for kind in kinds(machine) {
            // Nobody stays for a FIFO. Whoever writes there comes and goes.
            configure(machine, kind, echo, "process.stdin_open = true\n");
            machine.start("ct@web");
            machine.shell("echo one >/run/ct/web/stdin; echo two >/run/ct/web/stdin").succeeds();
            machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx 'read two'");
            assert!(!log(machine).contains("end\n"), "{}", log(machine));
            assert_ne!(machine.show("ct-console@web", "ActiveState"), "active");
            assert_eq!(machine.shell("stat -c %a /run/ct/web/stdin").stdout, "600\n");
            machine.stop("ct@web");
            // With a pipe, ctctl console does it.
            configure(machine, kind, echo, "process.stdin_open = true\nlog.mode = \"pipe\"\n");
            machine.start("ct@web");
            let attached = machine.command(["ctctl", "console", "--once", "web"]).stdin("three\nfour\n").spawn();
            machine.wait_until_true(|| attached.stdout().contains("read four\n"));
            machine.kill_service("ct-console@web");
            // Again where the place is not free yet: who writes into a pipe that nobody reads ends.
            let types = "while :; do { echo five; while sleep 0.2; do echo; done; } | ctctl console web; done";
            let typing = machine.command(["sh", "-c", types]).spawn();
            machine.wait_until_true(|| attached.stdout().contains("read five\n"));
            typing.kill();
            machine.stop("ct@web");
            let output = attached.wait().succeeds();
            assert_eq!(output.stdout.matches("up\n").count(), 1, "{output}");
            assert!(!output.stdout.contains("end"), "{output}");
            machine.forget_journal();
        }
    }

    fn who_types_where_nothing_is_read_is_told_so_once(machine: &Machine) {
        prepare(machine);
        for is_open in [false, true] {
            let echo = "trap 'exit 0' TERM; echo up; while :; do read line && echo \"read $line\"; sleep 0.1; done\n";
            configure(machine, KINDS[0], echo, &format!("process.stdin_open = {is_open}\nlog.mode = \"pipe\"\n"));
            machine.start("ct@web");
            let (mut client, hello) = machine.attach("web", Mode::Write, None);
            assert_eq!((hello.has_terminal, hello.has_input, hello.size), (false, is_open, None));
            // It has no size, and whoever asks for one is answered all the same.
            let size = Size::new(40, 100).expect("both are sides");
            client.say(&ClientFrame::Resize(size));
            assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Size(size)));
            for _ in 0..3 {
                client.say(&ClientFrame::Data(b"typed\n"));
            }
            client.say(&ClientFrame::Detach);
            if !is_open {
                let note = client.hear_frame();
                assert!(matches!(&note, Heard::Frame(ServerFrame::Note { reason: Reason::ReadOnly, .. })), "{note:?}");
            }
            assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Ended(End::Detached)), "open: {is_open}");
            assert_eq!(client.hear(), Heard::Closed);
            machine.stop("ct@web");
        }
    }

    fn nothing_is_logged_where_nothing_shall_be(machine: &Machine) {
        prepare(machine);
        configure(machine, KINDS[0], "trap 'exit 0' TERM; echo secret; echo error >&2; touch /printed; sleep 1000 & wait\n", "log.mode = \"none\"\n");
        machine.start("ct@web");
        machine.wait_until("test -e /srv/rootfs/printed");
        assert_eq!(files(machine), ["/dev/null"; 3]);
        machine.stop("ct@web");
        // A terminal still shows it to those who are attached.
        configure(machine, KINDS[0], "trap 'exit 0' TERM; echo secret; sleep 1000 & wait\n", "process.terminal = true\nlog.mode = \"none\"\n");
        machine.start("ct@web");
        let attached = machine.command(["ctctl", "console", "--once", "--read-only", "web"]).spawn();
        machine.wait_until_true(|| attached.stdout().contains("secret\r\n"));
        machine.stop("ct@web");
        attached.wait().succeeds();
        machine.run(["journalctl", "--sync"]).succeeds();
        assert!(!machine.journal("ct@web").contains("secret"));
        // What there is no sense in.
        machine.container("web", "root.path = \"/srv/rootfs\"\nprocess.terminal = true\nlog.mode = \"pipe\"\n");
        let refused = machine.run(["ctctl", "check"]).exits(1);
        assert!(refused.stdout.contains("log.mode: process.terminal is set, and a terminal is no pipe") || refused.stderr.contains("log.mode: process.terminal is set, and a terminal is no pipe"), "{refused}");
    }
}
