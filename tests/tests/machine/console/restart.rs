// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container that starts again before journald has taken what its last life printed: the next life does not wait for that,
//! and nothing of it is lost without a word, whatever becomes of the service meanwhile.

use ct_tests::{Machine, on_every_machine};

/// Who reads what the container prints, by a terminal or by a pipe.
const MODES: [&str; 2] = ["process.terminal = true", "log.mode = \"pipe\""];

/// A pipe that is another user's, and opened anew for what is left of a life.
const PIPE_OF_ANOTHER: &str = "log.mode = \"pipe\"\nprocess.user = 33";

/// A container without a terminal stands still.
const WAITS_FOR_JOURNALD: &str = "grep -q pipe_write /proc/$(systemctl show -P MainPID ct@web)/wchan";

/// Sends datagrams to journald, each from another socket, until there is no room for one more.
const FILL: &str = r#"use IO::Socket::UNIX; use Socket; while (1) { my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
    Peer => "/run/systemd/journal/socket", Blocking => 0) or die "connect: $!"; defined $s->send("MESSAGE=full\n") or $!{EAGAIN} ? exit : die "send: $!" }"#;

/// Hands over a life without a terminal, and prints the answer.
const OFFER: &str = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => "/run/ct-console/web/handover") or die;
    print $s qq({"descriptors":0,"message":{"life":{"version":1,"generation":7,"invocation":"7","init":1},"roles":[]}}\n); print <$s>"#;

/// What prints so many lines of more than a thousand bytes, `LIFE NUMBER`, the number with zeros before it.
fn long_lines(count: u32) -> String {
    format!(
        "n=0; while [ $n -lt {count} ]; do n=$((n + 1)); printf '%s %01000d\\n' $life $n; echo $n >>/count-$life; done"
    )
}

/// Starts the container `web`. Each of its lives says that it is up, and as soon as it may, it prints; how far it is, is in
/// `/count-LIFE`.
fn start(machine: &Machine, mode: &str, prints: &str) {
    machine.shell("systemctl stop ct@web ct-console@web; rm -rf /srv/rootfs").succeeds();
    machine.forget_journal();
    machine.busybox_rootfs("/srv/rootfs");
    machine.shell("chmod 1777 /srv/rootfs").succeeds();
    machine.container(
        "web",
        &format!(
            "{mode}\nroot.path = \"/srv/rootfs\"\nstop.timeout = \"500ms\"\nprocess.command = [\"/bin/sh\", \"-c\", '''\
             trap 'exit 0' TERM; life=$(($(cat /life) + 1)); echo $life >/life; echo up $life\n\
             until [ -e /go-$life ]; do sleep 0.1; done\n\
             {prints}\n\
             sleep 1000 & wait''']\n"
        ),
    );
    machine.write_file("/srv/rootfs/life", 0o666, "0\n");
    let rate = "/etc/systemd/system/ct-console@web.service.d/rate.conf";
    machine.write_file(rate, 0o644, "[Service]\nLogRateLimitIntervalSec=0\n");
    machine.daemon_reload();
    machine.start("ct@web");
    machine.wait_for_line("ct@web", "up 1");
}

fn signal_journald(machine: &Machine, signal: &str) {
    machine.shell(&format!("systemctl kill --signal {signal} systemd-journald")).succeeds();
}

/// Has it print, until it has printed so many lines.
fn print(machine: &Machine, life: u32, lines: u32) {
    machine.write_file(format!("/srv/rootfs/go-{life}"), 0o644, "");
    machine.wait_until(&format!("n=$(tail -n 1 /srv/rootfs/count-{life}) && [ $n -ge {lines} ]"));
}

/// Starts the container again, and is back when it runs.
fn restart(machine: &Machine) {
    let before = machine.main_pid("ct@web");
    machine.run(["timeout", "200", "systemctl", "restart", "ct@web"]).succeeds();
    assert_eq!(machine.show("ct@web", "ActiveState"), "active");
    assert_ne!(machine.main_pid("ct@web"), before);
}

/// How far a life has got.
fn count(machine: &Machine, life: u32) -> u64 {
    let counts = machine.read_file(format!("/srv/rootfs/count-{life}"));
    counts.lines().last().and_then(|line| line.parse().ok()).expect("a number")
}

/// A line as it is logged.
fn line(life: u32, number: u64) -> String {
    format!("{life} {number:01000}")
}

/// The log as it is on disk, while journald cannot be asked.
fn log_so_far(machine: &Machine) -> String {
    machine.shell("journalctl -q -u ct@web -o cat SYSLOG_IDENTIFIER=web").stdout
}

/// Stops the container and its service while journald stands still.
fn stop_for_good(machine: &Machine) {
    machine.stop("ct@web");
    machine.wait_for("ct-console@web", "ActiveState", "inactive");
}

/// The log, as soon as it says that lines are missing.
fn log_with_a_mark(machine: &Machine) -> Vec<String> {
    machine.wait_until("journalctl --sync; journalctl -q -u ct@web -o cat | grep -q 'missing here'");
    log(machine)
}

