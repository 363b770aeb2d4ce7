// SPDX-License-Identifier: MIT OR Apache-2.0
//! `root.idmap`: do containers with different ids share one set of files, and does nothing change on the disk?

use ct_tests::{Machine, on_every_machine};

const SLEEP: &str = "[process]\ncommand = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n";

/// A container with these host ids for its 0.
fn config(runtime: &str, host: u32, root: &str, command: &str) -> String {
    format!(
        "runtime = {runtime:?}\n[root]\nidmap = true\n{root}\n[idmap]\nuid = [[0, {host}, 65536]]\ngid = [[0, {host}, 65536]]\n\
         [process]\ncommand = [\"/bin/sh\", \"-c\", {command:?}]\n"
    )
}

/// Two layers with files of root and of an ordinary user.
fn layers(machine: &Machine) {
    machine.busybox_rootfs("/var/lib/ct/layers/base");
    machine
        .shell(
            "mkdir -p /var/lib/ct/layers/app/etc; cd /var/lib/ct/layers; echo app >app/etc/app; echo www >base/var/www/index; \
             chown 33:33 base/var/www/index; chmod 640 base/var/www/index; systemctl start ct.slice",
        )
        .succeeds();
}

/// Owners of all files of the layers.
fn owners(machine: &Machine) -> String {
    machine.shell("cd /var/lib/ct/layers && find . -printf '%p %U:%G %m %C@\\n' | sort").succeeds().stdout
}

/// The container's own lines.
fn said(machine: &Machine, name: &str) -> String {
    machine.journalctl(&["--identifier", name, "--output", "cat"])
}

