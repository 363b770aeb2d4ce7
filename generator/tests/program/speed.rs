// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long it takes (G1). The figures: `cargo test --release -p ct-generator -- --ignored --nocapture speed`.

use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

fn containers(count: usize) -> Sandbox {
    let sandbox = Sandbox::in_memory();
    for number in 0..count {
        let before = number.checked_sub(1).map(|before| format!(", \"c{before}\"")).unwrap_or_default();
        let config = format!(
            "description = \"Container {number}\"\n[root]\npath = \"/srv/c{number}\"\n[process]\n\
             command = [\"/bin/server\", \"--number\", \"{number}\"]\nenv = {{ LANG = \"C.UTF-8\" }}\n[resources]\n\
             memory_max = \"512M\"\ntasks_max = 512\n[depends]\nafter = [\"network-online.target\"{before}]\n\
             [autostart]\nenabled = true\n[restart]\npolicy = \"on-failure\"\n",
        );
        sandbox.container(&format!("c{number}"), &config);
    }
    sandbox
}

/// The best and the slowest of some runs into an empty directory, as at each daemon-reload.
fn measure(sandbox: &Sandbox, runs: usize) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            std::fs::remove_dir_all(sandbox.out()).unwrap();
            std::fs::create_dir(sandbox.out()).unwrap();
            let start = Instant::now();
            assert!(sandbox.command().status().unwrap().success());
            start.elapsed()
        })
        .collect();
    times.sort();
    (times[0], times[times.len() - 1])
}

#[test]
#[ignore = "prints figures; run it in release mode on a machine that does nothing else"]
fn speed() {
    for (count, runs) in [(1, 50), (100, 50), (1000, 30), (10_000, 5)] {
        let (best, slowest) = measure(&containers(count), runs);
        eprintln!("{count:6} containers: best {best:?}, slowest of {runs} {slowest:?}");
    }
}

/// The generator ends by itself after five seconds, and fails then.
#[test]
fn a_chain_of_many_is_within_the_generators_own_deadline() {
    // Without optimisation everything takes ten times as long, and other tests run beside.
    let count = if cfg!(debug_assertions) { 500 } else { 10_000 };
    measure(&containers(count), 1);
}
