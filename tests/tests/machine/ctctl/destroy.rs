// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl destroy`: all that is a container's own goes, what is others' stays, and what failed is told and left to a
//! second run.

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/var/lib/ct/layers/base");
    machine.container(
        "web",
        &format!(
            "[root]\nlayers = [\"base\"]\n[process]\ncommand = [\"sh\", \"-c\", \"echo kept >/kept; {IDLE}\"]\n\
             [stop]\ntimeout = \"5min\"\n"
        ),
    );
    machine.daemon_reload();
}

/// Everything of `web`.
const EVERYTHING: &str = "ls -d /etc/ct/containers/*web* /etc/ct/containers/.web* /run/ct/containers/web* /var/lib/ct/web /run/ct/web \
    /etc/systemd/system/*.wants/ct@web* /*/systemd/system.control/ct@web* 2>/dev/null; true";

on_every_machine! {
    fn all_that_is_its_own_goes(machine: &Machine) {
        prepare(machine);
        // What the first start makes for all.
        machine.shell("systemctl start ct.slice").succeeds();
        let web = machine.leaks();
        machine.start("ct@web");
        machine.shell("systemctl enable ct@web && ctctl set --persist web tasks_max=50 && ctctl set web tasks_max=60").succeeds();
        machine.write_file("/etc/ct/containers/.web.edit.toml", 0o644, "half");
        assert_eq!(machine.shell(EVERYTHING).stdout.lines().count(), 7, "{}", machine.shell(EVERYTHING).stdout);
        assert_eq!(machine.run(["ctctl", "destroy", "--yes", "web"]).succeeds().stderr, "");
        assert_eq!(machine.shell(EVERYTHING).stdout, "");
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive");
        machine.shell("test -x /var/lib/ct/layers/base/bin/sh").succeeds();
        machine.assert_no_leaks(&web);
        // Once more: there is nothing.
        assert_eq!(machine.run(["ctctl", "destroy", "--yes", "web"]).succeeds().stderr, "ctctl: there is nothing of web\n");
    }

    fn nothing_goes_without_consent(machine: &Machine) {
        prepare(machine);
        let refused = machine.shell("ctctl destroy web </dev/null").exits(2).stderr;
        assert!(refused.contains("/etc/ct/containers/web.toml") && refused.contains("--yes"), "{refused}");
        // Only exact names, and names at all.
        machine.run(["ctctl", "destroy", "--yes", "we"]).succeeds();
        machine.run(["ctctl", "destroy", "--yes", "../etc"]).exits(2);
        machine.run(["ctctl", "destroy", "--yes", "layers"]).exits(2);
        machine.shell("test -e /etc/ct/containers/web.toml").succeeds();
        machine.start("ct@web");
        machine.run(["ctctl", "destroy", "--yes", "--keep-data", "web"]).succeeds();
        assert_eq!(machine.shell("find /var/lib/ct/web -name kept").stdout.lines().count(), 1);
        machine.run(["ctctl", "destroy", "--yes", "web"]).succeeds();
        assert_eq!(machine.shell(EVERYTHING).stdout, "", "what was left can still go");
    }

    fn each_step_is_tried_and_a_second_run_does_the_rest(machine: &Machine) {
        prepare(machine);
        machine.start("ct@web");
        // Somebody's mount among the data, and a config that comes with the system.
        machine.shell("mkdir /var/lib/ct/web/mnt '/var/lib/ct/web/my disk' && mount -t tmpfs none '/var/lib/ct/web/my disk' && echo x >'/var/lib/ct/web/my disk/x'").succeeds();
        machine.shell("mkdir -p /usr/lib/ct/containers && cp /etc/ct/containers/web.toml /usr/lib/ct/containers/").succeeds();
        let failed = machine.run(["ctctl", "destroy", "--yes", "web"]).exits(1).stderr;
        assert!(failed.contains("cannot remove /var/lib/ct/web: /var/lib/ct/web/my disk is mounted"), "{failed}");
        assert!(failed.contains("ln -s /dev/null"), "{failed}");
        assert_eq!(failed.lines().count(), 2, "{failed}");
        machine.shell("test -e '/var/lib/ct/web/my disk/x' -a ! -e /etc/ct/containers/web.toml").succeeds();
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive");
        machine.shell("umount '/var/lib/ct/web/my disk'; rm /usr/lib/ct/containers/web.toml").succeeds();
        machine.run(["ctctl", "destroy", "--yes", "web"]).succeeds();
        assert_eq!(machine.shell(EVERYTHING).stdout, "");
    }

    fn runs_of_it_are_stopped_before_their_files_go(machine: &Machine) {
        prepare(machine);
        let unit = machine.run(["ctctl", "run", "-d", "web", "--", "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]).succeeds().stdout;
        let unit = unit.trim();
        assert_eq!(machine.show(unit, "ActiveState"), "active");
        let refused = machine.shell("ctctl destroy web </dev/null").exits(2).stderr;
        assert!(refused.contains(&format!("{unit} is stopped")), "{refused}");
        machine.run(["ctctl", "destroy", "-y", "web"]).succeeds();
        assert_ne!(machine.show(unit, "ActiveState"), "active");
        assert_eq!(machine.shell(EVERYTHING).stdout, "");
    }

    fn links_among_the_data_are_not_followed(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /srv/other/sub && echo x >/srv/other/sub/x && mkdir -p /var/lib/ct/web && ln -s /srv/other /var/lib/ct/web/link").succeeds();
        machine.run(["ctctl", "destroy", "-y", "ct@web.service"]).succeeds();
        machine.shell("test -e /srv/other/sub/x").succeeds();
        // A frozen one, and a broken one.
        prepare(machine);
        machine.start("ct@web");
        machine.shell("systemctl freeze ct@web").succeeds();
        machine.run(["ctctl", "destroy", "-y", "web"]).succeeds();
        machine.container("web", "= broken");
        machine.daemon_reload();
        machine.run(["ctctl", "destroy", "-y", "web"]).succeeds();
        assert_eq!(machine.shell(EVERYTHING).stdout, "");
    }
}
