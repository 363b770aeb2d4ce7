// SPDX-License-Identifier: MIT OR Apache-2.0
//! `systemctl soft-reboot`, which starts all of user space anew and keeps the kernel and /run: do containers end in order, and
//! come back as after a boot? See systemd-soft-reboot.service(8); there is none before systemd 254.

use ct_tests::{Machine, Root, Terminal, test_name, unless_skipped};

/// Started at boot, and says how it began and ended. Its root is no mount of the machine's, which would end with the rest.
fn container(more: &str) -> String {
    format!(
        "[root]\npath = \"/opt/rootfs\"\n[process]\n{more}\
         command = [\"sh\", \"-c\", \"trap 'echo in order; exit 0' TERM; echo here; sleep 1000 & wait\"]\n\
         [autostart]\nenabled = true\n"
    )
}

#[test]
fn containers_end_in_order_and_come_back() {
    unless_skipped(Root::Debian13, |root| {
        let machine = Machine::prepare(root, &test_name())
            .busybox_rootfs("/opt/rootfs")
            .container("plain", &container(""))
            .container("typed", &container("terminal = true\n"))
            .boot();
        let units = ["ct@plain", "ct@typed"];
        for unit in units {
            machine.wait_for(unit, "ActiveState", "active");
            machine.wait_until(&format!("journalctl -q -u {unit} -o cat | grep -qx here"));
        }
        let before = units.map(|unit| machine.show(unit, "InvocationID"));
        machine.shell("touch /run/kept").succeeds();
        // It ends with everything else.
        machine.run(["systemctl", "soft-reboot"]);
        for (unit, before) in units.iter().zip(before) {
            machine.wait_until(&format!(
                "id=$(systemctl show -P InvocationID {unit}); [ -n \"$id\" ] && [ $id != {before} ] && systemctl is-active {unit}"
            ));
            machine.wait_until(&format!("test $(journalctl -q -u {unit} -o cat | grep -cx here) = 2"));
            let journal = machine.journal(unit);
            let lines: Vec<&str> =
                journal.lines().filter(|line| ["here", "in order"].contains(line)).collect();
            assert_eq!(lines, ["here", "in order", "here"], "{unit}: {journal}");
        }
        assert_eq!(machine.run(["systemctl", "is-system-running", "--wait"]).stdout, "running\n");
        machine.shell("[ -e /run/kept ]").succeeds();
        let terminal = Terminal::new(24, 80);
        let running = machine.command(["ctctl", "console", "typed"]).on(&terminal).spawn();
        terminal.wait_for("here\r\n");
        terminal.type_in("\x1d\x1d");
        running.wait().succeeds();
        machine.stop("ct@plain");
        machine.stop("ct@typed");
        machine.wait_until("! ls -d /run/ct/plain /run/ct/typed");
    });
}
