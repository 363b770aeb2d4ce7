// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[depends]`: what starts and stops along, in which order, and what becomes of names and cycles that cannot be kept.

use ct_tests::{Machine, Root, on_every_machine, test_name};

/// A container that idles, and takes a moment to become ready.
fn container(depends: &str) -> String {
    format!(
        "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sleep\", \"1000\"]\n[stop]\nsignal = \"SIGKILL\"\n\
         [systemd.service]\nExecStartPre = \"/bin/sleep 0.2\"\n[depends]\n{depends}"
    )
}

/// A container whose init writes to /data/log when it is told to end, and again when it ends.
fn noting(name: &str, depends: &str) -> String {
    let script = format!(
        "trap 'echo {name} told >>/data/log; sleep 0.2; echo {name} ends >>/data/log; exit 0' TERM; \
         echo {name} up >>/data/log; sleep 1000 & wait"
    );
    format!(
        "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"\"\"{script}\"\"\"]\n\
         [[mount]]\nsource = \"/srv/data\"\ntarget = \"/data\"\ncreate = \"dir\"\n[depends]\n{depends}"
    )
}

/// When a unit left "inactive" and when it became "active", in microseconds since the host's boot.
fn start_times(machine: &Machine, unit: &str) -> (u64, u64) {
    let time = |property: &str| machine.show_number(unit, property);
    let (begun, ready) = (time("InactiveExitTimestampMonotonic"), time("ActiveEnterTimestampMonotonic"));
    assert!(0 < begun && begun <= ready, "{unit} should have started: {begun}, {ready}");
    (begun, ready)
}

/// What the generator tells the kernel's log when PID 1 runs it. The machine has none: a pipe stands in for it.
fn told_to_the_kernel(machine: &Machine) -> String {
    let reload =
        "mkfifo /dev/kmsg && exec 3<>/dev/kmsg && systemctl daemon-reload && echo end >&3 && sed /^end/q <&3";
    machine.shell(reload).succeeds().stdout
}

fn is_active(machine: &Machine, names: &[&str]) {
    for name in names {
        assert_eq!(machine.show(&format!("ct@{name}"), "ActiveState"), "active", "{name}");
    }
}

