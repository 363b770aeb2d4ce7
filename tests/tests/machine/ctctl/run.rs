// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl run` in the foreground: does the command have what the config says, its own end, and the root file system to
//! itself where it must?

mod detached;
mod killed;

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "[process]\ncommand = [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n";
const ACCOUNT: &str = "useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid";

/// Runtime and account.
const KINDS: [(&str, &str); 4] = [("crun", "root"), ("runc", "root"), ("crun", "ct-web"), ("runc", "ct-web")];

/// The container `web`, not started.
fn prepare(machine: &Machine, (runtime, user): (&str, &str), more: &str) {
    let text =
        format!("runtime = \"{runtime}\"\nuser = \"{user}\"\n[root]\npath = \"/srv/rootfs\"\n{IDLE}{more}");
    machine.container("web", &text);
    machine.daemon_reload();
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

on_every_machine! {
    fn the_exit_code_is_the_commands_own_and_nothing_is_left(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell(ACCOUNT).succeeds();
        machine.shell("systemctl start ct.slice; mkdir -p /srv/rootfs/opt; cd /srv/rootfs/opt; echo x >data").succeeds();
        prepare(machine, KINDS[0], "");
        let before = machine.leaks();
        for kind in KINDS {
            prepare(machine, kind, "");
            for (script, code) in [("true", 0), ("exit 7", 7), ("exit 125", 125), ("exit 255", 255), ("exit 137", 137)] {
                let output = machine.run(["ctctl", "run", "--rm", "web", "--", "sh", "-c", script]).exits(code);
                assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{kind:?} {script}");
            }
            for (command, code) in [("no-such", 127), ("/opt/no-such", 127), ("/opt", 126), ("/opt/data", 126)] {
                let stderr = machine.run(["ctctl", "run", "web", command, "-x"]).exits(code).stderr;
                assert!(stderr.contains("ctctl: "), "{kind:?} {command} {stderr}");
            }
        }
        machine.assert_no_leaks(&before);
    }

    fn what_is_ct_s_own_failure_is_125(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        prepare(machine, KINDS[0], "");
        machine.container("bad", "[root]\npath = \"/srv/rootfs\"\n[limits]\nnofile = \"many\"\n");
        machine.container("gone", "[root]\npath = \"/srv/nowhere\"\n");
        machine.shell("useradd --system stranger").succeeds();
        for (command, reason) in [
            ("ctctl run wbe true", "ctctl: there is no container \"wbe\" (did you mean \"web\"?)\n"),
            ("ctctl run bad true", "ctctl: /etc/ct/containers/bad.toml:4:10: limits.nofile: "),
            ("ctctl run gone true", "ctctl: no such rootfs: /srv/nowhere: no such file or directory\n"),
            ("ctctl run -u no-such web true", "ctctl: no user \"no-such\" in the container's /etc/passwd\n"),
            ("ctctl run -w srv web true", "ctctl: \"srv\" is not an absolute path\n"),
            ("ctctl run -w /proc/self/fd web true", "ctctl: \"/proc/self/fd\" must not be below /proc or /dev/fd\n"),
            ("ctctl run -e =x web true", "ctctl: \"\" is not the name of a variable\n"),
            ("ctctl run web ''", "ctctl: the command must not be empty\n"),
            ("ctctl -H there run web true", "ctctl: run does not work with --host (try: ssh there ctctl run ...)\n"),
            ("setpriv --reuid=stranger --clear-groups ctctl run web true", "ctctl: not permitted: run takes root\n"),
        ] {
            let output = machine.shell(command).exits(125);
            assert_eq!(output.stdout, "", "{command}");
            assert!(output.stderr.starts_with(reason), "{command}: {}", output.stderr);
        }
        machine.container("late", &format!("[root]\npath = \"/srv/rootfs\"\n{IDLE}[depends]\nrequires = [\"no-such.service\"]\n"));
        let late = machine.run(["ctctl", "run", "late", "true"]).exits(125).stderr;
        assert!(late.contains("no-such.service") && late.lines().count() == 1, "{late}");
        machine.run(["ctctl", "run", "-d", "-t", "web", "true"]).exits(2);
        let by_hand = machine.shell("/usr/libexec/ct/ct-helper run web 0123abcd </dev/null").exits(64).stderr;
        assert!(by_hand.contains("`ct-helper run` is what `ctctl run`"), "{by_hand}");
    }

    fn streams_are_apart_and_every_byte_is_passed_on(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("head -c 20000000 /dev/urandom >/srv/bytes").succeeds();
        for runtime in ["crun", "runc"] {
            prepare(machine, (runtime, "root"), "");
            let script = "echo out; echo err >&2; cat";
            let output = machine.run(["ctctl", "run", "web", "sh", "-c", script]).succeeds();
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"), "{runtime}: without -i there is nothing to read");
            machine.shell("ctctl run -i web cat </srv/bytes | cmp - /srv/bytes").succeeds();
        }
    }

    fn it_has_what_the_config_says_and_what_was_asked_for(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell(ACCOUNT).succeeds();
        let more = "user = \"www-data\"\nenv = { A = \"config\", B = \"config\" }\n[oom]\nscore_adjust = 321\n[limits]\nnofile = \"500:900\"\ncore = 0\nstack = \"4M:6M\"\n[resources]\ncpu_weight = 50\n";
        for kind in KINDS {
            let more = format!("{more}[[mount]]\nsource = \"/srv\"\ntarget = \"/mnt\"\n");
            prepare(machine, kind, &more);
            let script = "id -u; pwd; echo $A $B $C; cat /proc/self/oom_score_adj /proc/self/limits; ls /mnt";
            // The caller's own are others.
            let command = format!("ulimit -S -n 300; ulimit -S -u 77; umask 077; C=caller ctctl run -e A=asked -e C -w /tmp web sh -c '{script}'");
            let told = machine.shell(&command).succeeds().stdout;
            let lines: Vec<String> = told.lines().map(words).collect();
            assert_eq!(lines.get(..4).unwrap(), ["33", "/tmp", "asked config caller", "321"], "{kind:?}");
            for want in ["Max open files 500 900 files", "Max core file size 0 0 bytes", "Max stack size 4194304 6291456 bytes"] {
                assert!(lines.iter().any(|line| line == want), "{kind:?} {want}:\n{told}");
            }
            assert!(!told.contains("Max processes 77"), "{kind:?}: the caller's own limits are not a service's\n{told}");
            assert!(lines.iter().any(|line| line == "rootfs"), "{kind:?}: [[mount]]\n{told}");
            let who = machine.run(["ctctl", "run", "-u", "nobody:adm", "web", "--", "id"]).succeeds().stdout;
            assert!(who.starts_with("uid=65534(nobody) gid=4(adm)"), "{kind:?} {who}");
        }
    }

    fn a_terminal_is_the_commands_own_and_the_callers_is_as_it_was(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell(ACCOUNT).succeeds();
        for kind in KINDS {
            prepare(machine, kind, "");
            let inside = "stty size; tty; echo $TERM; read line; echo got $line; test -t 1 && test -t 2 && exit 7";
            // script(1) is the terminal that the caller has.
            let script = format!("stty rows 33 cols 77; stty -g; TERM=vt220 ctctl run -it web sh -c '{inside}'; echo ended $?; stty -g");
            let shown = machine.command(["script", "-qec", &script, "/dev/null"]).stdin("typed\n").run().succeeds().stdout;
            let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
            for want in ["33 77", "/dev/pts/0", "vt220", "got typed", "ended 7"] {
                assert!(lines.contains(&want), "{kind:?} {want:?}\n{shown}");
            }
let modes: Vec<&&str> = lines.iter().filter(|line| line.matches(':').count() > 10).collect();
            assert!(modes.len() == 2 && modes.first() == modes.last(), "{kind:?}: the modes of the caller's\n{shown}");
        }
    }

    fn it_is_a_scope_in_the_containers_slice(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", &format!("slice = \"ct-prod.slice\"\n[root]\npath = \"/srv/rootfs\"\n{IDLE}[resources]\ntasks_max = 77\n[depends]\nrequires = [\"db\"]\n"));
        machine.container("db", &format!("[root]\npath = \"/srv/rootfs\"\nwritable = \"no\"\n{IDLE}"));
        machine.daemon_reload();
        let running = machine.command(["ctctl", "run", "web", "--", "sh", "-c", "trap 'exit 9' TERM; sleep 4343 & wait"]).spawn();
        machine.wait_until("grep -q populated.1 /sys/fs/cgroup/ct.slice/ct-prod.slice/ct-run-web-*.scope/payload/cgroup.events");
        assert_eq!(machine.show("ct@db", "ActiveState"), "active", "what the config requires");
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive", "the container itself is left alone");
        let unit = machine.shell("systemctl list-units --plain --no-legend 'ct-run-web-*' | cut -d' ' -f1").succeeds().stdout;
        let unit = unit.trim();
        for (property, value) in [("Slice", "ct-prod.slice"), ("TasksMax", "77"), ("Delegate", "yes"), ("DevicePolicy", "closed"), ("Description", "Container web: sh")] {
            assert_eq!(machine.show(unit, property), value, "{property}");
        }
        let list = machine.run(["ctctl", "list"]).succeeds().stdout;
        assert!(!list.contains("web-") && !list.contains("ct-run"), "a run is no container\n{list}");
        machine.wait_until("pgrep -f '^sleep 4343'");
        machine.run(["systemctl", "stop", unit]).succeeds();
        assert_eq!(running.wait().status.code(), Some(9));
    }

    fn signals_go_to_the_command(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        prepare(machine, KINDS[0], "");
        for (signal, code) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 10), ("USR2", 12)] {
            let script = format!("trap 'exit {code}' {signal}; echo ready >/tmp/ready; while :; do sleep 0.1; done");
            let command = format!("echo $$ >/run/pid; exec ctctl run web sh -c \"{script}\"");
            let running = machine.command(["sh", "-c", &command]).spawn();
            machine.wait_until("test -s /srv/rootfs/tmp/ready");
            machine.shell(&format!("rm /srv/rootfs/tmp/ready; kill -{signal} $(cat /run/pid)")).succeeds();
            assert_eq!(running.wait().status.code(), Some(code), "{signal}");
        }
    }

    fn a_root_that_keeps_what_is_written_has_one_user(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        prepare(machine, KINDS[0], "");
        machine.start("ct@web");
        let in_use = "ctctl: the root file system of web is in use by ct@web.service, and keeps what is written to it; run the command in it with `ctctl exec`, or set root.writable to \"ephemeral\" or \"no\"\n";
        for run in [&["ctctl", "run", "web", "true"][..], &["ctctl", "run", "-d", "web", "true"]] {
            assert_eq!(machine.run(run).exits(125).stderr, in_use);
        }
        machine.stop("ct@web");
        // One run of it, then neither another one nor the container.
        for run in [&["ctctl", "run", "web", "--"][..], &["ctctl", "run", "-d", "web", "--"]] {
            let first = machine.command(run.iter().chain(&["sh", "-c", "trap 'exit 0' TERM; echo ready >/tmp/ready; sleep 1000 & wait"])).spawn();
            machine.wait_until("test -s /srv/rootfs/tmp/ready");
            let refused = machine.run(["ctctl", "run", "web", "true"]).exits(125).stderr;
            assert!(refused.contains("the root file system of web is in use by ct-run-web-") && refused.contains("; wait for its end, or set"), "{refused}");
            machine.try_start("ct@web").fails();
            let journal = machine.journal("ct@web");
            assert!(journal.contains("the root file system of web is in use by ct-run-web-") && journal.contains("; stop that, or set"), "{journal}");
            machine.shell("systemctl stop 'ct-run-web-*'; rm /srv/rootfs/tmp/ready").succeeds();
            first.wait().succeeds();
            machine.start("ct@web");
            machine.stop("ct@web");
        }
        // Where writes are thrown away there may be any number.
        for writable in ["ephemeral", "no"] {
            machine.container("web", &format!("[root]\npath = \"/srv/rootfs\"\nwritable = \"{writable}\"\n{IDLE}"));
            machine.daemon_reload();
            machine.start("ct@web");
            let unit = machine.run(["ctctl", "run", "-d", "web", "sleep", "1000"]).succeeds().stdout;
            machine.run(["ctctl", "run", "web", "--", "sh", "-c", "test ! -e /opt/x; mkdir -p /opt && echo >/opt/x; exit 0"]).succeeds();
            machine.run(["systemctl", "kill", "--signal=KILL", unit.trim()]).succeeds();
            machine.stop("ct@web");
        }
        machine.shell("test ! -e /srv/rootfs/opt").succeeds();
    }

    fn a_stranger_who_locks_the_directory_of_runs_holds_nobody_up(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        prepare(machine, KINDS[0], "");
        machine.shell("useradd --system stranger; chmod 755 /run").succeeds();
        machine.run(["ctctl", "run", "web", "true"]).succeeds();
        let lock = ["setpriv", "--reuid=stranger", "--clear-groups", "flock", "/run/ct-run", "sleep", "1000"];
        let _stranger = machine.command(lock).spawn();
        machine.wait_until("! flock --nonblock /run/ct-run true");
        machine.shell("timeout -s KILL 200 ctctl run web true").succeeds();
        machine.shell("timeout -s KILL 200 systemctl start ct@web").succeeds();
        machine.shell("ls -A /run/ct-run | grep . && exit 1; exit 0").succeeds();
    }

    fn one_that_waits_for_something_else_can_be_interrupted(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        prepare(machine, KINDS[0], "[depends]\nrequires = [\"slow.service\"]\n");
        machine.write_file("/etc/systemd/system/slow.service", 0o644, "[Service]\nType=oneshot\nExecStart=sleep 1000\n");
        machine.shell("systemctl daemon-reload; systemctl start ct.slice").succeeds();
        for signal in ["INT", "TERM"] {
            let running = machine.command(["ctctl", "run", "web", "true"]).spawn();
            machine.wait_until("systemctl list-jobs --no-legend 'ct-run-web-*' | grep start");
            // Nothing that ends it.
            machine.shell("kill -USR1 $(pgrep -x ctctl); kill -WINCH $(pgrep -x ctctl)").succeeds();
            machine.shell(&format!("kill -{signal} $(pgrep -x ctctl)")).succeeds();
            let output = running.wait().exits(125);
            assert_eq!(output.stderr, format!("ctctl: interrupted by SIG{signal} before it ran\n"));
            machine.wait_until("! systemctl list-units --all --no-legend 'ct-run-*' | grep . && ! systemctl list-jobs --no-legend | grep ct-run && ! pgrep -x ct-helper");
        }
    }

    fn hooks_make_and_unmake_what_it_needs(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let hook = "#!/bin/sh\necho $CT_STAGE $CT_NAME ${CT_RUN:+run} >>/srv/said\n[ $CT_STAGE != pre_start ] || echo made >$CT_ROOTFS/made\n";
        machine.write_file("/usr/local/bin/hook", 0o755, hook);
        let hooks = ["pre_start", "post_start", "pre_stop", "post_stop"].map(|stage| format!("{stage} = [[\"/usr/local/bin/hook\"]]\n"));
        prepare(machine, KINDS[0], &format!("[hooks]\n{}", hooks.concat()));
        assert_eq!(machine.run(["ctctl", "run", "web", "cat", "/made"]).succeeds().stdout, "made\n");
        assert_eq!(machine.read_file("/srv/said"), "pre_start web run\npost_stop web run\n");
        machine.shell("rm /srv/said; ctctl run -d web cat /made").succeeds();
        machine.wait_until("test $(wc -l </srv/said) = 2");
        assert_eq!(machine.read_file("/srv/said"), "pre_start web run\npost_stop web run\n");
    }
}
