// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are all 16 limits the configured ones, also hard ones above those that systemd gives every service?

use ct_tests::{VirtualMachine, on_the_virtual_machine};

use crate::{SLEEPS, WAYS, container, of_each_process};

/// A key of `[limits]` with its value, and the name and values in /proc/PID/limits that it should become. See proc_pid_limits(5).
const LIMITS: [(&str, &str, &str, &str); 16] = [
    ("as", "'64G:128G'", "Max address space", "68719476736 137438953472 bytes"),
    ("core", "'1M:infinity'", "Max core file size", "1048576 unlimited bytes"),
    ("cpu", "'1h:2h'", "Max cpu time", "3600 7200 seconds"),
    ("data", "'32G:64G'", "Max data size", "34359738368 68719476736 bytes"),
    ("fsize", "'16G:infinity'", "Max file size", "17179869184 unlimited bytes"),
    ("locks", "'100:200'", "Max file locks", "100 200 locks"),
    ("memlock", "'infinity'", "Max locked memory", "unlimited unlimited bytes"),
    ("msgqueue", "'1600K:3200K'", "Max msgqueue size", "1638400 3276800 bytes"),
    ("nice", "'-10'", "Max nice priority", "30 30"),
    ("nofile", "'1024:1048576'", "Max open files", "1024 1048576 files"),
    ("nproc", "'50000:60000'", "Max processes", "50000 60000 processes"),
    ("rss", "'1G:2G'", "Max resident set", "1073741824 2147483648 bytes"),
    ("rtprio", "'10:20'", "Max realtime priority", "10 20"),
    ("rttime", "'1s:2s'", "Max realtime timeout", "1000000 2000000 us"),
    ("sigpending", "'50000:60000'", "Max pending signals", "50000 60000 signals"),
    ("stack", "'16M:64M'", "Max stack size", "16777216 67108864 bytes"),
];

/// Keys of hard limits that a service without ct's config has lower than above.
const RAISED: [&str; 7] = ["memlock", "msgqueue", "nice", "nofile", "nproc", "rtprio", "sigpending"];

/// The lines of /proc/PID/limits, white space made single blanks.
fn lines(limits: &str) -> Vec<String> {
    limits.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// What a line of these says of the hard limit; there is no number above infinity.
fn hard(line: &str) -> u64 {
    let mut numbers = line.split(' ').filter_map(|word| match word {
        "unlimited" => Some(u64::MAX),
        _ => word.parse().ok(),
    });
    numbers.next_back().unwrap_or_else(|| panic!("no limit in `{line}`"))
}

on_the_virtual_machine! {
    fn every_limit_is_the_whole_containers(machine: &VirtualMachine) {
        let table: String = LIMITS.iter().map(|(key, value, ..)| format!("{key} = {value}\n")).collect();
        for (name, keys) in WAYS {
            container(machine, name, keys, SLEEPS, &format!("[limits]\n{table}"));
        }
        machine.daemon_reload();
        // Else the test would say nothing of hard limits that take a privilege to raise.
        let usual = lines(&machine.shell("systemd-run --quiet --pipe cat /proc/self/limits").succeeds().stdout);
        for (key, _, resource, values) in LIMITS.iter().filter(|(key, ..)| RAISED.contains(key)) {
            let before = usual.iter().find(|seen| seen.starts_with(resource)).expect("the kernel has all 16");
            assert!(hard(before) < hard(values), "{key}: `{before}` should be below {values}");
        }
        for (name, _) in WAYS {
            machine.start(&format!("ct@{name}"));
            for limits in of_each_process(machine, name, 2, "cat /proc/$pid/limits") {
                let seen = lines(&limits);
                assert_eq!(seen.len(), 1 + LIMITS.len(), "{limits}");
                for (key, _, resource, values) in LIMITS {
                    let line = format!("{resource} {values}");
                    assert!(seen.contains(&line), "{name}: {key} should be `{line}` in\n{limits}");
                }
            }
        }
    }
}
