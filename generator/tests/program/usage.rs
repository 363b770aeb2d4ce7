// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit statuses and the environment that systemd gives (G6, G7, G8, G10).

use crate::sandbox::{Entry, HELLO, Sandbox, text};

#[test]
fn bad_usage_is_two_with_the_usage_on_stderr() {
    let sandbox = Sandbox::new();
    for arguments in [&[][..], &["a", "b"], &["a", "b", "c", "d"], &["--bogus", "a"], &["a", "--root"]] {
        let output = sandbox.program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("Usage: ct-generator"), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_asked_for_and_so_on_stdout() {
    let sandbox = Sandbox::new();
    for (argument, begins) in [("--help", "Usage: ct-generator"), ("--version", "ct-generator 0.")] {
        let output = sandbox.program().arg(argument).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        assert!(text(&output.stdout).starts_with(begins));
    }
}

#[test]
fn of_three_directories_only_the_first_is_written_to() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", &format!("{HELLO}[autostart]\nenabled = true\n"));
    let [early, late] = ["early", "late"].map(|name| sandbox.path().join(name));
    std::fs::create_dir(&early).unwrap();
    std::fs::create_dir(&late).unwrap();
    let status = sandbox.command().args([&early, &late]).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(sandbox.units().len(), 2);
    assert!(crate::sandbox::tree(&early).is_empty() && crate::sandbox::tree(&late).is_empty());
}

#[test]
fn nothing_in_an_initrd_or_for_a_users_manager() {
    let sandbox = Sandbox::new();
    sandbox.container("bad", "nonsense");
    for (name, value) in [("SYSTEMD_IN_INITRD", "1"), ("SYSTEMD_SCOPE", "user")] {
        let output = sandbox.command().env(name, value).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{name}={value}");
        assert!(sandbox.units().is_empty(), "{name}={value}");
    }
    for (name, value) in [("SYSTEMD_IN_INITRD", "0"), ("SYSTEMD_SCOPE", "system")] {
        let output = sandbox.command().env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}={value}");
    }
}

#[test]
fn no_config_is_no_output_and_no_message() {
    let sandbox = Sandbox::new();
    sandbox.run_silently();
    for folder in ["etc/ct/containers", "run/ct/containers/web.toml.d", "usr/lib/ct/containers"] {
        std::fs::create_dir_all(sandbox.root().join(folder)).unwrap();
    }
    sandbox.run_silently();
    std::fs::remove_dir(sandbox.out()).unwrap();
    sandbox.run_silently();
    assert!(!sandbox.out().exists());
}

#[test]
fn the_root_may_come_from_the_environment() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", HELLO);
    let status = sandbox.program().env("CT_ROOT", sandbox.root()).arg(sandbox.out()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(matches!(sandbox.units().get("ct@hello.service.d/50-ct.conf"), Some(Entry::File(_))));
}

#[test]
fn a_bad_file_is_status_one_and_the_good_ones_are_all_there() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        sandbox.container(&format!("good{number}"), HELLO);
    }
    sandbox.container("bad", "= ;");
    let output = sandbox.run();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("/etc/ct/containers/bad.toml:1:"), "{}", text(&output.stderr));
    assert_eq!(sandbox.units().len(), 21);
    assert!(
        sandbox.drop_in("bad").contains("\nExecStart=\nExecStart=/usr/libexec/ct/ct-helper broken bad\n")
    );
}
