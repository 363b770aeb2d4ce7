// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container to run commands in.

use ct_tests::Machine;

/// Runtime and account of each kind of container.
pub(crate) const KINDS: [(&str, &str); 3] = [("crun", "root"), ("runc", "root"), ("crun", "ct-web")];

/// What it takes once.
pub(crate) fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
}

/// Starts the container `web`, which idles, with `extra` in its config.
pub(crate) fn start(machine: &Machine, (runtime, user): (&str, &str), extra: &str) {
    let owner = if user == "root" { 0 } else { 200_000 };
    machine.shell(&format!("systemctl stop ct@web; chown -R {owner}:{owner} /srv/rootfs")).succeeds();
    machine.container(
        "web",
        &format!(
            "runtime = \"{runtime}\"\nuser = \"{user}\"\nslice = \"ct-prod.slice\"\n{extra}\n[root]\npath = \"/srv/rootfs\"\n\
             [process]\nenv = {{ COLOUR = \"blue\" }}\n\
             command = [\"sh\", \"-c\", \"trap 'exit 0' TERM; trap : CHLD; sleep 1000000 & while :; do wait; done\"]\n"
        ),
    );
    machine.daemon_reload();
    machine.start("ct@web");
}
