// SPDX-License-Identifier: MIT OR Apache-2.0
//! A console service that is killed again and again under a container that prints without pause: no byte is lost without a
//! word, none comes twice, and the log has no hole that is not counted.
//!
//! `CT_CONSOLE_KILLS` says how often it is killed, 60 times unless told otherwise.

use std::time::Duration;

use ct_console::{ClientFrame, Mode, Resume, ServerFrame};
use ct_tests::{Heard, Machine, on_every_machine};

fn kills() -> u32 {
    std::env::var("CT_CONSOLE_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

/// Starts `web`, that counts, and does so until it is stopped.
fn start(machine: &Machine, pause: &str) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.container(
        "web",
        &format!(
            "[root]\npath = \"/srv/rootfs\"\n[process]\nterminal = true\ncommand = [\"/bin/sh\", \"-c\", '''\
             trap 'exit 0' TERM; stty -onlcr; i=0; while :; do echo $i; i=$((i+1)); {pause} done''']\n"
        ),
    );
    // As many lines as the test has are more than journald takes from anybody.
    machine.write_file(
        "/etc/systemd/system/ct-console@web.service.d/rate.conf",
        0o644,
        "[Service]\nLogRateLimitIntervalSec=0\n",
    );
    machine.daemon_reload();
    machine.start("ct@web");
}

/// Kills the service as soon as there is one, or a little later, so many times, and prints how often.
const KILLER: &str = r#"
    procs=/sys/fs/cgroup/ct.slice/ct-console@web.service/cgroup.procs; last=0; count=0
    while [ $count -lt $1 ]; do
        read pid <$procs || continue
        [ $pid != $last ] || continue
        sleep 0.0$((count * 7 % 100))
        kill -KILL $pid && last=$pid && count=$((count + 1))
    done 2>/dev/null
    echo $count"#;

/// Reads a stream of lines with the numbers 0, 1, 2, ... Where bytes were lost it goes on with the next whole line.
#[derive(Default)]
struct Count {
    line: Vec<u8>,
    next: u64,
    /// A part of a line, or more, was lost just now.
    is_broken: bool,
}

impl Count {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).expect("digits");
            if std::mem::take(&mut self.is_broken) {
                continue;
            }
            let number: u64 = line.parse().unwrap_or_else(|_| panic!("{line:?} after {}", self.next));
            if self.next == u64::MAX {
                self.next = number;
            }
            assert_eq!(number, self.next, "nothing was said of a gap");
            self.next += 1;
        }
    }

    fn lose(&mut self) {
        (self.is_broken, self.next) = (true, u64::MAX);
        self.line.clear();
    }
}

on_every_machine! {
    fn bytes_are_in_order_and_gaps_are_told(machine: &Machine) {
        start(machine, "");
        let init = machine.main_pid("ct@web");
        let (mut client, hello) = machine.attach("web", Mode::ReadOnly, None);
        let resume = Resume { generation: hello.generation, offset: 0 };
        let mut offset = hello.offset;
        let mut count = Count::default();
        if offset > 0 {
            count.lose();
        }
        let killer = machine
            .command(["sh", "-c", KILLER, "sh", &kills().to_string()])
            .deadline(Duration::from_secs(1000))
            .spawn();
        let (mut connections, mut gaps, mut done) = (1, 0, false);
        loop {
            match client.hear_within(Duration::from_millis(500)) {
                Some(Heard::Data(bytes)) => {
                    count.take(&bytes);
                    offset += bytes.len() as u64;
                }
                Some(Heard::Frame(ServerFrame::Gap { lost, offset: next })) => {
                    assert_eq!(offset + lost, next);
                    (offset, gaps) = (next, gaps + 1);
                    count.lose();
                }
                Some(Heard::Frame(other)) => panic!("{other:?}"),
                None if done => break,
                None => {}
                Some(Heard::Closed) => {
                    client = machine.console_client("web");
                    client.say(&ClientFrame::hello(Mode::ReadOnly, Some(Resume { offset, ..resume })));
                    match client.hear() {
                        Heard::Frame(ServerFrame::Hello(hello)) => {
                            assert_eq!(hello.generation, resume.generation);
                            assert!(hello.offset >= offset, "{} is not before {offset}", hello.offset);
                            if hello.offset > offset {
                                (offset, gaps) = (hello.offset, gaps + 1);
                                count.lose();
                            }
                            connections += 1;
                        }
                        // Killed again, before it has answered.
                        Heard::Closed => continue,
                        other => panic!("{other:?}"),
                    }
                }
            }
            if !done && killer.stdout() == format!("{}\n", kills()) {
                done = true;
                // Still the same one, and still printing: it is heard to the last byte.
                assert_eq!(machine.main_pid("ct@web"), init);
                machine.shell(&format!("kill -STOP {init}")).succeeds();
            }
        }
        eprintln!("{} kills, {connections} connections, {offset} bytes, {gaps} gaps", kills());
        assert!(connections > 1, "it has come back");
        machine.shell(&format!("kill -CONT {init}")).succeeds();
        machine.stop("ct@web");
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
        assert_eq!(machine.show("ct@web", "Result"), "success");
    }

    fn the_log_has_each_line_or_counts_it(machine: &Machine) {
        start(machine, "");
        machine.run(["sh", "-c", KILLER, "sh", "30"]).succeeds();
        machine.stop("ct@web");
        machine.wait_for("ct-console@web", "ActiveState", "inactive");
        let log = machine.journalctl(&["--unit", "ct@web", "--identifier", "web", "--output", "cat"]);
        let (mut next, mut twice, mut missing) = (0_u64, 0, Vec::new());
        for line in log.lines() {
            if let Ok(number) = line.parse::<u64>() {
                if number + 1 == next && missing.is_empty() {
                    twice += 1;
                    continue;
                }
                // What a kill has logged twice may be the word of missing lines, or a line that is then counted among them.
                let all = next + missing.iter().sum::<u64>();
                let again = missing.first().filter(|_| missing.len() > 1).copied();
                let is_twice = number != all && (number + 1 == all || again.is_some_and(|again| number + again == all));
                assert!(number == all || is_twice, "{number} after {next}, {missing:?} missing");
                twice += u32::from(is_twice);
                next = number + 1;
                missing.clear();
            } else {
                let count = line.split(' ').next().and_then(|count| count.parse::<u64>().ok());
                missing.push(count.unwrap_or_else(|| panic!("{line:?}")));
            }
        }
        eprintln!("{next} lines, {twice} of them twice");
        assert!(next > 1000);
        assert!(twice <= 30, "a kill is one line at most");
    }
}
