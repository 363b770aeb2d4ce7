// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[ready]`, `[stop]`, `[restart]` and `[hooks]`.

use super::{refused, with};
use crate::fake_root::FakeRoot;
use ct_config::container::*;
use ct_config::value::Timespan;

#[test]
fn ready_stop_restart_and_hooks() {
    let root = FakeRoot::new("lifecycle");
    let all = "[ready]\ncommand = [\"pg_isready\"]\ninterval = \"1s\"\ncommand_timeout = 5\ntimeout = 0\n\
               [stop]\ncommand = [\"sh\", \"-c\", \"a\\nb\"]\n\
               [restart]\nstart_limit_burst = 3\nstart_limit_interval = \"1min\"\n\
               [hooks]\npre_start = [[\"/bin/a\", \"b\"], [\"/bin/c\"]]\ntimeout = \"2s\"\n[autostart]\ndelay = \"5s\"";
    let container = with(&root, all);
    let when = ReadyWhen::Command {
        command: vec!["pg_isready".to_owned()],
        interval: Timespan::Finite(1_000_000),
        timeout: Timespan::Finite(5_000_000),
    };
    assert_eq!(container.ready, Ready { when, timeout: Timespan::Infinity });
    assert_eq!(container.stop.command.unwrap(), ["sh", "-c", "a\nb"]);
    assert_eq!(container.stop.command_timeout, Timespan::Finite(10_000_000));
    assert_eq!(container.restart.start_limit_burst, Some(3));
    assert_eq!(container.restart.start_limit_interval, Some(Timespan::Finite(60_000_000)));
    assert_eq!(container.hooks.pre_start, [vec!["/bin/a", "b"], vec!["/bin/c"]]);
    assert_eq!(container.hooks.timeout, Timespan::Finite(2_000_000));
    assert_eq!(container.autostart.delay, Timespan::Finite(5_000_000));
    let notified = with(&root, "[ready]\nnotify = true\nwatchdog = \"10s\"");
    let watchdog = Some(Timespan::Finite(10_000_000));
    assert_eq!(notified.ready.when, ReadyWhen::Notified { watchdog });
    with(
        &root,
        "[ready]\nnotify = false\ncommand = []\n[stop]\ncommand = []\n[hooks]\npre_start = []\n[autostart]\ndelay = 0",
    );

    let cases = [
        (
            "[ready]\ntimeout = \"soon\"",
            "ready.timeout: \"soon\" is not a time span such as 5s, 1min 30s, 250ms or infinity",
        ),
        (
            "[ready]\nnotify = true\ncommand = [\"a\"]",
            "ready.notify: ready.command is set as well, and only one of the two can say when it is ready",
        ),
        (
            "[ready]\nwatchdog = 5",
            "ready.watchdog: has no effect without ready.notify (set ready.notify = true)",
        ),
        ("[ready]\ninterval = 0", "ready.interval: must not be 0"),
        ("[ready]\ninterval = \"infinity\"", "ready.interval: must not be infinity"),
        ("[ready]\ncommand = [\"\"]", "ready.command: the program must not be empty"),
        ("[stop]\ncommand = [\"\"]", "stop.command: the program must not be empty"),
        ("[hooks]\npost_stop = [\"/bin/a\"]", "hooks.post_stop: must be a list, not the string \"/bin/a\""),
        ("[hooks]\npre_start = [[]]", "hooks.pre_start: must not be empty"),
        ("[hooks]\npre_stop = [[\"a\"]]", "hooks.pre_stop: \"a\" is not an absolute path"),
        ("[hooks]\ntimeout = 0", "hooks.timeout: must not be 0"),
        ("[restart]\nstart_limit_burst = -1", "restart.start_limit_burst: -1 is not from 0 to 4294967295"),
        ("[autostart]\ndelay = \"infinity\"", "autostart.delay: must not be infinity"),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&root, text), [want], "{text}");
    }
    let unmapped = root.only("root = { path = \"/a\", idmap = true }").unwrap_err();
    let want = "web.toml:1:31: root.idmap: the container has no user namespace to map ids for \
                (set [idmap], or `user` to an account with subordinate ids)";
    assert_eq!(unmapped, [want]);
}
