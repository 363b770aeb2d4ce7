// SPDX-License-Identifier: MIT OR Apache-2.0
//! The caller's terminal after a panic. ctctl is built so that a panic ends it at once, and nothing that is dropped on the
//! way out counts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use ctctl::pty::RawTerminal;
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};

/// What tells the process that it is the one to panic.
const CHILD: &str = "CT_TEST_PANICS";

fn is_raw(modes: &Termios) -> bool {
    !modes.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    if std::env::var_os(CHILD).is_some() {
        let guard = RawTerminal::enter().unwrap();
        assert!(is_raw(&tcgetattr(std::io::stdin()).unwrap()), "not raw");
        // Its drop would restore the terminal, too, but not with panic = "abort".
        std::mem::forget(guard);
        panic!("while the terminal is raw");
    }
    let pty = openpty(None, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    assert!(!is_raw(&before));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_leaves_the_terminal_as_it_was", "--nocapture"])
        .env(CHILD, "1")
        .stdin(pty.slave.try_clone().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success() && said.contains("while the terminal is raw"), "{said}");
    assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
}
