// SPDX-License-Identifier: MIT OR Apache-2.0
//! Those who attach to a console: what they get, what they may, and that nothing they do is felt by the container.
//! docs/console.md has the protocol.

use std::time::Duration;

use ct_console::{ClientFrame, End, Mode, Reason, Resume, ServerFrame, Size};
use ct_tests::{ConsoleClient, Heard, Machine, on_every_machine};

/// Starts the container `web` with this script on its terminal, without echo.
fn start(machine: &Machine, script: &str) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.container(
        "web",
        &format!(
            "[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\n\
             command = [\"/bin/sh\", \"-c\", '''trap 'exit 0' TERM; stty -echo -onlcr; {script}''']\n"
        ),
    );
    machine.daemon_reload();
    machine.start("ct@web");
}

/// Answers each word, for ever.
const ANSWERS: &str = "echo up; while read word; do echo got $word; done";

/// So many lines from 1000000 on, eight bytes each.
fn lines(count: u32) -> String {
    (1_000_000..1_000_000 + count).map(|number| format!("{number}\n")).collect()
}

/// Prints [`lines`], then answers each word.
fn prints(count: u32) -> String {
    format!("seq 1000000 {}; {ANSWERS}", 999_999 + count)
}

/// Two clients. While the service stands still, one says a word after ten thousand frames that nobody knows, and then the other
/// one a word alone. What is answered.
const TALKS: &str = r#"use IO::Socket::UNIX;
    sub attach { my $s = IO::Socket::UNIX->new(Peer => "/run/ct/web/console") or die; syswrite($s, pack("CVvCCQ<Q<", 1, 20, 1, 2, 0, 0, 0)); sysread($s, my $hello, 29); $s }
    my ($long, $short) = (attach(), attach()); kill "STOP", $ARGV[0];
    sub say_all { my ($s, $all) = @_; syswrite($s, $all) == length $all or die }
    say_all($long, pack("CV", 0x7f, 0) x 10000 . pack("CV", 2, 5) . "long\r"); say_all($short, pack("CV", 2, 6) . "short\r");
    kill "CONT", $ARGV[0]; alarm 200; my $heard = "";
    until ($heard =~ /got short/ && $heard =~ /got long/) { sysread($short, my $part, 65536) or die "closed"; $heard .= $part }
    print "$1\n" while $heard =~ /(got \w+)/g;"#;

fn type_in(client: &mut ConsoleClient, word: &str) {
    client.say(&ClientFrame::Data(format!("{word}\r").as_bytes()));
}

