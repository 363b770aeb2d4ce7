// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.terminal = true`: a terminal inside, the service that holds it, and its life beside the container's.

mod account;
mod clients;
pub(crate) mod container;
mod faults;
mod kills;
mod log;
mod restart;
mod service;

use ct_console::{End, Mode, ServerFrame};
use ct_tests::{Heard, Machine, on_every_machine};

fn container(script: &str, more: &str) -> String {
    format!(
        "{more}\n[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\n\
         command = [\"/bin/sh\", \"-c\", '''{script}''']\n"
    )
}

/// A container that goes on until it is stopped.
const PATIENT: &str = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

/// What the container itself has logged.
fn log(machine: &Machine, name: &str) -> String {
    machine.journalctl(&["--unit", &format!("ct@{name}"), "--identifier", name, "--output", "cat"])
}

on_every_machine! {
    fn the_container_has_a_terminal_of_the_usual_size_and_leaves_nothing(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:300000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.shell("chown 300000:300000 /srv/rootfs; chmod 755 /srv/rootfs").succeeds();
        let kinds = [("crun", "crun", ""), ("runc", "runc", ""), ("account", "crun", "user = \"ct-web\"")];
        for (name, runtime, more) in kinds {
            machine.container(name, &container(
                &format!("tty; stty size; tty </dev/console; echo hi >/dev/console; {PATIENT}"),
                &format!("runtime = \"{runtime}\"\n{more}"),
            ));
            machine.daemon_reload();
            let before = machine.leaks();
            let (unit, console) = (format!("ct@{name}"), format!("ct-console@{name}"));
            machine.start(&unit);
            machine.wait_for_line(&unit, "hi");
            let socket = machine.shell(&format!("stat -c '%a %U' /run/ct/{name}/console; ls /run/ct/{name}/terminal"));
            assert_eq!(socket.stdout, "600 root\n", "{name}");
            machine.stop(&unit);
            machine.wait_for(&console, "ActiveState", "inactive");
            machine.assert_no_leaks(&before);
            assert_eq!(log(machine, name), "/dev/pts/0\n25 80\n/dev/console\nhi\n", "{name}");
        }
    }

    fn lines_are_the_units_and_no_more_than_text(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(
            r#"printf '\033[31mred\033[0m\r\n<0>panic\n\033]0;title\007shown\ta\n\n\nlast without an end'"#, "",
        ));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_for_line("ct@web", "last without an end");
        assert_eq!(log(machine, "web"), "red\n<0>panic\nshown\ta\nlast without an end\n");
        let entries = machine.journal_entries("ct@web");
        let printed: Vec<_> = entries.iter().filter(|entry| entry["SYSLOG_IDENTIFIER"] == "web").collect();
        assert_eq!(printed.len(), 4);
        for entry in printed {
            assert_eq!(entry["PRIORITY"], "6", "{entry}");
            assert_eq!(entry["CT_NAME"], "web");
            assert_eq!(entry["CT_INVOCATION"].as_str().map(str::len), Some(32));
        }
    }

    fn a_container_that_ends_takes_its_console_with_it(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        machine.container("quick", &container("echo done; exit 7", ""));
        // It never becomes ready, for the runtime finds no such program.
        machine.container("never", "[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\ncommand = [\"/no\"]\n");
        machine.daemon_reload();
        machine.try_start("ct@quick");
        machine.wait_for("ct@quick", "ActiveState", "failed");
        assert_eq!(machine.show("ct@quick", "ExecMainStatus"), "7");
        machine.wait_for_line("ct@quick", "done");
        machine.try_start("ct@never").fails();
        for name in ["quick", "never"] {
            machine.wait_for(&format!("ct-console@{name}"), "ActiveState", "inactive");
        }
        machine.shell("systemctl reset-failed").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn the_service_stays_over_restarts_of_the_container(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(
            "trap 'exit 0' TERM; echo began; read word; exit 1",
            "restart = { policy = \"always\", delay = \"1s\" }",
        ));
        machine.daemon_reload();
        machine.start("ct@web");
        let service = machine.main_pid("ct-console@web");
        let (mut client, hello) = machine.attach("web", Mode::Write, None);
        client.hear_until("began");
        client.say(&ct_console::ClientFrame::Data(b"end\r"));
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Ended(End::Restarted)));
        assert_eq!(client.hear(), Heard::Closed);
        machine.wait_for("ct@web", "ActiveState", "active");
        assert_eq!(machine.main_pid("ct-console@web"), service, "also in the delay before a restart");
        let (mut client, next) = machine.attach("web", Mode::Write, None);
        assert_ne!(next.generation, hello.generation);
        assert!(!client.hear_until("began").contains("end"), "the terminal is a new one");
        machine.restart("ct@web");
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Ended(End::Restarted)));
        assert_eq!(machine.main_pid("ct-console@web"), service, "and over one by hand");
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        client.hear_until("began");
        machine.stop("ct@web");
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Ended(End::Stopped)));
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
    }

    fn an_end_of_the_service_is_nothing_to_the_container(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(
            "trap 'exit 0' TERM; stty -echo; echo up; while read word; do echo got $word; done", "",
        ));
        machine.daemon_reload();
        machine.start("ct@web");
        let init = machine.main_pid("ct@web");
        let (mut client, hello) = machine.attach("web", Mode::Write, None);
        client.hear_until("up");
        let size = ct_console::Size::new(40, 100).unwrap();
        client.say(&ct_console::ClientFrame::Resize(size));
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Size(size)));
        for (round, way) in ["kill", "restart", "upgrade", "kill"].into_iter().enumerate() {
            if way == "upgrade" {
                machine.shell("cd /usr/libexec/ct && cp ct-helper new && mv new ct-helper").succeeds();
            }
            if way == "kill" {
                machine.kill_service("ct-console@web");
            } else {
                machine.shell("systemctl restart ct-console@web").succeeds();
            }
            let service = machine.main_pid("ct-console@web");
            let program = machine.shell(&format!("readlink /proc/{service}/exe")).stdout;
            assert_eq!(program, "/usr/libexec/ct/ct-helper\n", "the one that is there now");
            assert_eq!(client.hear_frame(), Heard::Closed);
            let (next, again) = machine.attach("web", Mode::Write, None);
            client = next;
            assert_eq!(again.generation, hello.generation);
            assert_eq!(again.size, Some(size), "{way}");
            let printed = client.hear_until("up");
            assert!(printed.contains("up"), "what was printed before is there: {printed:?}");
            client.say(&ct_console::ClientFrame::Data(format!("word{round}\r").as_bytes()));
            client.hear_until(&format!("got word{round}\r\n"));
        }
        assert_eq!(machine.main_pid("ct@web"), init);
        assert_eq!(machine.show("ct@web", "NRestarts"), "0");
        machine.wait_for_line("ct@web", "got word3");
        // A kill may come between a line and the note that it is logged.
        let log = log(machine, "web");
        let mut lines: Vec<&str> = log.lines().collect();
        lines.dedup();
        assert_eq!(lines, ["up", "got word0", "got word1", "got word2", "got word3"], "{log}");
        machine.stop("ct@web");
    }

    fn who_stops_the_service_stops_the_container_in_good_order(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done", ""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_for_line("ct@web", "up");
        machine.stop("ct-console@web");
        machine.wait_for("ct@web", "ActiveState", "inactive");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        machine.wait_for_line("ct@web", "bye");
    }

    fn a_config_that_is_edited_and_read_again_takes_no_terminal_away(machine: &Machine) {
        prepare(machine);
        let config = container(&format!("stty -echo; echo up; {PATIENT}"), "");
        machine.container("web", &config);
        machine.daemon_reload();
        machine.start("ct@web");
        let pids = |machine: &Machine| (machine.main_pid("ct@web"), machine.main_pid("ct-console@web"));
        let before = pids(machine);
        let edits = [config.replace("terminal = true", "terminal = false"), "garbage".to_owned()];
        for edit in &edits {
            machine.container("web", edit);
            machine.daemon_reload();
            let (mut client, _) = machine.attach("web", Mode::Write, None);
            client.hear_until("up");
            assert_eq!(pids(machine), before, "{edit}");
        }
        // Started again it has none, and the service that had it is of no more use.
        machine.container("web", edits.first().expect("there are two"));
        machine.daemon_reload();
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        machine.restart("ct@web");
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Ended(End::Stopped)));
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
        machine.wait_for("ct@web", "ActiveState", "active");
    }

    fn without_a_terminal_there_is_no_service(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(PATIENT, "").replace("terminal = true", "terminal = false"));
        machine.daemon_reload();
        machine.start("ct@web");
        assert_eq!(machine.show("ct-console@web", "ActiveState"), "inactive");
        let by_hand = machine.run(["/usr/libexec/ct/ct-helper", "console", "web"]).exits(64);
        assert!(by_hand.stderr.contains("process.terminal"), "{by_hand}");
    }

    fn a_bundle_with_a_terminal_needs_a_word_in_the_config(machine: &Machine) {
        prepare(machine);
        machine.shell(
            "mkdir -p /srv/bundle && cp -a /srv/rootfs /srv/bundle/rootfs && cd /srv/bundle && runc spec && \
             sed -i 's/\"sh\"/\"sh\", \"-c\", \"tty; sleep 1000\"/' config.json",
        ).succeeds();
        machine.container("web", "[root]\nbundle = \"/srv/bundle\"\n");
        machine.daemon_reload();
        machine.try_start("ct@web").fails();
        assert!(machine.journal("ct@web").contains("say process.terminal = true in the config"));
        machine.container("web", "[root]\nbundle = \"/srv/bundle\"\n[process]\nterminal = true\n");
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_for_line("ct@web", "/dev/pts/0");
        machine.shell("systemctl kill -s KILL ct@web").succeeds();
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
        machine.container("web", "[root]\nbundle = \"/srv/bundle\"\n[process]\nterminal = false\n");
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_for_line("ct@web", "not a tty");
    }
}
