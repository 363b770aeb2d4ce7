// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[limits]` and `oom.score_adjust`: what holds for the container's init holds for what is run inside it.

use ct_tests::{Machine, on_every_machine};

/// Each lower than what a machine's PID 1 has, but for `nice`, which cannot be; and as /proc/PID/limits shows it.
/// See getrlimit(2).
const LIMITS: [(&str, &str, &str); 16] = [
    ("cpu", "1h:2h", "Max cpu time 3600 7200 seconds"),
    ("fsize", "1G:2G", "Max file size 1073741824 2147483648 bytes"),
    ("data", "2G:4G", "Max data size 2147483648 4294967296 bytes"),
    ("stack", "4M:6M", "Max stack size 4194304 6291456 bytes"),
    ("core", "0", "Max core file size 0 0 bytes"),
    ("rss", "1G:2G", "Max resident set 1073741824 2147483648 bytes"),
    ("nproc", "1000:2000", "Max processes 1000 2000 processes"),
    ("nofile", "500:900", "Max open files 500 900 files"),
    ("memlock", "8K:16K", "Max locked memory 8192 16384 bytes"),
    ("as", "64G:128G", "Max address space 68719476736 137438953472 bytes"),
    ("locks", "100:200", "Max file locks 100 200 locks"),
    ("sigpending", "100:200", "Max pending signals 100 200 signals"),
    ("msgqueue", "1000:2000", "Max msgqueue size 1000 2000 bytes"),
    ("nice", "1", "Max nice priority 0 0"),
    ("rtprio", "0", "Max realtime priority 0 0"),
    ("rttime", "1s:2s", "Max realtime timeout 1000000 2000000 us"),
];

/// Takes down, in a file of this name, what holds for the process that runs it.
fn record(name: &str) -> String {
    format!("cat /proc/self/oom_score_adj /proc/self/limits >/out/{name}")
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

on_every_machine! {
    fn what_runs_inside_has_the_oom_score_and_the_limits(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; mkdir -m 1777 /srv/out").succeeds();
        let limits: String = LIMITS.iter().map(|(key, value, _)| format!("{key} = \"{value}\"\n")).collect();
        for (runtime, user) in [("crun", "root"), ("runc", "root"), ("crun", "ct-web")] {
            let owner = if user == "root" { 0 } else { 200_000 };
            machine.shell(&format!("rm -f /srv/out/*; chown -R {owner}:{owner} /srv/rootfs")).succeeds();
            machine.container(
                "web",
                &format!(
                    "runtime = \"{runtime}\"\nuser = \"{user}\"\n[root]\npath = \"/srv/rootfs\"\n\
                     [process]\ncommand = [\"sh\", \"-c\", '''{}; trap 'exit 0' TERM; sleep 1000 & wait''']\n\
                     [[mount]]\nsource = \"/srv/out\"\ntarget = \"/out\"\n[oom]\nscore_adjust = 321\n\
                     [ready]\ncommand = [\"sh\", \"-c\", \"{}\"]\n[stop]\ncommand = [\"sh\", \"-c\", \"{}\"]\n[limits]\n{limits}",
                    record("init"), record("ready"), record("stop"),
                ),
            );
            machine.daemon_reload();
            machine.start("ct@web");
            machine.wait_until("test -s /srv/out/init && test -s /srv/out/ready");
            machine.stop("ct@web");
            for process in ["init", "ready", "stop"] {
                let recorded = machine.read_file(format!("/srv/out/{process}"));
                let lines: Vec<String> = recorded.lines().map(words).collect();
                assert_eq!(lines[0], "321", "{runtime} {user} {process}");
                for (key, _, want) in LIMITS {
                    // runc before 1.1.13 gives what it runs in a container the hard limit of open files as the soft one.
                    let of_runc = runtime == "runc" && process != "init" && key == "nofile";
                    let raised = of_runc.then_some("Max open files 900 900 files");
                    assert!(lines.iter().any(|line| line == want || Some(line.as_str()) == raised), "{runtime} {user} {process} {key}:\n{recorded}");
                }
            }
        }
    }
}
