// SPDX-License-Identifier: MIT OR Apache-2.0
//! What boot starts, in which order and how much of it at once; and that this is an order of the boot alone.

use ct_tests::{Machine, Preparation, Root, on_every_machine, test_name};

/// Waits until N have come, of those who come: `meet PLACE NAME N`. So it ends only if N are there at the same time.
const MEET: &str =
    "#!/bin/sh\nmkdir -p $1; touch $1/$2\nuntil [ $(ls $1 | wc -l) -ge $3 ]; do sleep 0.02; done\n";

/// A container that boot starts.
fn autostarted(autostart: &str, service: &str) -> String {
    format!(
        "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sleep\", \"1000\"]\n[stop]\nsignal = \"SIGKILL\"\n\
         [systemd.service]\n{service}\n[autostart]\nenabled = true\n{autostart}\n"
    )
}

fn prepare(root: Root, parallel: &str) -> Preparation {
    Machine::prepare(root, &test_name())
        .busybox_rootfs("/srv/rootfs")
        .file("/usr/local/bin/meet", 0o755, MEET)
        .file("/etc/ct/ct.toml", 0o644, &format!("[autostart]\nparallel = {parallel}\n"))
}

/// When a container's start began, and when it was ready, in microseconds since the host's boot.
fn start_times(machine: &Machine, name: &str) -> (u64, u64) {
    let time = |property: &str| machine.show_number(&format!("ct@{name}"), property);
    let (begun, ready) = (time("InactiveExitTimestampMonotonic"), time("ActiveEnterTimestampMonotonic"));
    assert!(0 < begun && begun < ready, "{name} should have started: {begun}, {ready}");
    (begun, ready)
}

/// Asserts that one was ready before the other began.
#[track_caller]
fn one_after_the_other(machine: &Machine, earlier: &str, later: &str) {
    let (first, second) = (start_times(machine, earlier), start_times(machine, later));
    assert!(first.1 <= second.0, "{later} should wait for {earlier}: {first:?}, {second:?}");
}

/// How many were starting at the same time, at most.
fn most_at_once(machine: &Machine, names: &[String]) -> usize {
    let times: Vec<(u64, u64)> = names.iter().map(|name| start_times(machine, name)).collect();
    let at_once =
        |moment: u64| times.iter().filter(|(begun, ready)| *begun <= moment && moment < *ready).count();
    times.iter().map(|(begun, _)| at_once(*begun)).max().unwrap_or(0)
}

/// Boots two containers more than may start at once. That many meet, so they do start at once; and never more.
fn boots_so_many_at_once(root: Root, parallel: &str, at_once: usize) {
    let names: Vec<String> = (0..at_once + 2).map(|number| format!("c{number}")).collect();
    let service = format!("ExecStartPre = \"/usr/local/bin/meet /run/meeting %i {at_once}\"");
    let mut machine = prepare(root, parallel);
    for name in &names {
        machine = machine.container(name, &autostarted("", &service));
    }
    let machine = machine.boot();
    assert_eq!(most_at_once(&machine, &names), at_once);
}

/// Writes containers into a running machine and has `ct.target` start them, as boot does, without waiting for them.
fn start_as_boot_does(machine: &Machine, parallel: u32, containers: &[(&str, &str, &str)]) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.write_file("/usr/local/bin/meet", 0o755, MEET);
    machine.write_file("/etc/ct/ct.toml", 0o644, format!("[autostart]\nparallel = {parallel}\n"));
    for (name, autostart, service) in containers {
        machine.container(name, &autostarted(autostart, service));
    }
    machine.daemon_reload();
    machine.run(["systemctl", "start", "--no-block", "ct.target"]).succeeds();
}

/// Holds up a start until the file /run/go is there.
const UNTIL_GO: &str = "ExecStartPre = \"/bin/sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\"";

