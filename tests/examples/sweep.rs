// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make sweep`: every fault at every system call of every command that units run the helper for, and what did not hold.
//!
//! Words choose: `host`, `debian13` (roots), `crun`, `runc`, `lxc` (runtimes), `every=N` (a sample), `from=N`,
//! `at=CALL` (one system call), `jobs=N`, and the commands: `start`, `start-notify`, `post-start`, `stop`, `post-stop`,
//! `pod-start`.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use ct_tests::sweep::{Case, FAULTS, Sweep};
use ct_tests::{Fault, Machine, Point, Root};

/// What the words ask for.
struct Wanted {
    roots: Vec<(Root, &'static str)>,
    runtimes: Vec<&'static str>,
    cases: Vec<Case>,
    at: Option<String>,
    every: usize,
    from: usize,
    jobs: usize,
}

/// Found so far, by all machines.
#[derive(Default)]
struct Found {
    tried: usize,
    missed: usize,
    by_fault: BTreeMap<String, usize>,
    violations: Vec<String>,
}

fn main() -> ExitCode {
    let wanted = match Wanted::parse(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(word) => {
            say(&format!(
                "sweep: `{word}` is none of host, debian13, crun, runc, lxc, every=N, from=N, at=CALL, jobs=N, or a command"
            ));
            return ExitCode::FAILURE;
        }
    };
    let started = Instant::now();
    let mut all = Found::default();
    for (root, root_name) in &wanted.roots {
        for runtime in &wanted.runtimes {
            let found = sweep(&wanted, *root, root_name, runtime);
            all.tried += found.tried;
            all.missed += found.missed;
            all.violations
                .extend(found.violations.iter().map(|line| format!("{root_name} {runtime}: {line}")));
        }
    }
    for line in &all.violations {
        say(line);
    }
    let held = all.tried - all.missed - all.violations.len().min(all.tried - all.missed);
    say(&format!(
        "{held}/{} points held, {} violations; {} more were not reached again; {:?}",
        all.tried - all.missed,
        all.violations.len(),
        all.missed,
        started.elapsed()
    ));
    if all.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Wanted {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut roots, mut runtimes, mut cases) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = None;
        let (mut every, mut from, mut jobs) =
            (1, 0, std::thread::available_parallelism().map_or(1, Into::into));
        for word in words {
            let number = |text: &str| text.parse::<usize>().map_err(|_no_number| word.clone());
            match word.split_once('=') {
                Some(("at", call)) => at = Some(call.to_owned()),
                Some(("every", text)) => every = number(text)?.max(1),
                Some(("from", text)) => from = number(text)?,
                Some(("jobs", text)) => jobs = number(text)?.max(1),
                _ if word == "host" => roots.push((Root::Host, "host")),
                _ if word == "debian13" => roots.push((Root::Debian13, "debian13")),
                _ if word == "crun" => runtimes.push("crun"),
                _ if word == "runc" => runtimes.push("runc"),
                _ if word == "lxc" => runtimes.push("lxc"),
                _ => cases.push(Case::ALL.into_iter().find(|case| case.word() == word).ok_or(word)?),
            }
        }
        if roots.is_empty() {
            roots.push((Root::Host, "host"));
        }
        if runtimes.is_empty() {
            runtimes.extend(["crun", "runc"]);
        }
        if cases.is_empty() {
            cases.extend(Case::ALL);
        }
        Ok(Self { roots, runtimes, cases, at, every, from, jobs })
    }
}

/// One root and runtime, on several machines side by side.
fn sweep(wanted: &Wanted, root: Root, root_name: &str, runtime: &str) -> Found {
    let name = |number: usize| format!("sweep-{root_name}-{runtime}-{number}");
    let first = Machine::boot_from(root, &name(0));
    let mut sweep = Sweep::new(&first, runtime);
    let mut queue: VecDeque<(Case, Point, Fault)> = VecDeque::new();
    for case in &wanted.cases {
        let all = sweep.all(*case);
        let points = all.len() / FAULTS.len();
        say(&format!("{root_name} {runtime}: {case}: {points} points, {} faults each", FAULTS.len()));
        let wanted = |point: &Point| wanted.at.as_ref().is_none_or(|call| *call == point.call_name());
        let all = all.into_iter().filter(|(point, _)| wanted(point));
        queue.extend(all.map(|(point, fault)| (*case, point, fault)));
    }
    let queue: VecDeque<_> = queue.into_iter().skip(wanted.from).step_by(wanted.every).collect();
    let (total, started) = (queue.len(), Instant::now());
    let (queue, found) = (Mutex::new(queue), Mutex::new(Found::default()));
    let work = |sweep: &mut Sweep<'_>| {
        loop {
            let Some((case, point, fault)) = queue.lock().expect("no thread panics in it").pop_front() else {
                return;
            };
            let tried = sweep.fail(case, &point, fault);
            let mut found = found.lock().expect("no thread panics in it");
            for line in &tried.violations {
                say(&format!("VIOLATION {line}"));
            }
            found.tried += 1;
            found.missed += usize::from(!tried.hit);
            *found.by_fault.entry(fault.to_string()).or_default() += 1;
            found.violations.extend(tried.violations);
            if found.tried % 100 == 0 {
                let (tried, bad) = (found.tried, found.violations.len());
                say(&format!(
                    "{root_name} {runtime}: {tried}/{total}, {bad} violations, {:?}",
                    started.elapsed()
                ));
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 1..wanted.jobs {
            let (work, name) = (&work, name(number));
            scope.spawn(move || {
                let machine = Machine::boot_from(root, &name);
                work(&mut Sweep::new(&machine, runtime));
            });
        }
        work(&mut sweep);
    });
    let found = found.into_inner().expect("no thread panics in it");
    say(&format!("{root_name} {runtime}: {:?}, {} not reached", found.by_fault, found.missed));
    found
}

fn say(line: &str) {
    // Whoever does not listen any more has seen enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}
