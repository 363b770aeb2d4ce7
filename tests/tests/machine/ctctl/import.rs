// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ctctl import` makes of a Quadlet file, an LXC config and a definition of SPOC starts, and behaves as they say.

use ct_tests::{Machine, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; touch /tmp/up; sleep 1000 & wait";

/// What is so inside a running container, in lines.
fn facts(machine: &Machine, name: &str) -> String {
    let pid = machine.main_pid(&format!("ct@{name}"));
    machine.wait_until(&format!("test -e /proc/{pid}/root/tmp/up"));
    machine
        .shell(&format!(
            "tr '\\0' '\\n' </proc/{pid}/environ | grep -E '^(GREETING|EMPTY)' | sort
        readlink /proc/{pid}/cwd
        grep -E '^(Uid|Gid|NoNewPrivs)' /proc/{pid}/status | tr '\\t' ' '
        grep 'Max open files' /proc/{pid}/limits | tr -s ' '
        awk '$5 == \"/data\" {{ split($6, options, \",\"); print $5, options[1] }}' /proc/{pid}/mountinfo
        nsenter --target {pid} --uts hostname
        nsenter --target {pid} --mount --root cat /data/file"
        ))
        .succeeds()
        .stdout
}

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.shell("mkdir -p /srv/in /srv/data /srv/rootfs/tmp && chmod 1777 /srv/rootfs/tmp && echo kept >/srv/data/file").succeeds();
    machine.run(["systemctl", "start", "ct.slice"]).succeeds();
}

fn write(machine: &Machine, path: &str, text: &str) {
    machine.write_file(path, 0o644, text);
}

