// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the journal has of a terminal and of a pipe: whose lines they are, and what becomes of them where journald limits how
//! many it takes.

use ct_tests::{Machine, on_every_machine};

use super::container::{configure, prepare};

/// Runtime and account of each kind of container.
const KINDS: [(&str, &str); 2] = [("crun", "root"), ("crun", "ct-web")];

/// Who reads what the container prints, by a terminal or by a pipe.
const MODES: [&str; 2] = ["process.terminal = true\n", "log.mode = \"pipe\"\n"];

/// Prints so many numbers at once, and then one now and then.
const FLOOD: u64 = 20_000;

/// What the log has of a flood.
#[derive(Debug)]
struct Account {
    /// How many lines of the container.
    logged: u64,
    /// The last of them.
    last: u64,
    /// How many journald says that it has suppressed.
    suppressed: u64,
}

fn account_of(machine: &Machine) -> Account {
    let log = machine.journalctl(&["--unit", "ct@web", "--identifier", "web", "--output", "cat"]);
    let numbers: Vec<u64> = log.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "in order, none twice");
    let said = machine.journalctl(&["--identifier", "systemd-journald", "--output", "cat"]);
    let count = |line: &str| {
        line.strip_prefix("Suppressed ")?
            .strip_suffix(" messages from ct-console@web.service")?
            .parse::<u64>()
            .ok()
    };
    Account {
        logged: numbers.len() as u64,
        last: numbers.last().copied().unwrap_or_default(),
        suppressed: said.lines().filter_map(count).sum(),
    }
}

on_every_machine! {
    fn lines_say_which_init_they_are_of(machine: &Machine) {
        prepare(machine);
        let mut round = 0;
        for kind in KINDS {
            for mode in MODES {
                configure(machine, kind, "trap 'exit 0' TERM; cat /word; sleep 1000 & wait\n", mode);
                for _ in ["its first life", "its next one"] {
                    round += 1;
                    let word = format!("word{round}");
                    machine.write_file("/srv/rootfs/word", 0o644, format!("{word}\n{word}\n"));
                    machine.restart("ct@web");
                    machine.wait_until(&format!("[ $(journalctl -q -u ct@web -o cat | grep -cx {word}) = 2 ]"));
                    let init = machine.main_pid("ct@web").to_string();
                    let entries = machine.journal_entries("ct@web");
                    for entry in entries.iter().filter(|entry| entry["MESSAGE"] == word.as_str()) {
                        assert_eq!(entry["OBJECT_PID"], init.as_str(), "{kind:?} {mode}: {entry}");
                    }
                }
            }
        }
    }

    fn lines_go_where_the_services_own_namespace_is(machine: &Machine) {
        prepare(machine);
        let own = "/etc/systemd/system/ct-console@web.service.d/namespace.conf";
        machine.write_file(own, 0o644, "[Service]\nLogNamespace=other\n");
        for mode in MODES.into_iter().chain(["log.mode = \"journal\"\n"]) {
            let more = format!("{mode}systemd.service.LogNamespace = \"other\"\n");
            configure(machine, KINDS[0], "trap 'exit 0' TERM; cat /word; sleep 1000 & wait\n", &more);
            let word = format!("word of {}", mode.trim());
            machine.write_file("/srv/rootfs/word", 0o644, format!("{word}\n"));
            machine.start("ct@web");
            machine.wait_until(&format!("journalctl -q --namespace other -u ct@web -o cat | grep -qxF '{word}'"));
            assert!(!machine.journal("ct@web").contains(&word), "{mode}");
            machine.stop("ct@web");
        }
    }

    fn what_journald_suppresses_it_counts_and_the_container_goes_on(machine: &Machine) {
        prepare(machine);
        // The limit is that of who sends the lines.
        let limit = "/etc/systemd/system/ct-console@web.service.d/limit.conf";
        let script = format!(
            "trap 'exit 0' TERM; n=0; while [ $n -lt {FLOOD} ]; do n=$((n + 1)); echo $n; done; touch /printed\n\
             while :; do n=$((n + 1)); echo $n; sleep 0.3; done\n"
        );
        for mode in MODES {
            for is_limited in [false, true] {
                machine.shell("systemctl stop ct@web; rm -f /srv/rootfs/printed").succeeds();
                machine.wait_for("ct-console@web", "ActiveState", "inactive");
                machine.forget_journal();
                let own = "systemd.service.LogRateLimitIntervalSec = \"1h\"\nsystemd.service.LogRateLimitBurst = \"1\"\n";
                let interval = if is_limited { "5s" } else { "0" };
                machine.write_file(
                    limit, 0o644, format!("[Service]\nLogRateLimitIntervalSec={interval}\nLogRateLimitBurst=100\n"),
                );
                configure(machine, KINDS[0], &script, &format!("{mode}{own}"));
                machine.start("ct@web");
                machine.wait_until("test -e /srv/rootfs/printed");
                // Each line is logged, or counted when journald takes the next one.
                let mut account = account_of(machine);
                machine.wait_until_true(|| {
                    account = account_of(machine);
                    account.last > FLOOD && account.logged + account.suppressed == account.last
                });
                assert_eq!(account.suppressed > 0, is_limited, "{mode}: {account:?}");
                assert_eq!(machine.show("ct@web", "ActiveState"), "active");
                assert_eq!(machine.show("ct-console@web", "NRestarts"), "0");
            }
        }
    }
}
