// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container with a terminal.

use ct_tests::{Machine, Running, Terminal};

/// What it takes once.
pub(crate) fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
}

/// Configures the container `web`, which runs `script` on a terminal, with `extra` in its config; it does not run.
pub(crate) fn configure(machine: &Machine, (runtime, user): (&str, &str), script: &str, extra: &str) {
    let owner = if user == "root" { 0 } else { 200_000 };
    machine.shell(&format!("systemctl stop ct@web; chown -R {owner}:{owner} /srv/rootfs")).succeeds();
    machine.write_file("/srv/rootfs/script", 0o755, script);
    machine.container(
        "web",
        &format!(
            "runtime = \"{runtime}\"\nuser = \"{user}\"\n{extra}\n[root]\npath = \"/srv/rootfs\"\n\
             [process]\nterminal = true\ncommand = [\"sh\", \"/script\"]\n\
             [stop]\ntimeout = \"500ms\"\n"
        ),
    );
    machine.daemon_reload();
}

/// A shell at the terminal. It does not hear a signal while one is typed into it: stopping kills it.
pub(crate) const SHELL: &str = "PS1='$ '; export PS1; while :; do sh -i; done\n";

/// Sits at the console of `web`, until it is said that it is attached.
pub(crate) fn attach(machine: &Machine, options: &[&str]) -> (Terminal, Running) {
    let terminal = Terminal::new(33, 77);
    let argv = ["ctctl", "console"].iter().chain(options).chain(&["web"]);
    let running = machine.command(argv).on(&terminal).spawn();
    terminal.wait_for("web: attached");
    (terminal, running)
}
