// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does each of ct's own lines in the journal have its id, and does `journalctl -x` explain it?

use ct_tests::{Machine, on_every_machine};

const CATALOG: &str = include_str!("../../../packaging/catalog/ct.catalog");

const ROOT: &str = "[root]\npath = \"/srv/rootfs\"\n";
const SLEEP: &str = "[process]\ncommand = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n";

/// The id of the catalog's entry with this subject, in which NAME stands for the container.
fn id_of(subject: &str) -> &'static str {
    let subject = format!("\nSubject: {}\n", subject.replace("NAME", "@CT_NAME@"));
    let entry = CATALOG.split("\n-- ").skip(1).find(|entry| entry.contains(&subject));
    entry.and_then(|entry| entry.lines().next()).unwrap_or_else(|| panic!("no entry has{subject}"))
}

/// A machine whose journalctl knows ct's catalog, and a root file system to start from.
fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.run(["journalctl", "--update-catalog"]).succeeds();
}

/// The container's last line of the helper is of this kind, and is explained with the container's name.
fn is_explained(machine: &Machine, name: &str, subject: &str) {
    let unit = format!("ct@{name}");
    let entries = machine.journal_entries(&unit);
    let line = entries.iter().rfind(|entry| entry["SYSLOG_IDENTIFIER"] == "ct-helper");
    let line = line.unwrap_or_else(|| panic!("{name} should have a line: {}", machine.journal(&unit)));
    assert_eq!(line["MESSAGE_ID"], id_of(subject), "{name}: {line}");
    let explained = machine.journalctl(&["--catalog", "--unit", &unit]);
    let subject = format!("Subject: {}\n", subject.replace("NAME", name));
    assert!(explained.contains(&subject), "{name}: {subject} should be in {explained}");
    assert!(!explained.contains("@CT_"), "{name}: {explained}");
}

fn fails_and_is_explained(machine: &Machine, name: &str, subject: &str) {
    machine.try_start(&format!("ct@{name}")).fails();
    is_explained(machine, name, subject);
}

