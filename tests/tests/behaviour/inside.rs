// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs in a container that runs.

use ct_tests::Terminal;

use crate::runtime_under_test::{Container, IDLE, RuntimeUnderTest};

pub(crate) const EXEC: &[Container] = &[Container { name: "exec", script: IDLE, keys: "", tables: "" }];

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
