// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the machine a systemd like any other, and do its words tell the truth? The harness tests itself.

mod end;

use std::path::Path;
use std::time::Duration;

use ct_tests::{Machine, Root, on_every_machine, test_name};

/// A service whose process says for itself when it is ready.
const NOTIFYING: &str = "\
    [Service]\n\
    Type=notify\n\
    NotifyAccess=all\n\
    ExecStart=sh -c 'echo up; systemd-notify --ready; read _ </run/go; exit 7'\n";

on_every_machine! {
    fn boots_to_running(machine: &Machine) {
        assert_eq!(machine.run(["systemctl", "is-system-running"]).succeeds().stdout, "running\n");
        assert_eq!(machine.run(["cat", "/proc/1/comm"]).succeeds().stdout, "systemd\n");
        machine.run(["busctl", "--quiet", "status", "org.freedesktop.systemd1"]).succeeds();
    }

    fn the_clock_and_the_modules_of_the_host_are_out_of_reach(machine: &Machine) {
        const OUT_OF_REACH: [(&str, u32); 3] = [("sys_module", 16), ("sys_rawio", 17), ("sys_time", 25)];
        for before in [&[][..], &["systemd-run", "--quiet", "--wait", "--pipe"]] {
            let run = |script: &str| machine.run(before.iter().copied().chain(["sh", "-c", script]));
            let sets = run("grep -hs ^Cap /proc/[0-9]*/status; :").succeeds().stdout;
            assert!(sets.lines().count() > 10, "{sets}");
            for line in sets.lines() {
                let (_, set) = line.split_once(":\t").expect("NAME:\tSET");
                let set = u64::from_str_radix(set, 16).expect("it is hexadecimal");
                for (name, bit) in OUT_OF_REACH {
                    // Before the call that would change the host's clock.
                    assert_eq!(set & (1 << bit), 0, "{name} {before:?}: {line}");
                }
            }
            let refused = run("date -s @$(date +%s)").exits(1).stderr;
            assert!(refused.contains("cannot set date: Operation not permitted"), "{before:?}: {refused}");
        }
    }

    fn notify_unit_starts_and_its_exit_status_and_journal_are_seen(machine: &Machine) {
        machine.write_file("/etc/systemd/system/notifying.service", 0o644, NOTIFYING);
        machine.shell("mkfifo /run/go").succeeds();
        machine.daemon_reload();
        machine.start("notifying");
        let pid = machine.main_pid("notifying");
        assert_eq!(machine.read_file(format!("/proc/{pid}/comm")), "sh\n");

        machine.shell("echo >/run/go").succeeds();
        machine.wait_for("notifying", "ActiveState", "failed");
        assert_eq!(machine.show_number("notifying", "ExecMainStatus"), 7);
        let journal = machine.journal("notifying");
        assert!(journal.lines().any(|line| line == "up"), "{journal}");
        let entries = machine.journal_entries("notifying");
        assert!(entries.iter().any(|entry| entry["MESSAGE"] == "up" && entry["_COMM"] == "sh"), "{entries:?}");
    }

    fn start_and_stop_leak_nothing(machine: &Machine) {
        machine.write_file("/etc/systemd/system/notifying.service", 0o644, NOTIFYING);
        machine.shell("mkfifo /run/go").succeeds();
        machine.daemon_reload();
        let before = machine.leaks();
        machine.start("notifying");
        assert!(!before.difference(&machine.leaks()).is_empty(), "a running service should be seen");
        machine.stop("notifying");
        machine.assert_no_leaks(&before);
    }

    fn planted_leaks_are_seen(machine: &Machine) {
        let before = machine.leaks();
        for (plant, seen) in [
            ("mkdir /run/planted && mount -t tmpfs planted /run/planted", "+ mount: /run/planted tmpfs planted"),
            ("mkdir /sys/fs/cgroup/planted", "+ cgroup: planted"),
            ("mkdir -p /var/lib/ct/layers && touch /var/lib/ct/layers/planted", "+ file: var/lib/ct/layers/planted"),
            ("mkfifo /tmp/planted", "+ file: tmp/planted"),
            ("systemd-run -q --unit=planted sleep 1000", "+ process: /system.slice/planted.service: sleep: "),
            ("systemd-socket-activate -l /run/planted.socket cat & exit 0", "+ socket: /run/planted.socket"),
            ("systemd-run -q -p FileDescriptorStoreMax=1 -p NotifyAccess=all --unit=store \
              systemd-socket-activate -l /run/planted.store cat", "+ fd of PID 1: "),
        ] {
            machine.shell(plant).succeeds();
            let appears = |line: &String| line.starts_with(seen);
            let deadline = std::time::Instant::now() + Duration::from_secs(120);
            while !before.difference(&machine.leaks()).iter().any(appears) {
                let found = before.difference(&machine.leaks()).join("\n");
                assert!(std::time::Instant::now() < deadline, "`{plant}` should be seen as `{seen}`:\n{found}");
            }
        }
    }

    fn files_arrive_with_mode_and_bytes(machine: &Machine) {
        machine.write_file("/etc/ct/deep/file", 0o600, "two\nlines\n");
        assert_eq!(machine.read_file("/etc/ct/deep/file"), "two\nlines\n");
        assert_eq!(machine.run(["stat", "-c", "%a %U:%G", "/etc/ct/deep/file"]).succeeds().stdout, "600 root:root\n");
        assert!(!Path::new("/etc/ct/deep").exists(), "the host should not see it");
        machine.shell("echo ct-web:100000:65536 >>/etc/subuid && useradd --system ct-web").succeeds();
    }

    fn busybox_rootfs_is_a_system_of_its_own(machine: &Machine) {
        machine.busybox_rootfs("/srv/web/rootfs");
        let output = machine.run(["chroot", "/srv/web/rootfs", "id", "www-data"]).succeeds();
        assert_eq!(output.stdout, "uid=33(www-data) gid=33(www-data) groups=33(www-data),4(adm)\n");
    }

    fn overlays_work_where_containers_live(machine: &Machine) {
        for place in ["/srv", "/var/lib/ct"] {
            machine
                .shell(&format!(
                    "cd {place} && mkdir lower upper work merged && \
                     mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && umount merged"
                ))
                .succeeds();
        }
    }

    fn commands_tell_how_they_ended(machine: &Machine) {
        machine.run(["false"]).fails().exits(1);
        let output = machine.command(["sh", "-c", "cat; echo $WORD >&2"]).stdin("in").env("WORD", "err").run().succeeds();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("in", "err\n"));
        let signalled = machine.shell("kill -TERM $$");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&signalled.status), Some(15));
        let running = machine.command(["sh", "-c", "echo begun; sleep 1000"]).spawn();
        while running.stdout() != "begun\n" {
            std::thread::yield_now();
        }
        drop(running);
        machine.wait_until("! pgrep -x sleep");
    }
}

