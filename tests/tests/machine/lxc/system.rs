// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Debian 12 or 13 with a systemd of its own as a container of LXC's: the same questions as for the others.

use ct_tests::{Machine, Root, on_every_machine};

use crate::system_container::case::{self, Case};

/// What LXC says of a start, for the message.
#[track_caller]
fn start(machine: &Machine, case: &Case) {
    let started = machine.try_start(&case.unit());
    assert!(started.status.success(), "{}", machine.journal(&case.unit()));
}

on_every_machine! {
    fn a_debian_comes_up_reboots_and_goes_down(root: Root) {
        let machine = case::machine(root).boot();
        machine.start("ct.slice");
        let cases = case::all(root, &["lxc"]);
        cases.iter().for_each(|case| case.configure(&machine, ""));
        machine.daemon_reload();
        let before = machine.leaks();
        for case in &cases {
            let (name, unit) = (case.name(), case.unit());
            start(&machine, case);
            let is_running = "systemctl is-system-running; systemctl --failed --plain --no-legend";
            assert_eq!(case.exec(&machine, is_running).stdout, "running\n", "{name}");
            let own_group = "systemd-run --quiet --wait --pipe --unit=probe grep ^0:: /proc/self/cgroup";
            let group = case.exec(&machine, own_group).succeeds().stdout;
            assert_eq!(group, "0::/system.slice/probe.service\n", "{name}");
            assert_eq!(machine.show(&unit, "KillSignal"), "37", "{name}: SIGRTMIN+3");
            case.assert_that_its_console_asks_who(&machine);

            // TIOCSTI and AF_VSOCK are refused by argument; TIOCGWINSZ, a bit away, is not, on what is no terminal.
            for (call, errno) in
                [("ioctl(STDIN, 0x5412, $x)", 1), ("socket(SOCKET, 40, 1, 0)", 1), ("ioctl(STDIN, 0x5413, $x)", 25)]
            {
                let script = format!("perl -e '$x = \"x\" x 8; {call}; exit 0+$!'");
                let said = case.exec(&machine, &script);
                assert_eq!(said.status.code(), Some(errno), "{name}: {call}: {said}");
            }

            let monitor = machine.main_pid(&unit);
            let _ = case.exec(&machine, "systemctl reboot");
            machine.wait_for_another(&case.unit(), monitor);
            assert_eq!(machine.show(&unit, "NRestarts"), "1", "{name}");
            assert_eq!(case.exec(&machine, is_running).stdout, "running\n", "{name}");
            machine.shell(&format!("systemctl freeze {unit} && systemctl thaw {unit}")).succeeds();
            let _ = case.exec(&machine, "systemctl poweroff");
            machine.wait_for(&unit, "ActiveState", "inactive");
            assert_eq!(machine.show(&unit, "Result"), "success", "{name}");

            start(&machine, case);
            machine.stop(&unit);
            assert_eq!(machine.show(&unit, "Result"), "success", "{name}");
            assert_eq!(case.notes(&machine), "up down ".repeat(3), "{name}");
        }
        machine.assert_no_leaks(&before);
    }
}