/// How many lines the service says are not logged, where the log could not be told.
fn lost_in_the_end(machine: &Machine) -> u64 {
    let said = "lines that the container printed last are not logged: ";
    machine
        .wait_until(&format!("journalctl --sync; journalctl -q -u ct-console@web -o cat | grep -q '{said}'"));
    let journal = machine.journal("ct-console@web");
    let count = journal.lines().find_map(|line| line.split_once(said)?.1.split(',').next()?.parse().ok());
    count.unwrap_or_else(|| panic!("a number of lines: {journal}"))
}

/// What the log has of the lives.
fn log(machine: &Machine) -> Vec<String> {
    let log = machine.journalctl(&["--unit", "ct@web", "--identifier", "web", "--output", "cat"]);
    log.lines().map(str::to_owned).collect()
}

/// The numbers of a life's whole lines in the log: one who has to be killed may be in the middle of its last one.
fn numbers(log: &[String], life: u32) -> Vec<u64> {
    let prefix = format!("{life} ");
    let numbers = log.iter().filter_map(|line| line.strip_prefix(&prefix));
    numbers.filter(|number| number.len() == 1000).filter_map(|number| number.parse().ok()).collect()
}

/// How many lines are said to be missing.
fn missing(log: &[String]) -> u64 {
    let is_marker = |line: &&String| line.contains("missing here");
    let count = |line: &String| line.split(' ').next().and_then(|count| count.parse::<u64>().ok());
    log.iter().filter(is_marker).map(|line| count(line).expect("a number of lines")).sum()
}

/// A restart while journald stands still and the container prints without end.
fn restart_amid_a_flood(machine: &Machine, mode: &str, is_killed: bool) {
    eprintln!("{mode}, killed: {is_killed}");
    start(machine, mode, &long_lines(1_000_000));
    signal_journald(machine, "STOP");
    if mode == MODES[0] {
        // Twice what is remembered.
        print(machine, 1, 2100);
    } else {
        print(machine, 1, 1050);
        // It waits for journald.
        machine.wait_until(WAITS_FOR_JOURNALD);
    }
    restart(machine);
    if is_killed {
        machine.kill_service("ct-console@web");
    }
    let printed = count(machine, 1);
    assert!(!log_so_far(machine).contains(&line(1, printed)), "nobody has waited for the log");
    signal_journald(machine, "CONT");
    machine.wait_for_line("ct@web", &line(1, printed));
    machine.wait_for_line("ct@web", "up 2");
    let log = log(machine);
    let mut logged = numbers(&log, 1);
    let (all, missing) = (logged.len(), missing(&log));
    logged.dedup();
    assert!(all - logged.len() <= usize::from(is_killed), "a kill is one line at most");
    assert!(logged.is_sorted(), "{logged:?}");
    // The last one may have been printed, and not counted any more.
    let last = logged.last().copied().expect("there are some");
    assert!(last == printed || last == printed + 1, "{last} of {printed}");
    assert_eq!(logged.len() as u64 + missing, last);
    assert!(mode == MODES[0] || missing == 0, "a pipe loses nothing: {missing}");
    machine.stop("ct@web");
    machine.wait_for("ct-console@web", "ActiveState", "inactive");
}

