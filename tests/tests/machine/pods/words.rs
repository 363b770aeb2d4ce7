// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of the tests about pods.

use ct_tests::Machine;

/// An init that ends when told to.
pub(crate) const SLEEP: &str = "command = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]";

/// A root file system, and the slice that a leak snapshot counts.
pub(crate) fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

/// Writes a pod's config.
pub(crate) fn pod(machine: &Machine, name: &str, toml: &str) {
    machine.write_file(format!("/etc/ct/pods/{name}.toml"), 0o644, toml);
}

/// A container with these lines at the top of its config.
pub(crate) fn container(machine: &Machine, name: &str, top: &str) {
    machine.container(
        name,
        &format!("{top}\n[root]\npath = \"/srv/rootfs\"\nwritable = \"ephemeral\"\n[process]\n{SLEEP}\n"),
    );
}

/// What a command says that runs in all namespaces of a container.
pub(crate) fn inside(machine: &Machine, name: &str, script: &str) -> String {
    let pid = machine.main_pid(&format!("ct@{name}")).to_string();
    machine
        .run(["nsenter", "--all", "--target", &pid, "--", "sh", "-c", script])
        .succeeds()
        .stdout
        .trim()
        .to_owned()
}