on_every_machine! {
    fn a_quadlet_file_starts_and_behaves(machine: &Machine) {
        prepare(machine);
        write(machine, "/srv/in/web.container", &format!(
            "[Unit]\nDescription=Web of Quadlet\n[Container]\nImage=localhost/web:1\nExec=/bin/sh -c \"{IDLE}\"\n\
             Environment=\"GREETING=hello world\" EMPTY=\nUser=1000:1001\nWorkingDir=/tmp\nHostName=quadlet\n\
             Volume=/srv/data:/data:ro\nUlimit=nofile=100:200\nNetwork=none\nStopSignal=SIGTERM\n\
             [Service]\nRestart=on-failure\n[Install]\nWantedBy=multi-user.target\n"
        ));
        let refused = machine.run(["ctctl", "import", "/srv/in/web.container"]);
        assert_eq!(refused.status.code(), Some(1), "the image is nowhere: {refused}");
        let imported = machine.run(["ctctl", "import", "--map", "localhost/web:1=/srv/rootfs", "/srv/in/web.container"]).succeeds();
        assert!(imported.stdout.ends_with("/etc/ct/containers/web.toml\n"), "{imported}");
        machine.run(["ctctl", "check"]).succeeds();
        machine.start("ct@web");
        let want = "EMPTY=\nGREETING=hello world\n/tmp\nUid: 1000 1000 1000 1000\nGid: 1001 1001 1001 1001\nNoNewPrivs: 0\n\
                    Max open files 100 200 files \n/data ro\nquadlet\nkept\n";
        assert_eq!(facts(machine, "web"), want);
        assert_eq!(machine.show("ct@web", "Description"), "Web of Quadlet");
        assert_eq!(machine.show("ct@web", "Restart"), "on-failure");
        assert_eq!(machine.show("ct@web", "TimeoutStopUSec"), "10s");
        machine.shell("systemctl list-dependencies ct.target | grep -q ct@web.service").succeeds();
        // As with Quadlet, what it wrote is gone.
        machine.shell("test ! -e /srv/rootfs/tmp/up").succeeds();
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
    }

    fn a_config_of_lxc_starts_and_behaves(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /var/lib/lxc/mail && cp -a /srv/rootfs /var/lib/lxc/mail/rootfs && chown -R 100000:100000 /var/lib/lxc/mail/rootfs").succeeds();
        write(machine, "/var/lib/lxc/mail/config", &format!(
            "lxc.include = /usr/share/lxc/config/debian.common.conf\nlxc.rootfs.path = dir:/var/lib/lxc/mail/rootfs\n\
             lxc.uts.name = lxc\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n\
             lxc.init.cmd = /bin/sh -c \"{IDLE}\"\nlxc.init.uid = 1000\nlxc.init.gid = 1001\nlxc.init.cwd = /tmp\n\
             lxc.environment = GREETING=hello world\nlxc.environment = EMPTY=\n\
             lxc.mount.entry = /srv/data data none bind,ro,create=dir 0 0\nlxc.prlimit.nofile = 100:200\n\
             lxc.cap.drop = sys_module\nlxc.signal.halt = SIGTERM\nlxc.net.0.type = empty\nlxc.start.auto = 0\n"
        ));
        machine.run(["ctctl", "import", "/var/lib/lxc/mail/config"]).succeeds();
        machine.start("ct@mail");
        let want = "EMPTY=\nGREETING=hello world\n/tmp\nUid: 101000 101000 101000 101000\nGid: 101001 101001 101001 101001\n\
                    NoNewPrivs: 0\nMax open files 100 200 files \n/data ro\nlxc\nkept\n";
        assert_eq!(facts(machine, "mail"), want);
        // As with LXC, what it wrote stays.
        machine.shell("test -e /var/lib/lxc/mail/rootfs/tmp/up").succeeds();
        machine.stop("ct@mail");
        assert_eq!(machine.show("ct@mail", "Result"), "success");
    }

    fn a_definition_of_spoc_starts_and_behaves(machine: &Machine) {
        prepare(machine);
        machine.shell(
            "mkdir -p /var/lib/spoc/layers /var/lib/spoc/volumes/conf /var/lib/spoc/layers/app/srv
            cp -a /srv/rootfs /var/lib/spoc/layers/base; echo kept >/var/lib/spoc/volumes/conf/file
            chown -R 100000:100000 /var/lib/spoc"
        ).succeeds();
        write(machine, "/srv/in/app.json", &format!(
            "{{ \"depends\": [\"db\"], \"layers\": [\"base\", \"app\"], \"mounts\": {{ \"conf\": \"data\" }},\n\
             \"env\": {{ \"GREETING\": \"hello world\", \"EMPTY\": \"\" }}, \"uid\": 1000, \"gid\": 1001, \"cwd\": \"/tmp\",\n\
             \"cmd\": \"/bin/sh -c \\\"sleep 0.3; {IDLE}\\\"\", \"ready\": \"test -e /tmp/up\", \"halt\": \"SIGTERM\" }}"
        ));
        write(machine, "/srv/in/db.json", &format!("{{ \"layers\": [\"base\"], \"cmd\": \"sh -c \\\"{IDLE}\\\"\", \"halt\": \"SIGTERM\" }}"));
        machine.run(["ctctl", "import", "/srv/in/app.json", "/srv/in/db.json"]).succeeds();
        machine.start("ct@app");
        assert_eq!(machine.show("ct@db", "ActiveState"), "active", "it is required");
        let open_files = "grep 'Max open files' /proc/self/limits | tr -s ' '";
        let facts = facts(machine, "app");
        let limits = machine.shell(open_files).stdout;
        let lines: Vec<&str> = facts.lines().filter(|line| !line.starts_with("Max")).collect();
        assert_eq!(lines, [
            "EMPTY=", "GREETING=hello world", "/tmp", "Uid: 101000 101000 101000 101000", "Gid: 101001 101001 101001 101001",
            "NoNewPrivs: 0", "/data rw", "app", "kept",
        ], "{limits}");
        // Ready only once its command has succeeded; what it wrote is in memory.
        let pid = machine.main_pid("ct@app");
        machine.shell(&format!("nsenter --target {pid} --mount --root test -e /tmp/up && test ! -e /var/lib/spoc/layers/app/tmp/up")).succeeds();
        machine.stop("ct@app");
        assert_eq!(machine.show("ct@app", "Result"), "success");
    }
}
