// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reaches the kernel's log when systemd runs it (G16). In a mount namespace of its own the real /run has a config
//! in it and a plain file stands for /dev/kmsg.

use std::process::Command;

use crate::sandbox::{Sandbox, skip, text};

/// Runs as systemd would, after `prepare`; gives the exit status and what it printed.
fn run(sandbox: &Sandbox, prepare: &str) -> Option<(i32, String)> {
    let script = format!(
        "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/ct && \
         cp -r \"$1/run/ct/containers\" /run/ct/ && {prepare} || exit 99; \
         SYSTEMD_SCOPE=system SYSTEMD_IN_INITRD=0 \"$0\" \"$2\" \"$2\" \"$2\" 2>&1"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_ct-generator")]);
    command.arg(sandbox.root()).arg(sandbox.out()).arg(sandbox.path().join("kmsg"));
    let output = command.output().unwrap();
    match output.status.code() {
        Some(code @ 0..=2) => Some((code, text(&output.stdout))),
        _ => {
            skip(&text(&output.stderr));
            None
        }
    }
}

/// Containers with one thing wrong each.
fn bad_containers(count: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for number in 0..count {
        sandbox.write(&format!("run/ct/containers/bad{number}.toml"), "wrong = \"\u{1b}[2J\"");
    }
    sandbox
}

const INSTEAD_OF_KMSG: &str = "touch \"$3\" && mount --bind \"$3\" /dev/kmsg";

#[test]
fn short_lines_in_the_kernels_log_and_nothing_on_stderr() {
    let sandbox = bad_containers(1);
    sandbox.write("run/ct/containers/x\u{1b}[2J\n<0>.toml", "");
    let Some(ran) = run(&sandbox, INSTEAD_OF_KMSG) else { return };
    assert_eq!(ran, (1, String::new()));
    let log = std::fs::read_to_string(sandbox.path().join("kmsg")).unwrap();
    assert_eq!(log.lines().filter(|line| line.starts_with("<4>ct-generator[")).count(), 2, "{log}");
    assert!(log.contains("]: /run/ct/containers/x\\x1b[2J\\x0a<0>.toml: "), "{log}");
    assert!(log.contains("]: /run/ct/containers/bad0.toml:1:"), "{log}");
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
}

#[test]
fn at_most_twenty_of_them() {
    let sandbox = bad_containers(300);
    let Some(ran) = run(&sandbox, INSTEAD_OF_KMSG) else { return };
    assert_eq!(ran, (1, String::new()));
    let log = std::fs::read_to_string(sandbox.path().join("kmsg")).unwrap();
    assert!(log.lines().count() == 20 && log.lines().all(|line| line.len() < 200), "{log}");
    assert!(log.lines().last().unwrap().ends_with(" more"), "{log}");
    assert_eq!(sandbox.units().len(), 300);
}

#[test]
fn without_a_kernel_log_all_goes_on_as_before() {
    for prepare in ["mount -t tmpfs tmpfs /dev", "mkfifo \"$3\" && mount --bind \"$3\" /dev/kmsg"] {
        let sandbox = bad_containers(3);
        let Some((status, said)) = run(&sandbox, prepare) else { return };
        assert_eq!((status, said.lines().count()), (1, 3), "{said}");
        assert_eq!(sandbox.units().len(), 3);
    }
}
