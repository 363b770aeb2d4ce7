// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stopping: what each kind of init is told, and what becomes of one that cannot hear it.

use ct_tests::{Machine, on_every_machine};

/// A container of busybox.
fn container(runtime: &str, process: &str, more: &str) -> String {
    format!("runtime = {runtime:?}\n[root]\npath = \"/srv/rootfs\"\n[process]\n{process}\n{more}")
}

/// Its command, as a shell script.
fn script(script: &str) -> String {
    format!("command = [\"/bin/sh\", \"-c\", '''{script}''']")
}

const IDLE: &str = "trap 'exit 0' TERM; touch /root/up; sleep 1000 & wait";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

/// Starts the container `web`, and waits until it says that it is up.
fn start_and_wait_until_up(machine: &Machine) {
    machine.shell("rm -f /srv/rootfs/root/*").succeeds();
    machine.daemon_reload();
    machine.start("ct@web");
    machine.wait_until("test -e /srv/rootfs/root/up");
}

/// Stops the container `web`, and says how it ended.
fn result_of_stop(machine: &Machine) -> String {
    machine.stop("ct@web");
    let result = machine.show("ct@web", "Result");
    machine.run(["systemctl", "reset-failed", "ct@web"]);
    result
}

on_every_machine! {
    fn the_signal_has_a_name_or_a_number(machine: &Machine) {
        prepare(machine);
        for runtime in ["crun", "runc"] {
            for (signal, number) in [("\"SIGHUP\"", 1), ("\"USR1\"", 10), ("12", 12), ("\"SIGRTMIN+4\"", 38)] {
                let process = script(&format!("trap 'echo {number} >/root/told; exit 0' {number}; touch /root/up; sleep 1000 & wait"));
                machine.container("web", &container(runtime, &process, &format!("[stop]\nsignal = {signal}\n")));
                start_and_wait_until_up(machine);
                assert_eq!(machine.show("ct@web", "KillSignal"), number.to_string());
                assert_eq!(result_of_stop(machine), "success", "{runtime} {signal}");
                assert_eq!(machine.read_file("/srv/rootfs/root/told"), format!("{number}\n"));
            }
        }
    }

    fn busybox_as_the_init_powers_off(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        let inittab = "::sysinit:/bin/touch /root/up\n::shutdown:/bin/touch /root/down\n";
        machine.write_file("/srv/rootfs/etc/inittab", 0o644, inittab);
        // A link, as Alpine has it, and a file.
        for init in ["ln -sfn /bin/busybox", "rm /srv/rootfs/sbin/init; cp /srv/rootfs/bin/busybox"] {
            machine.shell(&format!("{init} /srv/rootfs/sbin/init")).succeeds();
            for runtime in ["crun", "runc"] {
                machine.container("web", &container(runtime, "", "[stop]\ntimeout = \"1min\"\n"));
                start_and_wait_until_up(machine);
                assert_eq!(result_of_stop(machine), "success", "{init} {runtime}: {}", machine.journal("ct@web"));
                machine.shell("test -e /srv/rootfs/root/down").succeeds();
            }
        }
        machine.assert_no_leaks(&before);
    }

    fn busybox_as_the_init_powers_off_while_it_is_waited_for(machine: &Machine) {
        prepare(machine);
        let inittab = "::sysinit:/bin/touch /root/up\n::shutdown:/bin/touch /root/down\n";
        machine.write_file("/srv/rootfs/etc/inittab", 0o644, inittab);
        machine.shell("ln -s /bin/busybox /srv/rootfs/sbin/init").succeeds();
        for runtime in ["crun", "lxc"] {
            machine.shell("rm -f /srv/rootfs/root/*").succeeds();
            machine.container("web", &container(runtime, "", "[ready]\ncommand = [\"false\"]\n[stop]\ntimeout = \"1min\"\n"));
            machine.daemon_reload();
            machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
            machine.wait_until("test -e /srv/rootfs/root/up && systemctl status ct@web | grep -q 'Waiting until ready'");
            assert_eq!(result_of_stop(machine), "success", "{runtime}");
            machine.shell("test -e /srv/rootfs/root/down").succeeds();
        }
    }

    /// As systemd, which needs its time before it has handlers: the kernel drops what comes before.
    fn an_init_that_is_still_coming_up_is_told_when_it_hears(machine: &Machine) {
        prepare(machine);
        let text = "#!/bin/sh\ntouch /root/up; until test -e /root/go; do sleep 0.1; done\n\
                    trap 'echo told >>/root/told; exit 0' 37; while :; do sleep 0.1; done\n";
        for init in ["/srv/rootfs/sbin/init", "/srv/rootfs/usr/lib/systemd/systemd"] {
            machine.write_file(init, 0o755, text);
        }
        let systemd = "command = [\"/usr/lib/systemd/systemd\"]";
        for (process, ready, state) in
            [("", "", "stop"), (systemd, "", "stop"), ("", "[ready]\ncommand = [\"false\"]\n", "stop-sigterm")]
        {
            for runtime in ["crun", "runc", "lxc"] {
                machine.shell("rm -f /srv/rootfs/root/*").succeeds();
                machine.container("web", &container(runtime, process, &format!("{ready}[stop]\ntimeout = \"1min\"\n")));
                machine.daemon_reload();
                machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
                machine.wait_until(&format!(
                    "test -e /srv/rootfs/root/up && {{ test -z '{ready}' || systemctl status ct@web | grep -q 'Waiting until ready'; }} && \
                     systemctl show -P SubState ct@web | grep -qx -e running -e start"
                ));
                machine.run(["systemctl", "stop", "--no-block", "ct@web"]).succeeds();
                machine.wait_for("ct@web", "SubState", state);
                machine.shell("touch /srv/rootfs/root/go").succeeds();
                assert_eq!(result_of_stop(machine), "success", "{runtime} {state}: {}", machine.journal("ct@web"));
                assert_eq!(machine.read_file("/srv/rootfs/root/told"), "told\n", "{runtime} {state}");
            }
        }
    }

    fn an_init_that_becomes_another_program_is_told_again(machine: &Machine) {
        prepare(machine);
        let first = "#!/bin/sh\ntrap 'touch /root/first' 37; touch /root/up; until test -e /root/first; do sleep 0.1; done; exec /sbin/second\n";
        let second = "#!/other/busybox sh\ntrap 'exit 0' 37; while :; do sleep 0.1; done\n";
        machine.shell("mkdir /srv/rootfs/other; cp /srv/rootfs/bin/busybox /srv/rootfs/other/").succeeds();
        machine.write_file("/srv/rootfs/sbin/init", 0o755, first);
        machine.write_file("/srv/rootfs/sbin/second", 0o755, second);
        machine.container("web", &container("crun", "", "[ready]\ncommand = [\"false\"]\n[stop]\ntimeout = \"1min\"\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
        machine.wait_until("test -e /srv/rootfs/root/up && systemctl status ct@web | grep -q 'Waiting until ready'");
        assert_eq!(result_of_stop(machine), "success");
    }

    fn busybox_as_the_init_powers_off_through_an_account(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.write_file("/srv/rootfs/etc/inittab", 0o644, "::sysinit:/bin/touch /root/up\n");
        machine.shell("ln -s /bin/busybox /srv/rootfs/sbin/init; chown -R 200000:200000 /srv/rootfs").succeeds();
        machine.container("web", &format!("user = \"ct-web\"\n{}", container("crun", "", "[stop]\ntimeout = \"1min\"\n")));
        start_and_wait_until_up(machine);
        assert_eq!(result_of_stop(machine), "success");
    }

    /// A stand-in that obeys `init 0` alone, as init(8) of sysvinit does; no distribution has that beside systemd.
    fn an_init_with_runlevels_is_told_to_go_to_0(machine: &Machine) {
        prepare(machine);
        machine.shell("cp /bin/bash /srv/rootfs/sbin/init").succeeds();
        machine.write_file(
            "/srv/rootfs/etc/behaviour",
            0o644,
            "if [ $$ != 1 ]; then [ \"$0\" = 0 ] && kill -ALRM 1; exit; fi\n\
             trap 'echo $(id -u) >/root/down; exit 0' ALRM; touch /root/up; sleep 1000 & wait\n",
        );
        machine.write_file("/srv/rootfs/0", 0o644, "");
        let libraries = "[[mount]]\nsource = \"/usr/lib\"\ntarget = \"/lib\"\n[[mount]]\nsource = \"/usr/lib64\"\ntarget = \"/lib64\"\n";
        for runtime in ["crun", "runc"] {
            let more = format!("[stop]\ntimeout = \"1min\"\n{libraries}");
            machine.container("web", &container(runtime, "env = { BASH_ENV = \"/etc/behaviour\" }", &more));
            start_and_wait_until_up(machine);
            assert_eq!(result_of_stop(machine), "success", "{runtime}: {}", machine.journal("ct@web"));
            assert_eq!(machine.read_file("/srv/rootfs/root/down"), "0\n");
        }
    }

    fn systemd_and_what_nobody_knows_get_systemds_signal(machine: &Machine) {
        prepare(machine);
        let text = "#!/bin/sh\ntrap 'echo 37 >/root/told; exit 0' 37; trap 'echo 12 >/root/told; exit 0' 12; touch /root/up; sleep 1000 & wait\n";
        machine.write_file("/srv/rootfs/sbin/init", 0o755, text);
        machine.write_file("/srv/rootfs/usr/lib/systemd/systemd", 0o755, text);
        for process in ["", "command = [\"/usr/sbin/../lib/systemd/systemd\"]", "command = [\"/sbin/init\", \"3\"]"] {
            machine.container("web", &container("crun", process, ""));
            start_and_wait_until_up(machine);
            assert_eq!(result_of_stop(machine), "success", "{process}");
            assert_eq!(machine.read_file("/srv/rootfs/root/told"), "37\n", "{process}");
        }
        // What the config says is right even for an init that ct knows better.
        machine.shell("rm /srv/rootfs/sbin/init; ln -s /bin/busybox /srv/rootfs/sbin/init").succeeds();
        machine.container("web", &container("crun", "", "[stop]\nsignal = \"SIGTERM\"\n"));
        machine.daemon_reload();
        assert_eq!(machine.show("ct@web", "ExecStop"), "");
    }

    fn a_frozen_unit_is_thawed_and_stops(machine: &Machine) {
        prepare(machine);
        // Newer ones than 252 (257 was tried) want to be told to thaw it.
        let refuses = machine.shell("systemctl --version | grep -q '^systemd 252 '").status.code() != Some(0);
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            for stop in ["", "[stop]\ncommand = [\"touch\", \"/root/asked\"]\n"] {
                machine.container("web", &container(runtime, &script(IDLE), stop));
                start_and_wait_until_up(machine);
                machine.run(["systemctl", "freeze", "ct@web"]).succeeds();
                assert_eq!(machine.show("ct@web", "FreezerState"), "frozen");
                if refuses {
                    let refused = machine.run(["systemctl", "stop", "ct@web"]).fails();
                    assert!(refused.stderr.contains("Cannot perform operation on frozen unit"), "{refused}");
                    machine.run(["systemctl", "thaw", "ct@web"]).succeeds();
                }
                assert_eq!(result_of_stop(machine), "success", "{runtime} {stop}");
                machine.shell(&format!("test -z '{}' || test -e /srv/rootfs/root/asked", stop.trim())).succeeds();
            }
        }
        machine.assert_no_leaks(&before);
    }

    fn a_paused_container_stops_after_its_stop_command_or_is_killed(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            let pause = format!("{runtime} --root /run/ct/web/runtime/containers pause web");
            for how in [pause.as_str(), "echo 1 >/sys/fs/cgroup/ct.slice/ct@web.service/payload/cgroup.freeze"] {
                for (stop, result) in [("timeout = \"2s\"\n", "timeout"), ("command = [\"touch\", \"/root/asked\"]\n", "success")] {
                    machine.container("web", &container(runtime, &script(IDLE), &format!("[stop]\n{stop}")));
                    start_and_wait_until_up(machine);
                    machine.shell(how).succeeds();
                    machine.wait_until("grep -qx 'frozen 1' /sys/fs/cgroup/ct.slice/ct@web.service/payload/cgroup.events");
                    assert_eq!(result_of_stop(machine), result, "{how} {stop}");
                    machine.shell(&format!("test {result} = timeout || test -e /srv/rootfs/root/asked")).succeeds();
                }
            }
        }
        machine.assert_no_leaks(&before);
    }
}
