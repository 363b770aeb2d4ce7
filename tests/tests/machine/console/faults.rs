// SPDX-License-Identifier: MIT OR Apache-2.0
//! A console whose surroundings fail: a terminal that is closed or hung up, a journal that is away, a service that is not
//! there, a runtime that sends what it should not.

use ct_console::{ClientFrame, Mode};
use ct_tests::{Machine, on_every_machine};

fn prepare(machine: &Machine, name: &str, script: &str, more: &str) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
    machine.container(
        name,
        &format!(
            "{more}\n[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\n\
             command = [\"/bin/sh\", \"-c\", '''trap 'exit 0' TERM; {script}''']\n"
        ),
    );
    machine.daemon_reload();
}

/// The processor time that the service has used, in microseconds.
fn processor_time(machine: &Machine) -> u64 {
    let stat = machine.read_file("/sys/fs/cgroup/ct.slice/ct-console@web.service/cpu.stat");
    let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    usage.and_then(|usage| usage.parse().ok()).expect("cgroup2 counts it")
}

/// Takes the terminal of the container's init for its own, and hangs it up for everybody: TIOCSCTTY by force, vhangup(2).
const HANG_UP: &str = r#"$SIG{HUP} = "IGNORE"; open my $tty, "+<", "/proc/$ARGV[0]/root/dev/console" or die $!;
    ioctl($tty, 0x540E, 1) or die "TIOCSCTTY: $!"; syscall(153) == 0 or die "vhangup: $!";"#;

/// Closes its terminal, and says there what is in /root/say from time to time.
const CLOSES: &str = "trap '' HUP; echo up; exec </dev/null >/dev/null 2>&1; \
    while :; do if [ -e /root/say ]; then cat /root/say >/dev/console && rm /root/say; fi; sleep 0.1; done";

/// A runtime that keeps the terminal to itself, and sends the files of /srv/sends in its place, all in one message.
const LIAR: &str = r#"#!/usr/bin/perl
    use IO::Socket::UNIX; use Socket;
    my ($at) = grep { $ARGV[$_ - 1] eq '--console-socket' } 1..$#ARGV;
    exec 'crun', @ARGV unless $at;
    my $to = $ARGV[$at]; $ARGV[$at] = '/run/kept'; unlink '/run/kept';
    my $kept = IO::Socket::UNIX->new(Local => '/run/kept', Listen => 1) or die;
    system('crun', @ARGV) == 0 or die;
    open my $list, '<', '/srv/sends' or die;
    my @files = map { open my $file, '+<', $_ or die "$_: $!"; $file } split ' ', join '', <$list>;
    exit unless @files;
    my $stream = IO::Socket::UNIX->new(Peer => $to) or die;
    my $parts = pack('PQ', my $name = 'x', 1);
    my $control = pack('Qiii*', 16 + 4 * @files, SOL_SOCKET, SCM_RIGHTS, map { fileno $_ } @files) . (@files % 2 ? pack('x4') : '');
    my $message = pack('QQPQPQQ', 0, 0, $parts, 1, $control, length $control, 0);
    syscall(46, fileno($stream), $message, 0) == 1 or die;"#;

/// Has a terminal do something, and everybody who has it: ioctl(2) with this request and this number.
const IOCTL: &str = r#"open my $tty, "+<", "/proc/$ARGV[0]/fd/0" or die $!; ioctl($tty, 0 + $ARGV[1], 0 + $ARGV[2]) or die $!;"#;
/// Nobody may open it any more.
const TIOCEXCL: [&str; 2] = ["21516", "0"];
/// Nothing is printed any more, and again.
const TCOOFF: [&str; 2] = ["21514", "0"];
const TCOON: [&str; 2] = ["21514", "1"];

