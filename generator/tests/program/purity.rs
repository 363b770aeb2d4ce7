// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configs in, units out, and nothing besides (G2, G3, G4, G5, G13).

use std::process::Command;

use crate::sandbox::{HELLO, Sandbox, skip, text};

#[test]
fn the_order_of_the_directory_and_the_environment_do_not_matter() {
    let names: Vec<String> = (0..60).map(|number| format!("c{}", number * 7 % 60)).collect();
    let config = |name: &str| {
        let other = if name == "c3" { "c59" } else { "c3" };
        format!(
            "{HELLO}[autostart]\nenabled = true\n[depends]\nafter = [\"{other}\"]\nwants = [\"missing\"]\n"
        )
    };
    let run = |names: &[&String], environment: &[(&str, &str)]| {
        let sandbox = Sandbox::new();
        sandbox.write("etc/ct/ct.toml", "[autostart]\nparallel = 2\n");
        names.iter().for_each(|name| sandbox.container(name, &config(name)));
        let output =
            sandbox.command().envs(environment.iter().copied()).current_dir("/tmp").output().unwrap();
        (output.status.code(), text(&output.stderr), sandbox.units())
    };
    let forward: Vec<&String> = names.iter().collect();
    let backward: Vec<&String> = names.iter().rev().collect();
    let want = run(&forward, &[]);
    assert_eq!(want.2.len(), 121, "links and turns are in play");
    assert_eq!(run(&backward, &[]), want);
    let environment =
        [("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu"), ("HOSTNAME", "x"), ("HOME", "/nowhere")];
    assert_eq!(run(&backward, &environment), want);
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    sandbox.container("hello", HELLO);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask 077; exec \"$0\" --root \"$1\" \"$2\"", env!("CARGO_BIN_EXE_ct-generator")]);
    assert!(command.arg(sandbox.root()).arg(sandbox.out()).status().unwrap().success());
    let mode = |path: &str| sandbox.out().join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("ct@hello.service.d"), 0o755);
    assert_eq!(mode("ct@hello.service.d/50-ct.conf"), 0o644);
}

/// Every system call that names a file, talks to a socket, or starts something.
#[test]
fn it_opens_only_what_it_says_and_talks_to_nobody() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", &format!("user = \"nobody\"\n{HELLO}[autostart]\nenabled = true\n"));
    sandbox.container("bad", "x");
    sandbox.write("etc/ct/ct.toml", "[autostart]\nparallel = \"auto\"\n");
    let trace = sandbox.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=%file,%network,%process,%clock"]).arg("-o").arg(&trace);
    strace.arg(env!("CARGO_BIN_EXE_ct-generator")).arg("--root").arg(sandbox.root()).arg(sandbox.out());
    let Ok(status) = strace.env_clear().env("PATH", "/usr/bin:/bin").status() else { return skip("strace") };
    assert_eq!(status.code(), Some(1));
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> =
        trace.lines().filter_map(|line| line.split_once(' ').map(|(_, call)| call.trim())).collect();
    assert!(calls.len() > 20, "{trace}");
    let (root, out) = (sandbox.root().display().to_string(), sandbox.out().display().to_string());
    let wrong: Vec<&&str> = calls.iter().skip(1).filter(|call| !is_allowed(call, &root, &out)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_allowed(call: &str, root: &str, out: &str) -> bool {
    let name = call.split('(').next().unwrap();
    let path = call.split('"').nth(1).unwrap_or_default();
    let config = ["etc/ct", "run/ct", "usr/lib/ct"].map(|folder| format!("{root}/{folder}"));
    let in_config = config.iter().any(|folder| path.starts_with(folder.as_str()));
    // The links of `systemctl enable`.
    let links = path.starts_with(root) && path.ends_with("/systemd/system/ct.target.wants");
    // What the dynamic loader reads, before any code of ours.
    let by_loader = path.starts_with("/lib") || path.starts_with("/usr/lib") || path == "/etc/ld.so.cache";
    let loader = by_loader || path == "/etc/ld.so.preload";
    // The Rust runtime looks for the stack of its main thread.
    let runtime = path == "/proc/self/maps";
    match name {
        "exit_group" | "exit" | "+++" | "arch_prctl" => true,
        "access" => loader,
        "open" | "openat" | "stat" | "fstat" | "newfstatat" | "lstat" | "statx" | "readlink"
        | "readlinkat" => {
            let reads = !call.contains("O_WRONLY") && !call.contains("O_RDWR");
            let relative = !call.contains("AT_FDCWD") && !path.starts_with('/') && name == "openat";
            path.is_empty() || path == out || (reads && (in_config || links || loader || runtime)) || relative
        }
        "mkdirat" | "linkat" | "renameat" | "symlinkat" | "unlinkat" => !call.contains("AT_FDCWD"),
        _ => call.starts_with("+++"),
    }
}

#[test]
fn it_runs_where_everything_but_its_output_is_read_only() {
    let sandbox = Sandbox::new();
    sandbox.container("hello", &format!("{HELLO}[autostart]\nenabled = true\n"));
    let script = "mount --make-rprivate / && mount --bind \"$2\" \"$2\" && mount -o remount,bind,ro / && \
                  mount -t tmpfs tmpfs /dev && \"$0\" --root \"$1\" \"$2\"; echo $?";
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_ct-generator")]);
    let output = command.arg(sandbox.root()).arg(sandbox.out()).output();
    match output {
        Ok(output) if text(&output.stdout) == "0\n" => assert_eq!(sandbox.units().len(), 2),
        Ok(output) if !nix::unistd::geteuid().is_root() => skip(&text(&output.stderr)),
        other => panic!("{other:?}"),
    }
}
