// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl run`: the container's config with another command. In the foreground: is it what was asked for, in the right
//! unit, with the right end?

use ct_tests::{Machine, on_every_machine};

on_every_machine! {
    fn a_stopped_container_runs_another_command(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("systemctl start ct.slice").succeeds();
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            machine.container("web", &format!("runtime = \"{runtime}\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sleep\", \"1000\"]\n"));
            machine.daemon_reload();
            let output = machine.run(["ctctl", "run", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).exits(7);
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"), "{runtime}");
            machine.run(["ctctl", "run", "web", "true"]).exits(0);
            for (command, code) in [("nosuch", 127), ("/bin/nosuch", 127), ("/etc/passwd", 126), ("/etc", 126)] {
                let output = machine.run(["ctctl", "run", "web", "--", command]).exits(code);
                assert!(output.stderr.contains("ctctl: "), "{runtime} {command}: {}", output.stderr);
            }
        }
        machine.shell("rm /etc/ct/containers/*").succeeds();
        machine.daemon_reload();
        machine.assert_no_leaks(&before);
    }

    fn detached_it_is_a_service(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sleep\", \"1000\"]\n");
        machine.daemon_reload();
        let unit = machine.run(["ctctl", "run", "-d", "web", "--", "sh", "-c", "echo hello; trap 'exit 5' TERM; sleep 1000 & wait"]).succeeds().stdout;
        let unit = unit.trim();
        assert_eq!(machine.show(unit, "ActiveState"), "active");
        machine.wait_until(&format!("journalctl --sync; journalctl -u {unit} | grep hello"));
        machine.stop(unit);
    }
}
