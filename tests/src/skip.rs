// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that cannot run here: a failure in CI, elsewhere a line that the summary counts.
//!
//! The test runner has no word for it and counts such a test as passed; `make check` subtracts the lines of
//! `target/ct-tests/skipped`.

use std::fs::OpenOptions;
use std::io::Write;

use crate::Root;
use crate::root::results_dir;

/// The running test as a file name: `harness-boots-to-running-host`. The test runner names the thread after the test.
#[must_use]
pub fn test_name() -> String {
    std::thread::current().name().unwrap_or("test").replace("::", "-").replace('_', "-")
}

/// Runs a test's body with `root`, or says why it cannot run.
///
/// # Panics
/// When the body does; in CI also when a prerequisite is missing.
pub fn unless_skipped(root: Root, body: fn(Root)) {
    match root.lower() {
        Ok(_) => body(root),
        Err(missing) => skip(&missing),
    }
}

/// Ends the running test for what is missing: as a failure in CI, elsewhere counted.
pub(crate) fn skip(missing: &str) {
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    note(&format!("SKIP {}: {missing}\n", test_name()));
}

fn note(line: &str) {
    let path = results_dir().join("skipped");
    let appended = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    // Past the test runner's capture, which hides what a passing test prints.
    let shown = std::io::stderr().write_all(line.as_bytes());
    if let Err(error) = appended.and(shown) {
        panic!("cannot count a skipped test in {}: {error}", path.display());
    }
}