on_every_machine! {
    fn a_restart_does_not_wait_for_the_log_of_the_last_life(machine: &Machine) {
        for mode in MODES {
            restart_amid_a_flood(machine, mode, false);
        }
    }

    fn the_pipe_of_another_user_is_read_to_its_end_too(machine: &Machine) {
        restart_amid_a_flood(machine, PIPE_OF_ANOTHER, false);
        restart_amid_a_flood(machine, PIPE_OF_ANOTHER, true);
        // Closed to all others by its owner, it is opened all the same.
        start(machine, PIPE_OF_ANOTHER, "chmod 0 /dev/stdout; echo closed");
        machine.write_file("/srv/rootfs/go-1", 0o644, "");
        machine.wait_for_line("ct@web", "closed");
        machine.kill_service("ct-console@web");
        restart(machine);
        machine.wait_for_line("ct@web", "up 2");
        machine.stop("ct@web");
        let warned = "journalctl -q -b -o cat -p warning SYSLOG_IDENTIFIER=ct-helper";
        assert_eq!(machine.shell(warned).stdout, "");
    }

    fn a_killed_service_leaves_the_log_of_the_last_life_to_the_next(machine: &Machine) {
        for mode in MODES {
            restart_amid_a_flood(machine, mode, true);
        }
    }

    fn what_journald_has_not_taken_by_the_next_restart_but_one_is_counted(machine: &Machine) {
        for mode in MODES {
            start(machine, mode, &long_lines(900));
            signal_journald(machine, "STOP");
            for life in 1..=2 {
                print(machine, life, 900);
                restart(machine);
            }
            signal_journald(machine, "CONT");
            for line in [line(2, 900), "up 3".to_owned()] {
                machine.wait_for_line("ct@web", &line);
            }
            let log = log(machine);
            assert_eq!(numbers(&log, 2), Vec::from_iter(1..=900), "{mode}");
            let first = numbers(&log, 1);
            assert_eq!(first, Vec::from_iter(1..=first.len() as u64));
            assert!(first.len() < 900, "journald has stood still");
            assert_eq!(missing(&log) + first.len() as u64, 900, "{mode}");
        }
    }

    fn a_container_that_prints_and_starts_again_has_all_of_it_in_the_log(machine: &Machine) {
        for mode in MODES {
            // More than journald takes until the next life is there.
            start(machine, mode, "seq ${life}000001 ${life}030000; echo 30000 >/count-$life");
            for life in 1..=2 {
                print(machine, life, 30_000);
                restart(machine);
                for line in [format!("{life}030000"), format!("up {}", life + 1)] {
                    machine.wait_for_line("ct@web", &line);
                }
            }
            let log = log(machine);
            for life in 1..=2_u64 {
                let all = life * 1_000_000 + 1..=life * 1_000_000 + 30_000;
                let numbers = log.iter().filter_map(|line| line.parse().ok()).filter(|number| all.contains(number));
                assert!(numbers.eq(all.clone()), "{mode}, life {life}");
            }
            assert_eq!(missing(&log), 0);
        }
    }

    fn what_journald_has_not_taken_by_the_last_stop_is_counted(machine: &Machine) {
        for mode in MODES {
            start(machine, mode, &long_lines(900));
            signal_journald(machine, "STOP");
            print(machine, 1, 900);
            stop_for_good(machine);
            signal_journald(machine, "CONT");
            let log = log_with_a_mark(machine);
            let logged = numbers(&log, 1);
            assert_eq!(logged, Vec::from_iter(1..=logged.len() as u64), "{mode}");
            assert_eq!(logged.len() as u64 + missing(&log), 900, "{mode}");
        }
        // More than is remembered: the rest is in the pipe.
        start(machine, MODES[1], &long_lines(1_000_000));
        signal_journald(machine, "STOP");
        print(machine, 1, 1050);
        machine.wait_until(WAITS_FOR_JOURNALD);
        stop_for_good(machine);
        let printed = count(machine, 1);
        signal_journald(machine, "CONT");
        let log = log_with_a_mark(machine);
        let all = numbers(&log, 1).len() as u64 + missing(&log);
        assert!(all == printed || all == printed + 1, "{all} of {printed}");
    }

    fn a_journald_that_has_no_room_for_a_word_is_told_all_the_same(machine: &Machine) {
        start(machine, MODES[0], &long_lines(900));
        signal_journald(machine, "STOP");
        print(machine, 1, 900);
        // Each has a socket of its own, until the queue is full.
        machine.run(["perl", "-e", FILL]).succeeds();
        machine.kill_service("ct-console@web");
        stop_for_good(machine);
        signal_journald(machine, "CONT");
        let lost = lost_in_the_end(machine);
        let mut logged = numbers(&log(machine), 1);
        logged.dedup();
        let all = logged.len() as u64 + lost;
        // One that was sent, and not noted down before the kill, is sent again or counted.
        assert!(all == 900 || all == 901, "{all}");
    }

    fn what_a_life_left_whose_next_one_does_not_come_is_counted(machine: &Machine) {
        start(machine, MODES[0], &long_lines(900));
        signal_journald(machine, "STOP");
        print(machine, 1, 900);
        let answer = machine.run(["perl", "-e", OFFER]).succeeds().stdout;
        assert!(answer.contains("refused"), "{answer}");
        // No container has a terminal any more.
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
        signal_journald(machine, "CONT");
        let lost = lost_in_the_end(machine);
        assert_eq!(numbers(&log(machine), 1).len() as u64 + lost, 900);
    }

    fn what_a_life_left_that_another_version_kept_is_said_to_be_lost(machine: &Machine) {
        start(machine, MODES[0], &long_lines(900));
        signal_journald(machine, "STOP");
        print(machine, 1, 900);
        restart(machine);
        // Of both memories the one that is not this life's.
        machine.shell("cd /proc/$(systemctl show -P MainPID ct-console@web)/fd; id=$(systemctl show -P InvocationID ct@web)
            for fd in *; do case $(readlink $fd) in */memfd:ct-console*) grep -q $id $fd ||
            printf ctring99 | dd of=$fd conv=notrunc bs=8 count=1;; esac; done").succeeds();
        machine.kill_service("ct-console@web");
        signal_journald(machine, "CONT");
        let lost = "the rest of what the container printed before its restart is not logged: another version kept it otherwise";
        machine.wait_for_line("ct-console@web", lost);
        machine.wait_for_line("ct@web", "up 2");
        assert_eq!(machine.journal("ct-console@web").matches("another version").count(), 1, "this life has lost nothing");
    }
}