on_every_machine! {
    fn a_terminal_that_is_closed_or_hung_up_is_there_again(machine: &Machine) {
        prepare(machine, "web", CLOSES, "");
        machine.start("ct@web");
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        client.hear_until("up");
        let before = processor_time(machine);
        // Three seconds of nothing but a closed terminal.
        machine.shell("sleep 3").succeeds();
        assert!(processor_time(machine) - before < 300_000, "it is at rest");
        machine.write_file("/srv/rootfs/root/say", 0o644, "back\n");
        client.hear_until("back");
        for round in 0..3 {
            let init = machine.main_pid("ct@web").to_string();
            machine.run(["setsid", "--wait", "perl", "-e", HANG_UP, &init]).succeeds();
            machine.write_file("/srv/rootfs/root/say", 0o644, format!("again{round}\n"));
            client.hear_until(&format!("again{round}"));
        }
        let before = processor_time(machine);
        machine.shell("sleep 3").succeeds();
        assert!(processor_time(machine) - before < 300_000, "it is at rest");
        assert_eq!(machine.show("ct-console@web", "NRestarts"), "0");
    }

    fn a_terminal_that_nobody_has_open_outlives_its_service(machine: &Machine) {
        prepare(machine, "web", CLOSES, "");
        // Meanwhile PID 1 is the only one that has the master, and there is no other side.
        let pause = "/etc/systemd/system/ct-console@web.service.d/pause.conf";
        machine.write_file(pause, 0o644, "[Service]\nRestartSec=2s\n");
        machine.daemon_reload();
        machine.start("ct@web");
        let (mut client, hello) = machine.attach("web", Mode::Write, None);
        client.hear_until("up");
        let init = machine.main_pid("ct@web");
        machine.wait_until(&format!("! ls -l /proc/{init}/fd | grep -q /pts/"));
        machine.shell("kill -KILL $(systemctl show -P MainPID ct-console@web)").succeeds();
        machine.wait_for("ct-console@web", "NRestarts", "1");
        let (mut client, again) = machine.attach("web", Mode::Write, None);
        assert_eq!(again.generation, hello.generation);
        machine.write_file("/srv/rootfs/root/say", 0o644, "back\n");
        client.hear_until("back");
        assert_eq!(machine.main_pid("ct@web"), init);
    }

    fn a_terminal_that_is_for_one_alone_or_held_outlives_its_service(machine: &Machine) {
        prepare(machine, "web", "stty -echo -onlcr; echo up; while read word; do echo got $word; done", "");
        machine.start("ct@web");
        let init = machine.main_pid("ct@web").to_string();
        let ioctl = |[request, number]: [&str; 2]| {
            machine.run(["perl", "-e", IOCTL, &init, request, number]).succeeds();
        };
        ioctl(TIOCEXCL);
        machine.kill_service("ct-console@web");
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        client.say(&ClientFrame::Data(b"alone\r"));
        client.hear_until("got alone\n");
        ioctl(TCOOFF);
        client.say(&ClientFrame::Data(b"held\r"));
        machine.wait_until(&format!("grep -Eq 'n_tty_write|wait_woken' /proc/{init}/wchan"));
        machine.kill_service("ct-console@web");
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        client.hear_until("got alone\n");
        ioctl(TCOON);
        client.hear_until("got held\n");
        assert_eq!(machine.main_pid("ct@web").to_string(), init);
    }

    fn a_journal_that_is_away_holds_nothing_up(machine: &Machine) {
        prepare(machine, "web", "stty -echo -onlcr; echo up; while read word; do seq 1000000 1299999; echo got $word; done", "");
        machine.start("ct@web");
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        client.hear_until("up");
        machine.shell("systemctl kill --signal STOP systemd-journald").succeeds();
        // More than the ring has.
        client.say(&ClientFrame::Data(b"a\r"));
        client.hear_until("got a\n");
        machine.shell("systemctl kill --signal CONT systemd-journald").succeeds();
        machine.wait_until("journalctl --sync; journalctl -q -u ct@web -o cat | grep -q 'lines are missing here'");
        client.say(&ClientFrame::Data(b"b\r"));
        client.hear_until("got b\n");
        machine.stop("ct@web");
    }

    fn a_service_that_is_not_there_fails_the_start_with_a_reason(machine: &Machine) {
        prepare(machine, "web", "sleep 1000", "");
        let before = machine.leaks();
        machine.shell("systemctl mask ct-console@web").succeeds();
        machine.try_start("ct@web").fails();
        let log = machine.journal("ct@web");
        assert!(log.contains("ct-console@web.service does not take the terminal"), "{log}");
        machine.shell("systemctl unmask ct-console@web; systemctl reset-failed; rm -rf /srv/rootfs").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_runtime_sends_one_terminal_and_no_other(machine: &Machine) {
        // The second is that of another container.
        machine.write_file("/usr/local/bin/twice", 0o755, "#!/bin/sh\n\
            for argument; do case $last in --console-socket) socket=$argument;; --bundle) bundle=$argument;; esac; last=$argument; done\n\
            crun \"$@\" || exit\n\
            [ -z \"$socket\" ] && exit\n\
            crun --root /run/twice --cgroup-manager=disabled run --detach --console-socket $socket --bundle /srv/second second\n");
        prepare(machine, "web", "sleep 1000", "runtime = \"/usr/local/bin/twice\"");
        machine.shell("mkdir /srv/second; cd /srv/second; cp -a /srv/rootfs rootfs; runc spec; \
            sed -i 's/\"sh\"/\"sleep\", \"1000\"/' config.json").succeeds();
        machine.try_start("ct@web").fails();
        let log = machine.journal("ct@web");
        assert!(log.contains("it has sent more than one"), "{log}");
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
    }

    fn what_a_runtime_sends_is_a_terminal_or_the_start_fails(machine: &Machine) {
        prepare(machine, "web", "sleep 1000", "runtime = \"/usr/local/bin/liar\"");
        machine.write_file("/usr/local/bin/liar", 0o755, LIAR);
        machine.write_file("/srv/file", 0o644, "no terminal\n");
        machine.start("ct.slice");
        let before = machine.leaks();
        let config = machine.read_file("/etc/ct/containers/web.toml");
        let cases = [
            ("none", "", "it has sent none"),
            ("device", "/dev/null", "it is none"),
            ("file", "/srv/file", "it is none"),
            ("two", "/dev/ptmx /dev/ptmx", "it has sent more than one"),
        ];
        for (name, sends, said) in cases {
            machine.write_file("/srv/sends", 0o644, sends);
            machine.container(name, &config);
            machine.daemon_reload();
            machine.try_start(&format!("ct@{name}")).fails();
            let log = machine.journal(&format!("ct@{name}"));
            assert!(log.contains(&format!("receive the terminal from the runtime: {said}")), "{name}: {log}");
            machine.wait_for(&format!("ct-console@{name}"), "ActiveState", "inactive");
        }
        machine.shell("systemctl reset-failed; rm /run/kept").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn the_container_has_nothing_of_the_services_oom_score(machine: &Machine) {
        prepare(machine, "web", "sleep 1000", "");
        machine.container("plain", "[root]\npath = \"/srv/rootfs\"\nwritable = \"ephemeral\"\n[process]\ncommand = [\"/bin/sleep\", \"1000\"]\n");
        machine.container("web", "[root]\npath = \"/srv/rootfs\"\nwritable = \"ephemeral\"\n[process]\nterminal = true\ncommand = [\"/bin/sleep\", \"1000\"]\n");
        machine.daemon_reload();
        machine.start("ct@web");
        machine.start("ct@plain");
        let score = |unit: &str| machine.read_file(format!("/proc/{}/oom_score_adj", machine.main_pid(unit)));
        assert_eq!(score("ct@web"), score("ct@plain"));
        assert_eq!(machine.show("ct-console@web", "OOMScoreAdjust"), "-1000");
        // What PID 1 may do here: without CAP_SYS_RESOURCE nothing below its own.
        let allowed = machine.shell("systemd-run -q --wait --pipe -p OOMScoreAdjust=-1000 cat /proc/self/oom_score_adj");
        assert_eq!(score("ct-console@web"), allowed.stdout);
        machine.shell("systemctl kill -s KILL ct@plain").succeeds();
    }
}