fn refusal(client: &mut ConsoleClient) -> (Reason, String) {
    match client.hear_frame() {
        Heard::Frame(ServerFrame::Refused { reason, text } | ServerFrame::Note { reason, text }) => {
            (reason, text)
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// All that comes until the service hangs up, and the frames that are not DATA.
fn hear_to_the_end(client: &mut ConsoleClient) -> (Vec<u8>, Vec<ServerFrame<'static>>) {
    let (mut printed, mut frames) = (Vec::new(), Vec::new());
    loop {
        match client.hear() {
            Heard::Data(bytes) => printed.extend(bytes),
            Heard::Frame(frame) => frames.push(frame),
            Heard::Closed => return (printed, frames),
        }
    }
}

on_every_machine! {
    fn what_was_printed_before_is_shown_once_and_bounded(machine: &Machine) {
        start(machine, &prints(30_000));
        machine.wait_for_line("ct@web", "up");
        let all = lines(30_000) + "up\n";
        let (mut client, hello) = machine.attach("web", Mode::Write, None);
        assert_eq!(hello.offset, all.len() as u64 - 65_536);
        type_in(&mut client, "a");
        assert_eq!(client.hear_until("got a\n"), format!("{}got a\n", &all[all.len() - 65_536..]));
        // It is not shown to the same one again, and to the next one it is.
        type_in(&mut client, "b");
        assert_eq!(client.hear_until("got b\n"), "got b\n");
        let (mut second, _) = machine.attach("web", Mode::ReadOnly, None);
        assert_eq!(second.hear_until("got b\n").len(), 65_536);
        type_in(&mut client, "c");
        assert_eq!(second.hear_until("got c\n"), "got c\n");
        assert_eq!(client.hear_until("got c\n"), "got c\n");
    }

    fn one_that_comes_back_gets_what_it_lacks_and_nothing_twice(machine: &Machine) {
        start(machine, &prints(80_000));
        machine.wait_for_line("ct@web", "up");
        let all = lines(80_000) + "up\n";
        let (client, hello) = machine.attach("web", Mode::ReadOnly, None);
        client.vanish();
        let generation = hello.generation;
        // In parts, each time cut off in the middle of what was sent; each byte is the right one.
        let mut printed = Vec::new();
        while printed.len() < all.len() {
            let resume = Resume { generation, offset: printed.len() as u64 };
            let (mut client, hello) = machine.attach("web", Mode::ReadOnly, Some(resume));
            assert_eq!(hello.offset, resume.offset);
            let before = printed.len();
            while printed.len() < all.len() && printed.len() < before + 150_000 {
                match client.hear() {
                    Heard::Data(bytes) => printed.extend(bytes),
                    other => panic!("{other:?}"),
                }
            }
            client.vanish();
        }
        assert!(printed == all.as_bytes());
        // Of another start, or from beyond the end.
        let other = Resume { generation: generation + 1, offset: 5 };
        assert_eq!(machine.attach("web", Mode::ReadOnly, Some(other)).1.offset, all.len() as u64 - 65_536);
        let beyond = Resume { generation, offset: u64::MAX };
        assert_eq!(machine.attach("web", Mode::ReadOnly, Some(beyond)).1.offset, all.len() as u64);
    }

    fn what_is_no_longer_there_is_a_gap_that_is_told(machine: &Machine) {
        start(machine, &prints(300_000));
        machine.wait_for_line("ct@web", "up");
        let all = lines(300_000) + "up\n";
        let generation = machine.attach("web", Mode::ReadOnly, None).1.generation;
        let (mut client, hello) = machine.attach("web", Mode::ReadOnly, Some(Resume { generation, offset: 0 }));
        let begin = all.len() - (1 << 20);
        assert_eq!(hello.offset, begin as u64);
        assert!(client.hear_until("up\n") == all[begin..]);
    }

    fn one_writes_alone_or_several_together(machine: &Machine) {
        start(machine, ANSWERS);
        let (mut writer, _) = machine.attach("web", Mode::Write, None);
        for mode in [Mode::Write, Mode::Shared] {
            let mut other = machine.console_client("web");
            other.say(&ClientFrame::hello(mode, None));
            let (reason, text) = refusal(&mut other);
            assert_eq!(reason, Reason::Held);
            let words: Vec<&str> = text.split(' ').collect();
            assert!(matches!(words.as_slice(), ["pid", pid, "of", "uid", "0", ..] if pid.parse::<u32>().is_ok()), "{text}");
            assert_eq!(other.hear(), Heard::Closed);
        }
        let (mut reader, _) = machine.attach("web", Mode::ReadOnly, None);
        type_in(&mut reader, "unheard");
        reader.say(&ClientFrame::Resize(Size::new(9, 9).unwrap()));
        assert_eq!(refusal(&mut reader).0, Reason::ReadOnly);
        type_in(&mut writer, "a");
        assert!(!reader.hear_until("got a\n").contains("unheard"));
        // Who says no more, goes on reading and makes room.
        writer.say_no_more();
        let (mut first, _) = machine.attach("web", Mode::Shared, None);
        let (mut second, _) = machine.attach("web", Mode::Shared, None);
        type_in(&mut first, "b");
        second.hear_until("got b\n");
        type_in(&mut second, "c");
        first.hear_until("got c\n");
        writer.hear_until("got c\n");
    }

    fn the_end_of_one_is_never_taken_for_that_of_the_next(machine: &Machine) {
        start(machine, ANSWERS);
        for round in 0..12 {
            let (first, _) = machine.attach("web", Mode::Write, None);
            first.vanish();
            let (mut second, _) = machine.attach("web", Mode::Write, None);
            type_in(&mut second, &format!("word{round}"));
            second.hear_until(&format!("got word{round}\n"));
            let mut third = machine.console_client("web");
            third.say(&ClientFrame::hello(Mode::Write, None));
            assert_eq!(refusal(&mut third).0, Reason::Held, "the second has the place");
        }
    }

    fn sizes_are_followed_or_refused_whole(machine: &Machine) {
        start(machine, "echo up; while read word; do stty size; done");
        let (mut client, hello) = machine.attach("web", Mode::Write, None);
        let (mut reader, _) = machine.attach("web", Mode::ReadOnly, None);
        assert_eq!(hello.size, Size::new(25, 80));
        let size = Size::new(1000, 44).unwrap();
        client.say(&ClientFrame::Resize(size));
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Size(size)));
        assert_eq!(reader.hear_frame(), Heard::Frame(ServerFrame::Size(size)));
        for (rows, columns) in [(0, 80), (80, 0), (1001, 80), (80, u16::MAX)] {
            client.say(&ClientFrame::InvalidResize { rows, columns });
            assert_eq!(refusal(&mut client).0, Reason::InvalidSize);
        }
        type_in(&mut client, "size");
        client.hear_until("1000 44\n");
    }

    fn what_is_no_frame_is_refused(machine: &Machine) {
        start(machine, ANSWERS);
        let mut hello = Vec::new();
        ClientFrame::hello(Mode::ReadOnly, None).encode(&mut hello);
        let other_version = ClientFrame::Hello { version: 77, mode: Mode::ReadOnly, resume: None };
        let mut version = Vec::new();
        other_version.encode(&mut version);
        let cases: [(&[u8], Reason); 7] = [
            (b"GET / HTTP/1.1\r\n\r\n", Reason::Malformed),
            (&[2, 0xff, 0xff, 0xff, 0xff], Reason::Malformed),
            (&[2, 1, 0, 0, 0, b'x'], Reason::Malformed),
            (&[1, 1, 0, 0, 0, 1], Reason::Malformed),
            // Of a later version it may be; HELLO comes first.
            (&[0x7f, 0, 0, 0, 0], Reason::Malformed),
            (&[hello.as_slice(), hello.as_slice()].concat(), Reason::Malformed),
            (&version, Reason::Version),
        ];
        for (bytes, want) in cases {
            let mut client = machine.console_client("web");
            client.say_bytes(bytes);
            let heard = loop {
                match client.hear() {
                    Heard::Frame(ServerFrame::Hello(_)) | Heard::Data(_) => {}
                    other => break other,
                }
            };
            let Heard::Frame(ServerFrame::Refused { reason, text }) = heard else { panic!("{heard:?}") };
            assert_eq!(reason, want, "{bytes:?}");
            assert!(want != Reason::Version || text.contains("77") && text.contains("version 1"), "{text}");
            assert_eq!(client.hear(), Heard::Closed);
        }
        // One of a later version is passed over.
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        client.say_bytes(&[0x7f, 3, 0, 0, 0, 1, 2, 3]);
        type_in(&mut client, "a");
        client.hear_until("got a\n");
        client.say(&ClientFrame::Detach);
        assert_eq!(client.hear_frame(), Heard::Frame(ServerFrame::Ended(End::Detached)));
        assert_eq!(client.hear(), Heard::Closed);
    }

    fn who_has_not_said_hello_in_time_is_dropped(machine: &Machine) {
        start(machine, ANSWERS);
        let (mut quiet, _) = machine.attach("web", Mode::Write, None);
        let mut hello = Vec::new();
        ClientFrame::hello(Mode::ReadOnly, None).encode(&mut hello);
        let begun = [&[][..], &hello[..7], &[1, 0, 0, 1, 0]];
        let mut clients = begun.map(|bytes| {
            let mut client = machine.console_client("web");
            client.say_bytes(bytes);
            client
        });
        // The last one says something all the time, and it never becomes a frame.
        let [.., busy] = &mut clients;
        let end = (0..600).find_map(|_| {
            busy.say_bytes(b"x");
            busy.hear_within(Duration::from_millis(100))
        });
        let dropped = Heard::Frame(ServerFrame::Ended(End::Slow));
        assert_eq!(end.as_ref(), Some(&dropped));
        assert_eq!(busy.hear(), Heard::Closed);
        let [silent, short, _] = &mut clients;
        for client in [silent, short] {
            assert_eq!(client.hear(), dropped);
            assert_eq!(client.hear(), Heard::Closed);
        }
        // One that has, may keep still for as long as it likes.
        type_in(&mut quiet, "a");
        quiet.hear_until("got a\n");
    }

    fn one_that_says_much_is_heard_in_its_turn(machine: &Machine) {
        start(machine, ANSWERS);
        let service = machine.main_pid("ct-console@web").to_string();
        let heard = machine.run(["perl", "-e", TALKS, &service]).succeeds().stdout;
        assert_eq!(heard, "got short\ngot long\n");
    }

    fn only_root_of_the_host_may(machine: &Machine) {
        start(machine, ANSWERS);
        let connect = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => '/run/ct/web/console') or exit 3; \
                       sysread($s, my $answer, 99); print ord $answer";
        let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "perl", "-e", connect];
        machine.run(as_nobody).exits(3);
        // A root that is not the host's, and one who was let through by somebody's chmod. 17 is REFUSED.
        machine.shell("chmod 711 /run/ct/web; chmod 666 /run/ct/web/console").succeeds();
        for _ in 0..3 {
            let of_container = machine.run(["unshare", "--pid", "--fork", "perl", "-e", connect]).succeeds();
            assert_eq!(of_container.stdout, "17");
            assert_eq!(machine.run(as_nobody).succeeds().stdout, "17");
        }
        let log = machine.journal("ct-console@web");
        for user in ["0", "65534"] {
            let line = format!("of user {user}: only root of this host may attach");
            assert_eq!(log.matches(&line).count(), 1, "told once: {log}");
        }
        let helper = machine.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", "/run/ct-console/web"]);
        helper.fails();
    }

    fn one_that_never_reads_is_dropped_with_a_mark_and_nobody_waits_for_it(machine: &Machine) {
        start(machine, "echo up; while read word; do seq 1000000 1199999; echo got $word; done");
        let (mut stuck, _) = machine.attach("web", Mode::ReadOnly, None);
        let (mut client, _) = machine.attach("web", Mode::Write, None);
        // As long as it takes until it is dropped, the container is heard by the other one.
        let mut round = 0;
        // The socket that is listened at, and each that was connected there.
        let sockets = || machine.shell("grep -c ' /run/ct/web/console$' /proc/net/unix").stdout;
        assert_eq!(sockets(), "3\n");
        while sockets() == "3\n" {
            round += 1;
            assert!(round < 1000, "it is never dropped");
            type_in(&mut client, &format!("w{round}"));
            let mut last = Vec::new();
            while !last.ends_with(format!("got w{round}\n").as_bytes()) {
                match client.hear() {
                    Heard::Data(bytes) => last = [last.split_off(last.len().saturating_sub(20)), bytes].concat(),
                    Heard::Frame(ServerFrame::Gap { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        let (printed, frames) = hear_to_the_end(&mut stuck);
        assert!(printed.len() < 1 << 20, "it has missed most: {}", printed.len());
        assert_eq!(frames.last(), Some(&ServerFrame::Ended(End::Slow)));
        assert!(frames.iter().any(|frame| matches!(frame, ServerFrame::Gap { lost: 1.., .. })), "{frames:?}");
        assert!(machine.show_number("ct-console@web", "MainPID") > 0);
        assert_eq!(machine.show("ct-console@web", "NRestarts"), "0");
    }

    fn a_container_that_does_not_read_holds_nobody_up(machine: &Machine) {
        start(machine, "stty raw; echo up; while :; do echo tick; sleep 0.05; done");
        let (mut writer, _) = machine.attach("web", Mode::Write, None);
        writer.hear_until("up");
        // More than a terminal holds.
        for _ in 0..40 {
            writer.say(&ClientFrame::Data(&[b'x'; 5000]));
        }
        let (mut reader, _) = machine.attach("web", Mode::ReadOnly, None);
        for _ in 0..5 {
            reader.hear_until("tick");
            writer.hear_until("tick");
        }
        writer.vanish();
        let (_writer, _) = machine.attach("web", Mode::Write, None);
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
    }
}
