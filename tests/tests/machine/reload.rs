// SPDX-License-Identifier: MIT OR Apache-2.0
//! systemctl daemon-reload and daemon-reexec under running containers, with configs that stay, change and go.

use std::time::Duration;

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(process: &str, more: &str) -> String {
    format!(
        "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/sh\", \"-c\", '''{process}''']\n{more}"
    )
}

/// Prints numbers until it is told its exit status.
const COUNTING: &str =
    "(while :; do n=$((n+1)); echo $n; sleep 0.02; done) & read status </talk/$(hostname); exit $status";

/// Keeps its watchdog quiet, prints numbers, and ends with the status that a file has.
const WATCHED: &str = "#!/usr/bin/perl\nuse Socket; $| = 1;\n\
    socket(my $s, AF_UNIX, SOCK_DGRAM, 0); my $a = sockaddr_un($ENV{NOTIFY_SOCKET}); send($s, \"READY=1\", 0, $a) // die;\n\
    while (! -e \"/talk/end\") { print ++$n, \"\\n\"; send($s, \"WATCHDOG=1\", 0, $a); select(undef, undef, undef, 0.02) } exit 7;\n";

const WITH_HOST_PROGRAMS: &str = "[[mount]]\nsource = \"/usr\"\ntarget = \"/usr\"\noptions = [\"ro\"]\n\
    [[mount]]\nsource = \"/usr/lib\"\ntarget = \"/lib\"\noptions = [\"ro\"]\n\
    [[mount]]\nsource = \"/usr/lib64\"\ntarget = \"/lib64\"\noptions = [\"ro\"]\n";

/// The containers under test.
const NAMES: [&str; 5] = ["plain", "runc", "account", "member", "watched"];

/// What must not change.
fn identity(machine: &Machine, name: &str) -> String {
    let properties =
        "MainPID,InvocationID,NRestarts,ActiveState,SubState,ExecMainStartTimestamp,ControlGroup";
    machine.run(["systemctl", "show", "--property", properties, &format!("ct@{name}")]).succeeds().stdout
}

fn start_all(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.shell("mkdir -m 777 /srv/talk; useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
    machine.write_file("/srv/rootfs/bin/watched", 0o755, WATCHED);
    machine.write_file("/etc/ct/pods/shop.toml", 0o644, "share = [\"net\", \"ipc\"]\n");
    let talk = "[[mount]]\nsource = \"/srv/talk\"\ntarget = \"/talk\"\n";
    for name in NAMES {
        let top = match name {
            "runc" => "runtime = \"runc\"\n",
            "account" => "user = \"ct-web\"\n",
            "member" => "pod = \"shop\"\n",
            _ => "",
        };
        let config = match name {
            "watched" => container(
                "exec /bin/watched",
                &format!("{talk}{WITH_HOST_PROGRAMS}[ready]\nnotify = true\nwatchdog = \"2min\"\n"),
            ),
            _ => container(COUNTING, talk),
        };
        machine.container(name, &format!("{top}{config}"));
        machine.shell(&format!("mkfifo -m 666 /srv/talk/{name}")).succeeds();
    }
    machine.daemon_reload();
    for name in NAMES {
        machine.start(&format!("ct@{name}"));
    }
}

/// Ends all of them with status 7, and looks whether a line of their logs is missing.
fn end_all(machine: &Machine) {
    machine.shell("touch /srv/talk/end").succeeds();
    for name in NAMES {
        let unit = format!("ct@{name}");
        if name != "watched" {
            machine.shell(&format!("echo 7 >/srv/talk/{name}")).succeeds();
        }
        machine.wait_for(&unit, "ActiveState", "failed");
        assert_eq!(machine.show(&unit, "ExecMainStatus"), "7", "{name}");
        assert_eq!(machine.show(&unit, "Result"), "exit-code", "{name}");
        let log = machine.journal(&unit);
        let numbers: Vec<usize> = log.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(!numbers.is_empty(), "{name}");
        assert_eq!(
            numbers,
            (1..=numbers.len()).collect::<Vec<_>>(),
            "{name}: a line is missing, or there twice"
        );
    }
}

on_every_machine! {
    fn a_hundred_reloads_and_reexecs_change_nothing(machine: &Machine) {
        start_all(machine);
        let before: Vec<String> = NAMES.iter().map(|name| identity(machine, name)).collect();
        for verb in ["daemon-reload", "daemon-reexec"] {
            let script = format!("for n in $(seq 100); do systemctl {verb} || exit 1; done");
            machine.command(["sh", "-c", &script]).deadline(Duration::from_secs(3000)).run().succeeds();
            for (name, before) in NAMES.iter().zip(&before) {
                assert_eq!(identity(machine, name), *before, "{name} after {verb}");
            }
        }
        end_all(machine);
    }

    fn an_edited_config_restarts_nothing(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", &container(IDLE, ""));
        machine.daemon_reload();
        machine.start("ct@web");
        let before = identity(machine, "web");
        machine.container("web", &container(IDLE, "[oom]\nscore_adjust = 5\n[stop]\nsignal = \"SIGINT\"\n[hooks]\npost_stop = [[\"/bin/true\"]]\n"));
        machine.daemon_reload();
        machine.daemon_reload();
        assert_eq!(identity(machine, "web"), before);
        // The next start has it.
        machine.restart("ct@web");
        let pid = machine.main_pid("ct@web");
        assert_eq!(machine.read_file(format!("/proc/{pid}/oom_score_adj")), "5\n");
        // One that is broken now is as good: what runs goes on, and can be stopped.
        let before = identity(machine, "web");
        machine.container("web", "root = 7\n");
        machine.daemon_reload();
        assert_eq!(identity(machine, "web"), before);
        machine.shell(&format!("kill -TERM {pid}")).succeeds();
        machine.wait_for("ct@web", "ActiveState", "inactive");
        assert!(!machine.try_start("ct@web").status.success());
        machine.shell("systemctl status ct@web | grep -F /etc/ct/containers/web.toml:1:").succeeds();
    }

    fn a_removed_config_leaves_its_container_to_be_stopped(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.start("ct.slice");
        let before = machine.leaks();
        let more = "[ready]\ncommand = [\"true\"]\n[stop]\ncommand = [\"touch\", \"/root/asked\"]\n[hooks]\npost_stop = [[\"/bin/touch\", \"/srv/hook\"]]\n";
        for verb in ["stop", "restart"] {
            machine.container("web", &container(IDLE, more));
            machine.daemon_reload();
            machine.start("ct@web");
            let running = identity(machine, "web");
            machine.shell("rm /etc/ct/containers/web.toml").succeeds();
            machine.daemon_reload();
            assert_eq!(identity(machine, "web"), running);
            let ended = machine.run(["systemctl", verb, "ct@web"]);
            if verb == "stop" {
                ended.succeeds();
                assert_eq!(machine.show("ct@web", "Result"), "success");
            } else {
                ended.fails();
                assert_eq!(machine.show("ct@web", "ActiveState"), "failed");
                let status = machine.run(["systemctl", "status", "ct@web"]).stdout;
                assert!(status.contains("no container is called web"), "{status}");
                machine.run(["systemctl", "reset-failed", "ct@web"]).succeeds();
            }
            // What belonged to the config is gone with it.
            machine.shell("test ! -e /srv/rootfs/root/asked && test ! -e /srv/hook").succeeds();
            machine.assert_no_leaks(&before);
        }
    }
}