on_every_machine! {
    fn prepared_files_are_there_at_boot(root: Root) {
        let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=test -x /srv/web/rootfs/bin/sh\n";
        let machine = Machine::prepare(root, &test_name())
            .busybox_rootfs("/srv/web/rootfs")
            .container("web", "root.path = \"/srv/web/rootfs\"\n")
            .file("/etc/systemd/system/early.service", 0o644, unit)
            .link("/etc/systemd/system/multi-user.target.wants/early.service", "../early.service")
            .boot();
        assert_eq!(machine.show("early", "ActiveState"), "active");
        assert_eq!(machine.read_file("/etc/ct/containers/web.toml"), "root.path = \"/srv/web/rootfs\"\n");
    }
}

#[test]
fn the_roots_are_what_they_say() {
    ct_tests::unless_skipped(Root::Debian13, |root| {
        let machine = Machine::boot_from(root, &test_name());
        let version = machine.run(["systemctl", "--version"]).succeeds().stdout;
        assert!(version.starts_with("systemd 257 "), "{version}");
    });
}

#[test]
fn a_degraded_boot_is_refused_unless_expected() {
    ct_tests::unless_skipped(Root::Host, |root| {
        let prepare = |name: &str| {
            Machine::prepare(root, &format!("{}-{name}", test_name()))
                .file(
                    "/etc/systemd/system/broken.service",
                    0o644,
                    "[Service]\nType=oneshot\nExecStart=false\n",
                )
                .link("/etc/systemd/system/multi-user.target.wants/broken.service", "../broken.service")
        };
        let machine = prepare("expected").may_be_degraded().boot();
        assert_eq!(machine.show("broken", "ActiveState"), "failed");
        let refused = std::panic::catch_unwind(|| prepare("refused").boot());
        let message =
            refused.err().and_then(|panic| panic.downcast::<String>().ok()).expect("it should be refused");
        assert!(message.contains("degraded") && message.contains("broken.service"), "{message}");
        let results = machine.results().with_file_name(format!("{}-refused", test_name()));
        std::fs::remove_dir_all(results).expect("a failure leaves results");
    });
}