on_every_machine! {
    fn one_lane_starts_one_at_a_time(root: Root) {
        boots_so_many_at_once(root, "1", 1);
    }

    fn two_lanes_start_two_at_a_time(root: Root) {
        boots_so_many_at_once(root, "2", 2);
    }

    fn the_default_is_two_lanes_for_each_processor(root: Root) {
        let processors = std::thread::available_parallelism().expect("it is known on Linux").get();
        boots_so_many_at_once(root, "\"auto\"", 2 * processors);
    }

    fn without_lanes_all_start_at_once(root: Root) {
        let names: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
        let mut machine = prepare(root, "0");
        for name in &names {
            let meet = "ExecStartPre = \"/usr/local/bin/meet /run/meeting %i 12\"";
            machine = machine.container(name, &autostarted("delay = \"1h\"", meet));
        }
        let machine = machine.boot();
        assert_eq!(most_at_once(&machine, &names), 12, "nor is there anything that a delay could delay");
    }

    fn priorities_come_one_after_the_other_and_dependencies_before_both(root: Root) {
        let slow = "ExecStartPre = \"/bin/sleep 0.2\"";
        let machine = prepare(root, "0")
            .container("a", &autostarted("priority = 30", slow))
            .container("b", &autostarted("priority = 20", slow))
            .container("c", &autostarted("priority = 20\n[depends]\nafter = [\"d\"]", slow))
            .container("d", &autostarted("priority = 20", slow))
            .container("e", &autostarted("priority = -5", slow))
            .container("f", &autostarted("", slow))
            .boot();
        for (earlier, later) in [("e", "b"), ("e", "d"), ("d", "c"), ("b", "a"), ("c", "a"), ("a", "f")] {
            one_after_the_other(&machine, earlier, later);
        }
    }

    fn a_delay_holds_up_the_next_in_the_lane_and_the_next_priority(root: Root) {
        let machine = prepare(root, "1")
            .container("a", &autostarted("priority = 1\ndelay = \"700ms\"", ""))
            .container("b", &autostarted("priority = 1\ndelay = \"1s\"", ""))
            .container("c", &autostarted("delay = \"1h\"", ""))
            .boot();
        for (earlier, later, delay) in [("a", "b", 700_000), ("b", "c", 1_000_000)] {
            let (first, second) = (start_times(&machine, earlier), start_times(&machine, later));
            assert!(first.1 + delay <= second.0, "{later} should wait for {delay} after {earlier}: {first:?}, {second:?}");
        }
        let pauses = machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "ct-delay@*"]).stdout;
        assert!(!pauses.contains("ct-delay@c"), "nobody is to come after c: {pauses}");
    }

    fn there_is_no_pause_after_a_start_that_failed(root: Root) {
        let machine = prepare(root, "1")
            .container("a", &autostarted("delay = \"1h\"", "ExecStartPre = \"/bin/false\""))
            .container("b", &autostarted("", ""))
            .may_be_degraded()
            .boot();
        machine.wait_for("ct@b", "ActiveState", "active");
        assert_eq!(machine.show("ct@a", "ActiveState"), "failed");
        assert_eq!(machine.show("ct-delay@a", "ActiveState"), "inactive", "a pause is no failure");
    }

    fn what_systemctl_enables_is_started_by_boot_and_has_a_place_in_the_lanes(root: Root) {
        let wants = "/etc/systemd/system/ct.target.wants";
        let template = "/usr/lib/systemd/system/ct@.service";
        let idle = autostarted("", "").replace("enabled = true", "enabled = false");
        let machine = prepare(root, "1")
            .container("a-config", &autostarted("", ""))
            .container("b-link", &idle)
            .container("c-both", &autostarted("", ""))
            .container("d-masked", &autostarted("", ""))
            .container("e-neither", &idle)
            .link(format!("{wants}/ct@b-link.service"), template)
            .link(format!("{wants}/ct@c-both.service"), template)
            .link(format!("{wants}/ct@d-masked.service"), "/dev/null")
            .boot();
        one_after_the_other(&machine, "a-config", "b-link");
        one_after_the_other(&machine, "b-link", "c-both");
        let enabled = |name: &str| machine.run(["systemctl", "is-enabled", &format!("ct@{name}")]).stdout;
        for (name, state, boot, reasons) in [
            ("a-config", "enabled-runtime", "active", [true, false, false]),
            ("b-link", "enabled", "active", [false, true, false]),
            ("c-both", "enabled", "active", [true, true, false]),
            ("d-masked", "", "inactive", [false, false, true]),
            ("e-neither", "disabled", "inactive", [false, false, false]),
        ] {
            assert_eq!(machine.show(&format!("ct@{name}"), "ActiveState"), boot, "{name}");
            if !state.is_empty() {
                assert_eq!(enabled(name).trim_end(), state, "{name}");
            }
            let cat = machine.run(["systemctl", "cat", &format!("ct@{name}")]).stdout;
            let told = [
                "# Boot starts it: [autostart] enabled = true.".to_owned(),
                format!("# Boot starts it: systemctl enable, {wants}/ct@{name}.service."),
                format!("# Boot does not start it: masked by {wants}/ct@{name}.service."),
            ];
            assert_eq!(told.map(|line| cat.contains(&line)), reasons, "{cat}");
        }
        machine.run(["systemctl", "disable", "ct@b-link", "ct@c-both"]).succeeds();
        assert_eq!(enabled("b-link"), "disabled\n");
        assert_eq!(enabled("c-both"), "enabled-runtime\n", "its config still says so");
    }
}

