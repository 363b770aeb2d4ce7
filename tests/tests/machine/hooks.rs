// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hooks: programs of the host around a container's life, and commands inside around its end.

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(script: &str, more: &str) -> String {
    format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}")
}

/// A hook that takes down what it finds.
const RECORD: &str = "#!/bin/sh\n{ echo \"== $CT_STAGE $*\"; env | grep -E '^(CT_|SERVICE_|EXIT_)' | sort; cat; } >>/tmp/hooks\n";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.write_file("/usr/local/bin/record", 0o755, RECORD);
    machine.run(["systemctl", "start", "ct.slice"]).succeeds();
}

fn said(machine: &Machine, name: &str) -> String {
    machine.journalctl(&["--unit", &format!("ct@{name}"), "--identifier", "ct-helper", "--output", "cat"])
}

on_every_machine! {
    fn each_moment_runs_its_hooks_with_what_they_need_to_know(machine: &Machine) {
        prepare(machine);
        let hooks = "[hooks]\npre_start = [[\"/usr/local/bin/record\", \"a b\"]]\npost_start = [[\"/usr/local/bin/record\"]]\n\
                     pre_stop = [[\"/usr/local/bin/record\"]]\npost_stop = [[\"/usr/local/bin/record\"]]\n";
        machine.container("web", &container(IDLE, hooks));
        machine.write_file("/etc/ct/containers/web.toml.d/post_stop.d/10-last", 0o755, "#!/bin/sh\necho last >>/tmp/hooks\n");
        machine.daemon_reload();
        let before = machine.leaks();
        machine.start("ct@web");
        let pid = machine.main_pid("ct@web");
        machine.stop("ct@web");
        let bundle = "\"bundle\":\"/run/ct/web/bundle\",\"id\":\"web\",\"ociVersion\":\"1.0.2\"";
        let want = format!(
            "== pre_start a b\nCT_NAME=web\nCT_ROOTFS=/run/ct/web/rootfs\nCT_STAGE=pre_start\n{{{bundle},\"status\":\"creating\"}}\n\
             == post_start \nCT_NAME=web\nCT_PID={pid}\nCT_ROOTFS=/proc/{pid}/root\nCT_STAGE=post_start\n{{{bundle},\"pid\":{pid},\"status\":\"running\"}}\n\
             == pre_stop \nCT_NAME=web\nCT_PID={pid}\nCT_ROOTFS=/proc/{pid}/root\nCT_STAGE=pre_stop\nSERVICE_RESULT=success\n{{{bundle},\"pid\":{pid},\"status\":\"running\"}}\n\
             == post_stop \nCT_NAME=web\nCT_STAGE=post_stop\nEXIT_CODE=exited\nEXIT_STATUS=0\nSERVICE_RESULT=success\n{{{bundle},\"status\":\"stopped\"}}\nlast\n"
        );
        let found = machine.read_file("/tmp/hooks");
        assert_eq!(found, want, "{found}");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        machine.shell("rm /tmp/hooks").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_hook_before_the_start_can_mount_for_the_container(machine: &Machine) {
        prepare(machine);
        // In the root file system, and where a [[mount]] looks.
        machine.write_file(
            "/usr/local/bin/prepare",
            0o755,
            "#!/bin/sh\nset -e\nmount -t tmpfs x \"$CT_ROOTFS/mnt\"\necho in rootfs >\"$CT_ROOTFS/mnt/file\"\nmount -t tmpfs y /srv/data\necho in source >/srv/data/file\n",
        );
        machine.shell("mkdir -p /srv/data /srv/rootfs/mnt").succeeds();
        let more = "[hooks]\npre_start = [[\"/usr/local/bin/prepare\"]]\n[[mount]]\nsource = \"/srv/data\"\ntarget = \"/data\"\n";
        machine.container("web", &container("cat /mnt/file /data/file >/tmp/new; mv /tmp/new /tmp/found; trap 'exit 0' TERM; sleep 1000 & wait", more));
        machine.daemon_reload();
        let before = machine.leaks();
        machine.start("ct@web");
        machine.wait_until("test -s /srv/rootfs/tmp/found");
        assert_eq!(machine.read_file("/srv/rootfs/tmp/found"), "in rootfs\nin source\n");
        machine.shell("! grep -E 'srv/data|rootfs/mnt' /proc/1/mountinfo").succeeds();
        machine.stop("ct@web");
        machine.assert_no_leaks(&before);
    }

    fn a_failing_hook_before_the_start_is_its_end(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for (hook, reason) in [
            ("[\"/bin/sh\", \"-c\", \"echo to the log; exit 3\"]", "the pre_start hook /bin/sh failed: exit status 3"),
            ("[\"/no/such\\nhook\"]", "the pre_start hook /no/such hook failed: no such file or directory"),
            ("[\"/no/such/hook\"]", "the pre_start hook /no/such/hook failed: no such file or directory"),
            ("[\"/bin/sh\", \"-c\", \"sleep 1000 & sleep 1000\"]", "the pre_start hook /bin/sh failed: killed, its time was over"),
        ] {
            let timeout = if reason.contains("time") { "3s" } else { "1min" };
            let more = format!(
                "[hooks]\npre_start = [{hook}, [\"/usr/local/bin/record\"]]\npost_start = [[\"/usr/local/bin/record\"]]\npost_stop = [[\"/usr/local/bin/record\"]]\ntimeout = \"{timeout}\"\n"
            );
            machine.container("web", &container(IDLE, &more));
            machine.daemon_reload();
            assert!(!machine.try_start("ct@web").status.success());
            assert_eq!(machine.show("ct@web", "ExecMainStatus"), "73");
            let said = said(machine, "web");
            assert!(said.contains(reason), "{said}");
            let hooks = machine.read_file("/tmp/hooks");
            assert!(hooks.starts_with("== post_stop \n") && hooks.contains("EXIT_STATUS=73\n") && hooks.contains("SERVICE_RESULT=exit-code\n"), "{hooks}");
            machine.shell("rm /tmp/hooks; systemctl reset-failed ct@web").succeeds();
            machine.assert_no_leaks(&before);
        }
        let log = machine.journalctl(&["--unit", "ct@web", "--output", "cat"]);
        assert!(log.contains("to the log"), "what a hook prints is in the unit's log: {log}");
    }

    fn other_hooks_may_fail_or_hang_and_the_container_goes_on(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        let bad = "[[\"/bin/false\"], [\"/no/such\"], [\"/bin/sh\", \"-c\", \"trap '' TERM; sleep 1000 & sleep 1000\"], [\"/usr/local/bin/record\"]]";
        let more = format!("[hooks]\npost_start = {bad}\npre_stop = {bad}\npost_stop = {bad}\ntimeout = \"3s\"\n[stop]\ntimeout = \"5min\"\n");
        machine.container("web", &container(IDLE, &more));
        machine.daemon_reload();
        machine.start("ct@web");
        assert_eq!(machine.show("ct@web", "ActiveState"), "active");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        let said = said(machine, "web");
        for stage in ["post_start", "pre_stop", "post_stop"] {
            for reason in ["/bin/false failed: exit status 1, ignoring", "/no/such failed: no such file or directory, ignoring", "/bin/sh failed: killed, its time was over, ignoring"] {
                assert!(said.contains(&format!("the {stage} hook {reason}")), "{stage} {reason}: {said}");
            }
            machine.shell(&format!("grep '== {stage}' /tmp/hooks")).succeeds();
        }
        machine.shell("rm /tmp/hooks").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_bundles_own_hooks_run_too(machine: &Machine) {
        machine.busybox_rootfs("/srv/bundle/rootfs");
        machine.write_file("/usr/local/bin/record", 0o755, "#!/bin/sh\necho \"$1 $(cat | grep -o '\"status\": *\"[a-z]*\"')\" >>/tmp/hooks\n");
        machine.run(["systemctl", "start", "ct.slice"]).succeeds();
        let hook = |stage: &str| format!("\"{stage}\": [{{\"path\": \"/usr/local/bin/record\", \"args\": [\"record\", \"{stage}\"]}}]");
        let stages = ["prestart", "createRuntime", "poststart", "poststop"].map(hook).join(", ");
        for runtime in ["crun", "runc"] {
            machine.run([runtime, "spec", "--bundle", "/srv/bundle"]);
            machine.shell("cd /srv/bundle && rm -f config.json && (crun spec || runc spec) && sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"readonly\": true/\"readonly\": false/' config.json").succeeds();
            machine.shell(&format!("cd /srv/bundle && sed -i '0,/{{/s||{{ \"hooks\": {{{}}},|' config.json", stages.replace('/', "\\/"))).succeeds();
            machine.container("web", &format!("runtime = \"{runtime}\"\n[root]\nbundle = \"/srv/bundle\"\n[process]\ncommand = [\"sh\", \"-c\", \"{IDLE}\"]\n"));
            machine.daemon_reload();
            let before = machine.leaks();
            machine.start("ct@web");
            machine.stop("ct@web");
            let ran = machine.read_file("/tmp/hooks");
            let order: Vec<&str> = ran.lines().filter_map(|line| line.split(' ').next()).collect();
            assert_eq!(order, ["prestart", "createRuntime", "poststart", "poststop"], "{runtime}: {ran}");
            assert!(ran.lines().last().unwrap().contains("stopped"), "{runtime}: {ran}");
            machine.shell("rm /tmp/hooks").succeeds();
            machine.assert_no_leaks(&before);
        }
    }

    fn a_command_inside_comes_before_the_signal(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        let stop = |command: &str, more: &str| format!("[stop]\ncommand = {command}\ntimeout = \"20s\"\n{more}");
        let script = "trap 'echo command; exit 0' USR1; trap 'echo signal >>/tmp/order; exit 0' TERM; while :; do sleep 1000 & wait; done";
        for runtime in ["crun", "runc"] {
            // It ends by its signal after a command that only prepares, or by the command itself.
            let cases = [("[\"sh\", \"-c\", \"echo command >>/tmp/order\"]", "command\nsignal\n"), ("[\"kill\", \"-USR1\", \"1\"]", "")];
            for (command, want) in cases {
                machine.shell("rm -f /srv/rootfs/tmp/order; touch /srv/rootfs/tmp/order").succeeds();
                machine.container("web", &format!("runtime = \"{runtime}\"\n{}", container(script, &stop(command, ""))));
                machine.daemon_reload();
                machine.start("ct@web");
                machine.stop("ct@web");
                assert_eq!(machine.read_file("/srv/rootfs/tmp/order"), want, "{runtime} {command}");
                assert_eq!(machine.show("ct@web", "Result"), "success", "{runtime} {command}");
            }
        }
        // One that fails or hangs is told, and the signal follows.
        let cases = [("[\"false\"]", "10s", "exit status 1"), ("[\"sleep\", \"1000\"]", "500ms", "killed, its time was over")];
        for (command, timeout, reason) in cases {
            machine.container("web", &container(script, &stop(command, &format!("command_timeout = \"{timeout}\"\n"))));
            machine.daemon_reload();
            machine.start("ct@web");
            machine.stop("ct@web");
            assert_eq!(machine.show("ct@web", "Result"), "success");
            let said = said(machine, "web");
            assert!(said.contains("stop.command failed:") && said.contains(reason), "{said}");
        }
        machine.assert_no_leaks(&before);
    }

    fn a_container_that_ends_by_itself_is_not_asked_to_stop(machine: &Machine) {
        prepare(machine);
        let more = "[stop]\ncommand = [\"touch\", \"/tmp/asked\"]\n[hooks]\npre_stop = [[\"/usr/local/bin/record\"]]\npost_stop = [[\"/usr/local/bin/record\"]]\n";
        machine.container("web", &container("until [ -e /tmp/go ]; do sleep 0.1; done; exit 7", more));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.shell("touch /srv/rootfs/tmp/go").succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7");
        machine.shell("test ! -e /srv/rootfs/tmp/asked && ! grep pre_stop /tmp/hooks && grep EXIT_STATUS=7 /tmp/hooks").succeeds();
    }

    fn what_an_account_has_left_is_used_as_that_account_or_not_at_all(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; chown -R 200000:200000 /srv/rootfs").succeeds();
        let before = machine.leaks();
        let text = container(IDLE, "[stop]\ncommand = [\"touch\", \"/tmp/asked\"]\n");
        machine.container("web", &format!("user = \"ct-web\"\n{text}"));
        machine.daemon_reload();
        machine.start("ct@web");
        // The config has root run it from the next start on. What the runtime would read belongs to the account still.
        machine.container("web", &text);
        machine.stop("ct@web");
        machine.shell("test ! -e /srv/rootfs/tmp/asked").succeeds();
        let said = said(machine, "web");
        assert!(said.contains("user: web was started as uid ") && said.contains("and not as root; until it is started again its runtime is not run, ignoring"), "{said}");
        machine.assert_no_leaks(&before);
    }

    fn a_bundle_that_its_account_replaced_does_not_keep_the_stop(machine: &Machine) {
        machine.run(["systemctl", "start", "ct.slice"]).succeeds();
        machine.busybox_rootfs("/srv/bundle/rootfs");
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; chown -R 200000:200000 /srv/bundle/rootfs").succeeds();
        machine.shell("cd /srv/bundle && crun spec && sed -i 's/\"terminal\": true/\"terminal\": false/' config.json").succeeds();
        machine.container("web", &format!("user = \"ct-web\"\n[root]\nbundle = \"/srv/bundle\"\n[process]\ncommand = [\"sh\", \"-c\", \"{IDLE}\"]\n[stop]\ntimeout = \"1min\"\n"));
        machine.daemon_reload();
        let before = machine.leaks();
        machine.start("ct@web");
        let replaces = "cd /run/ct/web/bundle && chmod u+w . && rm -f config.json && mkfifo config.json";
        machine.run(["setpriv", "--reuid", "ct-web", "--regid", "ct-web", "--clear-groups", "sh", "-c", replaces]).succeeds();
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        machine.assert_no_leaks(&before);
    }

    fn hooks_of_a_stop_have_its_time_together(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        let hooks = "[[\"/bin/sleep\", \"1000\"], [\"/usr/local/bin/record\"], [\"/usr/local/bin/record\"]]";
        machine.container("web", &container(IDLE, &format!("[stop]\ntimeout = \"2s\"\n[hooks]\npre_stop = {hooks}\npost_stop = {hooks}\n")));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        machine.shell("test ! -e /tmp/hooks").succeeds();
        let said = said(machine, "web");
        for stage in ["pre_stop", "post_stop"] {
            for reason in ["/bin/sleep failed: killed, its time was over, ignoring", "/usr/local/bin/record failed: no time is left for it and 1 more, see stop.timeout, ignoring"] {
                assert!(said.contains(&format!("the {stage} hook {reason}")), "{said}");
            }
        }
        machine.assert_no_leaks(&before);
    }
}
