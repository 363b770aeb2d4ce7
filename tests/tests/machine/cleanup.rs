// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper killed, or refused a system call, at any point of a start: is the unit either up with its init or failed
//! with a reason, is nothing left behind, and does the next start work at once?

use ct_tests::sweep::{Case, FAULTS, Sweep};
use ct_tests::{Fault, Machine, Point, on_every_machine};
use nix::errno::Errno;

/// A container that uses most of what a start does: layers, an upper layer, mounts, an account.
const CONTAINER: &str = "user = \"ct-web\"\n\
    [root]\nlayers = [\"base\", \"app\"]\nwritable = \"ephemeral\"\n\
    [process]\ncommand = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\nuser = \"www-data\"\n\
    [[mount]]\nsource = \"/srv/data\"\ntarget = \"/mnt\"\n\
    [stop]\ntimeout = \"5s\"\n";

/// How many faults of each command are tried here; `make sweep` tries all.
const SAMPLE: usize = 20;

/// Three for each of its starter's next ten system calls. Later ones depend on how soon the container runs.
const FAULTS_OF_MONITOR: usize = 30;

fn prepare(machine: &Machine) {
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
    machine.busybox_rootfs("/var/lib/ct/layers/base");
    machine.shell("mkdir -p /var/lib/ct/layers/app/etc /srv/data /var/lib/ct/layers/base/mnt; systemctl start ct.slice")
        .succeeds();
    machine.container("web", CONTAINER);
    machine.daemon_reload();
}

/// A sample of the points and faults of these commands, spread evenly.
fn sample(machine: &Machine, cases: &[Case]) {
    let mut sweep = Sweep::new(machine, "crun");
    let mut violations = Vec::new();
    let (mut tried, mut hit) = (0, 0);
    for case in cases {
        let all = sweep.all(*case);
        // Not a multiple of the number of faults, so that each is among them.
        let step = (all.len() / SAMPLE / FAULTS.len()) * FAULTS.len() + 1;
        assert!(
            all.len() > SAMPLE * FAULTS.len(),
            "{case} should have more than {} points",
            all.len() / FAULTS.len()
        );
        for (point, fault) in all.iter().skip(step / 2).step_by(step) {
            let outcome = sweep.fail(*case, point, *fault);
            tried += 1;
            hit += usize::from(outcome.hit);
            violations.extend(outcome.violations);
        }
    }
    assert!(violations.is_empty(), "of {tried} faults:\n{}", violations.join("\n"));
    assert!(hit * 10 > tried * 9, "{hit} of {tried} points were reached");
}

on_every_machine! {
    fn a_fault_at_any_system_call_of_a_start_leaves_nothing_behind(machine: &Machine) {
        sample(machine, &[Case::Start, Case::StartNotify]);
    }

    fn a_fault_in_what_runs_beside_a_container_leaves_nothing_behind(machine: &Machine) {
        sample(machine, &[Case::PostStart, Case::Stop, Case::PostStop]);
    }

    fn a_fault_in_a_pods_start_leaves_nothing_behind(machine: &Machine) {
        sample(machine, &[Case::PodStart]);
    }

    /// The program that starts the container stays as long as that does: who has started it must not wait for its end.
    fn a_fault_after_lxcs_monitor_has_begun_ends_the_start_at_once(machine: &Machine) {
        let mut sweep = Sweep::new(machine, "lxc");
        let all = sweep.all(Case::Start);
        // `.2` is the process between the helper and PID 1; its last child is the monitor.
        let forks = |(point, _): &(Point, Fault)| {
            point.process == ".2" && ["clone", "clone3", "fork", "vfork"].contains(&point.call_name())
        };
        let begun = all.iter().rposition(forks).expect("a monitor");
        let wanted = [Fault::Kill, Fault::Error(Errno::EIO), Fault::Error(Errno::EINTR)];
        let after = all.iter().skip(begun + 1).filter(|(point, fault)| point.process == ".2" && wanted.contains(fault));
        let faults: Vec<_> = after.take(FAULTS_OF_MONITOR).collect();
        assert_eq!(faults.len(), FAULTS_OF_MONITOR, "{faults:?}");
        let outcomes: Vec<_> = faults.iter().map(|(point, fault)| sweep.fail(Case::Start, point, *fault)).collect();
        let violations: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.violations).collect();
        assert!(violations.is_empty(), "{violations:#?}");
        assert!(outcomes.iter().take(FAULTS_OF_MONITOR / 2).all(|outcome| outcome.hit), "{outcomes:?}");
    }

    fn a_container_killed_whole_leaves_nothing_and_starts_again(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for _ in 0..5 {
            machine.start("ct@web");
            machine.shell("echo 1 >/sys/fs/cgroup/ct.slice/ct@web.service/cgroup.kill").succeeds();
            machine.wait_for("ct@web", "ActiveState", "failed");
        }
        machine.run(["systemctl", "reset-failed", "ct@web"]).succeeds();
        machine.assert_no_leaks(&before);
    }

    fn mounts_are_never_seen_by_pid_1(machine: &Machine) {
        prepare(machine);
        let before = machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout;
        machine.start("ct@web");
        assert_eq!(machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout, before);
        machine.stop("ct@web");
        // An administrator who switches the private mount namespace off still gets one.
        machine.write_file("/etc/systemd/system/ct@web.service.d/90.conf", 0o644, "[Service]\nPrivateMounts=no\n");
        machine.daemon_reload();
        machine.start("ct@web");
        assert_eq!(machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout, before);
        machine.stop("ct@web");
    }

    fn what_a_crash_left_in_the_run_directory_is_cleared(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /run/ct/web/runtime/containers/web /run/ct/web/bundle; echo x >/run/ct/web/pid").succeeds();
        machine.start("ct@web");
        machine.stop("ct@web");
        machine.shell("test ! -e /run/ct/web").succeeds();
    }

    fn an_unwritable_run_directory_fails_the_start_with_its_reason(machine: &Machine) {
        prepare(machine);
        // A full /run: what the helper writes there does not fit.
        machine.shell("mkdir -p /run/ct && mount -t tmpfs -o size=8k,nr_inodes=6 full /run/ct").succeeds();
        let output = machine.try_start("ct@web");
        assert!(!output.status.success());
        let journal = machine.journalctl(&["--unit", "ct@web", "--identifier", "ct-helper", "--output", "cat"]);
        assert!(journal.to_lowercase().contains("no space left on device"), "{journal}");
        machine.shell("umount /run/ct").succeeds();
        machine.run(["systemctl", "reset-failed", "ct@web"]);
        machine.start("ct@web");
    }
}
