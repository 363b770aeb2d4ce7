// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl run -d`: is it a service as the container's own is, with the command's output, end and limits?

use std::collections::BTreeMap;

use ct_tests::{Machine, on_every_machine};

const ROOT: &str =
    "[stop]\ntimeout = \"7s\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sleep\", \"1000\"]\n";

fn prepare(machine: &Machine, more: &str) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.shell("systemctl start ct.slice").succeeds();
    machine.container("web", more);
    machine.daemon_reload();
}

/// Runs a script, and returns the unit's name.
fn detach(machine: &Machine, options: &[&str], script: &str) -> String {
    let command = ["web", "--", "sh", "-c", script];
    let printed = machine.run(["ctctl", "run", "-d"].iter().chain(options).chain(&command)).succeeds().stdout;
    let unit = printed.trim_end();
    assert!(unit.starts_with("ct-run-web-") && unit.ends_with(".service"), "{printed}");
    unit.to_owned()
}

/// Every property that `systemctl show` has of a unit.
fn properties(machine: &Machine, unit: &str) -> BTreeMap<String, String> {
    let shown = machine.run(["systemctl", "show", "--all", unit]).succeeds().stdout;
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    shown.lines().filter_map(pair).collect()
}

/// What a run has another value of, each with the reason.
const OTHERS: [&str; 37] = [
    // Its name, and that nobody wrote a file.
    "Id",
    "Names",
    "Description",
    "Documentation",
    "FragmentPath",
    "DropInPaths",
    "Transient",
    "UnitFileState",
    "UnitFilePreset",
    "Perpetual",
    "CanIsolate",
    "SourcePath",
    "InvocationID",
    // Its processes and times.
    "MainPID",
    "ExecMainPID",
    "ControlGroup",
    "ControlGroupId",
    "MemoryCurrent",
    "CPUUsageNSec",
    "TasksCurrent",
    "NRestarts",
    // What it runs, and where.
    "ExecStart",
    "ExecStartEx",
    "RuntimeDirectory",
    "Environment",
    "CollectMode",
    "StandardInput",
    "UID",
    "GID",
    // A template belongs to a slice of its own, and is not started again.
    "Requires",
    "After",
    "RestartForceExitStatus",
    "RestartUSec",
    "RestartUSecNext",
    "EffectiveMemoryMax",
    // The run-time directory is among them.
    "RequiresMountsFor",
    "RuntimeDirectorySymlink",
];

