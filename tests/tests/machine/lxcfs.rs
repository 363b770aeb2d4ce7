// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of /proc from lxcfs: does a container see its own uptime, and does nothing depend on lxcfs being well?

use ct_tests::{Machine, on_every_machine};

/// The container's uptime, whole seconds; the machine's is hours.
const UPTIME: &str = "cut -d. -f1 /proc/uptime >/tmp/uptime; cat /proc/meminfo /proc/stat /proc/loadavg /sys/devices/system/cpu/online >/tmp/all && touch /tmp/fine; trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, runtime: &str, lxcfs: &str, more: &str) {
    machine.container(
        "web",
        &format!("runtime = \"{runtime}\"\n{more}[root]\npath = \"/srv/rootfs\"\nlxcfs = \"{lxcfs}\"\n[process]\ncommand = [\"sh\", \"-c\", \"\"\"{UPTIME}\"\"\"]\n"),
    );
    machine.daemon_reload();
    machine.shell("rm -f /srv/rootfs/tmp/*").succeeds();
}

/// lxcfs as its own unit runs it, which does not run in containers such as these machines.
fn serve(machine: &Machine) {
    machine.shell("mkdir -p /var/lib/lxcfs; systemd-run --unit=serve lxcfs /var/lib/lxcfs").succeeds();
    machine.wait_until("test -e /var/lib/lxcfs/proc/uptime");
}

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.shell("systemctl start ct.slice; useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
}

fn said(machine: &Machine) -> String {
    machine.journalctl(&["--unit", "ct@web", "--identifier", "ct-helper", "--output", "cat"])
}

fn uptime(machine: &Machine) -> u64 {
    machine.wait_until("test -s /srv/rootfs/tmp/uptime -a -e /srv/rootfs/tmp/fine");
    machine.read_file("/srv/rootfs/tmp/uptime").trim().parse().expect("a number of seconds")
}

on_every_machine! {
    fn a_container_sees_its_own_uptime(machine: &Machine) {
        prepare(machine);
        serve(machine);
        // No machine that compiles this has been up for less.
        let of_the_host: u64 = machine.shell("cut -d. -f1 /proc/uptime").stdout.trim().parse().unwrap();
        assert!(of_the_host > 60, "{of_the_host}");
        let before = machine.leaks();
        for (runtime, lxcfs, more) in [
            ("crun", "auto", ""),
            ("runc", "yes", ""),
            ("crun", "yes", "user = \"ct-web\"\n"),
            ("crun", "auto", "idmap = { uid = [[0, 200000, 65536]], gid = [[0, 200000, 65536]] }\n"),
        ] {
            machine.shell(&format!("chown -R {} /srv/rootfs", if more.is_empty() { "0:0" } else { "200000:200000" })).succeeds();
            container(machine, runtime, lxcfs, more);
            machine.start("ct@web");
            let seen = uptime(machine);
            assert!(seen < 30, "{runtime} {more}: {seen} of {of_the_host}");
            let pid = machine.main_pid("ct@web");
            let mounts = machine.shell(&format!("grep -c fuse.lxcfs /proc/{pid}/mountinfo")).stdout;
            assert!(mounts.trim().parse::<u32>().unwrap() >= 8, "{runtime}: {mounts}");
            machine.stop("ct@web");
        }
        assert!(!said(machine).contains("cannot read"), "{}", said(machine));
        machine.assert_no_leaks(&before);
    }

    fn without_lxcfs_auto_does_without_and_yes_does_not_start(machine: &Machine) {
        prepare(machine);
        let of_the_host: u64 = machine.shell("cut -d. -f1 /proc/uptime").stdout.trim().parse().unwrap();
        container(machine, "crun", "auto", "");
        machine.start("ct@web");
        assert!(uptime(machine) >= of_the_host);
        machine.stop("ct@web");
        container(machine, "crun", "yes", "");
        assert!(!machine.try_start("ct@web").status.success());
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "69");
        assert!(said(machine).contains("root.lxcfs = \"yes\": lxcfs does not serve at /var/lib/lxcfs"), "{}", said(machine));
    }

    fn a_container_outlives_its_lxcfs(machine: &Machine) {
        prepare(machine);
        serve(machine);
        container(machine, "crun", "auto", "");
        machine.start("ct@web");
        uptime(machine);
        machine.shell("systemctl kill --signal=KILL serve; systemctl stop serve; mount | grep fuse.lxcfs").succeeds();
        let pid = machine.main_pid("ct@web");
        let read = machine.shell(&format!("cat /proc/{pid}/root/proc/uptime")).stderr;
        assert!(read.contains("Transport endpoint is not connected"), "lxcfs should be dead: {read}");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        // What is left mounted of it is no lxcfs.
        container(machine, "crun", "auto", "");
        machine.start("ct@web");
        uptime(machine);
        machine.stop("ct@web");
        container(machine, "crun", "yes", "");
        assert!(!machine.try_start("ct@web").status.success());
        assert!(said(machine).contains("lxcfs at /var/lib/lxcfs does not answer"), "{}", said(machine));
    }

    fn a_container_without_cat_starts_all_the_same(machine: &Machine) {
        prepare(machine);
        serve(machine);
        container(machine, "crun", "auto", "");
        machine.shell("rm /srv/rootfs/bin/cat; sed -i 's/cat [^;]*; //' /etc/ct/containers/web.toml; systemctl daemon-reload").succeeds();
        machine.start("ct@web");
        assert!(said(machine).contains("cannot read /proc/stat in the container for lxcfs"), "{}", said(machine));
        machine.stop("ct@web");
    }
}
