// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a container of LXC's ends, and when: is it always the unit's end, with the status that init had?

use ct_tests::{Machine, on_every_machine};

use super::{IDLE, account, compiled, container, init_of, prepare};

/// Faults as its first argument says: an init is killed by no other signal of its own.
const FAULTY: &str = r#"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char **arguments) {
    int own = open("/proc/self/exe", O_RDONLY);
    size_t size = lseek(own, 0, SEEK_END) + 65536;
    volatile char *beyond = mmap(NULL, size, PROT_READ, MAP_PRIVATE, own, 0);
    return arguments[1][0] == 'b' ? beyond[size - 1] : *(volatile char *)(size_t)(count - 2);
}
"#;

on_every_machine! {
    fn the_unit_dies_of_what_its_init_died_of(machine: &Machine) {
        prepare(machine);
        machine.write_file("/srv/rootfs/faulty", 0o755, compiled(FAULTY, &["-static"]));
        for (how, number) in [("segment", "11"), ("bus", "7")] {
            let config = container("", "").replace("\"/bin/sh\", \"-c\", ''''''", &format!("\"/faulty\", \"{how}\""));
            machine.container("web", &config);
            machine.daemon_reload();
            machine.try_start("ct@web");
            machine.wait_for("ct@web", "ActiveState", "failed");
            let log = machine.journal("ct@web");
            assert_eq!(machine.show("ct@web", "Result"), "signal", "{how}: {log}");
            assert_eq!(machine.show("ct@web", "ExecMainStatus"), number, "{how}: {log}");
            machine.run(["systemctl", "reset-failed", "ct@web"]);
        }
    }

    /// What comes for the monitor when init has ended is neither passed on nor what the unit ends by.
    fn signals_that_come_too_late_change_nothing(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container("trap 'exit 7' USR1; echo up; sleep 1000 & wait", ""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx up");
        let (monitor, init) = (machine.main_pid("ct@web"), init_of(machine, "ct@web"));
        machine.shell(&format!("kill -STOP {monitor}; kill -USR1 {init}")).succeeds();
        machine.wait_until(&format!("grep -q '^State:.Z' /proc/{init}/status"));
        machine.shell(&format!("kill -INT {monitor}; kill -TERM {monitor}; kill -37 {monitor}; kill -CONT {monitor}")).succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        let log = machine.journal("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "exit-code", "{log}");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7", "{log}");
    }

    /// Before it executes anything else PID 1 gives /run/ct/NAME its mode back, by which no account gets in.
    fn what_a_stop_executes_does_not_change_how_a_container_of_an_account_ends(machine: &Machine) {
        prepare(machine);
        account(machine);
        machine.write_file("/etc/systemd/system/ct@web.service.d/90.conf", 0o644, "[Service]\nExecStop=/bin/true\n");
        machine.container("web", &container(IDLE, "user = \"ct-web\""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx up");
        machine.stop("ct@web");
        let log = machine.journal("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success", "{log}");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "0", "{log}");
    }

    fn nor_does_a_full_run(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /run/ct && mount -t tmpfs -o size=4m,nr_inodes=200 small /run/ct").succeeds();
        machine.container("web", &container("trap 'exit 7' TERM; echo up; sleep 1000 & wait", ""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx up");
        machine.shell("n=0; while touch /run/ct/full-$n; do n=$((n + 1)); done; test $n -gt 0").succeeds();
        machine.stop("ct@web");
        let log = machine.journal("ct@web");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7", "{log}");
    }
}