on_every_machine! {
    fn containers_with_different_ids_share_layers_that_stay_as_they_are(machine: &Machine) {
        layers(machine);
        let on_disk = owners(machine);
        let look = "stat -c '%n %u:%g' / /bin/busybox /etc/app /var/www/index; echo mine >/etc/mine && echo more >>/var/www/index \
                    && stat -c '%n %u:%g' /etc/mine /var/www/index; echo done; trap 'exit 0' TERM; sleep 1000 & wait";
        let seen = "/ 0:0\n/bin/busybox 0:0\n/etc/app 0:0\n/var/www/index 33:33\n/etc/mine 0:0\n/var/www/index 33:33\ndone\n";
        let before = machine.leaks();
        for (name, runtime, host, writable) in [
            ("crun", "crun", 200_000, "ephemeral"),
            ("runc", "runc", 300_000, "ephemeral"),
        ] {
            let root = format!("layers = [\"base\", \"app\"]\nwritable = \"{writable}\"");
            machine.container(name, &config(runtime, host, &root, look));
        }
        machine.daemon_reload();
        for (name, host) in [("crun", 200_000), ("runc", 300_000)] {
            machine.start(&format!("ct@{name}"));
            machine.wait_until(&format!("journalctl -t {name} -o cat | grep -q ^done"));
            assert_eq!(said(machine, name), seen, "{name}");
            let pid = machine.main_pid(&format!("ct@{name}"));
            let owner = machine.shell(&format!("stat -c %u:%g /proc/{pid}/root/bin/busybox /proc/{pid}/root/etc/mine"));
            assert_eq!(owner.succeeds().stdout, format!("{host}:{host}\n").repeat(2), "{name}: as the host sees it");
        }
        assert_eq!(owners(machine), on_disk, "nothing should be written to the layers");
        for name in ["crun", "runc"] {
            machine.stop(&format!("ct@{name}"));
        }
        machine.shell("rm /etc/ct/containers/*").succeeds();
        machine.daemon_reload();
        machine.assert_no_leaks(&before);
    }

    fn what_is_written_to_a_persistent_directory_has_the_containers_ids_on_the_disk(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        // A file system of its own below the root comes along with mapped ids.
        machine.shell("mkdir /srv/rootfs/data && mount -t tmpfs data /srv/rootfs/data && chown 33:33 /srv/rootfs/data").succeeds();
        for (number, runtime) in ["crun", "runc"].into_iter().enumerate() {
            let host = 200_000 + 100_000 * u32::try_from(number).unwrap();
            let write = format!("stat -c %u /data; echo x >/{runtime} && echo x >/data/{runtime} && chown 33:33 /{runtime} && echo done");
            machine.container(runtime, &config(runtime, host, "path = \"/srv/rootfs\"", &write));
            machine.daemon_reload();
            machine.start(&format!("ct@{runtime}"));
            machine.wait_for(&format!("ct@{runtime}"), "ActiveState", "inactive");
            assert_eq!(said(machine, runtime), "33\ndone\n", "{runtime}");
            let owner = machine.shell(&format!("cd /srv/rootfs; stat -c %u:%g {runtime} data/{runtime} bin/busybox")).succeeds();
            assert_eq!(owner.stdout, "33:33\n0:0\n0:0\n", "{runtime}");
        }
    }

    fn an_upper_layer_that_stays_is_read_again(machine: &Machine) {
        layers(machine);
        let on_disk = owners(machine);
        let count = "cat /etc/count 2>/dev/null; echo again >>/etc/count; stat -c %u:%g / /etc/count /etc/app";
        machine.container("web", &config("crun", 200_000, "layers = [\"base\", \"app\"]", count));
        machine.daemon_reload();
        for _ in 0..2 {
            machine.start("ct@web");
            machine.wait_for("ct@web", "ActiveState", "inactive");
        }
        assert_eq!(said(machine, "web"), "0:0\n0:0\n0:0\nagain\n0:0\n0:0\n0:0\n");
        assert_eq!(owners(machine), on_disk);
    }

    fn through_an_account(machine: &Machine) {
        layers(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        let on_disk = owners(machine);
        for runtime in ["crun", "runc"] {
            machine.container(runtime, &format!(
                "runtime = {runtime:?}\nuser = \"ct-web\"\n[root]\nidmap = true\nlayers = [\"base\", \"app\"]\nwritable = \"ephemeral\"\n\
                 [process]\ncommand = [\"/bin/sh\", \"-c\", \"stat -c %u:%g / /etc/app /var/www/index; echo x >/etc/app && cat /etc/app\"]\n"
            ));
            machine.daemon_reload();
            machine.start(&format!("ct@{runtime}"));
            machine.wait_for(&format!("ct@{runtime}"), "ActiveState", "inactive");
            assert_eq!(said(machine, runtime), "0:0\n0:0\n33:33\nx\n", "{runtime}");
        }
        assert_eq!(owners(machine), on_disk);
    }

    fn a_file_system_that_refuses_is_named(machine: &Machine) {
        // The machine's own / is an overlay, which cannot be mounted with mapped ids; /srv can.
        machine.busybox_rootfs("/opt/rootfs");
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir /srv/rootfs/below && mount --bind /opt /srv/rootfs/below").succeeds();
        machine.container("itself", &config("crun", 200_000, "path = \"/opt/rootfs\"", "true"));
        machine.container("below", &config("crun", 200_000, "path = \"/srv/rootfs\"", "true"));
        machine.container("layer", &config("crun", 200_000, "path = \"/opt/rootfs\"\nwritable = \"no\"", "true"));
        machine.daemon_reload();
        let cure = "with the container's ids (chown the files and set root.idmap = false instead): invalid argument";
        for (name, what) in [
            ("itself", "rootfs /opt/rootfs (overlay)"),
            ("below", "what is mounted below rootfs /srv/rootfs"),
            ("layer", "rootfs /opt/rootfs (overlay)"),
        ] {
            machine.try_start(&format!("ct@{name}")).fails();
            assert_eq!(machine.show_number(&format!("ct@{name}"), "ExecMainStatus"), 71);
            let journal = machine.journal(&format!("ct@{name}"));
            assert!(journal.contains(&format!("cannot mount {what} {cure}")), "{journal}");
        }
    }

    fn killed_around_the_user_namespace_it_leaves_nothing(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("systemctl start ct.slice").succeeds();
        let root = "[root]\npath = \"/srv/rootfs\"\nidmap = true\nwritable = \"ephemeral\"\n[idmap]\nuid = [[0, 200000, 9]]\ngid = [[0, 200000, 9]]\n";
        machine.container("web", &format!("{root}{SLEEP}"));
        machine.daemon_reload();
        let before = machine.leaks();
        // -f: the namespace's member is killed as well, at the calls that it makes.
        for (calls, ordinal) in [("clone", 1), ("unshare", 1), ("kill", 1), ("wait4", 1), ("open_tree", 1), ("mount_setattr", 1), ("move_mount", 1)] {
            for fault in ["signal=SIGKILL", "error=EPERM"] {
                let drop_in = format!(
                    "[Service]\nTimeoutStartSec=100s\nExecStart=\nExecStart=/usr/bin/strace -D -f -qq -o /dev/null -e inject={calls}:{fault}:when={ordinal} /usr/libexec/ct/ct-helper start %i\n"
                );
                machine.write_file("/run/systemd/system/ct@web.service.d/strace.conf", 0o644, drop_in);
                machine.daemon_reload();
                machine.try_start("ct@web");
                machine.wait_until("case $(systemctl show --value -p ActiveState ct@web) in active | failed | inactive) ;; *) exit 1;; esac");
                assert_ne!(machine.show("ct@web", "Result"), "timeout", "{calls} {fault}");
                machine.run(["systemctl", "stop", "ct@web"]);
                machine.run(["systemctl", "reset-failed", "ct@web"]);
                machine.shell("rm -rf /run/systemd/system/ct@web.service.d").succeeds();
                machine.assert_no_leaks(&before);
            }
        }
        machine.daemon_reload();
        machine.start("ct@web");
    }
}
