// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container that runs a script, whose standard files the tests are about.

use ct_tests::Machine;

/// What it takes once.
pub(crate) fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
}

/// Configures the container `web`, which runs `script`, with `extra` in its config, dotted keys at its top; it does not run.
pub(crate) fn configure(machine: &Machine, (runtime, user): (&str, &str), script: &str, extra: &str) {
    let owner = if user == "root" { 0 } else { 200_000 };
    machine.shell(&format!("systemctl stop ct@web; chown -R {owner}:{owner} /srv/rootfs")).succeeds();
    machine.write_file("/srv/rootfs/script", 0o755, script);
    machine.container(
        "web",
        &format!(
            "runtime = \"{runtime}\"\nuser = \"{user}\"\n{extra}\nroot.path = \"/srv/rootfs\"\n\
             process.command = [\"sh\", \"/script\"]\n"
        ),
    );
    machine.daemon_reload();
}
