// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configs that are not what they seem (G11): each makes its own container fail, quickly, and no other.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::sandbox::{HELLO, Sandbox, text};

/// Runs with what `make` puts at the path of `odd.toml`, beside a good container; gives the messages.
fn with_odd(make: impl FnOnce(&Path)) -> String {
    let sandbox = Sandbox::new();
    sandbox.container("good", HELLO);
    make(&sandbox.root().join("etc/ct/containers/odd.toml"));
    let start = Instant::now();
    let output = sandbox.run();
    assert!(start.elapsed() < Duration::from_secs(4), "took {:?}", start.elapsed());
    assert_eq!(output.status.code(), Some(1));
    assert!(sandbox.drop_in("odd").contains("ct-helper broken odd\n"));
    assert!(!sandbox.drop_in("good").contains("broken"));
    let messages = text(&output.stderr);
    assert_eq!(messages.lines().count(), 1, "{messages}");
    assert!(messages.starts_with("/etc/ct/containers/odd.toml"), "{messages}");
    messages
}

#[test]
fn a_fifo() {
    with_odd(|path| nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o644)).unwrap());
}

#[test]
fn a_directory() {
    with_odd(|path| fs::create_dir(path).unwrap());
}

#[test]
fn a_dangling_link_and_a_link_to_itself() {
    with_odd(|path| symlink("nowhere", path).unwrap());
    with_odd(|path| symlink("odd.toml", path).unwrap());
}

#[test]
fn an_endless_device() {
    with_odd(|path| symlink("/dev/zero", path).unwrap());
}

#[test]
fn a_file_of_two_gigabytes() {
    with_odd(|path| {
        let file = fs::File::create(path).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o644)).unwrap();
        file.set_len(2 << 30).unwrap();
    });
}

#[test]
fn a_file_that_anyone_may_write() {
    with_odd(|path| {
        fs::write(path, HELLO).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    });
}

#[test]
fn bytes_that_are_no_text() {
    let odd = |bytes: &[u8]| {
        with_odd(|path| {
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        })
    };
    odd(b"[root]\npath = \"\xff\xfe\"\n");
    odd(b"\0\0\0\0");
    let shown = odd(b"\"\x1b[2J\x07\" = 1\n");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn brackets_nested_deeper_than_any_stack() {
    let nested = format!("x = {}", "[".repeat(500_000));
    with_odd(|path| {
        fs::write(path, nested).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    });
}
