// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service of a console that is held up, starved or deceived: by those who share its terminal, by clients that read
//! nothing, by the lack of descriptors, by a PID 1 that keeps nothing for it, by what another version left behind.

use ct_console::{ClientFrame, Mode};
use ct_tests::{ConsoleClient, Machine, on_every_machine};

/// Starts the container `web`, that answers each word.
fn start(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.container(
        "web",
        "[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\ncommand = [\"/bin/sh\", \"-c\", '''\
         trap 'exit 0' TERM; stty -echo -onlcr; echo up; while read word; do echo got $word; done''']\n\
         [systemd.unit]\nStartLimitIntervalSec = \"0\"\n",
    );
    machine.daemon_reload();
    machine.start("ct@web");
}

/// Has the service another setting, from its next start on.
fn set(machine: &Machine, setting: &str) {
    let path = "/etc/systemd/system/ct-console@.service.d/test.conf";
    machine.write_file(path, 0o644, format!("[Service]\n{setting}\n"));
    machine.daemon_reload();
}

fn type_in(client: &mut ConsoleClient, word: &str) {
    client.say(&ClientFrame::Data(format!("{word}\r").as_bytes()));
    client.hear_until(&format!("got {word}\n"));
}

/// Attaches anew and has a word answered.
fn answers(machine: &Machine, word: &str) {
    let (mut client, _) = machine.attach("web", Mode::Write, None);
    type_in(&mut client, word);
}

/// Has the master of the terminal block whoever reads it, as one can who holds the same open file description:
/// pidfd_open(2), pidfd_getfd(2), F_SETFL.
const BLOCK: &str = r#"use Fcntl; my $pid = $ARGV[0]; my ($fd) = grep { readlink("/proc/$pid/fd/$_") =~ /ptmx/ } 0..99;
    my $own = syscall(438, syscall(434, $pid + 0, 0), $fd + 0, 0); die "pidfd_getfd: $!" if $own < 0;
    open(my $master, "+<&=", $own) or die; fcntl($master, F_SETFL, fcntl($master, F_GETFL, 0) & ~O_NONBLOCK) or die;"#;

/// Has the terminal block the service, until that hangs in it.
fn block(machine: &Machine) {
    let (mut client, _) = machine.attach("web", Mode::Write, None);
    let service = machine.main_pid("ct-console@web").to_string();
    machine.run(["perl", "-e", BLOCK, &service]).succeeds();
    client.say(&ClientFrame::Data(b"blocked\r"));
    machine.wait_until(&format!("grep -q wait_woken /proc/{service}/wchan || [ $(systemctl show -P MainPID ct-console@web) != {service} ]"));
}

