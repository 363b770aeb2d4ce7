// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl console` at a terminal of the test's, and a container that has one.

use ct_tests::{Machine, Running, Terminal};

use crate::console::container;

/// Configures the container `web`, which runs `script` on a terminal, with `extra` in its config; it does not run.
pub(crate) fn configure(machine: &Machine, kind: (&str, &str), script: &str, extra: &str) {
    let terminal = format!("process.terminal = true\nstop.timeout = \"500ms\"\n{extra}");
    container::configure(machine, kind, script, &terminal);
}

/// A shell at the terminal. It does not hear a signal while one is typed into it: stopping kills it.
pub(crate) const SHELL: &str = "PS1='$ '; export PS1; while :; do sh -i; done\n";

/// Sits at the console of `web`, until it is said that it is attached; as soon as the place is free, for the service hears of
/// the end of another's input a little later.
#[track_caller]
pub(crate) fn attach(machine: &Machine, options: &[&str]) -> (Terminal, Running) {
    let mut attached = None;
    machine.wait_until_true(|| {
        let terminal = Terminal::new(33, 77);
        let argv = ["ctctl", "console"].iter().chain(options).chain(&["web"]);
        let running = machine.command(argv).on(&terminal).spawn();
        machine.wait_until_true(|| {
            ["web: attached", "writes already"].iter().any(|word| terminal.shown().contains(word))
        });
        let is_attached = terminal.shown().contains("web: attached");
        attached = is_attached.then_some((terminal, running));
        is_attached
    });
    attached.expect("it has been waited for")
}
