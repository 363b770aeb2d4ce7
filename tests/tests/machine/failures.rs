// SPDX-License-Identifier: MIT OR Apache-2.0
//! A start that cannot succeed: does it end at once, with the right status, one clear line, and nothing left behind?

use ct_tests::{Machine, on_every_machine};

/// Starts the container, which must fail with this status, and returns the helper's own lines.
fn fails(machine: &Machine, name: &str, status: u64) -> Vec<String> {
    let unit = format!("ct@{name}");
    machine.try_start(&unit).fails();
    let journal = machine.journalctl(&["--unit", &unit, "--identifier", "ct-helper", "--output", "cat"]);
    assert_eq!(machine.show_number(&unit, "ExecMainStatus"), status, "{name}: {journal}");
    assert_eq!(machine.show(&unit, "Result"), "exit-code", "{name}");
    journal.lines().map(str::to_owned).collect()
}

const SLEEP: &str = "[process]\ncommand = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n";

on_every_machine! {
    fn each_cause_has_its_status_and_its_line(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir /srv/empty /srv/bad; echo '{ nonsense' >/srv/bad/config.json").succeeds();
        machine.shell("mkdir /srv/half /srv/devlink /srv/canary; ln -s /srv/canary /srv/devlink/dev").succeeds();
        machine.write_file("/srv/half/config.json", 0o644, "{\"ociVersion\": \"1.0.0\", \"root\": {\"path\": \"/srv/rootfs\"}}");
        machine.write_file("/usr/local/bin/not-executable", 0o644, "#!/bin/sh\n");
        machine.write_file("/usr/local/bin/says-nothing", 0o755, "#!/bin/sh\nexit 3\n");
        machine.write_file("/usr/local/bin/makes-nothing", 0o755, "#!/bin/sh\nexit 0\n");
        let root = "[root]\npath = \"/srv/rootfs\"\n";
        let cases: [(&str, String, u64, &str); 16] = [
            ("noroot", format!("[root]\npath = \"/srv/nowhere\"\n{SLEEP}"), 66, "no such rootfs: /srv/nowhere"),
            ("fileroot", format!("[root]\npath = \"/etc/passwd\"\n{SLEEP}"), 66, "no such rootfs: /etc/passwd: not a dir"),
            ("nolayer", format!("[root]\nlayers = [\"gone\"]\nwritable = \"no\"\n{SLEEP}"), 66, "no such layer: /var/lib/ct/layers/gone"),
            ("devlink", format!("[root]\npath = \"/srv/devlink\"\n{SLEEP}"), 78, "/dev of the root file system is a symbolic link"),
            ("halfbundle", format!("[root]\nbundle = \"/srv/half\"\n{SLEEP}"), 78, "/srv/half/config.json: it has no \"process\""),
            ("nobundle", format!("[root]\nbundle = \"/srv/gone\"\n{SLEEP}"), 66, "no such bundle: /srv/gone"),
            ("noconfig", format!("[root]\nbundle = \"/srv/empty\"\n{SLEEP}"), 66, "no such bundle config: /srv/empty/config.json"),
            ("badconfig", format!("[root]\nbundle = \"/srv/bad\"\n{SLEEP}"), 78, "/srv/bad/config.json: "),
            (
                "nosource",
                format!("{root}{SLEEP}[[mount]]\nsource = \"/srv/gone\"\ntarget = \"/mnt\"\n"),
                66,
                "no such mount source: /srv/gone",
            ),
            (
                "noenv",
                format!("{root}{SLEEP}env_file = [\"/srv/gone\"]\n"),
                66,
                "no such env_file: /srv/gone",
            ),
            ("nouser", format!("{root}{SLEEP}user = \"typo\"\n"), 67, "no user \"typo\" in the container's /etc/passwd"),
            ("noruntime", format!("runtime = \"/opt/gone\"\n{root}{SLEEP}"), 69, "the runtime \"/opt/gone\" is not installed"),
            (
                "noexec",
                format!("runtime = \"/usr/local/bin/not-executable\"\n{root}{SLEEP}"),
                69,
                "/usr/local/bin/not-executable is not an executable file",
            ),
            (
                "silent",
                format!("runtime = \"/usr/local/bin/says-nothing\"\n{root}{SLEEP}"),
                70,
                "/usr/local/bin/says-nothing failed: exit status: 3",
            ),
            (
                "nothing",
                format!("runtime = \"/usr/local/bin/makes-nothing\"\n{root}{SLEEP}"),
                70,
                "/usr/local/bin/makes-nothing failed: it left no pid file",
            ),
            (
                "nocommand",
                format!("{root}[process]\ncommand = [\"/bin/gone\"]\n"),
                70,
                "crun failed: executable file `/bin/gone` not found",
            ),
        ];
        for (name, toml, _, _) in &cases {
            machine.container(name, toml);
        }
        machine.daemon_reload();
        machine.start("ct.slice");
        let before = machine.leaks();
        for (name, _, status, message) in &cases {
            let lines = fails(machine, name, *status);
            assert_eq!(lines.len(), 1, "{name}: one line should say it: {lines:?}");
            assert!(lines.iter().all(|line| line.contains(message)), "{name}: {lines:?} should say {message}");
        }
        machine.run(["systemctl", "reset-failed"]).succeeds();
        machine.assert_no_leaks(&before);
    }

    /// What it leaves behind lies in a directory of the account's, and may be anybody's work.
    fn what_a_runtime_says_of_its_container_is_not_taken_on_trust(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let root = "[root]\npath = \"/srv/rootfs\"\n";
        machine.container("good", &format!("{root}{SLEEP}"));
        let cases: [(&str, &str, &str); 11] = [
            ("words", "echo 12x >pid", "failed: its pid file names no process"),
            ("negative", "echo -7 >pid", "failed: its pid file names no process"),
            ("first", "echo 1 >pid", "failed: its pid file names no process"),
            ("gone", "sh -c 'echo $$' >pid", "of its pid file is not the container's init"),
            ("foreign", "systemctl show --value --property=MainPID ct@good >pid", "of its pid file is not the container's init"),
            // As of a runtime with a process of its own that stays: PID 1 would not get to know how init ends.
            ("monitor", "sh -c 'sleep 1000 & echo $! >new; mv new pid; wait' & until test -e pid; do sleep 0.01; done", "of its pid file is not the container's init"),
            ("outside", "sleep 1000 & echo $! >pid", "is not in /ct.slice/ct@outside.service/payload"),
            ("pipe", "mkfifo pid", "failed: it left no pid file: not a regular file"),
            ("link", "echo 7 >/run/seven; ln -s /run/seven pid", "failed: it left no pid file: too many levels of symbolic links"),
            ("loud", "head -c 3000000 /dev/zero | tr '\\0' x >log; exit 1", "/usr/local/bin/loud failed: xxx"),
            ("coloured", "printf 'first\\n\\033[31mred\\007\\n' >log; exit 1", "/usr/local/bin/coloured failed:  [31mred "),
        ];
        for (name, script, _) in &cases {
            let runtime = format!("/usr/local/bin/{name}");
            machine.write_file(&runtime, 0o755, format!("#!/bin/sh\ncd \"$XDG_RUNTIME_DIR\"\n{script}\n"));
            machine.container(name, &format!("runtime = {runtime:?}\n{root}writable = \"no\"\n{SLEEP}"));
        }
        machine.daemon_reload();
        machine.start("ct@good");
        let good = machine.main_pid("ct@good");
        let before = machine.leaks();
        for (name, _, message) in &cases {
            let lines = fails(machine, name, 70);
            assert!(lines.iter().all(|line| line.contains(message) && line.len() < 600), "{name}: {lines:?} should say {message}");
            assert_eq!(lines.len(), 1, "{name}: {lines:?}");
        }
        machine.run(["systemctl", "reset-failed"]).succeeds();
        machine.assert_no_leaks(&before);
        assert_eq!(machine.main_pid("ct@good"), good);
    }

    fn the_journal_has_fields_to_search_by(machine: &Machine) {
        machine.container("web", &format!("[root]\npath = \"/srv/nowhere\"\n{SLEEP}"));
        machine.daemon_reload();
        machine.try_start("ct@web").fails();
        let entries = machine.journal_entries("ct@web");
        let line = entries.iter().find(|entry| entry["SYSLOG_IDENTIFIER"] == "ct-helper").expect("the helper's line");
        assert_eq!(line["CT_NAME"], "web");
        assert_eq!(line["CT_STEP"], "rootfs");
        assert_eq!(line["PRIORITY"], "3");
    }

    fn status_shows_why_also_when_pid_1_comes_last(machine: &Machine) {
        machine.container("web", "nonsense = 1\n");
        machine.daemon_reload();
        // PID 1 rests for 0.2 s after each fork: what it starts has failed before it goes on.
        let trace = "strace -qq -o /dev/null -p 1 -e inject=clone,clone3,vfork:delay_exit=200000";
        machine.shell(&format!("systemd-run {trace}")).succeeds();
        machine.wait_until("grep 'TracerPid:.*[1-9]' /proc/1/status");
        machine.try_start("ct@web").fails();
        let status = machine.run(["systemctl", "status", "ct@web"]).stdout;
        assert!(status.contains("/etc/ct/containers/web.toml:1:1: unknown key `nonsense`"), "{status}");
    }

    fn a_name_that_is_nobodys_fails_at_once_with_a_hint(machine: &Machine) {
        machine.container("web", &format!("[root]\npath = \"/srv/nowhere\"\n{SLEEP}"));
        machine.daemon_reload();
        assert_eq!(
            fails(machine, "wep", 78),
            ["no container is called wep: there is no /etc/ct/containers/wep.toml (did you mean web?)"]
        );
    }

    fn a_masked_container_says_so(machine: &Machine) {
        machine.container("web", &format!("[root]\npath = \"/srv/nowhere\"\n{SLEEP}"));
        machine.shell("ln -sf /dev/null /etc/ct/containers/web.toml").succeeds();
        machine.daemon_reload();
        assert_eq!(
            fails(machine, "web", 78),
            ["the container web is masked: /etc/ct/containers/web.toml is a link to /dev/null"]
        );
    }

    fn a_config_that_does_not_parse_fails_with_its_line_and_touches_no_other(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("good", &format!("[root]\npath = \"/srv/rootfs\"\n{SLEEP}"));
        machine.container("bad", "[root]\npath = \"/srv/rootfs\"\n[process]\ncomand = [\"/bin/sh\"]\n[autostart]\nenabled = true\n");
        machine.daemon_reload();
        machine.start("ct@good");
        let lines = fails(machine, "bad", 78);
        assert!(
            lines.iter().any(|line| line.starts_with("/etc/ct/containers/bad.toml:4:1: ") && line.contains("`command`")),
            "{lines:?}"
        );
        // Mended, but PID 1 has not heard of it: it must not run without its settings.
        machine.container("bad", &format!("[root]\npath = \"/srv/rootfs\"\n{SLEEP}"));
        let lines = fails(machine, "bad", 78);
        assert!(lines.last().is_some_and(|line| line.contains("daemon-reload")), "{lines:?}");
        machine.daemon_reload();
        machine.start("ct@bad");
        assert_eq!(machine.show("ct@good", "ActiveState"), "active");
    }

    fn a_config_newer_than_the_last_reload_is_not_started_without_its_settings(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", &format!("[root]\npath = \"/srv/rootfs\"\n{SLEEP}"));
        let lines = fails(machine, "web", 78);
        assert!(lines.iter().any(|line| line.contains("/etc/ct/containers/web.toml") && line.contains("daemon-reload")));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.stop("ct@web");
        machine.container("web", &format!("description = \"new\"\n[root]\npath = \"/srv/rootfs\"\n{SLEEP}"));
        machine.start("ct@web");
        let journal = machine.journal("ct@web");
        assert!(journal.contains("the config changed since the last `systemctl daemon-reload`"), "{journal}");
    }

    fn the_helper_by_hand_says_what_to_do(machine: &Machine) {
        let helper = "/usr/libexec/ct/ct-helper";
        machine.run([helper]).exits(64);
        machine.run([helper, "strat", "web"]).exits(64);
        machine.container("web", &format!("[root]\npath = \"/srv/nowhere\"\n{SLEEP}"));
        let by_hand = machine.run([helper, "start", "web"]).exits(64);
        assert!(by_hand.stderr.contains("use `systemctl start ct@web`"), "{by_hand}");
        machine.run([helper, "--version"]).succeeds();
    }
}
