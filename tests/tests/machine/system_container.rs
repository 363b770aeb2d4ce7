// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Debian 12 or 13 with a systemd of its own as a container: does all of it come up, and what do power-off, reboot and
//! stop mean, from inside and from outside?

pub(crate) mod case;

use ct_tests::{Machine, Root, System, on_every_machine};

use case::Case;

/// Has one command of systemctl do this to all of them, side by side.
fn all_at_once(machine: &Machine, verb: &str, cases: &[Case]) {
    let units = cases.iter().map(Case::unit);
    let output = machine.run(["systemctl".to_owned(), verb.to_owned()].into_iter().chain(units));
    let failed = || machine.run(["journalctl", "-q", "-n", "40", "-o", "cat", "-u", "ct@*"]).stdout;
    assert!(output.status.success(), "{output}\n{}", failed());
}

/// Asserts that one is up, with a control group for each of its units, a journal of its own and a login prompt.
fn assert_all_of_it_runs(machine: &Machine, case: &Case) {
    let (name, unit) = (case.name(), case.unit());
    // Ready means ready: READY=1 is that of the systemd inside.
    let state = case.exec(machine, "systemctl is-system-running; systemctl --failed --plain --no-legend");
    assert_eq!(state.stdout, "running\n", "{name}");
    assert_eq!(machine.show(&unit, "KillSignal"), "37", "{name}: SIGRTMIN+3");

    let inside = "cat /proc/1/comm; systemd-run --quiet --wait --pipe --unit=probe grep ^0:: /proc/self/cgroup; \
                  systemd-run --quiet --wait --unit=speaks echo 'hello from inside'; journalctl --sync; \
                  journalctl --quiet --unit=speaks --output=cat --identifier=echo";
    let said = case.exec(machine, inside).succeeds().stdout;
    assert_eq!(said, "systemd\n0::/system.slice/probe.service\nhello from inside\n", "{name}");
    machine.shell(&format!("test -d /sys/fs/cgroup/ct.slice/{unit}.service/payload/system.slice")).succeeds();
    let outside = machine.journalctl(&["--unit", &unit, "--output", "cat"]);
    assert!(!outside.contains("hello from inside"), "{name}: its journal is its own");

    case.assert_that_its_console_asks_who(machine);
}

