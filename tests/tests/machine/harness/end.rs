// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a machine end with its test, however the test ends, and leave nothing but what explains a failure?

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ct_tests::{Machine, Root, test_name, unless_skipped};

/// Set in a second process of this program, which then ends in this way with a machine running.
const ENDING: &str = "CT_TESTS_ENDING";

/// Where to look for remains.
struct Traces {
    pid: String,
    cgroup: PathBuf,
    results: PathBuf,
}

impl Traces {
    fn of(machine: &Machine) -> Self {
        // Processes that no tree of parents leads to: a session of its own, and a unit.
        machine.shell("setsid sleep 1000 >/dev/null 2>&1 & systemd-run --quiet sleep 1000").succeeds();
        let cgroup = machine.cgroup().parent().expect("below the machine's group").to_owned();
        Traces { pid: machine.pid().to_string(), cgroup, results: machine.results().to_owned() }
    }

    fn remaining(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        let results = self.results.display().to_string();
        let mut remains: Vec<_> =
            mounts.lines().filter(|line| line.contains(&results)).map(str::to_owned).collect();
        for path in [&PathBuf::from("/proc").join(&self.pid), &self.cgroup] {
            remains.extend(path.exists().then(|| path.display().to_string()));
        }
        let overlay = ["seed", "root", "notify"].map(|name| self.results.join(name));
        remains.extend(overlay.iter().filter(|path| path.exists()).map(|path| path.display().to_string()));
        remains
    }
}

/// The same test in a second process, where [`ENDING`] makes it lose its life; what it printed of its machine.
fn second_process(ending: &str) -> (Child, Traces) {
    let this = std::thread::current().name().expect("the test runner names its threads").to_owned();
    let mut child = Command::new(std::env::current_exe().expect("/proc is mounted"))
        .args(["--exact", &this, "--nocapture", "--test-threads=2"])
        .env(ENDING, ending)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs already");
    let stdout = BufReader::new(child.stdout.take().expect("asked for a pipe"));
    let line = stdout
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("TRACES "))
        .expect("its machine boots");
    let mut words = line.split("TRACES ").nth(1).expect("just found").split(' ').map(str::to_owned);
    let mut next = || words.next().expect("three words");
    let traces = Traces { pid: next(), cgroup: next().into(), results: next().into() };
    (child, traces)
}

#[expect(clippy::print_stdout, reason = "the first process reads it")]
fn end(ending: &str) {
    let machine = Machine::boot(&format!("{}-{ending}", test_name()));
    machine.container("web", "root.path = \"/srv/web/rootfs\"\n");
    let Traces { pid, cgroup, results } = Traces::of(&machine);
    println!("TRACES {pid} {} {}", cgroup.display(), results.display());
    assert_ne!(ending, "panic", "as asked");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_dropped_machine_leaves_nothing() {
    unless_skipped(Root::Host, |root| {
        let machine = Machine::boot_from(root, &test_name());
        let traces = Traces::of(&machine);
        assert!(Path::new("/proc").join(&traces.pid).exists() && traces.cgroup.exists());
        drop(machine);
        assert_eq!(traces.remaining(), [""; 0]);
        assert!(!traces.results.exists(), "only a failure should leave results");
    });
}

#[test]
fn a_killed_test_leaves_no_machine() {
    unless_skipped(Root::Host, |_| {
        if let Ok(ending) = std::env::var(ENDING) {
            end(&ending);
        }
        let (mut child, traces) = second_process("kill");
        child.kill().expect("it parks");
        assert_eq!(child.wait().expect("our child").signal(), Some(9));
        let deadline = Instant::now() + Duration::from_secs(120);
        while !traces.remaining().is_empty() {
            assert!(Instant::now() < deadline, "should be gone: {:#?}", traces.remaining());
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_dir_all(&traces.results).expect("the console's output is kept");
    });
}

#[test]
fn a_failed_test_leaves_what_explains_it() {
    unless_skipped(Root::Host, |_| {
        if let Ok(ending) = std::env::var(ENDING) {
            end(&ending);
        }
        let (mut child, traces) = second_process("panic");
        assert!(!child.wait().expect("our child").success());
        assert_eq!(traces.remaining(), [""; 0]);
        for (file, content) in [
            ("journal", "Startup finished in"),
            ("state", "0 loaded units listed"),
            ("generated", "==> etc/ct/containers/web.toml <=="),
            ("console", ""),
        ] {
            let text = fs::read_to_string(traces.results.join(file)).expect("a failed test leaves it");
            assert!(text.contains(content), "{file} should contain `{content}`:\n{text}");
        }
        fs::remove_dir_all(&traces.results).expect("it is there");
    });
}
