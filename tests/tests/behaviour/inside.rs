// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs in a container that runs.

use ct_tests::Terminal;

use crate::runtime_under_test::{Container, PLAIN, RuntimeUnderTest};

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
    let script = "test -t 0 && echo \"it has $(stty size)\"; exit 4";
    machine.command(["ctctl", "exec", "-it", &name, "--", "sh", "-c", script]).on(&terminal).run().exits(4);
    terminal.wait_for("it has 30 100");
}

pub(crate) const CONSOLE: &[Container] = &[Container {
    name: "console",
    script: "test -t 0 && test -t 1 && stty size && tty </dev/console; printf '\\033[1;31mred\\033[0m\\n'; \
             trap 'exit 0' TERM; touch /shared/up; while :; do read word && echo \"heard $word\"; done",
    process: "terminal = true\n",
    ..PLAIN
}];

/// The container has a terminal, and what it prints there is its unit's log.
pub(crate) fn has_a_console(tried: &RuntimeUnderTest) {
    let (machine, unit) = (tried.machine, tried.unit("console"));
    tried.start("console");
    for line in ["25 80", "/dev/console", "red"] {
        machine
            .wait_until(&format!("journalctl --sync; journalctl -q -u {unit} -o cat | grep -qxF '{line}'"));
    }
    let service = format!("ct-console@{}", tried.name("console"));
    assert_eq!(machine.show(&service, "ActiveState"), "active");
    machine.stop(&unit);
    tried.ended("console", "inactive", "success", 0);
    machine.wait_for(&service, "ActiveState", "inactive");
}
