// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl console` while containers, and the services of their consoles, come and go; and without a terminal of its own.

use ct_tests::{Machine, Terminal, on_every_machine};

use super::attached::{SHELL, attach, configure};
use crate::console::container::prepare;

const CRUN: (&str, &str) = ("crun", "root");

/// Counts without pause, a number a line.
const COUNTER: &str = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo $n; done\n";

/// The numbers in `output`, each one more than the last but for where a line of `marks` says that something is lost.
fn check_numbers(output: &str, marks: &str) {
    // What was printed last and first may begin, or end, in the middle of a line.
    let whole = output.split_once('\n').and_then(|(_, rest)| rest.rsplit_once('\n'));
    let lines = whole.map_or("", |(lines, _)| lines).lines();
    let numbers: Vec<u64> = lines.filter_map(|line| line.trim().parse().ok()).collect();
    let holes = numbers.windows(2).filter(|pair| matches!(pair, [one, next] if *next != one + 1)).count();
    let marked = marks.matches("are lost here").count();
    assert!(numbers.len() > 1000, "{} numbers", numbers.len());
    // The number before a gap and that behind it may have become one.
    assert!(holes <= 2 * marked, "{holes} holes, {marked} marks: {marks}");
}

on_every_machine! {
    fn it_waits_for_a_container_and_stays_over_its_restarts(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, SHELL, "restart = { policy = \"always\", delay = \"100ms\" }");
        let terminal = Terminal::new(24, 80);
        let modes = terminal.modes();
        let running = machine.command(["ctctl", "console", "web"]).on(&terminal).spawn();
        terminal.wait_for("ctctl: web: is not running; waiting until it is started (Ctrl-C ends)\r\n");
        assert_eq!(terminal.modes(), modes, "Ctrl-C is for ctctl");
        machine.start("ct@web");
        terminal.wait_for("web: attached");
        terminal.type_in("echo fir''st\r");
        terminal.wait_for("first\r\n");
        for (restart, word) in [("systemctl restart ct@web", "second"), ("ctctl kill -s 9 web", "third")] {
            let attached = terminal.shown().matches("web: attached").count();
            machine.shell(restart).succeeds();
            machine.wait_until_true(|| terminal.shown().matches("web: attached").count() > attached);
            let (start, end) = word.split_at(2);
            terminal.type_in(format!("echo {start}''{end}\r"));
            terminal.wait_for(&format!("{word}\r\n"));
        }
        // What was printed before was so by another start.
        assert_eq!(terminal.shown().matches("first\r\n").count(), 1, "{:?}", terminal.shown());
        // It had to be killed.
        machine.stop("ct@web");
        terminal.wait_for("web: has stopped");
        terminal.wait_for("has failed; waiting until it is started");
        machine.wait_until_true(|| terminal.modes() == modes);
        terminal.type_in("\x03");
        running.wait().exits(130);
        // Destroyed while it is waited for, and while it runs.
        let terminal = Terminal::new(24, 80);
        let running = machine.command(["ctctl", "console", "web"]).on(&terminal).spawn();
        terminal.wait_for("has failed; waiting until it is started");
        machine.start("ct@web");
        terminal.wait_for("web: attached");
        machine.run(["ctctl", "destroy", "--yes", "web"]).succeeds();
        running.wait().exits(4);
        terminal.wait_for("web: there is no such container any more");
        assert_eq!(terminal.modes(), modes);
    }

    fn a_console_service_that_comes_and_goes_is_not_noticed(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, COUNTER, "");
        machine.start("ct@web");
        let terminal = Terminal::new(24, 80);
        let modes = terminal.modes();
        let typing = machine.command(["ctctl", "console", "web"]).on(&terminal).spawn();
        terminal.wait_for("web: attached");
        let reading = machine.command(["ctctl", "console", "--read-only", "web"]).spawn();
        machine.wait_until_true(|| reading.stdout().lines().count() > 100);
        let main = machine.main_pid("ct@web");
        for round in 0..10 {
            let before = reading.stdout().len();
            if round % 2 == 0 {
                machine.kill_service("ct-console@web");
            } else {
                machine.shell("systemctl restart ct-console@web").succeeds();
            }
            machine.wait_until_true(|| reading.stdout().len() > before + 100_000);
        }
        assert_eq!(machine.main_pid("ct@web"), main);
        assert_ne!(terminal.modes(), modes, "still raw");
        assert_eq!(terminal.shown().matches("web: attached").count(), 1);
        machine.shell("kill -INT $(pgrep -f '^ctctl console --read-only')").succeeds();
        let output = reading.wait().exits(130);
        check_numbers(&output.stdout, &output.stderr);
        terminal.type_in("\x1d\x1d");
        typing.wait().succeeds();
        assert_eq!(terminal.modes(), modes);
        machine.stop("ct@web");
    }

    fn what_was_printed_before_is_shown_once(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, "trap 'exit 0' TERM; seq 20000; echo en''d; sleep 1000 & wait\n", "");
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx end");
        let reading = machine.command(["ctctl", "console", "--read-only", "web"]).spawn();
        machine.wait_until_true(|| reading.stdout().ends_with("19999\r\n20000\r\nend\r\n"));
        assert_eq!(reading.stdout().len(), 64 * 1024, "at most so much");
        // And not again after a restart of the service.
        machine.kill_service("ct-console@web");
        machine.run(["ctctl", "kill", "web"]).succeeds();
        // Connected again by then, it has also said that the container has stopped.
        machine.wait_until_true(|| reading.stderr().contains("waiting until it is started"));
        machine.shell("kill -INT $(pgrep -x ctctl)").succeeds();
        assert_eq!(reading.wait().exits(130).stdout.len(), 64 * 1024);
    }

    fn a_pipe_is_typed_as_it_comes(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, SHELL, "");
        machine.start("ct@web");
        // Keys that detach are none in a pipe, and the output goes on after its end.
        let script = "printf 'echo pi\\047\\047ped | cat -v; echo \\035\\035\\r' | ctctl console --once web";
        let piped = machine.command(["sh", "-c", script]).spawn();
        machine.wait_until_true(|| piped.stdout().contains("piped\r\n"));
        // Nobody writes any more: the place is free.
        let (terminal, running) = attach(machine, &[]);
        terminal.type_in("echo af''ter\r");
        machine.wait_until_true(|| piped.stdout().contains("after\r\n"));
        terminal.type_in("\x1d\x1d");
        running.wait().succeeds();
        machine.stop("ct@web");
        let ended = piped.wait().succeeds();
        assert!(ended.stderr.contains("ctctl: web: has stopped\n"), "{ended}");
        assert_eq!(machine.run(["ctctl", "console", "--once", "web"]).exits(3).stderr, "ctctl: web is not running (failed)\n");
    }

    fn once_ends_well_though_the_connection_was_lost_before(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, SHELL, "");
        for (change, said) in [("systemctl stop ct@web", "has stopped"), ("systemctl restart ct@web", "starts again")] {
            machine.start("ct@web");
            let terminal = Terminal::new(24, 80);
            let modes = terminal.modes();
            // nsenter(1) would stop itself with its child, hence another one.
            let running = machine.command(["sh", "-c", "ctctl console --once web; exit $?"]).on(&terminal).spawn();
            terminal.wait_for("web: attached");
            terminal.type_in("echo fir''st\r");
            terminal.wait_for("first\r\n$ ");
            // It does not look while its connection ends without a word, and while the container does.
            machine.shell("kill -STOP $(pgrep -x ctctl)").succeeds();
            machine.kill_service("ct-console@web");
            machine.shell(&format!("{change}; kill -CONT $(pgrep -x ctctl)")).succeeds();
            running.wait().succeeds();
            terminal.wait_for(&format!("ctctl: web: {said}\r\n"));
            assert_eq!(terminal.modes(), modes, "{change}");
            // Nothing of another start.
            assert_eq!(terminal.shown().matches("BusyBox v").count(), 1, "{:?}", terminal.shown());
        }
    }

    fn keys_that_mean_signals_are_ours_while_it_waits(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, SHELL, "restart = { policy = \"always\", delay = \"1h\" }");
        let terminal = Terminal::new(24, 80);
        let modes = terminal.modes();
        // nsenter(1) would stop itself with its child, hence another one; which Ctrl-C is not for.
        let running = machine.command(["sh", "-c", "trap : INT; ctctl console web; exit $?"]).on(&terminal).spawn();
        terminal.wait_for("waiting until it is started");
        terminal.type_in("\x1a");
        machine.wait_until("grep -q 'State:.T' /proc/$(pgrep -x ctctl)/status");
        machine.shell("kill -CONT $(pgrep -x ctctl)").succeeds();
        machine.start("ct@web");
        terminal.wait_for("web: attached");
        assert_ne!(terminal.modes(), modes, "it is raw");
        // The container ends, and long before its next start the connection has ended without a word.
        machine.shell("kill -STOP $(pgrep -x ctctl)").succeeds();
        machine.kill_service("ct-console@web");
        machine.run(["ctctl", "kill", "-s", "9", "web"]).succeeds();
        machine.wait_for("ct@web", "SubState", "auto-restart");
        machine.wait_until("! [ -e /run/ct/web/console ]");
        machine.shell("kill -CONT $(pgrep -x ctctl)").succeeds();
        machine.wait_until_true(|| terminal.modes() == modes);
        terminal.type_in("\x03");
        running.wait().exits(130);
    }

    fn output_is_whole_or_its_end_is_no_success(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, "trap 'exit 0' TERM; seq 20000; echo en''d; sleep 1000 & wait\n", "");
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx end");
        let full = machine.shell("ctctl console --read-only web >/dev/full").exits(1).stderr;
        assert!(full.contains("write to standard output: No space left on device"), "{full}");
        // Who reads no more has seen enough.
        let until = "{ until [ $(stat -c %s /tmp/said) -gt 0 ]; do sleep 0.1; done; sleep 0.5; head -c 10; }";
        machine.shell(&format!("{{ ctctl console --read-only web 2>/tmp/said; echo $? >/tmp/status; }} | {until}; grep -qx 0 /tmp/status")).succeeds();
        // A pipe of one page that does not wait, as another program may have left it.
        let perl = "use Fcntl; fcntl STDOUT, 1031, 4096; fcntl STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK; exec @ARGV";
        let pipe = "{ until [ -e /tmp/go ]; do sleep 0.05; done; cat >/tmp/got; }";
        let script = format!("perl -e '{perl}' ctctl console --read-only web | {pipe}");
        let reading = machine.command(["sh", "-c", &script]).spawn();
        machine.wait_until("awk '/^wchar/ { exit $2 < 4096 }' /proc/$(pgrep -x ctctl)/io");
        machine.shell("touch /tmp/go").succeeds();
        machine.wait_until("[ $(stat -c %s /tmp/got) = 65536 ]");
        machine.shell("kill -INT $(pgrep -x ctctl)").succeeds();
        reading.wait().succeeds();
    }

    fn one_whose_config_goes_is_stayed_with_until_it_ends(machine: &Machine) {
        prepare(machine);
        for way in ["mv /etc/ct/containers/web.toml /etc/ct/containers/other.toml", "ln -sf /dev/null /etc/ct/containers/web.toml"] {
            configure(machine, CRUN, SHELL, "");
            machine.start("ct@web");
            let modes = Terminal::new(33, 77).modes();
            let (terminal, running) = attach(machine, &[]);
            machine.shell(&format!("{way}; systemctl daemon-reload")).succeeds();
            terminal.type_in("echo sti''ll\r");
            terminal.wait_for("still\r\n");
            // Its timeout has gone with the config.
            machine.shell("systemctl kill -s KILL ct@web").succeeds();
            running.wait().exits(4);
            terminal.wait_for("web: there is no such container any more");
            assert_eq!(terminal.modes(), modes, "{way}");
        }
        // A unit that is masked is one that may be started again.
        machine.shell("rm /etc/ct/containers/web.toml").succeeds();
        configure(machine, CRUN, SHELL, "");
        machine.start("ct@web");
        let (terminal, running) = attach(machine, &[]);
        machine.shell("systemctl mask ct@web; systemctl kill -s KILL ct@web").succeeds();
        terminal.wait_for("waiting until it is started");
        machine.shell("systemctl unmask ct@web; systemctl start ct@web").succeeds();
        machine.wait_until_true(|| terminal.shown().matches("web: attached").count() == 2);
        terminal.type_in("\x1d\x1d");
        running.wait().succeeds();
    }

    fn what_cannot_be_attached_to_is_told_so(machine: &Machine) {
        prepare(machine);
        configure(machine, CRUN, SHELL, "");
        machine.container("plain", "root.path = \"/srv/rootfs\"\nprocess.command = [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n");
        machine.daemon_reload();
        let hint = "ctctl: plain has no console (set process.terminal = true or log.mode = \"pipe\" in its config and restart it, or see: ctctl logs plain)\n";
        assert_eq!(machine.run(["ctctl", "console", "plain"]).exits(1).stderr, hint);
        machine.start("ct@plain");
        assert_eq!(machine.run(["ctctl", "console", "plain"]).exits(1).stderr, hint);
        machine.run(["ctctl", "console", "nosuch"]).exits(4);
        let remote = machine.run(["ctctl", "-H", "other", "console", "web"]).exits(2).stderr;
        assert!(remote.contains("console does not work with --host"), "{remote}");
        let other = machine.run(["setpriv", "--reuid=65534", "--clear-groups", "ctctl", "console", "web"]).exits(77).stderr;
        assert_eq!(other, "ctctl: not permitted: console takes root\n");
        // A frozen one looks as if it hung.
        machine.start("ct@web");
        machine.run(["ctctl", "freeze", "web"]).succeeds();
        let (terminal, running) = attach(machine, &[]);
        terminal.wait_for("web: is frozen, and neither prints nor reads (see: ctctl thaw web)");
        terminal.type_in("echo la''ter\r");
        machine.run(["ctctl", "thaw", "web"]).succeeds();
        terminal.wait_for("later\r\n");
        terminal.type_in("\x1d\x1d");
        running.wait().succeeds();
    }
}
