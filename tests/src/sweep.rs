// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper killed, or refused a system call, at every point of what units run it for; and what must hold then.
//!
//! A [`Case`] is one command of a unit. Its points are found by following one good run; then the unit goes through its
//! life once for each point and fault. The test that samples it and `make sweep`, which runs it all, share this.

mod case;
mod invariant;

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::tracer::{self, Fault, Point, Trace};
use crate::{Machine, Output, Snapshot};

pub use case::Case;
use invariant::Journal;

/// What is done to each call, beside killing the process.
pub const FAULTS: [Fault; 7] = [
    Fault::Kill,
    Fault::Error(Errno::ENOSPC),
    Fault::Error(Errno::ENOMEM),
    Fault::Error(Errno::EMFILE),
    Fault::Error(Errno::EINTR),
    Fault::Error(Errno::EPERM),
    Fault::Error(Errno::EIO),
];

/// Where a command waits until it is followed.
const GATE: &str = "/run/ct-sweep";
/// Until it is there: beyond any start of a unit on a loaded machine.
const GATE_WITHIN: Duration = Duration::from_secs(60);
/// Of one systemctl: beyond every timeout of the units.
const JOB_WITHIN: Duration = Duration::from_secs(200);
/// After so many faults a start without one must work.
const BETWEEN_GOOD_STARTS: usize = 25;

/// A machine whose units are put through it.
pub struct Sweep<'a> {
    machine: &'a Machine,
    case: Option<Case>,
    before: Snapshot,
    runs: usize,
}

/// What came of one point and fault.
#[derive(Debug)]
pub struct Tried {
    /// Whether the point was reached; the way of a start is not the same to the last call each time.
    pub hit: bool,
    /// What did not hold, one line for each.
    pub violations: Vec<String>,
}

impl<'a> Sweep<'a> {
    /// Prepares a machine; all containers are run by `runtime`.
    pub fn new(machine: &'a Machine, runtime: &str) -> Self {
        case::prepare(machine, runtime);
        machine.shell(&format!("mkfifo {GATE}")).succeeds();
        Self { machine, case: None, before: machine.leaks(), runs: 0 }
    }

    /// Every point of a good run with every fault, in the order of the run.
    ///
    /// # Panics
    /// When it is not good.
    pub fn all(&mut self, case: Case) -> Vec<(Point, Fault)> {
        self.choose(case);
        let (trace, violations) = self.live(case, None);
        assert!(violations.is_empty(), "{case} without a fault: {}", violations.join("\n"));
        trace.points.into_iter().flat_map(|point| FAULTS.map(|fault| (point.clone(), fault))).collect()
    }

    /// One life of the case's unit, with a fault at one point.
    pub fn fail(&mut self, case: Case, point: &Point, fault: Fault) -> Tried {
        self.choose(case);
        let (trace, mut violations) = self.live(case, Some((point, fault)));
        self.runs += 1;
        if self.runs.is_multiple_of(BETWEEN_GOOD_STARTS) {
            let (_, later) = self.live(case, None);
            violations.extend(later.into_iter().map(|what| format!("the next start: {what}")));
        }
        let describe = |what: String| format!("{case}{point} {fault}: {what}");
        Tried { hit: trace.hit, violations: violations.into_iter().map(describe).collect() }
    }

    /// Has the unit run this case's command only after it is followed.
    fn choose(&mut self, case: Case) {
        if self.case.replace(case) == Some(case) {
            return;
        }
        for unit in case::UNITS {
            self.machine.shell(&format!("rm -f /run/systemd/system/{unit}.service.d/sweep.conf"));
        }
        let path = format!("/run/systemd/system/{}.service.d/sweep.conf", case.unit());
        self.machine.write_file(path, 0o644, case.drop_in(GATE));
        self.machine.daemon_reload();
    }

    /// Start, what must hold, stop, what must hold.
    fn live(&self, case: Case, fault: Option<(&Point, Fault)>) -> (Trace, Vec<String>) {
        let journal = Journal::from_now();
        let mut violations = Vec::new();
        let start = ["systemctl", "start", case.started()];
        let stop = ["systemctl", "stop", case.started(), case.unit()];

        let (started, at_start) = if case.is_of_start() {
            self.follow(case, fault, &start)
        } else {
            (self.systemctl(&start), None)
        };
        let hit = at_start.as_ref().and_then(|trace| fault.filter(|_| trace.hit));
        violations.extend(journal.after_start(self.machine, case, &started, hit));
        let (_, at_stop) =
            if case.is_of_start() { (self.systemctl(&stop), None) } else { self.follow(case, fault, &stop) };
        let trace = at_start.or(at_stop).unwrap_or_default();
        violations.extend(journal.after_stop(self.machine, case, fault.filter(|_| trace.hit)));
        case::clear(self.machine, case);
        violations.extend(invariant::left_behind(self.machine, &self.before));
        (trace, violations)
    }

    fn systemctl(&self, argv: &[&str]) -> Output {
        self.machine.command(argv).deadline(JOB_WITHIN).run()
    }

    /// Runs a systemctl under which the case's command is met at the gate.
    fn follow(&self, case: Case, fault: Option<(&Point, Fault)>, argv: &[&str]) -> (Output, Option<Trace>) {
        std::thread::scope(|scope| {
            // Only the thread that traces can wait for what it traces.
            let tracer = scope.spawn(|| {
                let (pid, gate) = self.at_the_gate(case)?;
                tracer::follow(pid, fault, || fs::File::from(gate).write_all(b"go\n"))
            });
            let output = self.systemctl(argv);
            match tracer.join() {
                Ok(Ok(trace)) => (output, Some(trace)),
                Ok(Err(error)) => panic!("cannot follow {case}: {error}; {output}"),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The process that waits at the gate, and the gate.
    fn at_the_gate(&self, case: Case) -> io::Result<(Pid, OwnedFd)> {
        let gate = PathBuf::from(format!("/proc/{}/root{GATE}", self.machine.pid()));
        let deadline = Instant::now() + GATE_WITHIN;
        let opened = loop {
            // ENXIO: nobody has opened it for reading.
            match open(&gate, OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()) {
                Err(Errno::ENXIO) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => break other?,
            }
        };
        let group = self.machine.cgroup().join(case.cgroup());
        let text = [group.join("cgroup.procs"), group.join(".control/cgroup.procs")]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect::<String>();
        let waits = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(GATE))
        };
        let pid = text.lines().filter_map(|line| line.parse().ok()).find(waits);
        let pid =
            pid.ok_or_else(|| io::Error::other(format!("nobody at the gate in {}", group.display())))?;
        Ok((Pid::from_raw(pid), opened))
    }
}
