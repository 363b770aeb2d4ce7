// SPDX-License-Identifier: MIT OR Apache-2.0
//! `runtime = "runsc"`: gVisor's sandbox is the unit's main process, and what is in it starts, ends, stops and is limited
//! as what other runtimes run. What it cannot do is refused.

use ct_tests::{Machine, Terminal, on_every_machine};

/// A container of this command that stays until it is told to end.
fn prepare(machine: &Machine) {
    machine.bring("/usr/bin/runsc");
    machine.busybox_rootfs("/srv/rootfs");
}

fn container(machine: &Machine, script: &str, more: &str) {
    machine.container(
        "web",
        &format!(
            "runtime = \"runsc\"\n[root]\npath = \"/srv/rootfs\"\nwritable = \"ephemeral\"\n\
             [process]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}"
        ),
    );
    machine.daemon_reload();
}

const STAYS: &str = "trap 'exit 7' TERM; trap 'exit 8' USR1; echo here; sleep 1000 & wait";

on_every_machine! {
    fn the_unit_ends_as_what_is_in_the_sandbox(machine: &Machine) {
        prepare(machine);
        machine.run(["systemctl", "start", "ct.slice"]).succeeds();
        let before = machine.leaks();
        for (script, status, result) in [
            ("exit 0", "0", "success"), ("sleep 0.3; exit 7", "7", "exit-code"), ("exit 7", "7", "exit-code"),
            ("sleep 0.3; kill -KILL $$", "137", "exit-code"),
        ] {
            container(machine, script, "");
            machine.try_start("ct@web");
            machine.wait_until("test \"$(systemctl show -P MainPID ct@web)\" = 0");
            assert_eq!((machine.show("ct@web", "ExecMainStatus").as_str(), machine.show("ct@web", "Result").as_str()), (status, result), "{script}");
            machine.run(["systemctl", "reset-failed", "ct@web"]);
        }
        // SIGTERM is an orderly end, as of any service.
        container(machine, "until [ -e /dev/shm/go ]; do sleep 0.1; done; kill -TERM $$", "");
        machine.start("ct@web");
        machine.run(["ctctl", "exec", "web", "touch", "/dev/shm/go"]);
        machine.wait_until("test \"$(systemctl show -P MainPID ct@web)\" = 0 && systemctl is-active ct@web | grep -qx inactive");
        machine.assert_no_leaks(&before);
    }

    fn the_sandbox_is_the_main_process_and_all_of_it_ends_with_a_stop(machine: &Machine) {
        prepare(machine);
        machine.run(["systemctl", "start", "ct.slice"]).succeeds();
        let before = machine.leaks();
        for (more, status, result) in [("", "7", "exit-code"), ("[stop]\nsignal = \"SIGUSR1\"\n", "8", "exit-code")] {
            container(machine, STAYS, &format!("{more}[oom]\nscore_adjust = 321\n"));
            machine.start("ct@web");
            let pid = machine.main_pid("ct@web");
            assert!(machine.read_file(format!("/proc/{pid}/cmdline")).starts_with("runsc-sandbox"));
            assert_eq!(machine.read_file(format!("/proc/{pid}/oom_score_adj")), "321\n");
            assert_eq!(machine.shell(&format!("ps -o ppid= -p {pid}")).stdout.trim(), "1");
            // All of it, and nothing else, is in the container's group.
            let group = "/sys/fs/cgroup/ct.slice/ct@web.service";
            machine.wait_until(&format!("test -z \"$(cat {group}/cgroup.procs {group}/supervisor/cgroup.procs 2>/dev/null)\""));
            machine.shell("set -- $(pgrep -f '^runsc-'); test $# = 2 && for pid; do grep -q ct@web.service/payload /proc/$pid/cgroup || exit 1; done").succeeds();
            machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx here");
            machine.stop("ct@web");
            assert_eq!((machine.show("ct@web", "ExecMainStatus").as_str(), machine.show("ct@web", "Result").as_str()), (status, result));
            machine.wait_until("! pgrep -f '^[r]unsc'");
            machine.run(["systemctl", "reset-failed", "ct@web"]);
        }
        machine.assert_no_leaks(&before);
    }

    fn commands_run_inside_and_end_as_they_do(machine: &Machine) {
        prepare(machine);
        machine.shell("printf '#!/nowhere\\n' >/srv/rootfs/bin/script; chmod 755 /srv/rootfs/bin/script").succeeds();
        container(machine, STAYS, "[ready]\ncommand = [\"sh\", \"-c\", \"test -e /dev/shm/there || { touch /dev/shm/there; exit 1; }\"]\n");
        machine.start("ct@web");
        for (script, code) in [("true", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137)] {
            machine.run(["ctctl", "exec", "web", "sh", "-c", script]).exits(code);
        }
        for (command, code) in [("no-such", 127), ("/etc", 126), ("/bin/script", 126)] {
            machine.run(["ctctl", "exec", "web", command]).exits(code);
        }
        assert_eq!(machine.shell("echo in | ctctl exec -i -u 5:6 -e A=b -w /etc web sh -c 'cat; id -u; id -g; echo $A; pwd'").succeeds().stdout, "in\n5\n6\nb\n/etc\n");
        // The host's kernel is not what it sees.
        assert_ne!(machine.run(["ctctl", "exec", "web", "uname", "-r"]).succeeds().stdout, machine.run(["uname", "-r"]).stdout);
        let terminal = Terminal::new(24, 80);
        let shown = machine.command(["ctctl", "exec", "-it", "web", "sh", "-c", "test -t 0 && test -t 1 && echo is a terminal; exit 4"]).on(&terminal).run();
        shown.exits(4);
        terminal.wait_for("is a terminal");
    }

    fn signals_and_the_end_of_the_caller_reach_what_runs_inside(machine: &Machine) {
        prepare(machine);
        container(machine, STAYS, "");
        machine.start("ct@web");
        machine.shell("ctctl exec web sh -c 'trap \"touch /dev/shm/got; exit 9\" TERM; touch /dev/shm/up; sleep 1000 & wait' & caller=$!
            until ctctl exec web test -e /dev/shm/up; do :; done; kill $caller; wait $caller; test $? = 9 && ctctl exec web test -e /dev/shm/got").succeeds();
        machine.shell("ctctl exec web sh -c 'touch /dev/shm/again; exec sleep 4321' & caller=$!
            until ctctl exec web test -e /dev/shm/again; do :; done; kill -KILL $caller; wait $caller; test $? = 137").succeeds();
        machine.wait_until("! ctctl exec web ps | grep -q '[s]leep 4321'");
        // Neither does a probe that has had its time.
        container(machine, STAYS, "[ready]\ncommand = [\"sleep\", \"5432\"]\ncommand_timeout = \"300ms\"\ninterval = \"50ms\"\n");
        machine.stop("ct@web");
        machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
        machine.wait_until("systemctl show -P StatusText ct@web | grep -q 'its time was over'");
        machine.wait_until("test \"$(runsc --root /run/ct/web/runtime/containers exec web ps | grep -c '[s]leep 5432')\" -le 1");
        machine.stop("ct@web");
    }

    fn the_filter_of_system_calls_is_the_sandboxs_too(machine: &Machine) {
        prepare(machine);
        // Of its init and what that starts; runsc itself has none for what it is told to run later.
        for (filter, mode) in [("default", "2"), ("unconfined", "0")] {
            container(machine, STAYS, &format!("[security]\nseccomp = \"{filter}\"\n"));
            machine.start("ct@web");
            let seen = machine.run(["ctctl", "exec", "web", "sh", "-c", "sed -n 's/^Seccomp:.//p' /proc/1/status"]).succeeds().stdout;
            assert_eq!(seen.trim(), mode, "{filter}");
            // Not to be asked: it may not have come so far that it hears.
            machine.run(["systemctl", "kill", "--signal=KILL", "ct@web"]).succeeds();
            machine.wait_for("ct@web", "ActiveState", "failed");
        }
    }

    fn limits_hold_in_the_sandbox_and_not_for_it(machine: &Machine) {
        prepare(machine);
        container(machine, STAYS, "[limits]\nnofile = \"64:100\"\nas = \"1G:2G\"\nfsize = \"1M\"\ncpu = \"1h\"\nstack = \"4M:6M\"\nrttime = \"1s\"\nnice = 1\n");
        machine.start("ct@web");
        let seen = machine.run(["ctctl", "exec", "web", "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -v; ulimit -f; ulimit -t; ulimit -s"]).succeeds().stdout;
        assert_eq!(seen, "64\n100\n1048576\n2048\n3600\n4096\n");
        let big = machine.run(["ctctl", "exec", "web", "sh", "-c", "dd if=/dev/zero of=/dev/shm/big bs=1M count=3"]);
        assert!(!big.status.success(), "{big:?}");
        assert_eq!(machine.show("ct@web", "LimitAS"), "infinity");
        let live = machine.run(["ctctl", "set", "web", "limits.nofile=10"]).exits(1);
        assert!(live.stderr.contains("runs in a sandbox of runsc, which has its limits from its start on"), "{}", live.stderr);
    }

    fn freeze_network_and_restart(machine: &Machine) {
        prepare(machine);
        container(machine, "trap 'exit 0' TERM; ifconfig -a | grep -c Link; sleep 1000 & wait", "[restart]\npolicy = \"on-failure\"\ndelay = \"10ms\"\n");
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx 1");
        machine.run(["systemctl", "freeze", "ct@web"]).succeeds();
        assert!(machine.run(["ctctl", "exec", "web", "true"]).exits(125).stderr.contains("frozen"));
        machine.run(["systemctl", "thaw", "ct@web"]).succeeds();
        machine.run(["ctctl", "exec", "web", "true"]).succeeds();
        machine.kill_service("ct@web");
        machine.wait_until("test $(journalctl -q -u ct@web -o cat | grep -cx 1) = 2");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        // The host's network, and that of a namespace.
        machine.shell("ip netns add blue && ip -n blue link set lo up && ip -n blue addr add 10.7.7.7/32 dev lo && ip link set lo up && ip addr add 10.8.8.8/32 dev lo").succeeds();
        for (mode, address) in [("host", "10.8.8.8"), ("ns:/run/netns/blue", "10.7.7.7")] {
            container(machine, STAYS, &format!("[network]\nmode = \"{mode}\"\n"));
            machine.start("ct@web");
            let seen = machine.run(["ctctl", "exec", "web", "ip", "addr"]).succeeds().stdout;
            assert!(seen.contains(address), "{mode}: {seen}");
            machine.stop("ct@web");
        }
    }

    fn what_it_cannot_do_is_refused_with_the_reason(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web").succeeds();
        let root = "[root]\npath = \"/srv/rootfs\"\n";
        let cases = [
            (format!("user = \"ct-web\"\n{root}"), "user: runsc cannot: only root may run it"),
            (format!("{root}[idmap]\nuid = [[0, 200000, 65536]]\ngid = [[0, 200000, 65536]]\n"), "idmap: runsc cannot: its sandbox has one user namespace"),
            (format!("{root}lxcfs = \"auto\"\n"), "root.lxcfs: runsc cannot: /proc is that of its own kernel"),
            (format!("{root}[ready]\nnotify = true\n"), "ready.notify: runsc cannot: no socket of the host"),
            (format!("{root}[security]\ndevices = [\"/dev/fuse\"]\n"), "security.devices: runsc cannot: its sandbox has devices of its own"),
            (format!("{root}[[mount]]\nsource = \"mqueue\"\ntarget = \"/q\"\ntype = \"mqueue\"\n"), "mount.type: runsc cannot: its kernel mounts \"bind\" and \"tmpfs\" alone"),
            (format!("{root}[stop]\nsignal = \"SIGRTMIN+3\"\n"), "stop.signal: runsc cannot: signals 1 to 31 alone"),
        ];
        for (text, reason) in cases {
            machine.container("web", &format!("runtime = \"runsc\"\nprocess.command = [\"sleep\", \"9\"]\n{text}"));
            let said = machine.run(["ctctl", "check"]).exits(1);
            assert!(said.stdout.contains(reason) || said.stderr.contains(reason), "{reason}: {said:?}");
        }
        machine.container("web", &format!("runtime = \"runsc\"\n{root}"));
        let said = machine.run(["ctctl", "check"]).exits(1);
        assert!(format!("{said:?}").contains("process.command: runsc cannot: its kernel runs no systemd"), "{said:?}");
    }

    fn sandboxes_of_a_pod_have_the_lowest_score_of_its_members(machine: &Machine) {
        prepare(machine);
        machine.write_file("/etc/ct/pods/shop.toml", 0o644, "share = [\"net\"]\n");
        let member = |name: &str, runtime: &str, score: &str| {
            machine.container(name, &format!("runtime = \"{runtime}\"\npod = \"shop\"\n[root]\npath = \"/srv/rootfs\"\nwritable = \"no\"\n\
                [process]\ncommand = [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n{score}"));
        };
        member("front", "runsc", "[oom]\nscore_adjust = 500\n");
        member("back", "runsc", "[oom]\nscore_adjust = 300\n");
        member("other", "crun", "[oom]\nscore_adjust = 100\n");
        machine.daemon_reload();
        for (name, score) in [("front", "300\n"), ("back", "300\n"), ("other", "100\n")] {
            machine.start(&format!("ct@{name}"));
            let pid = machine.main_pid(&format!("ct@{name}"));
            assert_eq!(machine.read_file(format!("/proc/{pid}/oom_score_adj")), score, "{name}");
        }
        machine.stop("ct@front");
        // One that says none has 0.
        member("plain", "runsc", "");
        machine.daemon_reload();
        assert_eq!(machine.show("ct@front", "OOMScoreAdjust"), "0");
        // What a sandbox keeps for itself cannot be shared.
        machine.write_file("/etc/ct/pods/shop.toml", 0o644, "");
        let said = machine.run(["ctctl", "check"]).exits(1);
        assert!(format!("{said:?}").contains("its sandbox has ipc and uts of its own, and the pod shop shares them"), "{said:?}");
    }

    fn a_sandbox_that_has_lost_its_gofer_ends(machine: &Machine) {
        prepare(machine);
        machine.run(["systemctl", "start", "ct.slice"]).succeeds();
        let before = machine.leaks();
        container(machine, STAYS, "");
        machine.start("ct@web");
        machine.shell("kill -KILL $(pgrep -f '^runsc-gofer')").succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!((machine.show("ct@web", "ExecMainStatus").as_str(), machine.show("ct@web", "Result").as_str()), ("137", "exit-code"));
        machine.run(["systemctl", "reset-failed", "ct@web"]).succeeds();
        machine.assert_no_leaks(&before);
    }

    fn members_of_a_pod_end_in_any_order_and_leave_the_others(machine: &Machine) {
        prepare(machine);
        machine.write_file("/etc/ct/pods/shop.toml", 0o644, "share = [\"net\"]\n");
        for (name, runtime) in [("one", "runsc"), ("two", "runsc"), ("three", "crun")] {
            machine.container(name, &format!("runtime = \"{runtime}\"\npod = \"shop\"\n[root]\npath = \"/srv/rootfs\"\nwritable = \"no\"\n\
                [process]\ncommand = [\"sh\", \"-c\", \"trap 'exit 0' TERM; touch /dev/shm/up; sleep 1000 & wait\"]\n\
                [ready]\ncommand = [\"test\", \"-e\", \"/dev/shm/up\"]\n"));
        }
        machine.daemon_reload();
        let all = ["ct@one", "ct@two", "ct@three"];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]].map(|order| order.map(|index| all[index])) {
            all.iter().for_each(|unit| machine.start(unit));
            for (number, unit) in order.iter().enumerate() {
                // One of them as a crash.
                if number == 1 {
                    machine.run(["systemctl", "kill", "--signal=KILL", unit]).succeeds();
                    machine.wait_for(unit, "ActiveState", "failed");
                } else {
                    machine.stop(unit);
                    assert_eq!(machine.show(unit, "Result"), "success", "{unit} of {order:?}");
                }
                for other in &order[number + 1..] {
                    let name = other.trim_start_matches("ct@");
                    let links = machine.run(["ctctl", "exec", name, "ifconfig", "-a"]).succeeds().stdout;
                    assert_eq!(links.matches("Link encap").count(), 1, "{other} of {order:?}: {links}");
                }
            }
            machine.wait_for("ct-pod@shop", "ActiveState", "inactive");
            assert_eq!(machine.shell("pgrep -f '^[r]unsc'").stdout, "");
        }
    }
}
