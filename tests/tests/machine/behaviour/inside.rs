// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs in a container that runs.

use ct_tests::Terminal;

use super::runtime_under_test::{Container, PLAIN, RuntimeUnderTest};

pub(crate) const EXEC: &[Container] = &[Container { name: "exec", ..PLAIN }];

/// A command inside has its own output and its own status, and a terminal if it is to.
pub(crate) fn executes(tried: &RuntimeUnderTest) {
    let (machine, name) = (tried.machine, tried.name("exec"));
    tried.start("exec");
    let script = "hostname; touch /shared/made; echo wrong >&2; exit 3";
    let output = machine.run(["ctctl", "exec", &name, "--", "sh", "-c", script]).exits(3);
    assert_eq!((output.stdout, output.stderr), (format!("{name}\n"), "wrong\n".to_owned()));
    machine.shell(&format!("test -e {}", tried.shared("exec", "made"))).succeeds();
    let terminal = Terminal::new(30, 100);
    let script = "test -t 0 && until [ \"$(stty size)\" = '30 100' ]; do sleep 0.1; done && echo it has its size; exit 4";
    machine.command(["ctctl", "exec", "-it", &name, "--", "sh", "-c", script]).on(&terminal).run().exits(4);
    terminal.wait_for("it has its size");
}

pub(crate) const CONSOLE: &[Container] = &[Container {
    name: "console",
    // Some runtimes give it no size before it runs.
    script: "trap 'exit 0' TERM; test -t 0 && test -t 1 && echo 'a terminal'; tty </dev/console; \
             printf '\\033[1;31mred\\033[0m\\n'; touch /shared/up; \
             until [ \"$(stty size)\" = '25 80' ]; do sleep 0.1; done; stty size; \
             while read word; do echo \"heard $word\"; done",
    process: "terminal = true\n",
    ..PLAIN
}];

/// What ends an attachment.
const DETACH: &str = "\x1d\x1d";

/// The container has a terminal; what it prints there is its unit's log, and somebody may sit at it and type.
pub(crate) fn has_a_console(tried: &RuntimeUnderTest) {
    let (machine, unit) = (tried.machine, tried.unit("console"));
    tried.start("console");
    for line in ["a terminal", "red", "25 80"] {
        tried.machine.wait_for_line(&tried.unit("console"), line);
    }
    let terminal = Terminal::new(30, 100);
    let attached = machine.command(["ctctl", "console", &tried.name("console")]).on(&terminal).spawn();
    terminal.type_in("hello\r");
    terminal.wait_for("heard hello");
    terminal.type_in(DETACH);
    attached.wait().succeeds();
    let service = format!("ct-console@{}", tried.name("console"));
    assert_eq!(machine.show(&service, "ActiveState"), "active");
    machine.stop(&unit);
    tried.ended("console", "inactive", "success", 0);
    machine.wait_for(&service, "ActiveState", "inactive");
}

/// The terminal is there under its usual name, too.
pub(crate) fn has_dev_console(tried: &RuntimeUnderTest) {
    tried.start("console");
    tried.machine.wait_for_line(&tried.unit("console"), "/dev/console");
}

/// What there is of it: a program in there is told this.
pub(crate) fn lacks_some_of_it(tried: &RuntimeUnderTest, reason: &str) {
    tried.start("console");
    tried.machine.wait_for_line(&tried.unit("console"), reason);
}