/// Eight clients that read nothing, and one that sends another size 300000 times, then a word, and hears until it is answered.
const SIZES: &str = r#"use IO::Socket::UNIX;
    sub attach { my $s = IO::Socket::UNIX->new(Peer => "/run/ct/web/console") or die; syswrite($s, pack("CVvCCQ<Q<", 1, 20, 1, $_[0], 0, 0, 0)); $s }
    my @silent = map { attach(0) } 1..8; my $s = attach(2);
    if (!fork) { for (1..150) { my $all = join "", map { pack("CVvv", 3, 4, 20 + $_ % 2, 80) } 1..2000;
        while (length $all) { my $n = syswrite($s, $all) // die; substr($all, 0, $n) = "" } }
        syswrite($s, pack("CV", 2, 5) . "last\r"); exit }
    my $heard = ""; until ($heard =~ /got last/) { sysread($s, my $part, 65536) or die "closed"; $heard = substr($heard, -20) . $part }
    open my $status, "<", "/proc/$ARGV[0]/status"; print grep { /VmRSS/ } <$status>;"#;

/// As many readers as there is room for, one who writes, and one more; then, when the readers have gone, another one. Prints what
/// each is told.
const CROWD: &str = r#"use IO::Socket::UNIX; alarm 250; my @all;
    sub attach { my $s = IO::Socket::UNIX->new(Peer => "/run/ct/web/console") or die "connect: $!";
        syswrite($s, pack("CVvCCQ<Q<", 1, 20, 1, $_[0], 0, 0, 0)); my $said = "";
        while (length $said < 7) { sysread($s, $said, 99, length $said) or die "closed" }
        my ($kind, $length, $reason) = unpack("CVv", $said); push @all, $s if $kind == 1; $kind == 1 ? 0 : $reason }
    sub answers { my ($s, $word) = @_; syswrite($s, pack("CV", 2, 1 + length $word) . "$word\r"); my $heard = "";
        until ($heard =~ /got $word/) { sysread($s, $heard, 65536, length $heard) or die "closed" } print "$word\n" }
    for (1..3999) { attach(0) and die "$_ is refused" }
    attach(1) and die "the last is refused"; my $writer = pop @all; print attach(0), "\n"; answers($writer, "full");
    @all = (); select(undef, undef, undef, 0.1) while attach(0); answers($writer, "again");"#;

/// Connects, says nothing, and prints how many bytes come before the end.
const CONNECT: &str = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => "/run/ct/web/console") or die;
    alarm 200; my $count = 0; while (sysread($s, my $part, 999)) { $count += length $part } print $count;"#;

/// The lowest number that no descriptor of the service has.
const LOWEST_FREE: &str = r#"my $at = 0; $at++ while -l "/proc/$ARGV[0]/fd/$at"; print $at;"#;

/// The processor time that the service has used, in microseconds.
fn processor_time(machine: &Machine) -> u64 {
    let stat = machine.read_file("/sys/fs/cgroup/ct.slice/ct-console@web.service/cpu.stat");
    let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    usage.and_then(|usage| usage.parse().ok()).expect("cgroup2 counts it")
}

on_every_machine! {
    fn a_terminal_that_others_have_block_is_served_again(machine: &Machine) {
        start(machine);
        block(machine);
        // Nobody but PID 1 ends that.
        machine.wait_for("ct-console@web", "NRestarts", "1");
        answers(machine, "again");
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        // And nobody waits for it who shuts the host down.
        block(machine);
        machine.run(["timeout", "200", "systemctl", "stop", "ct@web", "ct-console@web"]).succeeds();
    }

    fn a_container_may_take_longer_to_stop_than_its_console(machine: &Machine) {
        set(machine, "TimeoutStopSec=6\nWatchdogSec=5");
        start(machine);
        machine.container("web", "[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\ncommand = [\"/bin/sh\", \"-c\", '''\
            trap 'sleep 9; echo bye; exit 0' TERM; echo up; while :; do sleep 1; done''']\n[stop]\ntimeout = \"5min\"\n");
        machine.daemon_reload();
        machine.restart("ct@web");
        let (mut client, _) = machine.attach("web", Mode::ReadOnly, None);
        client.hear_until("up");
        machine.shell("systemctl stop ct-console@web").succeeds();
        client.hear_until("bye");
        assert_eq!(machine.show("ct-console@web", "Result"), "success");
        assert_eq!(machine.show("ct@web", "Result"), "success");
    }

    fn sizes_do_not_pile_up_for_clients_that_read_nothing(machine: &Machine) {
        start(machine);
        let service = machine.main_pid("ct-console@web").to_string();
        let printed = machine.run(["perl", "-e", SIZES, &service]).succeeds().stdout;
        let kilobytes: u64 = printed.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("VmRSS: 1 kB");
        assert!(kilobytes < 16 * 1024, "{printed}");
    }

    fn a_service_that_stands_still_fails_the_start_with_a_reason(machine: &Machine) {
        set(machine, "WatchdogSec=0");
        start(machine);
        let service = machine.main_pid("ct-console@web").to_string();
        machine.run(["kill", "-STOP", &service]).succeeds();
        machine.shell("timeout 200 systemctl restart ct@web").fails();
        let log = machine.journal("ct@web");
        machine.run(["kill", "-KILL", &service]).succeeds();
        assert!(log.contains("ct-console@web.service does not take the terminal"), "{log}");
    }

    fn what_another_version_left_behind_costs_no_terminal(machine: &Machine) {
        start(machine);
        answers(machine, "before");
        let service = machine.main_pid("ct-console@web").to_string();
        machine.shell(&format!("cd /proc/{service}/fd; for fd in *; do case $(readlink $fd) in */memfd:ct-console*) \
            printf ctring99 | dd of=$fd conv=notrunc bs=8 count=1;; esac; done; kill -KILL {service}")).succeeds();
        machine.wait_for("ct-console@web", "NRestarts", "1");
        answers(machine, "after");
        machine.wait_for_line("ct@web", "got after");
        let log = machine.journal("ct-console@web");
        assert_eq!(log.matches("another version").count(), 1, "{log}");
        // And that is what the next one finds.
        machine.shell("kill -KILL $(systemctl show -P MainPID ct-console@web)").succeeds();
        machine.wait_for("ct-console@web", "NRestarts", "2");
        answers(machine, "later");
        assert_eq!(machine.journal("ct-console@web").matches("another version").count(), 1);
        machine.stop("ct@web");
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
    }

    fn a_container_that_starts_again_and_again_leaves_nothing_in_its_console(machine: &Machine) {
        start(machine);
        (0..40).for_each(|_| machine.restart("ct@web"));
        let service = machine.main_pid("ct-console@web");
        machine.wait_until(&format!("[ -d /proc/{service} ] && [ -z \"$(cat /proc/{service}/task/{service}/children)\" ]"));
    }

    fn a_service_without_descriptors_rests_and_refuses_nobody(machine: &Machine) {
        start(machine);
        let service = machine.main_pid("ct-console@web").to_string();
        let lowest_free = || machine.run(["perl", "-e", LOWEST_FREE, &service]).succeeds().stdout;
        // It is done with the start when it answers, and at rest when there is room for another client again.
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        type_in(&mut client, "first");
        let attached = lowest_free();
        drop(client);
        machine.wait_until_true(|| lowest_free() != attached);
        let free = lowest_free();
        // None: those who connect wait.
        machine.run(["prlimit", &format!("--nofile={free}:8192"), "--pid", &service]).succeeds();
        let waiting = machine.console_client("web");
        let before = processor_time(machine);
        machine.shell("sleep 3").succeeds();
        let used = processor_time(machine) - before;
        assert!(used < 300_000, "it is at rest: {used}");
        machine.run(["prlimit", "--nofile=8192:8192", "--pid", &service]).succeeds();
        answers(machine, "again");
        drop(waiting);
        // One: that is enough to hang up, and no reason to refuse root.
        machine.wait_until_true(|| lowest_free() == free);
        let one = free.trim().parse::<u32>().expect("a number") + 1;
        machine.run(["prlimit", &format!("--nofile={one}:8192"), "--pid", &service]).succeeds();
        let heard = machine.run(["perl", "-e", CONNECT]).succeeds().stdout;
        machine.run(["prlimit", "--nofile=8192:8192", "--pid", &service]).succeeds();
        assert_eq!(heard, "0");
        let log = machine.journal("ct-console@web");
        assert!(!log.contains("refused process"), "{log}");
        answers(machine, "later");
    }

    fn four_thousand_may_attach_and_whoever_is_there_is_served(machine: &Machine) {
        start(machine);
        let crowd = machine.command(["sh", "-c", "ulimit -n 8192; exec perl -e \"$0\"", CROWD]);
        let told = crowd.deadline(std::time::Duration::from_secs(300)).run().succeeds().stdout;
        assert_eq!(told, "5\nfull\nagain\n");
    }

    fn a_service_that_is_killed_amid_a_handover_costs_no_start(machine: &Machine) {
        // PID 1 is not to kill it before the test does, however long that takes.
        set(machine, "WatchdogSec=0");
        start(machine);
        for (round, last_moments) in ["", "kill -CONT {};", ""].into_iter().enumerate() {
            let service = machine.main_pid("ct-console@web").to_string();
            let socket = machine.shell("stat -c %i /run/ct/web/console").succeeds().stdout;
            machine.run(["kill", "-STOP", &service]).succeeds();
            machine.shell("systemctl restart --no-block ct@web").succeeds();
            // The helper is about to hand over, or waits for the answer.
            machine.wait_until(&format!("i=$(stat -c %i /run/ct/web/console) && [ $i != {} ]", socket.trim()));
            let last_moments = last_moments.replace("{}", &service);
            machine.shell(&format!("{last_moments} kill -KILL {service}")).succeeds();
            machine.wait_for("ct@web", "ActiveState", "active");
            answers(machine, &format!("word{round}"));
        }
        assert!(!machine.journal("ct@web").contains("does not take the terminal"));
    }

    fn a_terminal_that_pid_1_does_not_keep_fails_the_start_with_a_reason(machine: &Machine) {
        set(machine, "FileDescriptorStoreMax=3");
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", "[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\ncommand = [\"/bin/sleep\", \"1000\"]\n");
        machine.daemon_reload();
        machine.try_start("ct@web").fails();
        let log = machine.journal("ct@web");
        assert!(log.contains("FileDescriptorStoreMax="), "{log}");
    }

    fn what_pid_1_has_forgotten_it_is_given_again(machine: &Machine) {
        start(machine);
        // A setting that was wrong for a while.
        set(machine, "FileDescriptorStoreMax=0");
        set(machine, "FileDescriptorStoreMax=16");
        machine.shell("kill -TERM $(systemctl show -P MainPID ct-console@web)").succeeds();
        machine.wait_for("ct-console@web", "NRestarts", "1");
        answers(machine, "again");
    }

    fn a_terminal_that_nobody_keeps_costs_no_more_than_this_life(machine: &Machine) {
        start(machine);
        set(machine, "FileDescriptorStoreMax=0");
        set(machine, "FileDescriptorStoreMax=16");
        answers(machine, "before");
        machine.shell("kill -KILL $(systemctl show -P MainPID ct-console@web)").succeeds();
        // Nobody has the master any more: the container is hung up, as by a terminal that was closed, and ends.
        machine.wait_until("case $(systemctl show -P ActiveState ct@web) in inactive|failed) ;; *) false;; esac");
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
        assert_eq!(machine.run(["cat", "/proc/1/comm"]).succeeds().stdout, "systemd\n", "PID 1 is none the worse");
        // The next life has its terminal, and PID 1 keeps that.
        machine.start("ct@web");
        answers(machine, "after");
        machine.shell("kill -KILL $(systemctl show -P MainPID ct-console@web)").succeeds();
        machine.wait_for("ct-console@web", "NRestarts", "1");
        answers(machine, "later");
    }
}
