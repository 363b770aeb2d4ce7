// SPDX-License-Identifier: MIT OR Apache-2.0
//! What boot does: containers that start by themselves, and those that cannot.

use ct_tests::{Machine, Root, on_every_machine, test_name};

fn container(more: &str) -> String {
    format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/sleep\", \"1000\"]\n{more}")
}

on_every_machine! {
    fn autostarted_containers_are_up_after_boot(root: Root) {
        let machine = Machine::prepare(root, &test_name())
            .busybox_rootfs("/srv/rootfs")
            .container("web", &container("[autostart]\nenabled = true\n[depends]\nrequires = [\"db\"]\n"))
            .container("db", &container(""))
            .container("idle", &container(""))
            .boot();
        machine.wait_for("ct@web", "ActiveState", "active");
        assert_eq!(machine.show("ct@db", "ActiveState"), "active", "what web requires should be up too");
        assert_eq!(machine.show("ct@idle", "ActiveState"), "inactive");
        let order = machine.show("ct@web", "After");
        assert!(order.contains("ct@db.service"), "{order}");
        assert!(machine.show("ct@web", "SourcePath").ends_with("/etc/ct/containers/web.toml"));
    }
}

on_every_machine! {
    fn systemctl_enable_and_disable_work(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("web", &container(""));
        machine.daemon_reload();
        machine.run(["systemctl", "enable", "ct.target"]).succeeds();
        machine.run(["systemctl", "enable", "ct@web"]).succeeds();
        assert_eq!(machine.run(["systemctl", "is-enabled", "ct@web"]).succeeds().stdout, "enabled\n");
        machine.start("ct.target");
        machine.wait_for("ct@web", "ActiveState", "active");
        machine.run(["systemctl", "disable", "ct@web"]).succeeds();
    }

    fn an_autostarted_broken_config_shows_among_the_failed(machine: &Machine) {
        machine.container("bad", "nonsense = 1\n[root]\npath = \"/srv/rootfs\"\n[autostart]\nenabled = true\n");
        machine.daemon_reload();
        machine.start("ct.target");
        machine.wait_for("ct@bad", "ActiveState", "failed");
        let failed = machine.run(["systemctl", "--failed", "--plain", "--no-legend"]).succeeds().stdout;
        assert!(failed.contains("ct@bad.service"), "{failed}");
        let status = machine.run(["systemctl", "status", "ct@bad"]).stdout;
        assert!(status.contains("/etc/ct/containers/bad.toml:1:1"), "{status}");
    }

    fn what_the_toml_says_is_what_systemd_shows(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.container(
            "web",
            &format!(
                "description = \"Web % front $end\"\nslice = \"ct-prod.slice\"\n{}",
                container(
                    "[limits]\nnofile = \"1024:65536\"\nnproc = \"infinity\"\nstack = \"8M\"\ncpu = 60\n\
                     [resources]\nmemory_max = \"512M\"\ncpu_quota = \"150%\"\ntasks_max = 512\nio_weight = 50\n\
                     [oom]\nscore_adjust = 300\npolicy = \"stop\"\n\
                     [stop]\nsignal = \"SIGQUIT\"\ntimeout = \"1min 30s\"\n\
                     [restart]\npolicy = \"on-failure\"\ndelay = \"250ms\"\n\
                     [depends]\nwants = [\"cache\"]\nafter = [\"network-online.target\"]\n\
                     [systemd.service]\nLogRateLimitBurst = 7\n"
                )
            ),
        );
        machine.daemon_reload();
        for (property, value) in [
            ("Description", "Web % front $end"),
            ("Slice", "ct-prod.slice"),
            ("LimitNOFILESoft", "1024"),
            ("LimitNOFILE", "65536"),
            ("LimitNPROC", "infinity"),
            ("LimitSTACKSoft", "8388608"),
            ("LimitCPU", "60"),
            ("MemoryMax", "536870912"),
            ("CPUQuotaPerSecUSec", "1.500000s"),
            ("TasksMax", "512"),
            ("IOWeight", "50"),
            ("OOMScoreAdjust", "300"),
            ("OOMPolicy", "stop"),
            ("KillSignal", "3"),
            ("TimeoutStopUSec", "1min 30s"),
            ("Restart", "on-failure"),
            ("RestartUSec", "250ms"),
            ("LogRateLimitBurst", "7"),
            ("Wants", "ct@cache.service"),
            ("NotifyAccess", "main"),
            ("Delegate", "yes"),
        ] {
            assert_eq!(machine.show("ct@web", property), value, "{property}");
        }
        machine.write_file("/etc/systemd/system/ct@web.service.d/90-admin.conf", 0o644, "[Service]\nTasksMax=9\n");
        machine.daemon_reload();
        assert_eq!(machine.show("ct@web", "TasksMax"), "9", "an administrator's drop-in should win");
        machine.start("ct@web");
        machine.shell("touch -d '+1 hour' /etc/ct/containers/web.toml").succeeds();
        assert_eq!(machine.show("ct@web", "NeedDaemonReload"), "yes", "an edited config should be noticed");
    }
}