on_every_machine! {
    fn a_start_by_hand_does_not_wait_for_its_turn(machine: &Machine) {
        start_as_boot_does(machine, 1, &[
            ("a-slow", "", UNTIL_GO),
            ("b-next", "", ""),
            ("c-low", "priority = 2000", ""),
            ("d-base", "priority = 3000", ""),
            ("e-top", "priority = 3000\n[depends]\nrequires = [\"d-base\"]", ""),
        ]);
        machine.wait_for("ct@a-slow", "SubState", "start-pre");
        assert_ne!(machine.show("ct-turn@e-top.target", "Job"), "", "boot's job should wait");
        machine.start("ct@c-low");
        machine.start("ct@e-top");
        for (name, state) in [("a-slow", "activating"), ("b-next", "inactive"), ("d-base", "active")] {
            assert_eq!(machine.show(&format!("ct@{name}"), "ActiveState"), state, "{name}");
        }
        machine.shell("touch /run/go").succeeds();
        machine.wait_for("ct@b-next", "ActiveState", "active");
        one_after_the_other(machine, "a-slow", "b-next");
        machine.wait_until("systemctl list-jobs | grep '^No jobs'");
    }

    fn a_start_by_hand_makes_no_pause_and_waits_for_none(machine: &Machine) {
        start_as_boot_does(machine, 1, &[("a", "delay = \"1h\"", ""), ("b", "", ""), ("c", "", "")]);
        machine.wait_for("ct-delay@a", "ActiveState", "activating");
        machine.start("ct@b");
        assert_eq!(machine.show("ct-delay@a", "ActiveState"), "activating");
        machine.run(["systemctl", "restart", "ct@b"]).succeeds();
        // Whoever stops a ends the pause after it as well.
        machine.stop("ct@a");
        machine.wait_for("ct@c", "ActiveState", "active");
        machine.start("ct@a");
        assert_eq!(machine.show("ct-delay@a", "ActiveState"), "inactive");
    }

    fn a_shutdown_stops_all_at_once_but_for_dependencies(machine: &Machine) {
        let names: Vec<String> = (0..6).map(|number| format!("c{number}")).collect();
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir /srv/data").succeeds();
        machine.write_file("/etc/ct/ct.toml", 0o644, "[autostart]\nparallel = 1\n");
        // Told to end, each waits for all others to be told.
        let script = "trap 'touch /data/$0; until [ $(ls /data | wc -l) -ge 6 ]; do sleep 0.02; done; exit 0' TERM; \
                      touch /tmp/up-$0; sleep 1000 & wait";
        for (number, name) in names.iter().enumerate() {
            machine.container(name, &format!(
                "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{script}\", \"{name}\"]\n\
                 [[mount]]\nsource = \"/srv/data\"\ntarget = \"/data\"\ncreate = \"dir\"\n\
                 [autostart]\nenabled = true\npriority = {number}\n[systemd.service]\nExecStartPost = \"/bin/sleep 0.2\"\n\
                 [ready]\ncommand = [\"test\", \"-e\", \"/tmp/up-{name}\"]\n[stop]\ntimeout = \"5min\"\n"
            ));
        }
        machine.container("base", &autostarted("priority = -1", ""));
        machine.container("user", &autostarted("priority = 10\n[depends]\nrequires = [\"base\"]", ""));
        let unit = "[Unit]\nDefaultDependencies=no\nRequires=shutdown.target\nAfter=shutdown.target\n";
        machine.write_file("/etc/systemd/system/down.target", 0o644, unit);
        machine.daemon_reload();
        machine.start("ct.target");
        one_after_the_other(machine, "c4", "c5");
        // All of a shutdown but its very end, which would take the machine away.
        let shutdown = ["systemctl", "start", "--job-mode=replace-irreversibly", "down.target"];
        machine.run(shutdown).succeeds();
        for name in &names {
            let unit = format!("ct@{name}");
            machine.wait_for(&unit, "ActiveState", "inactive");
            assert_eq!(machine.show(&unit, "Result"), "success", "{name} should have met the others");
        }
        machine.wait_for("ct@base", "ActiveState", "failed"); // killed, as it was told
        let time = |unit: &str, property: &str| machine.show_number(unit, property);
        let (ended, told) =
            (time("ct@user", "InactiveEnterTimestampMonotonic"), time("ct@base", "ActiveExitTimestampMonotonic"));
        assert!(ended <= told, "who requires base ends first: {ended}, {told}");
    }
}