on_every_machine! {
    fn it_runs_and_power_off_reboot_and_stop_are_orderly(root: Root) {
        let machine = case::machine(root).boot();
        let cases = case::all(root, &["crun", "runc"]);
        cases.iter().for_each(|case| case.configure(&machine, ""));
        machine.daemon_reload();
        machine.start("ct.slice");
        let before = machine.leaks();
        all_at_once(&machine, "start", &cases);
        cases.iter().for_each(|case| assert_all_of_it_runs(&machine, case));

        // From inside. What asks for it goes down with it, before or after its answer.
        let mut pids: Vec<u64> = cases.iter().map(|case| machine.main_pid(&case.unit())).collect();
        for case in &cases {
            let _ = case.exec(&machine, "systemctl reboot");
        }
        for (case, pid) in cases.iter().zip(&mut pids) {
            *pid = machine.wait_for_another(&case.unit(), *pid);
            assert_eq!(machine.show(&case.unit(), "NRestarts"), "1", "{}", case.name());
            assert_eq!(machine.show(&case.unit(), "Result"), "success", "{}", case.name());
            assert_eq!(case.exec(&machine, "systemctl is-system-running").stdout, "running\n", "{}", case.name());
        }
        all_at_once(&machine, "restart", &cases);
        for (case, pid) in cases.iter().zip(&pids) {
            assert_ne!(machine.main_pid(&case.unit()), *pid, "{}", case.name());
            let _ = case.exec(&machine, "systemctl poweroff");
        }
        for case in &cases {
            machine.wait_for(&case.unit(), "ActiveState", "inactive");
            assert_eq!(machine.show(&case.unit(), "Result"), "success", "{}", case.name());
        }
        // And from outside.
        all_at_once(&machine, "start", &cases);
        all_at_once(&machine, "stop", &cases);
        for case in &cases {
            assert_eq!(machine.show(&case.unit(), "Result"), "success", "{}", case.name());
            assert_eq!(case.notes(&machine), "up down ".repeat(4), "{}", case.name());
        }
        machine.assert_no_leaks(&before);
    }

    /// polkit's unit has no network, no host name to set and no home to see, and gives its rights up for another user's.
    fn units_may_confine_themselves_in_a_user_namespace(root: Root) {
        let machine = case::machine(root).boot();
        let case = Case { runtime: "crun", system: System::Debian13, through_account: true };
        case.configure(&machine, "[security]\ncapabilities = { add = [\"CAP_SYS_ADMIN\"] }\n");
        machine.daemon_reload();
        machine.start(&case.unit());
        case.exec(&machine, "systemctl start polkit").succeeds();
        assert_eq!(case.exec(&machine, "systemctl is-system-running").stdout, "running\n");
    }

    fn each_way_down_is_what_its_name_says(root: Root) {
        let machine = case::machine(root).boot();
        let case = Case { runtime: "crun", system: System::Debian13, through_account: root == Root::Debian13 };
        let unit = case.unit();
        case.configure(&machine, "");
        machine.daemon_reload();
        for (command, state, result) in [
            ("systemctl halt", "inactive", "success"),
            ("poweroff --force", "inactive", "success"),
            ("systemctl exit 7", "failed", "exit-code"),
        ] {
            machine.start(&unit);
            let _ = case.exec(&machine, command);
            machine.wait_for(&unit, "ActiveState", state);
            assert_eq!(machine.show(&unit, "Result"), result, "{command}");
        }
        assert_eq!(machine.show_number(&unit, "ExecMainStatus"), 7);
        // So many starts in so short a time have a limit.
        machine.run(["systemctl", "reset-failed", &unit]).succeeds();
        machine.start(&unit);
        let mut pid = machine.main_pid(&unit);
        for command in ["shutdown -r now", "reboot --force"] {
            let _ = case.exec(&machine, command);
            pid = machine.wait_for_another(&unit, pid);
            assert_eq!(machine.show(&unit, "Result"), "success", "{command}");
        }
        // And what is none.
        for command in ["shutdown +9 && shutdown -c", "systemctl daemon-reexec", "systemctl daemon-reload"] {
            case.exec(&machine, command).succeeds();
            assert_eq!(case.exec(&machine, "systemctl is-system-running --wait").stdout, "running\n", "{command}");
            assert_eq!(machine.main_pid(&unit), pid, "{command}");
        }
    }

    fn a_stop_while_it_boots_is_orderly(root: Root) {
        let machine = case::machine(root).boot();
        let cases = ["crun", "runc"].map(|runtime| Case { runtime, system: System::Debian13, through_account: false });
        cases.iter().for_each(|case| case.configure(&machine, ""));
        machine.daemon_reload();
        for case in cases.iter().cycle().take(6) {
            let unit = case.unit();
            machine.run(["systemctl", "start", "--no-block", &unit]).succeeds();
            // Its processes move into groups of their own while it boots.
            machine.wait_until(&format!("grep -qx 'populated 1' /sys/fs/cgroup/ct.slice/{unit}.service/payload/cgroup.events"));
            machine.stop(&unit);
            assert_eq!(machine.show(&unit, "Result"), "success", "{}", machine.journal(&unit));
        }
    }

    fn one_that_was_killed_comes_up_with_what_it_had(root: Root) {
        let machine = case::machine(root).boot();
        for system in System::all() {
            let (name, unit) = (system.name(), format!("ct@{}", system.name()));
            machine.container(
                name,
                &format!("[root]\nlayers = [{name:?}, \"notes\"]\nwritable = \"persistent\"\n[ready]\nnotify = true\n"),
            );
            machine.daemon_reload();
            let exec = |script: &str| machine.run(["ctctl", "exec", name, "--", "sh", "-c", script]);
            machine.start(&unit);
            exec("mkdir -p /var/log/journal && journalctl --flush && logger --tag probe kept && journalctl --sync").succeeds();
            let id = exec("cat /etc/machine-id").succeeds().stdout;
            machine.run(["systemctl", "kill", "--signal=KILL", &unit]).succeeds();
            machine.wait_for(&unit, "ActiveState", "failed");
            machine.start(&unit);
            assert_eq!(exec("systemctl is-system-running --wait").stdout, "running\n", "{name}");
            let kept = exec("journalctl --quiet --identifier=probe --output=cat; cat /etc/machine-id").succeeds();
            assert_eq!(kept.stdout, format!("kept\n{id}"), "{name}");
            machine.stop(&unit);
            assert_eq!(machine.show(&unit, "Result"), "success", "{name}");
        }
    }
}
