// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl create`: a container from a root file system, layers or a bundle, which really starts; what is refused leaves
//! nothing behind.

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// All names below /etc/ct and /var/lib/ct.
fn files(machine: &Machine) -> String {
    machine.shell("find /etc/ct /var/lib/ct 2>/dev/null | sort").stdout
}

on_every_machine! {
    fn a_root_file_system_is_a_container(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let created = machine.run(["ctctl", "create", "web", "--rootfs", "/srv/rootfs", "--autostart", "--hostname", "shop",
            "--env", "GREETING=a \"quoted\" word", "--set", "limits.nofile=100:200", "--set", "stop.timeout=7",
            "--tasks-max", "50", "--", "sh", "-c", "echo $(hostname) $GREETING $(ulimit -n) >/out; trap 'exit 0' TERM; sleep 1000 & wait"]);
        assert_eq!(created.succeeds().stdout, "/etc/ct/containers/web.toml\n");
        assert_eq!(machine.run(["stat", "-c", "%a %U:%G", "/etc/ct/containers/web.toml"]).stdout, "644 root:root\n");
        // systemd has read it: nothing but a start is needed.
        assert_eq!(machine.show("ct@web", "TasksMax"), "50");
        assert_eq!(machine.run(["systemctl", "is-enabled", "ct@web"]).stdout, "enabled-runtime\n");
        machine.start("ct@web");
        machine.shell("until [ -s /srv/rootfs/out ]; do sleep 0.1; done").succeeds();
        assert_eq!(machine.read_file("/srv/rootfs/out"), "shop a \"quoted\" word 100\n");
        assert_eq!(machine.show("ct@web", "TimeoutStopUSec"), "7s");
    }

    fn layers_and_bundles_are_containers(machine: &Machine) {
        machine.busybox_rootfs("/var/lib/ct/layers/base");
        machine.shell("mkdir -p /srv/top && echo above >/srv/top/file").succeeds();
        machine.run(["ctctl", "create", "layered", "--layer", "base", "--layer", "/srv/top", "--writable", "ephemeral",
            "--runtime", "runc", "--", "sh", "-c", "[ $(cat /file) = above ] && exit 7"]).succeeds();
        machine.run(["systemctl", "start", "ct@layered"]);
        machine.wait_for("ct@layered", "ActiveState", "failed");
        assert_eq!(machine.show("ct@layered", "ExecMainStatus"), "7");

        machine.busybox_rootfs("/srv/bundle/rootfs");
        machine.shell("cd /srv/bundle && runc spec && sed -i 's/\"terminal\": true/\"terminal\": false/' config.json").succeeds();
        machine.run(["ctctl", "create", "bundled", "--bundle", "/srv/bundle", "--", "sh", "-c", IDLE]).succeeds();
        machine.start("ct@bundled");
        assert_eq!(machine.show("ct@bundled", "ActiveState"), "active");
    }

    fn what_is_refused_leaves_nothing(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir /srv/no-bundle; mkdir -p /usr/lib/ct/containers; printf '[root]\\npath = \"/x\"\\n' >/usr/lib/ct/containers/taken.toml").succeeds();
        machine.run(["ctctl", "create", "web", "--rootfs", "/srv/rootfs"]).succeeds();
        let before = (files(machine), machine.read_file("/etc/ct/containers/web.toml"));
        let refused = |code: i32, arguments: &str, reason: &str| {
            let output = machine.shell(&format!("ctctl create {arguments}")).exits(code);
            assert!(output.stderr.contains(reason), "{arguments}: {}", output.stderr);
            assert_eq!(output.stdout, "", "{arguments}");
            assert_eq!((files(machine), machine.read_file("/etc/ct/containers/web.toml")), before, "{arguments}");
        };
        refused(1, "web --rootfs /srv/rootfs", "there is a container \"web\" already: /etc/ct/containers/web.toml");
        refused(1, "taken --rootfs /srv/rootfs", "already: /usr/lib/ct/containers/taken.toml");
        refused(2, "../evil --rootfs /srv/rootfs", "is not a container name");
        refused(2, "layers --rootfs /srv/rootfs", "it is reserved");
        refused(1, "new --rootfs /srv/nowhere", "cannot use /srv/nowhere: No such file or directory");
        refused(1, "new --rootfs /etc/passwd", "cannot use /etc/passwd: not a directory");
        refused(1, "new --layer nowhere", "cannot use /var/lib/ct/layers/nowhere: No such file");
        refused(1, "new --bundle /srv/no-bundle", "/srv/no-bundle is no OCI bundle: config.json");
        refused(2, "new", "--rootfs");
        refused(2, "new --rootfs /srv/rootfs --layer a", "cannot be used with");
        refused(2, "new --rootfs /srv/rootfs --set memory", "\"memory\" is not KEY=VALUE");
        refused(1, "new --rootfs /srv/rootfs --memory-max 12Q", "resources.memory_max: ");
        refused(1, "new --rootfs /srv/rootfs --set procces.cwd=/", "did you mean");
        refused(1, "new --rootfs /srv/rootfs --runtime nosuch", "runtime: ");
        refused(2, "-H other new --rootfs /srv/rootfs", "does not work with --host");
        refused(1, "web --force --rootfs /srv/rootfs --runtime nosuch", "runtime: ");
        machine.run(["ctctl", "create", "web", "--force", "--rootfs", "/srv/rootfs", "--no-reload", "--description", "new"]).succeeds();
        assert!(machine.read_file("/etc/ct/containers/web.toml").contains("description = \"new\""));
        assert_ne!(machine.show("ct@web", "Description"), "new");
        // An ordinary user.
        let other = machine.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ctctl", "create", "mine", "--rootfs", "/srv/rootfs"]);
        assert!(other.exits(77).stderr.contains("cannot write /etc/ct/containers/mine.toml"));
    }
}
