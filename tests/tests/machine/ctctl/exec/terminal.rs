// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl exec -it`: a terminal of the command's own, and the caller's as it was.

use ct_tests::{Machine, Terminal, on_every_machine};

use super::container::{KINDS, prepare, start};

/// A shell that says when it is there; its commands are not found in what it echoes.
const SHELL: [&str; 8] = ["ctctl", "exec", "-it", "web", "sh", "-c", "echo u''p; exec sh", "x"];

/// A runtime that says what it has of the caller's terminal, and whether it may change where it sends the new one to.
const WATCHED: &str = r#"#!/bin/sh
case "$*" in *" exec "*) echo exec;; *" run "*) echo run;; esac >>/srv/seen
for fd in 0 1 2 3 4 5 6 7 8 9; do test -t $fd && echo "terminal $fd"; done >>/srv/seen
(: </dev/tty) 2>/dev/null && echo terminal >>/srv/seen
case "$*" in *" run "*" --console-socket "*) socket=${*#*--console-socket }; socket=${socket%% *}
test -S "$socket" && test -w "$socket" && test ! -w "${socket%/*}" && echo socket >>/srv/seen;; esac
exec crun "$@"
"#;

/// A runtime that sends something else than a terminal, and starts the command without one.
const LIAR: &str = r#"#!/usr/bin/perl
use Socket;
my ($socket, $process, $stream, @rest);
while (defined(my $word = shift)) {
    if ($word eq '--console-socket') { $socket = shift; next }
    push @rest, $word;
    if ($word eq '--process') { $process = shift; push @rest, '/run/process.json' }
}
if (defined $socket) {
    open(my $from, '<', $process) or die; open(my $to, '>', '/run/process.json') or die;
    print $to (join('', <$from>) =~ s/"terminal":true/"terminal":false/r); close($to);
    socket($stream, AF_UNIX, SOCK_STREAM, 0) && connect($stream, sockaddr_un($socket)) or die;
    open(my $null, '<', '/dev/null') or die;
    my $parts = pack('PQ', my $name = 'x', 1);
    my $control = pack('Qiiix4', 20, SOL_SOCKET, SCM_RIGHTS, fileno($null));
    my $message = pack('QQPQPQQ', 0, 0, $parts, 1, $control, 24, 0);
    syscall(46, fileno($stream), $message, 0) == 1 or die;
}
exec 'crun', @rest;
"#;

on_every_machine! {
    fn a_runtime_has_nothing_of_the_callers_terminal(machine: &Machine) {
        prepare(machine);
        machine.write_file("/usr/local/bin/crun-watched", 0o755, WATCHED);
        machine.shell(": >/srv/seen; chmod 666 /srv/seen").succeeds();
        start(machine, ("/usr/local/bin/crun-watched", "ct-web"), "");
        for (verb, seen) in [("exec", "exec\n"), ("run", "run\nsocket\n")] {
            if verb == "run" {
                machine.stop("ct@web");
            }
            for options in ["-t", "-it"] {
                machine.shell(": >/srv/seen").succeeds();
                let terminal = Terminal::new(24, 80);
                machine.command(["ctctl", verb, options, "web", "echo", "ran"]).on(&terminal).run().succeeds();
                terminal.wait_for("ran");
                assert_eq!(machine.read_file("/srv/seen"), seen, "{verb} {options}");
            }
        }
    }

    fn what_goes_wrong_while_it_runs_ends_the_command(machine: &Machine) {
        prepare(machine);
        machine.write_file("/usr/local/bin/crun-liar", 0o755, LIAR);
        start(machine, ("/usr/local/bin/crun-liar", "root"), "");
        let output = machine.shell("timeout -s KILL 200 ctctl exec -t web sleep 4242").exits(125);
        assert_eq!(output.stderr, "ctctl: what the runtime sent is no terminal\n");
        machine.wait_until("! pgrep -f '^sleep 4242' && ! pgrep -x ct-helper");
    }

    fn a_terminal_has_the_callers_size_and_follows_it(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            start(machine, kind, "");
            let terminal = Terminal::new(33, 77);
            let modes = terminal.modes();
            let running = machine.command(SHELL).env("TERM", "vt220").on(&terminal).spawn();
            terminal.wait_for("up");
            assert_ne!(terminal.modes(), modes, "it is raw");
            terminal.type_in("stty size; tty; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo a''ll\r");
            terminal.wait_for("all");
            let shown = terminal.shown();
            for want in ["33 77\r\n", "/dev/pts/0\r\n", "vt220\r\n"] {
                assert!(shown.contains(want), "{kind:?} {want:?} {shown:?}");
            }
            terminal.type_in("sh -c \"trap 'stty size; exit' WINCH; echo r''eady; while :; do sleep 0.1; done\"\r");
            terminal.wait_for("ready");
            terminal.resize(44, 99);
            terminal.wait_for("44 99");
            // Keys are the program's: Ctrl-C is for sleep, and neither for the shell nor for ctctl.
            terminal.type_in("sleep 4242\r");
            machine.wait_until("pgrep -f '^sleep 4242'");
            terminal.type_in("\x03");
            terminal.type_in("echo interr''upted\r");
            terminal.wait_for("interrupted");
            terminal.type_in("exit 7\r");
            running.wait().exits(7);
            assert_eq!(terminal.modes(), modes, "{kind:?}: as it was");
        }
    }

    fn the_terminal_is_restored_however_it_ends(machine: &Machine) {
        prepare(machine);
        start(machine, KINDS[0], "");
        for end in ["pkill -KILL -f '^sleep 4242'", "kill -TERM $(pgrep -x ctctl)", "kill -KILL $(pgrep -x ct-helper)", "systemctl stop ct@web"] {
            machine.start("ct@web");
            let terminal = Terminal::new(24, 80);
            let modes = terminal.modes();
            let argv = ["ctctl", "exec", "-it", "web", "sh", "-c", "printf '\\033[?1049hu''p'; exec sleep 4242"];
            let running = machine.command(argv).on(&terminal).spawn();
            terminal.wait_for("up");
            machine.wait_until("pgrep -f '^sleep 4242'");
            assert_ne!(terminal.modes(), modes, "{end}: it is raw");
            machine.shell(end).succeeds();
            running.wait().fails();
            assert_eq!(terminal.modes(), modes, "{end}");
            // What the program has switched on is off again.
            terminal.wait_for("\x1b[?1047l");
        }
        // One that never ran, and one that has done nothing to it.
        machine.start("ct@web");
        let terminal = Terminal::new(24, 80);
        let modes = terminal.modes();
        machine.command(["ctctl", "exec", "-it", "web", "no-such"]).on(&terminal).run().exits(127);
        machine.command(["ctctl", "exec", "-it", "web", "echo", "plain"]).on(&terminal).run().succeeds();
        terminal.wait_for("plain");
        assert_eq!(terminal.modes(), modes);
        assert!(!terminal.shown().contains('\x1b'), "{:?}", terminal.shown());
    }

    fn no_output_is_lost_at_the_end(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            start(machine, kind, "");
            for _ in 0..20 {
                let terminal = Terminal::new(24, 80);
                machine.command(["ctctl", "exec", "-t", "web", "sh", "-c", "seq 3000; echo last"]).on(&terminal).run().succeeds();
                // The caller's own terminal, which is not raw without -i, adds to each line a return of its own.
                terminal.wait_for("2999\r\r\n3000\r\r\nlast\r\r\n");
            }
            // Input that ends is an end of typing.
            let output = machine.shell("echo typed | ctctl exec -it web sed s/typed/seen/").succeeds();
            assert!(output.stdout.ends_with("seen\r\n"), "{kind:?} {output}");
        }
    }

    fn nothing_can_be_typed_on_the_callers_terminal(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /srv/rootfs/usr; ln -s usr/lib usr/lib64 /srv/rootfs/").succeeds();
        start(machine, KINDS[0], "[[mount]]\nsource = \"/usr\"\ntarget = \"/usr\"\noptions = [\"ro\"]\n[security]\nseccomp = \"unconfined\"\ncapabilities = { add = [\"CAP_SYS_ADMIN\"] }\n");
        // TIOCSTI and TIOCLINUX, on every descriptor, on /dev/tty, and on what /proc/self/fd leads to.
        let attack = "for my $path (0, 1, 2, '/dev/tty', map { \"/proc/self/fd/$_\" } 0..9) { \
                      my $file; if ($path =~ /^\\d$/) { open($file, '+<&', $path) or next } else { open($file, '+<', $path) or next } \
                      for my $letter (split //, \"touch /srv/owned\\n\") { ioctl($file, 0x5412, $letter); } \
                      my $paste = pack('c', 3); ioctl($file, 0x541c, $paste); } print \"tri\", \"ed\\n\"";
        for options in ["-i", "-it", "-t"] {
            let terminal = Terminal::new(24, 80);
            machine.command(["ctctl", "exec", options, "web", "/usr/bin/perl", "-e", attack]).on(&terminal).run().succeeds();
            terminal.wait_for("tried");
            assert_eq!(terminal.unread(), 0, "{options}");
        }
    }
}
