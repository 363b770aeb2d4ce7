// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl exec`: how a command ends, what it gets and what it prints. See `exec/life.rs` for where it lives and dies,
//! and `exec/terminal.rs`.

mod container;
mod life;
mod terminal;

use ct_tests::{Machine, Terminal, on_every_machine};

use container::{KINDS, prepare, start};

/// As in `limits.rs`: each lower than what a machine's PID 1 has.
const LIMITS: &str = "cpu = \"1h:2h\"\nfsize = \"1G:2G\"\ndata = \"2G:4G\"\nstack = \"4M:6M\"\ncore = \"0\"\nrss = \"1G:2G\"\nnproc = \"1000:2000\"\n\
                      nofile = \"500:900\"\nmemlock = \"8K:16K\"\nas = \"64G:128G\"\nlocks = \"100:200\"\nsigpending = \"100:200\"\n\
                      msgqueue = \"1000:2000\"\nnice = \"1\"\nrtprio = \"0\"\nrttime = \"1s:2s\"\n";

/// /proc/PID/limits, each white space one blank.
fn limits(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

on_every_machine! {
    fn the_exit_code_is_the_commands_own(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /srv/rootfs/opt; cd /srv/rootfs/opt; printf x >data; printf '#!/nowhere\\n' >script; printf '\\177ELF' >broken; printf x >closed; chmod 755 script broken; chmod 700 closed").succeeds();
        for kind in KINDS {
            start(machine, kind, "");
            for (script, code) in [("true", 0), ("exit 7", 7), ("exit 125", 125), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
                let output = machine.run(["ctctl", "exec", "web", "sh", "-c", script]).exits(code);
                assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{kind:?} {script}");
            }
            for (command, code) in [("no-such", 127), ("/opt/no-such", 127), ("", 127), ("/opt", 126), ("/opt/data", 126), ("/opt/script", 126), ("/opt/broken", 126)] {
                let stderr = machine.run(["ctctl", "exec", "web", "--", command, "-x"]).exits(code).stderr;
                assert!(stderr.contains("ctctl: "), "{kind:?} {command} {stderr}");
            }
            machine.run(["ctctl", "exec", "-u", "nobody", "web", "/opt/closed"]).exits(126);
            machine.run(["ctctl", "exec", "-w", "/nowhere", "web", "true"]).exits(126);
        }
    }

    fn what_is_ct_s_own_failure_is_125(machine: &Machine) {
        prepare(machine);
        start(machine, KINDS[0], "");
        machine.container("idle", "[root]\npath = \"/srv/rootfs\"\n");
        machine.daemon_reload();
        machine.shell("useradd --system stranger").succeeds();
        for (command, reason) in [
            ("ctctl exec wbe true", "ctctl: there is no container \"wbe\" (did you mean \"web\"?)\n"),
            ("ctctl exec idle true", "ctctl: idle is not running (inactive)\n"),
            ("ctctl exec -u no-such web true", "ctctl: no user \"no-such\" in the container's /etc/passwd\n"),
            ("ctctl exec -u 0:no-such web true", "ctctl: no group \"no-such\" in the container's /etc/group\n"),
            ("ctctl exec -u 4294967295 web true", "ctctl: 4294967295 is no id\n"),
            ("ctctl exec -u : web true", "ctctl: \"\" is no user or group (USER[:GROUP], names or numbers)\n"),
            ("ctctl exec -w srv web true", "ctctl: the directory srv is not absolute\n"),
            ("ctctl exec -e =x web true", "ctctl: \"=x\" is not KEY=VALUE\n"),
            ("ctctl exec --env-file /nowhere web true", "ctctl: no such env_file: /nowhere: no such file or directory\n"),
            ("ctctl -H there exec web true", "ctctl: exec does not work with --host (try: ssh there ctctl exec ...)\n"),
            ("setpriv --reuid=stranger --clear-groups ctctl exec web true", "ctctl: not permitted: exec takes root\n"),
        ] {
            let output = machine.shell(command).exits(125);
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", reason), "{command}");
        }
        machine.run(["ctctl", "exec", "--no-such-option", "web", "true"]).exits(2);
        let by_hand = machine.run(["ct-helper"]).status.code();
        assert_eq!(by_hand, Some(127), "it is in nobody's $PATH");
        let by_hand = machine.run(["/usr/libexec/ct/ct-helper", "exec", "web"]).exits(64).stderr;
        assert_eq!(by_hand, "ct-helper: `ct-helper exec` is what ctctl runs; use `ctctl exec web COMMAND`\n");
        machine.run(["systemctl", "freeze", "ct@web"]).succeeds();
        let frozen = machine.run(["ctctl", "exec", "web", "true"]).exits(125).stderr;
        assert_eq!(frozen, "ctctl: web is frozen: nothing in it runs until `systemctl thaw ct@web`\n");
        machine.run(["systemctl", "thaw", "ct@web"]).succeeds();
        machine.run(["ctctl", "exec", "web", "true"]).succeeds();
    }

    fn streams_are_apart_and_every_byte_is_passed_on(machine: &Machine) {
        prepare(machine);
        machine.shell("head -c 50000000 /dev/urandom >/srv/bytes").succeeds();
        for kind in KINDS {
            start(machine, kind, "");
            let output = machine.run(["ctctl", "exec", "web", "sh", "-c", "echo out; echo err >&2; cat"]).succeeds();
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"), "{kind:?}: without -i there is nothing to read");
            let script = "set -e; sha256sum </srv/bytes; ctctl exec -i web cat </srv/bytes | sha256sum; \
                          cat /srv/bytes | ctctl exec -i web sh -c 'cat >&2' 2>&1 >/dev/null | sha256sum; \
                          ctctl exec -i web cat </srv/bytes >/srv/copy; sha256sum </srv/copy";
            let sums = machine.shell(script).succeeds().stdout;
            let sums: Vec<&str> = sums.lines().collect();
            assert!(sums.len() == 4 && sums.iter().all(|sum| *sum == sums[0]), "{kind:?} {sums:?}");
            // What it leaves running may hold the streams for ever.
            let left = machine.run(["ctctl", "exec", "web", "sh", "-c", "sleep 1000 & yes & echo first; kill $!"]).succeeds();
            assert!(left.stdout.contains("first\n"), "{kind:?} {left}");
            machine.wait_until("pgrep -f '^sleep 1000$'");
            machine.shell("pkill -f '^sleep 1000$'").succeeds();
            // Nobody reads any more: the command is told as by any pipe.
            let pipe = machine.run(["bash", "-c", "ctctl exec web yes | head -n1; echo ${PIPESTATUS[0]}"]).succeeds();
            assert_eq!(pipe.stdout, "y\n141\n", "{kind:?}");
        }
    }

    fn the_command_gets_what_the_container_has(machine: &Machine) {
        prepare(machine);
        machine.write_file("/srv/env", 0o600, "FILE=1\nBOTH=file\n");
        for kind in KINDS {
            start(machine, kind, "[oom]\nscore_adjust = 321\n");
            let run = |arguments: &[&str]| {
                let argv = ["ctctl", "exec"].iter().chain(arguments);
                machine.command(argv).env("CALLER", "7").run().succeeds().stdout
            };
            let own = "COLOUR=blue\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
            let environment = |text: String| {
                let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("HOME=")).collect();
                lines.sort_unstable();
                lines.iter().map(|line| format!("{line}\n")).collect::<String>()
            };
            assert_eq!(environment(run(&["web", "env"])), own, "{kind:?}");
            let more = run(&["-e", "BOTH=option", "-e", "COLOUR=red", "-e", "CALLER", "-e", "NOBODYS", "--env-file", "/srv/env", "web", "env"]);
            assert_eq!(environment(more), format!("BOTH=option\nCALLER=7\n{}FILE=1\n{}", "COLOUR=red\n", own.split_once('\n').unwrap().1), "{kind:?}");
            assert_eq!(run(&["web", "sh", "-c", "id -u; id -g; pwd; umask"]), "0\n0\n/\n0022\n", "{kind:?}");
            assert_eq!(run(&["-u", "www-data", "-w", "/var/www", "web", "sh", "-c", "id -u; id -g; id -G; pwd"]), "33\n33\n33 4\n/var/www\n", "{kind:?}");
            assert_eq!(run(&["-u", "5000:adm", "web", "sh", "-c", "id -u; id -g"]), "5000\n4\n", "{kind:?}");
            let of_init = run(&["web", "sh", "-c", "cat /proc/1/oom_score_adj; grep -E 'Cap|NoNew|Seccomp:|Sig(Blk|Ign)' /proc/1/status"]);
            let of_command = run(&["web", "sh", "-c", "cat /proc/self/oom_score_adj; grep -E 'Cap|NoNew|Seccomp:|Sig(Blk|Ign)' /proc/self/status"]);
            assert!(of_command.starts_with("321\n"), "{kind:?} {of_command}");
            // The shell of init waits with its own signals.
            let privileges = |text: &str| text.lines().filter(|line| !line.starts_with("Sig")).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(privileges(&of_command), privileges(&of_init), "{kind:?}");
            let descriptors = run(&["web", "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]);
            assert_eq!(descriptors, "0 1 2 3 ", "{kind:?}: ls has the directory open");
        }
    }

    fn the_command_has_the_limits_of_the_unit(machine: &Machine) {
        prepare(machine);
        for kind in KINDS {
            for configured in ["", LIMITS] {
                start(machine, kind, &format!("[limits]\n{configured}"));
                let init = machine.read_file(format!("/proc/{}/limits", machine.main_pid("ct@web")));
                // From a caller whose own are lower.
                let caller = "ulimit -Sn 77; ulimit -Sc 1; ulimit -Ss 1000; exec ctctl exec web cat /proc/self/limits";
                let command = machine.shell(caller).succeeds().stdout;
                // runc before 1.1.13 makes the hard limit of open files the soft one, see `limits.rs`.
                let raised = command.replace("Max open files            900 ", "Max open files            500 ");
                let command = if kind.0 == "runc" && !configured.is_empty() { raised } else { command };
                assert_eq!(limits(&command), limits(&init), "{kind:?} {configured:?}");
                assert_eq!(command.contains("Max open files            500"), !configured.is_empty(), "{command}");
            }
        }
    }

    fn what_was_set_since_holds_for_the_command(machine: &Machine) {
        prepare(machine);
        start(machine, KINDS[0], &format!("[oom]\nscore_adjust = 321\n[limits]\n{LIMITS}"));
        let pid = machine.main_pid("ct@web");
        let probe = "ctctl exec web sh -c 'cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn; ulimit -Su'";
        for (change, want) in [
            // Init has more for itself.
            (format!("prlimit --nofile=900:900 --pid {pid}"), "321\n500\n900\n1000\n"),
            (format!("prlimit --nofile=100:900 --nproc=50:2000 --pid {pid}"), "321\n100\n900\n50\n"),
            (format!("prlimit --nofile=300:400 --pid {pid}; echo 432 >/proc/{pid}/oom_score_adj"), "432\n300\n400\n50\n"),
        ] {
            machine.shell(&change).succeeds();
            assert_eq!(machine.shell(probe).succeeds().stdout, want, "{change}");
        }
    }

    fn a_caller_without_a_terminal_of_its_own_shares_none(machine: &Machine) {
        prepare(machine);
        start(machine, KINDS[0], "");
        // Without -t: pipes, though all three are the caller's terminal.
        let terminal = Terminal::new(24, 80);
        let script = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done; test -t 0 || test -t 1 || test -t 2 || echo none";
        machine.command(["ctctl", "exec", "-i", "web", "sh", "-c", script]).on(&terminal).run().succeeds();
        terminal.wait_for("none");
        assert!(!terminal.shown().contains("/dev/"), "{}", terminal.shown());
    }
}
