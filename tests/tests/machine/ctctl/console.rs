// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl console` at a terminal: keys, sizes, who may write, and the caller's terminal as it was afterwards.

mod attached;
mod life;

use ct_tests::{Machine, Terminal, on_every_machine};

use crate::console::container::prepare;
use attached::{SHELL, attach, configure};

/// Runtime and account of each kind of container.
const KINDS: [(&str, &str); 3] = [("crun", "root"), ("runc", "root"), ("crun", "ct-web")];

/// What ends an attachment by default.
const DETACH: &str = "\x1d\x1d";

fn started(machine: &Machine) {
    prepare(machine);
    configure(machine, KINDS[0], SHELL, "");
    machine.start("ct@web");
}

on_every_machine! {
    fn what_is_typed_goes_in_and_what_is_printed_comes_out(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            configure(machine, kind, SHELL, "");
            machine.start("ct@web");
            let before = Terminal::new(33, 77).modes();
            let (terminal, running) = attach(machine, &[]);
            terminal.wait_for("Ctrl-] Ctrl-] detaches");
            assert_ne!(terminal.modes(), before, "{kind:?}: it is raw");
            terminal.type_in("echo ty''ped; stty size; test -t 0 && test -t 1 && test -t 2 && echo a''ll\r");
            terminal.wait_for("all\r\n");
            let shown = terminal.shown();
            for want in ["typed\r\n", "33 77\r\n"] {
                assert!(shown.contains(want), "{kind:?} {want:?} {shown:?}");
            }
            terminal.resize(44, 99);
            machine.wait_until("[ \"$(stty size </proc/$(systemctl show -P MainPID ct@web)/fd/0)\" = '44 99' ]");
            // Ctrl-C is for the container.
            terminal.type_in("sleep 4242\r");
            machine.wait_until("pgrep -f '^sleep 4242'");
            terminal.type_in("\x03echo interr''upted\r");
            terminal.wait_for("interrupted");
            terminal.type_in(DETACH);
            running.wait().succeeds();
            terminal.wait_for("web: detached");
            assert_eq!(terminal.modes(), before, "{kind:?}: as it was");
            assert_eq!(machine.show("ct@web", "ActiveState"), "active");
            machine.stop("ct@web");
        }
    }

    fn keys_that_detach(machine: &Machine) {
        started(machine);
        // One that only begins so is the container's, at once with the next key, and alone after a while.
        let (terminal, running) = attach(machine, &[]);
        terminal.type_in("cat -v\r");
        machine.wait_until("pgrep -f '^cat -v'");
        terminal.type_in("one\x1dtwo\r");
        terminal.wait_for("one^]two\r\n");
        terminal.type_in("al");
        terminal.type_in("\x1d");
        terminal.wait_for("al^]");
        terminal.type_in("one\r\x03");
        terminal.type_in(DETACH);
        running.wait().succeeds();
        // Others, from the command line and from the environment.
        let (terminal, running) = attach(machine, &["--detach-keys", "ctrl-p,ctrl-q"]);
        terminal.wait_for("Ctrl-p Ctrl-q detaches");
        terminal.type_in("\x1d\x1d\x10");
        terminal.type_in("\x11");
        running.wait().succeeds();
        let terminal = Terminal::new(33, 77);
        let running = machine.command(["ctctl", "console", "web"]).env("CT_DETACH_KEYS", "~,.").on(&terminal).spawn();
        terminal.wait_for("~ . detaches");
        terminal.type_in("~.");
        running.wait().succeeds();
        // None.
        let (terminal, running) = attach(machine, &["--detach-keys="]);
        terminal.type_in("cat -v\r");
        machine.wait_until("pgrep -f '^cat -v'");
        terminal.type_in("\x1d\x1d\x1d\r");
        terminal.wait_for("^]^]^]\r\n");
        assert!(!terminal.shown().contains("detaches"), "{:?}", terminal.shown());
        machine.shell("kill -TERM $(pgrep -x ctctl)").succeeds();
        running.wait().exits(143);
        let bad = machine.run(["ctctl", "console", "--detach-keys", "ctrl-1", "web"]).exits(2).stderr;
        assert!(bad.contains("is no key"), "{bad}");
    }

    fn what_is_pasted_goes_in_whole_and_keeps_nobody_there(machine: &Machine) {
        started(machine);
        let (terminal, running) = attach(machine, &[]);
        // Every byte there is, those of Ctrl-C, Ctrl-D, Ctrl-Z and Ctrl-\ among them; of the keys that detach only one at a time.
        let mut pasted: Vec<u8> = (0..1_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        pasted.dedup();
        pasted.resize(1 << 20, b'x');
        machine.write_file("/srv/rootfs/pasted", 0o644, &pasted);
        terminal.type_in("stty raw -echo; echo re''ady; head -c 1048576 >/got; stty sane; cmp /got /pasted && echo sa''me\r");
        terminal.wait_for("ready");
        terminal.paste(&pasted);
        terminal.wait_for("same");
        // Nobody reads.
        terminal.type_in("stty raw -echo; echo de''af; sleep 1000\r");
        terminal.wait_for("deaf");
        terminal.paste(&pasted);
        terminal.type_in(DETACH);
        running.wait().succeeds();
    }

    fn a_size_that_there_is_not_changes_nothing(machine: &Machine) {
        started(machine);
        let (terminal, running) = attach(machine, &[]);
        let becomes = |size: &str| {
            machine.wait_until(&format!("[ \"$(stty size </proc/$(systemctl show -P MainPID ct@web)/fd/0)\" = '{size}' ]"));
        };
        becomes("33 77");
        terminal.resize(0, 0);
        terminal.resize(0, 90);
        terminal.type_in("echo ze''ro; stty size\r");
        terminal.wait_for("zero\r\n33 77\r\n");
        terminal.resize(65535, 65535);
        becomes("1000 1000");
        for round in 1..2000 {
            terminal.resize(round % 300 + 1, round % 200 + 1);
        }
        terminal.resize(44, 99);
        becomes("44 99");
        terminal.type_in(DETACH);
        running.wait().succeeds();
    }

    fn who_reads_only_changes_nothing(machine: &Machine) {
        started(machine);
        let (writer, writing) = attach(machine, &[]);
        writer.type_in("echo wri''ter\r");
        writer.wait_for("writer\r\n");
        let terminal = Terminal::new(11, 22);
        let modes = terminal.modes();
        let running = machine.command(["ctctl", "console", "--read-only", "web"]).on(&terminal).spawn();
        terminal.wait_for("web: attached, to read only; Ctrl-] Ctrl-] detaches");
        // What was there before, once.
        terminal.wait_for("writer\r\n");
        terminal.type_in("touch /typed\r");
        terminal.resize(12, 23);
        writer.type_in("test -e /typed || echo un''touched; stty size\r");
        terminal.wait_for("untouched\r\n");
        terminal.wait_for("33 77\r\n");
        assert_eq!(terminal.shown().matches("writer\r\n").count(), 1, "{:?}", terminal.shown());
        // There is no other use for Ctrl-C here.
        terminal.type_in("\x03");
        running.wait().exits(130);
        assert_eq!(terminal.modes(), modes);
        writer.type_in(DETACH);
        writing.wait().succeeds();
    }

    fn one_writes_or_all_share(machine: &Machine) {
        started(machine);
        let (writer, writing) = attach(machine, &[]);
        let (first, reading) = attach(machine, &["--read-only"]);
        let (second, reading_too) = attach(machine, &["--read-only"]);
        writer.type_in("echo se''en\r");
        for terminal in [&writer, &first, &second] {
            terminal.wait_for("seen\r\n");
        }
        let pid = machine.shell("pgrep -f '^ctctl console web'").succeeds().stdout.trim().to_owned();
        for options in [&["web"][..], &["--shared", "web"]] {
            let terminal = Terminal::new(24, 80);
            let modes = terminal.modes();
            let argv = ["ctctl", "console"].iter().chain(options);
            machine.command(argv).on(&terminal).run().exits(1);
            terminal.wait_for(&format!("pid {pid}"));
            assert!(terminal.shown().contains("uid 0"), "{:?}", terminal.shown());
            assert_eq!(terminal.modes(), modes);
        }
        writer.type_in(DETACH);
        writing.wait().succeeds();
        let (one, sharing) = attach(machine, &["--shared"]);
        let (other, sharing_too) = attach(machine, &["--shared"]);
        one.type_in("echo one''one\r");
        other.wait_for("oneone\r\n");
        other.type_in("echo other''other\r");
        one.wait_for("otherother\r\n");
        let refused = machine.run(["ctctl", "console", "web"]).exits(1).stderr;
        assert!(refused.contains("pid "), "{refused}");
        for (terminal, running) in [(one, sharing), (other, sharing_too), (first, reading), (second, reading_too)] {
            terminal.type_in(DETACH);
            running.wait().succeeds();
        }
    }

    fn the_terminal_is_restored_however_it_ends(machine: &Machine) {
        started(machine);
        for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131), ("USR1", 138), ("ALRM", 142)] {
            let before = Terminal::new(33, 77).modes();
            let (terminal, running) = attach(machine, &[]);
            // Something that has the terminal in its hand.
            terminal.type_in("printf '\\033[?1049hu''p'\r");
            terminal.wait_for("\x1b[?1049hup");
            assert_ne!(terminal.modes(), before, "{signal}: it is raw");
            machine.shell(&format!("kill -{signal} $(pgrep -x ctctl)")).succeeds();
            running.wait().exits(status);
            assert_eq!(terminal.modes(), before, "{signal}");
            terminal.wait_for("\x1b[?1047l");
        }
        // A shell that stops us has its own modes meanwhile. nsenter(1) would stop itself with its child, hence another one.
        let terminal = Terminal::new(33, 77);
        let before = terminal.modes();
        let running = machine.command(["sh", "-c", "ctctl console web; exit $?"]).on(&terminal).spawn();
        terminal.wait_for("web: attached");
        let raw = terminal.modes();
        machine.shell("kill -TSTP $(pgrep -x ctctl)").succeeds();
        machine.wait_until("grep -q 'State:.T' /proc/$(pgrep -x ctctl)/status");
        assert_eq!(terminal.modes(), before, "stopped");
        terminal.resize(20, 40);
        machine.shell("kill -CONT $(pgrep -x ctctl)").succeeds();
        machine.wait_until("[ \"$(stty size </proc/$(systemctl show -P MainPID ct@web)/fd/0)\" = '20 40' ]");
        // Twice: once because it goes on, and once because it was told to.
        machine.wait_until_true(|| terminal.modes() == raw);
        terminal.type_in("echo go''es\r");
        terminal.wait_for("goes");
        terminal.type_in(DETACH);
        running.wait().succeeds();
        assert_eq!(terminal.modes(), before);
    }

    fn a_reader_that_stands_still_does_not_hold_up_who_wants_to_go(machine: &Machine) {
        started(machine);
        machine.shell("mkfifo /tmp/held; sleep 1000 </tmp/held >/dev/null 2>&1 & echo $! >/tmp/holder").succeeds();
        let terminal = Terminal::new(24, 80);
        let running = machine.command(["sh", "-c", "exec ctctl console web >/tmp/held"]).on(&terminal).spawn();
        terminal.wait_for("web: attached");
        terminal.type_in("yes\r");
        // It waits for its reader, and the service for it.
        machine.wait_until("grep -q pipe_write /proc/$(pgrep -x ctctl)/task/*/wchan");
        terminal.type_in(DETACH);
        running.wait().succeeds();
        machine.shell("kill $(cat /tmp/holder)").succeeds();
    }

    fn a_terminal_that_is_held_is_left_all_the_same(machine: &Machine) {
        started(machine);
        for way in ["keys", "signal"] {
            let modes = Terminal::new(33, 77).modes();
            let (terminal, running) = attach(machine, &[]);
            terminal.type_in("printf '\\033[1mbo''ld'; yes\r");
            terminal.wait_for("y\r\ny\r\n");
            terminal.hold();
            machine.wait_until("grep -Eq 'n_tty_write|wait_woken' /proc/$(pgrep -x ctctl)/task/*/wchan");
            if way == "keys" {
                terminal.type_in(DETACH);
                running.wait().succeeds();
            } else {
                machine.shell("kill -TERM $(pgrep -x ctctl)").succeeds();
                running.wait().exits(143);
            }
            assert_eq!(terminal.modes(), modes, "{way}");
        }
    }

    fn what_a_shell_has_stopped_ends_by_a_signal(machine: &Machine) {
        started(machine);
        let prompt = "PS1='rea''dy> '\r";
        // Typed into a shell that has jobs; what is stopped is one, and `kill` has it go on, too.
        let ends = |terminal: &Terminal, prompts: usize| {
            terminal.type_in("kill %1\r");
            machine.wait_until("! pgrep -x ctctl");
            machine.wait_until_true(|| terminal.shown().matches("ready> ").count() > prompts);
        };
        let shell = || {
            let terminal = Terminal::new(33, 77);
            let running = machine.command(["bash", "--norc", "-i"]).on(&terminal).spawn();
            terminal.type_in(prompt);
            terminal.wait_for("ready> ");
            (terminal, running)
        };
        let is_stopped = "grep -q 'State:.T' /proc/$(pgrep -x ctctl)/status";
        for signal in ["TSTP", "STOP"] {
            let (terminal, running) = shell();
            terminal.type_in("ctctl console web\r");
            machine.wait_until_true(|| !terminal.modes().contains("ISIG"));
            machine.shell(&format!("kill -{signal} $(pgrep -x ctctl)")).succeeds();
            machine.wait_until(is_stopped);
            machine.wait_until_true(|| terminal.shown().matches("ready> ").count() > 1);
            ends(&terminal, 2);
            assert!(terminal.modes().contains("ISIG"), "{signal}: it is the shell's");
            drop((terminal, running));
        }
        // One that was begun in the background is stopped before it has the terminal; and has it as soon as it may.
        for command in ["ctctl console web", "ctctl exec -it web sleep 1000"] {
            let (terminal, running) = shell();
            terminal.type_in(format!("{command} &\r"));
            machine.wait_until(is_stopped);
            machine.wait_until_true(|| terminal.shown().matches("ready> ").count() > 1);
            ends(&terminal, 2);
            drop((terminal, running));
        }
        let (terminal, running) = shell();
        terminal.type_in("ctctl console web &\r");
        machine.wait_until(is_stopped);
        terminal.type_in("fg\r");
        terminal.wait_for("web: attached");
        terminal.type_in("echo go''es\r");
        terminal.wait_for("goes\r\n");
        terminal.type_in(DETACH);
        terminal.wait_for("web: detached");
        terminal.type_in("exit\r");
        running.wait().succeeds();
    }
}