on_every_machine! {
    fn its_settings_are_those_of_the_containers_own_unit(machine: &Machine) {
        let config = format!(
            "slice = \"ct-prod.slice\"\n{ROOT}[limits]\nnofile = \"500:900\"\ncore = 0\n[oom]\nscore_adjust = 321\npolicy = \"stop\"\n\
             [resources]\ntasks_max = 99\ncpu_weight = 50\nio_weight = 60\n\
             [security]\ndevices = [\"/dev/fuse:rw\"]\n[[mount]]\nsource = \"/srv\"\ntarget = \"/mnt\"\n"
        );
        prepare(machine, &config);
        machine.start("ct@web");
        let own = properties(machine, "ct@web.service");
        machine.stop("ct@web");
        let unit = detach(machine, &[], "sleep 1000");
        let run = properties(machine, &unit);
        let differs = |name: &&String| {
            let is_other = OTHERS.contains(&name.as_str()) || name.contains("Timestamp") || name.starts_with("Effective") || name.starts_with("IO") || name.starts_with("Memory");
            !is_other && own.get(*name) != run.get(*name)
        };
        let names: std::collections::BTreeSet<&String> = own.keys().chain(run.keys()).collect();
        let different: Vec<String> = names.into_iter().filter(differs).map(|name| format!("{name}: {:?}, of the run {:?}", own.get(name), run.get(name))).collect();
        assert!(different.is_empty(), "{}", different.join("\n"));
        let mounts = run.get("RequiresMountsFor").map(String::as_str).unwrap_or_default();
        assert!(mounts.contains("/srv/rootfs") && mounts.split(' ').any(|path| path == "/srv"), "{mounts}");
        for (name, value) in [("Slice", "ct-prod.slice"), ("TasksMax", "99"), ("OOMScoreAdjust", "321"), ("LimitNOFILE", "900"), ("Type", "notify"), ("Transient", "yes")] {
            assert_eq!(run.get(name).map(String::as_str), Some(value), "{name}");
        }
        machine.stop(&unit);
    }

    fn output_stop_and_end_are_systemds(machine: &Machine) {
        prepare(machine, ROOT);
        let before = machine.leaks();
        for (runtime, user) in [("crun", "root"), ("runc", "root"), ("crun", "ct-web")] {
            machine.shell("id ct-web || useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
            machine.container("web", &format!("runtime = \"{runtime}\"\nuser = \"{user}\"\n{ROOT}"));
            machine.daemon_reload();
            let unit = detach(machine, &[], "trap 'exit 0' TERM; echo hello; while :; do sleep 0.1; done");
            assert_eq!(machine.show(&unit, "ActiveState"), "active", "{runtime} {user}");
            let pid = machine.main_pid(&unit);
            machine.wait_until(&format!("grep -qx sh /proc/{pid}/comm && journalctl -q --sync && journalctl -q -u {unit} -t web | grep -q hello"));
            machine.stop(&unit);
            assert_eq!(machine.show(&unit, "LoadState"), "not-found", "nothing is left of it");
            // One that fails is shown as failed; with --rm it is forgotten.
            let unit = detach(machine, &[], "sleep 0.1; exit 7");
            machine.wait_for(&unit, "ActiveState", "failed");
            assert_eq!(machine.show(&unit, "ExecMainStatus"), "7", "{runtime} {user}");
            machine.run(["systemctl", "reset-failed", &unit]).succeeds();
            let unit = detach(machine, &["--rm"], "exit 7");
            machine.wait_for(&unit, "LoadState", "not-found");
        }
        machine.container("web", ROOT);
        machine.daemon_reload();
        machine.assert_no_leaks(&before);
    }

    fn one_that_cannot_be_started_says_why(machine: &Machine) {
        prepare(machine, ROOT);
        machine.container("gone", "[root]\npath = \"/srv/nowhere\"\n");
        machine.container("late", &format!("{ROOT}[depends]\nrequires = [\"no-such.service\"]\n"));
        machine.daemon_reload();
        let before = machine.leaks();
        for (container, command, code, reason) in [
            ("web", "no-such", 127, "executable file"),
            ("web", "/etc", 126, "ctctl: "),
            ("gone", "true", 125, "ctctl: no such rootfs: /srv/nowhere: no such file or directory\n"),
            ("late", "true", 125, "no-such.service"),
        ] {
            for options in [&["-d"][..], &["-d", "--rm"]] {
                let output = machine.run(["ctctl", "run"].iter().chain(options).chain(&[container, command])).exits(code);
                assert_eq!(output.stdout, "", "{container} {command}");
                assert!(output.stderr.contains(reason), "{container} {command}: {}", output.stderr);
            }
        }
        let failed = machine.run(["systemctl", "--failed", "--plain", "--no-legend"]).succeeds().stdout;
        assert_eq!(failed, "", "it is told, and nobody has to forget it");
        machine.assert_no_leaks(&before);
    }

    fn nothing_asked_for_is_taken_for_anything_else(machine: &Machine) {
        prepare(machine, ROOT);
        // Each would be something in a unit file, or for a shell.
        let hostile = "%n $HOME ${PATH} \"quoted\" back\\slash \\x41 ;\n[Service]\nExecStart=/bin/true";
        let unit = machine.run(["ctctl", "run", "-d", "-e", &format!("SECRET={hostile}"), "web", "--", "sh", "-c", "printf '%s|%s' \"$SECRET\" \"$0\" >/tmp/said; sleep 1000", hostile]).succeeds().stdout;
        machine.wait_until("test -s /srv/rootfs/tmp/said");
        assert_eq!(machine.read_file("/srv/rootfs/tmp/said"), format!("{hostile}|{hostile}"));
        let shown = machine.run(["systemctl", "show", "--all", unit.trim()]).succeeds().stdout;
        let file = machine.run(["systemctl", "cat", unit.trim()]).succeeds().stdout;
        assert!(!shown.contains("SECRET") && !file.contains("SECRET"), "everybody may read that\n{shown}{file}");
        machine.stop(unit.trim());
    }
}