on_every_machine! {
    fn the_top_of_a_chain_starts_it_in_order_each_ready_before_the_next(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.write_file("/etc/systemd/system/last.service", 0o644, "[Service]\nExecStart=sleep 1000\n");
        machine.container("a-top", &container("requires = [\"b-middle\"]\nafter = [\"c-other\"]\n"));
        machine.container("b-middle", &container("wants = [\"c-bottom\"]\n"));
        machine.container("c-bottom", &container("requires = [\"last.service\"]\n"));
        machine.container("c-other", &container("before = [\"b-middle\"]\n"));
        machine.daemon_reload();
        machine.start("ct@a-top");
        let bottom = ["last.service", "ct@c-bottom", "ct@b-middle", "ct@a-top"];
        for pair in bottom.windows(2) {
            let (earlier, later) = (start_times(machine, pair[0]), start_times(machine, pair[1]));
            assert!(earlier.1 <= later.0, "{} begins before {} is ready: {earlier:?} {later:?}", pair[1], pair[0]);
        }
        assert_eq!(machine.show("ct@c-other", "ActiveState"), "inactive", "`after` and `before` start nothing");
    }

    fn a_dependent_waits_until_its_dependency_says_that_it_is_ready(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir /srv/data").succeeds();
        let ready = "[ready]\ncommand = [\"test\", \"-e\", \"/data/ready\"]\n";
        machine.container("db", &noting("db", ready));
        machine.container("web", &noting("web", "requires = [\"db\"]\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@web"]).succeeds();
        machine.wait_until("grep up /srv/data/log");
        assert_eq!(machine.show("ct@db", "ActiveState"), "activating");
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive", "db is up, but not ready");
        machine.shell("touch /srv/data/ready").succeeds();
        machine.wait_for("ct@web", "ActiveState", "active");
        machine.wait_until("grep web /srv/data/log");
        assert_eq!(machine.read_file("/srv/data/log"), "db up\nweb up\n");
        assert!(start_times(machine, "ct@db").1 <= start_times(machine, "ct@web").0);
    }

    fn stopping_a_dependency_stops_its_dependents_first(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir /srv/data").succeeds();
        machine.container("a-db", &noting("db", ""));
        machine.container("b-app", &noting("app", "requires = [\"a-db\"]\n"));
        machine.container("c-web", &noting("web", "requires = [\"b-app\"]\n"));
        machine.container("d-loose", &noting("loose", "wants = [\"b-app\"]\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "ct@c-web", "ct@d-loose"]).succeeds();
        machine.wait_until("grep -c up /srv/data/log | grep 4");
        machine.shell(">/srv/data/log").succeeds();

        machine.stop("ct@b-app");
        assert_eq!(machine.read_file("/srv/data/log"), "web told\nweb ends\napp told\napp ends\n");
        is_active(machine, &["a-db", "d-loose"]);

        machine.start("ct@c-web");
        machine.wait_until("grep -c up /srv/data/log | grep 2");
        machine.shell(">/srv/data/log").succeeds();
        machine.stop("ct@a-db");
        let log = machine.read_file("/srv/data/log");
        assert_eq!(log, "web told\nweb ends\napp told\napp ends\ndb told\ndb ends\n");
        is_active(machine, &["d-loose"]);
    }

    fn a_broken_dependency_fails_who_requires_it_but_not_who_wants_it(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("broken", "nonsense = 1\n");
        machine.container("needs", &container("requires = [\"broken\"]\n"));
        machine.container("likes", &container("wants = [\"broken\"]\n"));
        machine.daemon_reload();
        let output = machine.try_start("ct@needs").fails();
        assert!(output.stderr.contains("A dependency job for ct@needs.service failed"), "{output}");
        assert_eq!(machine.show("ct@needs", "ActiveState"), "inactive");
        machine.start("ct@likes");
        is_active(machine, &["likes"]);
        let status = machine.run(["systemctl", "status", "ct@broken"]).stdout;
        assert!(status.contains("/etc/ct/containers/broken.toml:1:1: unknown key `nonsense`"), "{status}");
    }

    fn a_name_that_does_not_exist_is_told_with_its_place(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("cache", &container(""));
        machine.container("web", &container("wants = [\"cahce\"]\nafter = [\"nobody.service\"]\n"));
        machine.daemon_reload();
        let generator = "/usr/lib/systemd/system-generators/ct-generator";
        let output = machine.shell(&format!("mkdir /tmp/out && {generator} /tmp/out")).succeeds();
        let line = "/etc/ct/containers/web.toml:10:10: depends.wants: there is no container `cahce` (did you mean \
                    `cache`?)\n";
        assert_eq!(output.stderr, line);
        let told = told_to_the_kernel(machine);
        assert!(told.starts_with("<4>ct-generator[") && told.contains(line), "{told}");
        machine.start("ct@web");
    }
}

on_every_machine! {
    fn what_is_in_a_cycle_of_wants_and_after_boots(root: Root) {
        let autostart = "[autostart]\nenabled = true\n";
        let in_cycle = |depends: &str| container(&format!("{depends}\n{autostart}"));
        let machine = Machine::prepare(root, &test_name())
            .busybox_rootfs("/srv/rootfs")
            .container("a", &in_cycle("wants = [\"b\"]"))
            .container("late", &in_cycle("after = [\"multi-user.target\"]"))
            .container("b", &in_cycle("wants = [\"c\"]"))
            .container("c", &in_cycle("wants = [\"a\"]"))
            .container("x", &in_cycle("after = [\"y\"]"))
            .container("y", &in_cycle("requires = [\"z\"]"))
            .container("z", &in_cycle("after = [\"x\"]"))
            .boot();
        is_active(&machine, &["a", "b", "c", "late", "x", "y", "z"]);
        let told = told_to_the_kernel(&machine);
        assert!(told.contains("c.toml:10:10: depends.wants: c -> a -> b -> c is a cycle"), "{told}");
        assert!(told.contains("late.toml:10:10: depends.after: late -> multi-user.target -> late is a"), "{told}");
        assert!(told.contains("z.toml:10:10: depends.after: z -> x -> y -> z is a cycle"), "{told}");
        assert!(start_times(&machine, "ct@z").1 <= start_times(&machine, "ct@y").0, "what is required stays first");
        let journal = machine.journalctl(&[]);
        assert!(!journal.contains("ordering cycle"), "systemd should find nothing to drop: {journal}");
    }

    fn a_cycle_of_requires_fails_with_its_path_and_takes_nobody_along(root: Root) {
        let autostart = "[autostart]\nenabled = true\n";
        let in_cycle = |depends: &str| container(&format!("{depends}\n{autostart}"));
        let machine = Machine::prepare(root, &test_name())
            .busybox_rootfs("/srv/rootfs")
            .container("a", &in_cycle("requires = [\"b\"]"))
            .container("b", &in_cycle("requires = [\"a\"]"))
            .container("other", &in_cycle("wants = [\"a\"]"))
            .may_be_degraded()
            .boot();
        for name in ["a", "b"] {
            assert_eq!(machine.show(&format!("ct@{name}"), "ActiveState"), "failed");
            let status = machine.run(["systemctl", "status", "--lines=20", &format!("ct@{name}")]).stdout;
            let reason = format!(
                "{name}.toml:10:13: depends.requires: a -> b -> a is a cycle of requires, none of them can start"
            );
            assert!(status.contains(&reason), "{status}");
        }
        is_active(&machine, &["other"]);
    }
}