on_every_machine! {
    fn files_that_are_missing_or_unfit(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir /srv/empty /srv/bad /srv/link; ln -s /srv /srv/link/dev; echo '{' >/srv/bad/config.json").succeeds();
        let mount = |keys: &str| format!("{ROOT}{SLEEP}[[mount]]\ntarget = \"/gone\"\n{keys}\n");
        let cases = [
            ("noroot", format!("[root]\npath = \"/srv/gone\"\n{SLEEP}"), "Container NAME has no root file system"),
            ("nolayer", format!("[root]\nlayers = [\"gone\"]\n{SLEEP}"), "A layer of container NAME is missing"),
            ("link", format!("[root]\npath = \"/srv/link\"\n{SLEEP}"), "The root file system of container NAME is not safe to mount on"),
            ("nobundle", format!("[root]\nbundle = \"/srv/gone\"\n{SLEEP}"), "The bundle of container NAME is missing"),
            ("noconfig", format!("[root]\nbundle = \"/srv/empty\"\n{SLEEP}"), "The bundle of container NAME is missing"),
            ("bad", format!("[root]\nbundle = \"/srv/bad\"\n{SLEEP}"), "The bundle of container NAME cannot be used"),
            ("nosource", mount("source = \"/srv/gone\""), "The source of a mount of container NAME is missing"),
            ("notarget", mount("source = \"/srv\"\ncreate = \"no\""), "The target of a mount of container NAME is missing"),
            ("nodevice", format!("{ROOT}{SLEEP}[security]\ndevices = [\"/dev/gone:rw\"]\n"), "A device of container NAME is missing"),
            ("noenv", format!("{ROOT}{SLEEP}env_file = [\"/srv/gone\"]\n"), "A file that the config of container NAME names is missing"),
            ("noseccomp", format!("{ROOT}{SLEEP}[security]\nseccomp = \"/srv/gone\"\n"), "A file that the config of container NAME names is missing"),
            ("nouser", format!("{ROOT}{SLEEP}user = \"typo\"\n"), "A user or group is missing in container NAME"),
            ("noaccount", format!("user = \"typo\"\n{ROOT}{SLEEP}"), "The account of container NAME cannot be used"),
            ("noids", format!("user = \"daemon\"\n{ROOT}{SLEEP}"), "Container NAME has no ids to map"),
        ];
        for (name, toml, _) in &cases {
            machine.container(name, toml);
        }
        machine.daemon_reload();
        for (name, _, subject) in &cases {
            fails_and_is_explained(machine, name, subject);
        }
    }

    fn configs_that_do_not_count(machine: &Machine) {
        prepare(machine);
        for name in ["masked", "broken", "mended"] {
            machine.container(name, &format!("{ROOT}{SLEEP}misspelt = true\n"));
        }
        machine.shell("ln -sf /dev/null /etc/ct/containers/masked.toml").succeeds();
        for (name, other) in [("hen", "egg"), ("egg", "hen")] {
            machine.container(name, &format!("{ROOT}{SLEEP}[depends]\nrequires = [\"{other}\"]\n"));
        }
        machine.daemon_reload();
        for name in ["late", "mended"] {
            machine.container(name, &format!("{ROOT}{SLEEP}"));
        }
        fails_and_is_explained(machine, "typo", "There is no container NAME");
        fails_and_is_explained(machine, "masked", "Container NAME is masked");
        fails_and_is_explained(machine, "broken", "The config of container NAME is broken");
        fails_and_is_explained(machine, "late", "PID 1 has not loaded the config of container NAME");
        fails_and_is_explained(machine, "mended", "PID 1 has not loaded the config of container NAME");
        fails_and_is_explained(machine, "hen", "Container NAME cannot be started as the configs stand");
    }

    fn runtimes_and_what_becomes_of_them(machine: &Machine) {
        prepare(machine);
        machine.write_file("/usr/local/bin/says-nothing", 0o755, "#!/bin/sh\nexit 3\n");
        machine.write_file("/usr/local/bin/kills-its-parent", 0o755, "#!/bin/sh\nkill -KILL $PPID\nsleep 1000\n");
        // The container has ended for certain when this one does.
        machine.write_file(
            "/usr/local/bin/late-crun",
            0o755,
            "#!/bin/sh\n\
             crun --cgroup-manager=cgroupfs \"$@\" || exit\n\
             until grep -q '^State:\tZ' /proc/$(cat /run/ct/*/runtime/pid)/status; do sleep 0.01; done\n",
        );
        let runtime = |program: &str| format!("runtime = \"/usr/local/bin/{program}\"\n{ROOT}{SLEEP}");
        machine.container("noruntime", &runtime("gone"));
        machine.container("silent", &runtime("says-nothing"));
        machine.container("killer", &runtime("kills-its-parent"));
        let fails = "[process]\ncommand = [\"/bin/sh\", \"-c\", \"exit 7\"]\n";
        machine.container("early", &format!("runtime = \"/usr/local/bin/late-crun\"\n{ROOT}{fails}"));
        machine.daemon_reload();
        fails_and_is_explained(machine, "noruntime", "The runtime of container NAME is not installed");
        fails_and_is_explained(machine, "silent", "The runtime could not start container NAME");
        fails_and_is_explained(machine, "killer", "The start of container NAME was cut off");
        fails_and_is_explained(machine, "early", "Container NAME failed as soon as it was started");
        assert_eq!(machine.show_number("ct@early", "ExecMainStatus"), 7);
        let journal = machine.journal("ct@early");
        assert!(journal.contains("the container's init ended with status 7 before the handover"), "{journal}");
    }

    fn refusals_of_kernel_and_host(machine: &Machine) {
        prepare(machine);
        let unit = |keys: &str| format!("{ROOT}{SLEEP}[systemd.service]\n{keys}\n");
        machine.container("full", &format!("{ROOT}{SLEEP}"));
        machine.container("nocgroups", &unit("TemporaryFileSystem = \"/sys/fs/cgroup\""));
        machine.container("forbidden", &unit("CapabilityBoundingSet = \"~CAP_SYS_ADMIN\""));
        machine.container("magic", &format!("[root]\npath = \"/proc/self/cwd\"\n{SLEEP}"));
        machine.container("busy", &format!("{ROOT}{SLEEP}"));
        machine.daemon_reload();
        machine.shell("mkdir -p /run/ct/full && mount -t tmpfs -o nr_inodes=1 full /run/ct/full").succeeds();
        fails_and_is_explained(machine, "full", "There was no space left to start container NAME");
        fails_and_is_explained(machine, "nocgroups", "Container NAME needs the unified control group hierarchy");
        fails_and_is_explained(machine, "forbidden", "ct-helper was not permitted to start container NAME");
        fails_and_is_explained(machine, "magic", "A system call failed in the start of container NAME");

        machine.shell("mkdir -p /run/ct/busy").succeeds();
        let holder = machine.command(["flock", "/run/ct/busy", "sleep", "1000"]).spawn();
        machine.wait_until("! flock --nonblock /run/ct/busy true");
        fails_and_is_explained(machine, "busy", "Container NAME is being started by another process");
        holder.kill();

        machine.run(["systemd-run", "--wait", "/usr/libexec/ct/ct-helper", "start", "astray"]).fails();
        is_explained(machine, "astray", "ct-helper for container NAME was not run by its unit");
    }

    fn programs_beside_the_container(machine: &Machine) {
        prepare(machine);
        machine.container("hooked", &format!("{ROOT}{SLEEP}[hooks]\npre_start = [[\"/bin/false\"]]\n"));
        machine.container("unready", &format!("{ROOT}{SLEEP}[ready]\ncommand = [\"false\"]\ntimeout = \"300ms\"\n"));
        machine.daemon_reload();
        fails_and_is_explained(machine, "hooked", "A hook of container NAME failed");
        fails_and_is_explained(machine, "unready", "Container NAME was not ready in time");
    }

    fn limits_too_low_for_a_start(machine: &Machine) {
        prepare(machine);
        let cases = [
            ("fsize = 0", "The start of container NAME ran into a limit", "config.json: file too large"),
            ("fsize = 1000", "The start of container NAME ran into a limit", "config.json: file too large"),
            ("nofile = 8", "The start of container NAME ran into a limit", "too many open files"),
            ("nofile = 3", "The config of container NAME is broken", "limits.nofile: 3 is too low"),
            ("as = \"1M\"", "The config of container NAME is broken", "limits.as: 1M is too low"),
            ("data = 0", "The config of container NAME is broken", "limits.data: 0 is too low"),
            ("stack = \"64K\"", "The config of container NAME is broken", "limits.stack: 64K is too low"),
            ("cpu = 0", "The config of container NAME is broken", "limits.cpu: 0 is too low"),
        ];
        for (number, (limit, ..)) in cases.iter().enumerate() {
            machine.container(&format!("low{number}"), &format!("{ROOT}{SLEEP}[limits]\n{limit}\n"));
        }
        let least = "as = \"8M\"\ndata = \"1M\"\nstack = \"128K\"\nnofile = 32\nfsize = \"1M\"\n";
        machine.container("least", &format!("{ROOT}{SLEEP}[limits]\n{least}"));
        machine.daemon_reload();
        for (number, (limit, subject, line)) in cases.iter().enumerate() {
            let name = format!("low{number}");
            fails_and_is_explained(machine, &name, subject);
            let journal = machine.journal(&format!("ct@{name}"));
            assert!(journal.lines().any(|said| said.contains(line)), "{limit}: {journal}");
        }
        // The helper itself does with these, whatever the runtime makes of them.
        machine.try_start("ct@least");
        let result = machine.show("ct@least", "Result");
        assert!(["success", "exit-code"].contains(&result.as_str()), "{result}: {}", machine.journal("ct@least"));
        if result == "exit-code" {
            is_explained(machine, "least", "The runtime could not start container NAME");
        }
    }

    fn what_a_start_survives(machine: &Machine) {
        prepare(machine);
        machine.container("hooked", &format!("{ROOT}{SLEEP}[hooks]\npost_start = [[\"/bin/false\"]]\n"));
        machine.container("stopped", &format!("{ROOT}{SLEEP}[stop]\ncommand = [\"false\"]\n"));
        machine.container("edited", &format!("{ROOT}{SLEEP}"));
        machine.daemon_reload();
        machine.start("ct@hooked");
        is_explained(machine, "hooked", "A hook of container NAME failed");
        machine.start("ct@stopped");
        machine.stop("ct@stopped");
        is_explained(machine, "stopped", "The stop command of container NAME failed");
        machine.container("edited", &format!("description = \"new\"\n{ROOT}{SLEEP}"));
        machine.start("ct@edited");
        is_explained(machine, "edited", "Container NAME runs with the unit settings of an older config");

        machine.write_file("/etc/ct/ct.toml", 0o644, "[autostart]\nparallel = \"many\"\n");
        machine.container("host", &format!("{ROOT}{SLEEP}"));
        machine.daemon_reload();
        machine.start("ct@host");
        is_explained(machine, "host", "A setting of the host was ignored for container NAME");
    }

    fn a_setting_that_this_systemd_does_not_have(machine: &Machine) {
        prepare(machine);
        // systemd 254 and 252; see systemd.resource-control(5).
        let resources = "[resources]\nmemory_pressure_watch = \"on\"\nmemory_high = \"1G\"\n";
        machine.container("web", &format!("pod = \"shop\"\n{ROOT}{SLEEP}{resources}"));
        machine.write_file("/etc/ct/pods/shop.toml", 0o644, resources);
        machine.daemon_reload();
        machine.start("ct@web");
        let first_line = machine.run(["systemctl", "--version"]).succeeds().stdout;
        let version: u32 = first_line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("systemd NNN");
        let line = "resources.memory_pressure_watch has no effect: systemd knows it from 254 on, and this is";
        let (said, shown) = if version < 254 { (format!("{line} {version}\n"), "") } else { (String::new(), "yes") };
        for (unit, limited) in [("ct@web.service", "ct@web.service"), ("ct-pod@shop.service", "ct-shop.slice")] {
            let log = machine.journalctl(&["--unit", unit, "--identifier", "ct-helper", "--output", "cat"]);
            assert_eq!((log, machine.show(limited, "MemoryPressureWatch").as_str()), (said.clone(), shown), "{unit}");
        }
        if version < 254 {
            is_explained(machine, "web", "A setting of container NAME has no effect on this systemd");
            let explained = machine.journalctl(&["--catalog", "--unit", "ct-pod@shop"]);
            let subject = "Subject: A setting of the pod shop has no effect on this systemd\n";
            assert!(explained.contains(subject), "{explained}");
        }
    }

    fn a_start_that_succeeds_says_nothing(machine: &Machine) {
        prepare(machine);
        machine.container("web", &format!("{ROOT}{SLEEP}"));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.stop("ct@web");
        assert_eq!(machine.journalctl(&["--unit", "ct@web", "--identifier", "ct-helper", "--output", "cat"]), "");
    }
}
