// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in the output directory, whatever happens (G4, G6, G12, G20).

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::sandbox::{Entry, HELLO, Sandbox, skip, text};

const AUTOSTART: &str = "[autostart]\nenabled = true\n";

#[test]
fn links_planted_in_the_output_are_replaced_and_not_followed() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", &format!("{HELLO}{AUTOSTART}"));
    sandbox.container("other", HELLO);
    let (canary, elsewhere) = (sandbox.path().join("canary"), sandbox.path().join("elsewhere"));
    fs::write(&canary, "untouched").unwrap();
    fs::create_dir(&elsewhere).unwrap();
    let out = sandbox.out();
    fs::create_dir(out.join("ct@hello.service.d")).unwrap();
    symlink(&canary, out.join("ct@hello.service.d/50-ct.conf")).unwrap();
    symlink(&elsewhere, out.join("ct@other.service.d")).unwrap();
    fs::create_dir(out.join("ct.target.wants")).unwrap();
    symlink(&canary, out.join("ct.target.wants/ct@hello.service")).unwrap();
    sandbox.run_silently();
    assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let planted = sandbox.units();
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    sandbox.run_silently();
    assert_eq!(planted, sandbox.units());
}

#[test]
fn other_things_in_the_way() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", &format!("{HELLO}{AUTOSTART}"));
    let out = sandbox.out();
    fs::write(out.join("ct@hello.service.d"), "a file where a directory belongs").unwrap();
    fs::create_dir_all(out.join("ct.target.wants")).unwrap();
    fs::write(out.join("ct.target.wants/ct@hello.service"), "a file where a link belongs").unwrap();
    sandbox.run_silently();
    assert_eq!(sandbox.units().len(), 2);
    fs::remove_file(out.join("ct@hello.service.d/50-ct.conf")).unwrap();
    fs::create_dir(out.join("ct@hello.service.d/50-ct.conf")).unwrap();
    sandbox.run_silently();
    assert!(matches!(&sandbox.units()["ct@hello.service.d/50-ct.conf"], Entry::File(_)));
}

#[test]
fn what_is_no_directory_is_status_one() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", HELLO);
    fs::remove_dir(sandbox.out()).unwrap();
    let output = sandbox.run();
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.starts_with("cannot open the output directory ") && message.contains("ENOENT"),
        "{message}"
    );
}

/// Mounts a small tmpfs on the output directory, runs, and copies what is there to `after/`.
fn run_on_tmpfs(sandbox: &Sandbox, options: &str) -> Option<String> {
    let script = "mount -t tmpfs -o \"$3\" tmpfs \"$2\" || exit 99; cd \"$2\"; \"$0\" --root \"$1\" \"$2\"; status=$?; \
                  cp -a \"$2\" \"$4\"; exit $status";
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_ct-generator")]);
    command.arg(sandbox.root()).arg(sandbox.out()).arg(options).arg(sandbox.path().join("after"));
    let output = command.output();
    match output {
        Ok(output) if output.status.code() == Some(1) => Some(text(&output.stderr)),
        Ok(output) if !nix::unistd::geteuid().is_root() => {
            skip(&text(&output.stderr));
            None
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_leaves_whole_units_only_and_says_so_once() {
    for options in ["size=64k", "nr_inodes=50"] {
        let sandbox = Sandbox::new();
        for number in 0..100 {
            sandbox.container(&format!("c{number}"), &format!("{HELLO}{AUTOSTART}"));
        }
        let Some(messages) = run_on_tmpfs(&sandbox, options) else { return };
        assert_eq!(messages.lines().count(), 1, "{messages}");
        assert!(messages.contains("ENOSPC") && messages.contains(" more)"), "{messages}");
        let partial = crate::sandbox::tree(&sandbox.path().join("after"));
        sandbox.run_silently();
        let whole = sandbox.units();
        assert!(!partial.is_empty() && partial.len() < whole.len());
        for (path, entry) in &partial {
            assert_eq!(Some(entry), whole.get(path), "{path} on a disk with {options}");
            if let Some(unit) = path.strip_prefix("ct.target.wants/") {
                assert!(
                    partial.contains_key(&format!("{unit}.d/50-ct.conf")),
                    "{unit} starts without its settings"
                );
            }
        }
    }
}

#[test]
fn a_read_only_output_is_status_one_with_one_line() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", HELLO);
    sandbox.container("other", HELLO);
    let Some(messages) = run_on_tmpfs(&sandbox, "ro") else { return };
    assert_eq!(messages.lines().count(), 1, "{messages}");
    assert!(messages.contains("EROFS"), "{messages}");
}

/// A reader who opens every drop-in as it finds it, and fails on one that is not whole.
fn read_until(stop: &AtomicBool, out: &Path, want: &std::collections::BTreeMap<String, Entry>) -> usize {
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        for (path, entry) in want {
            match (entry, fs::read_to_string(out.join(path))) {
                (Entry::File(want), Ok(got)) => {
                    assert_eq!(want, &got, "{path} is half a file");
                    seen += 1;
                }
                (Entry::Link(want), _) => match fs::read_link(out.join(path)) {
                    Ok(got) => assert_eq!(want, &got, "{path}"),
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{path}"),
                },
                (_, Err(error)) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{path}"),
                (other, _) => panic!("{path} is {other:?}"),
            }
        }
    }
    seen
}

#[test]
fn two_at_once_never_show_half_a_file() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d"] {
        sandbox.container(name, &format!("description = \"{}\"\n{HELLO}{AUTOSTART}", "x".repeat(20_000)));
    }
    sandbox.run_silently();
    let want = sandbox.units();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&stop, &sandbox.out(), &want));
        let writers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| (0..300).for_each(|_| assert_eq!(sandbox.run().status.code(), Some(0)))))
            .collect();
        let results: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "a generator failed beside another");
        assert!(reader.join().unwrap() > 100);
    });
    assert_eq!(sandbox.units(), want, "and no temporary file is left");
}

#[test]
fn killed_at_any_moment_each_file_is_whole_or_absent() {
    let sandbox = Sandbox::new();
    for number in 0..50 {
        sandbox.container(&format!("c{number}"), &format!("{HELLO}{AUTOSTART}"));
    }
    sandbox.run_silently();
    let want = sandbox.units();
    let mut killed = 0;
    // On a busy computer it may have ended before it is killed: often enough it has not.
    for round in 0..15_000 {
        if round >= 150 && killed > 20 {
            break;
        }
        fs::remove_dir_all(sandbox.out()).unwrap();
        fs::create_dir(sandbox.out()).unwrap();
        let mut child = sandbox.command().stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(500 + 40 * (round % 150)));
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().signal().is_some());
        for (path, entry) in sandbox.units() {
            let temporary = path.contains("/.50-ct.conf.");
            let unfinished = temporary || entry == Entry::EmptyDirectory;
            assert!(unfinished || want.get(&path) == Some(&entry), "{path}: {entry:?}");
        }
    }
    assert!(killed > 20, "only {killed} were killed in time");
    sandbox.run_silently();
    let units = sandbox.units().into_iter().filter(|(path, _)| !path.contains("/.50-ct.conf.")).collect();
    assert_eq!(want, units);
}
