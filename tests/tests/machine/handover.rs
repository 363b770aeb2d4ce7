// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the container's init, after a start, PID 1's own: its child, its main process, its exit status?

use std::fmt::Write;

use ct_tests::{Machine, on_every_machine};

/// The runtimes that every behaviour must hold for.
const RUNTIMES: [&str; 2] = ["crun", "runc"];

/// A container of busybox that runs this shell script.
fn script(runtime: &str, script: &str) -> String {
    format!(
        "runtime = {runtime:?}\n\
         [root]\n\
         path = \"/srv/rootfs\"\n\
         [process]\n\
         command = [\"/bin/sh\", \"-c\", {script:?}]\n"
    )
}

/// What a container runs that has nothing to do. An init ignores every signal it has no handler for
/// (pid_namespaces(7)), so a mere sleep would only ever be killed.
const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// The parent of a process.
fn parent(machine: &Machine, pid: u64) -> String {
    machine.shell(&format!("sed -n 's/^PPid:\\s*//p' /proc/{pid}/status")).succeeds().stdout.trim().to_owned()
}

on_every_machine! {
    /// The kernel keeps fifteen bytes of it.
    fn a_name_that_is_cut_in_the_middle_of_a_character_starts(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.write_file("/srv/rootfs/ääääääää", 0o755, format!("#!/bin/sh\n{IDLE}\n"));
        for runtime in RUNTIMES {
            machine.container("web", &format!("runtime = {runtime:?}\nroot.path = \"/srv/rootfs\"\nprocess.command = [\"/ääääääää\"]\n"));
            machine.daemon_reload();
            machine.start("ct@web");
            machine.stop("ct@web");
        }
    }

    fn init_is_the_main_process_and_nothing_of_ct_is_left(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            machine.container(runtime, &script(runtime, "echo hello; exec sleep 1000"));
        }
        machine.daemon_reload();
        for runtime in RUNTIMES {
            let unit = format!("ct@{runtime}");
            machine.start(&unit);
            let pid = machine.main_pid(&unit);
            machine.wait_until(&format!("grep -q ^sleep /proc/{pid}/comm"));
            assert_eq!(parent(machine, pid), "1", "{runtime}: init should be PID 1's child");
            let cgroup = format!("/ct.slice/ct@{runtime}.service");
            assert_eq!(machine.show(&unit, "ControlGroup"), cgroup);
            // The helper ends a little after the start; then one process is in the unit, and nothing of ct is left.
            machine.wait_until(&format!("test \"$(cat $(find /sys/fs/cgroup{cgroup} -name cgroup.procs))\" = {pid}"));
            machine.wait_until("! pgrep -l 'ct-|conmon|crun|runc'");
            assert!(machine.journal(&unit).lines().any(|line| line == "hello"), "{}", machine.journal(&unit));
        }
    }

    fn exit_status_and_signal_of_init_are_the_units(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            machine.container(runtime, &script(runtime, "read -t 1000 _ </run/go; exit 7"));
            machine.container(&format!("{runtime}-killed"), &script(runtime, "exec sleep 1000"));
        }
        machine.daemon_reload();
        machine.shell("mkfifo /srv/rootfs/run/go").succeeds();
        for runtime in RUNTIMES {
            let unit = format!("ct@{runtime}");
            machine.start(&unit);
            machine.run(["systemctl", "daemon-reload"]).succeeds();
            machine.run(["systemctl", "daemon-reexec"]).succeeds();
            assert_ne!(machine.main_pid(&unit), 1);
            machine.shell("echo >/srv/rootfs/run/go").succeeds();
            machine.wait_for(&unit, "ActiveState", "failed");
            assert_eq!(machine.show_number(&unit, "ExecMainStatus"), 7);
            assert_eq!(machine.show(&unit, "Result"), "exit-code");

            let killed = format!("ct@{runtime}-killed");
            machine.start(&killed);
            // No other signal kills an init that has no handler for it (pid_namespaces(7)).
            machine.shell(&format!("kill -KILL {}", machine.main_pid(&killed))).succeeds();
            machine.wait_for(&killed, "ActiveState", "failed");
            assert_eq!(machine.show(&killed, "Result"), "signal");
            assert_eq!(machine.show_number(&killed, "ExecMainStatus"), 9);
        }
    }

    fn a_container_that_ends_at_once_keeps_its_status(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            machine.container(&format!("{runtime}-7"), &script(runtime, "exit 7"));
            machine.container(&format!("{runtime}-0"), &script(runtime, "exit 0"));
        }
        machine.daemon_reload();
        // Many times: whether init is still there when the helper looks is a race, and each way must end the same.
        for _ in 0..10 {
            for runtime in RUNTIMES {
                let unit = format!("ct@{runtime}-7");
                machine.try_start(&unit);
                machine.wait_for(&unit, "ActiveState", "failed");
                assert_eq!(machine.show(&unit, "Result"), "exit-code");
                assert_eq!(machine.show_number(&unit, "ExecMainStatus"), 7);
                let unit = format!("ct@{runtime}-0");
                machine.start(&unit);
                machine.wait_for(&unit, "ActiveState", "inactive");
                assert_eq!(machine.show(&unit, "Result"), "success");
            }
        }
    }

    fn one_that_has_ended_before_the_handover_is_told_apart_as_any_other(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let slow = "#!/bin/sh\n/usr/bin/crun \"$@\" || exit\n\
                    until grep -q '^State:.Z' /proc/$(cat \"$XDG_RUNTIME_DIR/pid\")/status; do sleep 0.01; done\n";
        machine.write_file("/usr/local/bin/crun-slow", 0o755, slow);
        // 143 is how a shell says SIGTERM, and no failure of a unit.
        for (status, has_started, state, result) in
            [(0, true, "inactive", "success"), (143, true, "inactive", "success"), (7, false, "failed", "exit-code"), (99, false, "failed", "exit-code")]
        {
            machine.container("web", &script("/usr/local/bin/crun-slow", &format!("exit {status}")));
            machine.daemon_reload();
            assert_eq!(machine.try_start("ct@web").status.success(), has_started, "{status}: {}", machine.journal("ct@web"));
            machine.wait_for("ct@web", "ActiveState", state);
            assert_eq!(machine.show("ct@web", "Result"), result, "{status}");
        }
    }

    fn power_off_at_once_is_a_clean_end(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let boot = "[security]\ncapabilities = { add = [\"CAP_SYS_BOOT\"] }\n";
        machine.container("web", &(script("crun", "exec poweroff -f") + boot));
        machine.daemon_reload();
        for _ in 0..20 {
            machine.start("ct@web");
            machine.wait_for("ct@web", "ActiveState", "inactive");
            assert_eq!(machine.show("ct@web", "Result"), "success");
        }
    }

    fn a_stop_in_the_middle_of_a_start_is_no_failure(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.write_file("/usr/local/bin/hangs", 0o755, "#!/bin/sh\necho hanging\nsleep 1000\n");
        for signal in ["SIGTERM", "SIGQUIT", "SIGUSR1"] {
            machine.container(
                "web",
                &(script("/usr/local/bin/hangs", "true") + &format!("[stop]\nsignal = {signal:?}\n")),
            );
            machine.daemon_reload();
            machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
            machine.wait_until("journalctl --sync; journalctl -u ct@web -o cat | grep -qx hanging");
            machine.stop("ct@web");
            assert_eq!(machine.show("ct@web", "Result"), "success", "{signal}");
            machine.forget_journal();
        }
    }

    fn stop_sends_the_signal_waits_and_then_kills(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let stop = |timeout: &str| format!("[stop]\nsignal = \"SIGQUIT\"\ntimeout = \"{timeout}\"\n");
        for runtime in RUNTIMES {
            let polite = "trap 'echo got QUIT; exit 0' QUIT; echo up; while :; do sleep 0.05; done";
            machine.container(&format!("{runtime}-polite"), &(script(runtime, polite) + &stop("5min")));
            let deaf = "trap 'echo got QUIT' QUIT; echo up; while :; do sleep 0.05; done";
            machine.container(&format!("{runtime}-deaf"), &(script(runtime, deaf) + &stop("5s")));
        }
        machine.daemon_reload();
        for runtime in RUNTIMES {
            for (kind, result) in [("polite", "success"), ("deaf", "timeout")] {
                let unit = format!("ct@{runtime}-{kind}");
                machine.start(&unit);
                machine.wait_until(&format!("journalctl --sync; journalctl -u {unit} -o cat | grep -qx up"));
                machine.stop(&unit);
                assert_eq!(machine.show(&unit, "Result"), result, "{unit}\n{}", machine.journal(&unit));
                assert!(machine.journal(&unit).lines().any(|line| line == "got QUIT"), "{}", machine.journal(&unit));
            }
        }
    }

    fn killed_stopped_and_failed_units_start_again(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let mut toml = script("crun", IDLE);
        write!(toml, "[restart]\npolicy = \"on-failure\"\ndelay = \"100ms\"\n").unwrap();
        machine.container("web", &toml);
        machine.daemon_reload();
        machine.start("ct.slice");
        let before = machine.leaks();
        for _ in 0..3 {
            machine.start("ct@web");
            machine.kill_service("ct@web");
            machine.stop("ct@web");
            machine.run(["systemctl", "reset-failed", "ct@web"]);
        }
        machine.assert_no_leaks(&before);
    }

    fn reboot_from_inside_restarts_and_power_off_stops(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkfifo /srv/rootfs/run/go").succeeds();
        for runtime in RUNTIMES {
            let wait_for_word = "echo up; read word </run/go; $word -f; sleep 1000";
            let boot = "[security]\ncapabilities = { add = [\"CAP_SYS_BOOT\"] }\n";
            let unit = format!("ct@{runtime}");
            machine.container(runtime, &(script(runtime, wait_for_word) + boot));
            machine.daemon_reload();
            machine.start(&unit);
            let first = machine.main_pid(&unit);
            machine.shell("echo reboot >/srv/rootfs/run/go").succeeds();
            machine.wait_for_another(&unit, first);
            machine.shell("echo poweroff >/srv/rootfs/run/go").succeeds();
            machine.wait_for(&unit, "ActiveState", "inactive");
            assert_eq!(machine.show(&unit, "Result"), "success", "power-off from inside should be a clean stop");
        }
    }

    fn a_removed_config_leaves_its_container_up_and_stoppable(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", &script("crun", IDLE));
        machine.daemon_reload();
        machine.start("ct.slice");
        let before = machine.leaks();
        machine.start("ct@web");
        let pid = machine.main_pid("ct@web");
        machine.shell("rm /etc/ct/containers/web.toml").succeeds();
        machine.daemon_reload();
        assert_eq!(machine.main_pid("ct@web"), pid);
        machine.stop("ct@web");
        machine.assert_no_leaks(&before);
    }
}
