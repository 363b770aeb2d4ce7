// SPDX-License-Identifier: MIT OR Apache-2.0
//! Through an account: does anything of the container run as, or reach, more than that account?

use ct_tests::{Machine, on_every_machine};

const ACCOUNT: &str = "useradd --system --no-create-home ct-web && \
                       echo ct-web:200000:65536 >/etc/subuid && echo ct-web:300000:65536 >/etc/subgid";

/// One field of /proc/PID/status, white space made single blanks.
fn status(machine: &Machine, pid: u64, field: &str) -> String {
    let text = machine.read_file(format!("/proc/{pid}/status"));
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

on_every_machine! {
    fn init_has_the_accounts_ids_and_no_right_outside_its_namespace(machine: &Machine) {
        machine.shell(ACCOUNT).succeeds();
        machine.busybox_rootfs("/srv/private/rootfs");
        // Nobody but root gets to the root file system by name; the container gets it all the same.
        machine.shell("chmod 700 /srv/private; systemctl start ct.slice").succeeds();
        let own_uid = machine.shell("id -u ct-web").succeeds().stdout.trim().to_owned();
        let own_gid = machine.shell("id -g ct-web").succeeds().stdout.trim().to_owned();
        let before = machine.leaks();
        for (runtime, uid, gid, groups, uid_map, gid_map) in [
            ("crun", "200033", "300033", "300004 300033", "0 200000 65536".to_owned(), "0 300000 65536".to_owned()),
            // runc insists on the account as its container's root, and sets no groups without privileges.
            ("runc", "200032", "300032", "", format!("0 {own_uid} 1 1 200000 65536"), format!("0 {own_gid} 1 1 300000 65536")),
        ] {
            machine.container(
                runtime,
                &format!(
                    "runtime = {runtime:?}\nuser = \"ct-web\"\n\
                     [root]\npath = \"/srv/private/rootfs\"\n\
                     [process]\ncommand = [\"/bin/sleep\", \"1000\"]\nuser = \"www-data\"\n\
                     [oom]\nscore_adjust = 200\n\
                     [limits]\nnofile = \"512:2048\"\ncore = 0\n\
                     [stop]\ntimeout = \"100ms\"\n"
                ),
            );
            machine.daemon_reload();
            let unit = format!("ct@{runtime}");
            machine.start(&unit);
            let pid = machine.main_pid(&unit);
            machine.wait_until(&format!("grep -q ^sleep /proc/{pid}/comm"));
            assert_eq!(status(machine, pid, "Uid"), [uid; 4].join(" "), "{runtime}");
            assert_eq!(status(machine, pid, "Gid"), [gid; 4].join(" "), "{runtime}");
            assert_eq!(status(machine, pid, "Groups"), groups, "{runtime}: www-data and adm");
            assert_eq!(words(&machine.read_file(format!("/proc/{pid}/uid_map"))), uid_map, "{runtime}");
            assert_eq!(words(&machine.read_file(format!("/proc/{pid}/gid_map"))), gid_map, "{runtime}");
            assert_eq!(machine.read_file(format!("/proc/{pid}/oom_score_adj")), "200\n", "{runtime}");
            let limits = machine.read_file(format!("/proc/{pid}/limits"));
            assert!(limits.lines().any(|line| words(line) == "Max open files 512 2048 files"), "{runtime}: {limits}");
            assert!(limits.lines().any(|line| words(line) == "Max core file size 0 0 bytes"), "{runtime}: {limits}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(status(machine, pid, set), "0000000000000000", "{runtime}: {set}");
            }
            assert_eq!(status(machine, pid, "NoNewPrivs"), "1");
            assert_eq!(status(machine, pid, "Seccomp"), "2");
            let own = machine.shell(&format!("readlink /proc/{pid}/ns/user /proc/1/ns/user | uniq | wc -l")).succeeds();
            assert_eq!(own.stdout, "2\n", "{runtime}: init should be in a user namespace of its own");
            assert_eq!(machine.show(&unit, "ControlGroup"), format!("/ct.slice/ct@{runtime}.service"));
            let owner = machine.shell(&format!(
                "cd /sys/fs/cgroup/ct.slice/ct@{runtime}.service; stat -c %U . cgroup.procs cgroup.subtree_control payload"
            ));
            assert_eq!(words(&owner.succeeds().stdout), "root root root ct-web", "only payload/ should be given away");
            machine.stop(&unit);
            machine.run(["systemctl", "reset-failed", &unit]).succeeds();
        }
        machine.shell("rm /etc/ct/containers/*").succeeds();
        machine.daemon_reload();
        machine.assert_no_leaks(&before);
    }

    /// The group of the container's root is the runtime's only while it starts the container.
    fn users_inside_that_share_its_roots_group_move_nothing(machine: &Machine) {
        machine.shell(ACCOUNT).succeeds();
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("rm -f /srv/rootfs/sbin/init").succeeds();
        machine.write_file("/srv/rootfs/sbin/init", 0o755, "#!/bin/sh\ntrap 'exit 0' TERM; sleep 1000 & wait\n");
        machine.container(
            "web",
            "user = \"ct-web\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/sbin/init\"]\n\
             [stop]\nsignal = \"SIGTERM\"\n[ready]\ncommand = [\"true\"]\n",
        );
        machine.daemon_reload();
        machine.start("ct@web");
        let procs = "/sys/fs/cgroup/ct.slice/ct@web.service/payload/cgroup.procs";
        assert_eq!(machine.shell(&format!("stat -c '%a %u %g' {procs}")).succeeds().stdout, "644 200000 300000\n");
        let moves = |user: &str| machine.run(["ctctl", "exec", "-u", user, "web", "--", "sh", "-c", "echo 0 >/sys/fs/cgroup/cgroup.procs"]);
        let refused = moves("5:0").fails();
        assert!(refused.stderr.contains("Permission denied"), "{refused}");
        moves("0:0").succeeds();
    }

    fn the_runtime_itself_runs_as_the_account(machine: &Machine) {
        machine.shell(ACCOUNT).succeeds();
        machine.busybox_rootfs("/srv/rootfs");
        // A runtime that says who it is before it does its work.
        let witness = "#!/bin/sh\ncase \"$*\" in *\" run \"*) id >/tmp/witness; cat /proc/self/status >>/tmp/witness; \
                       env >>/tmp/witness; ls -l /proc/self/fd >>/tmp/witness; cat /proc/self/cgroup >>/tmp/witness;; esac\n\
                       exec crun \"$@\"\n";
        machine.write_file("/usr/local/bin/crun-witness", 0o755, witness);
        // Groups that the helper has must not be the account's.
        let drop_in = "[Service]\nSupplementaryGroups=disk adm\n";
        machine.write_file("/etc/systemd/system/ct@web.service.d/90-groups.conf", 0o644, drop_in);
        machine.container(
            "web",
            "runtime = \"/usr/local/bin/crun-witness\"\nuser = \"ct-web\"\n[root]\npath = \"/srv/rootfs\"\n\
             [process]\ncommand = [\"/bin/sleep\", \"1000\"]\n",
        );
        machine.daemon_reload();
        machine.start("ct@web");
        let witness = machine.read_file("/tmp/witness");
        let (id, rest) = witness.split_once('\n').unwrap();
        assert!(id.starts_with("uid=") && id.contains("(ct-web) gid=") && !id.contains("(root)"), "{id}");
        assert!(!id.contains("disk") && !id.contains("adm"), "{id}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(rest.lines().any(|line| words(line) == format!("{set}: 0000000000000000")), "{set}\n{rest}");
        }
        for leaked in ["NOTIFY_SOCKET", "LISTEN_", "INVOCATION_ID", "JOURNAL_STREAM", "CT_CONFIG_DIGEST"] {
            assert!(!rest.contains(leaked), "{leaked} should not reach the runtime\n{rest}");
        }
        assert!(rest.contains("0::/ct.slice/ct@web.service/supervisor"), "{rest}");
    }

    fn a_runtime_that_fails_says_why(machine: &Machine) {
        machine.shell(ACCOUNT).succeeds();
        machine.busybox_rootfs("/srv/rootfs");
        machine.container(
            "web",
            "user = \"ct-web\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/gone\"]\n",
        );
        machine.daemon_reload();
        machine.try_start("ct@web").fails();
        let journal = machine.journalctl(&["--unit", "ct@web", "--identifier", "ct-helper", "--output", "cat"]);
        assert!(journal.contains("executable file `/bin/gone` not found"), "{journal}");
    }

    fn the_configs_secrets_are_the_accounts_alone(machine: &Machine) {
        // Debian gives system accounts the group nogroup by default: half the host may be in it.
        machine.shell("useradd --system -g nogroup ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.busybox_rootfs("/srv/rootfs");
        machine.container(
            "web",
            "user = \"ct-web\"\n[root]\npath = \"/srv/rootfs\"\n\
             [process]\ncommand = [\"/bin/sleep\", \"1000\"]\nenv = { SECRET = \"hunter2\" }\n",
        );
        machine.daemon_reload();
        machine.start("ct@web");
        machine.shell("grep -q hunter2 /run/ct/web/bundle/config.json").succeeds();
        for who in ["--reuid nobody --regid nogroup --clear-groups", "--reuid 200000 --regid 200000 --clear-groups"] {
            machine.shell(&format!("setpriv {who} cat /run/ct/web/bundle/config.json")).fails();
            machine.shell(&format!("setpriv {who} ls /run/ct/web")).fails();
        }
    }

    fn explicit_maps_and_missing_ranges(machine: &Machine) {
        machine.shell("useradd --system --no-create-home ct-web; : >/etc/subuid; : >/etc/subgid").succeeds();
        machine.busybox_rootfs("/srv/rootfs");
        let base = "[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/sleep\", \"1000\"]\n";
        machine.container("norange", &format!("user = \"ct-web\"\n{base}"));
        machine.container("nouser", &format!("user = \"ct-typo\"\n{base}"));
        machine.container(
            "mapped",
            &format!("{base}[idmap]\nuid = [[0, 500000, 65536]]\ngid = [[0, 600000, 65536]]\n"),
        );
        machine.daemon_reload();
        for (name, message) in [
            ("norange", "the account \"ct-web\" has no ids to map in /etc/subuid"),
            ("nouser", "no account \"ct-typo\" on this host"),
        ] {
            machine.try_start(&format!("ct@{name}")).fails();
            assert_eq!(machine.show_number(&format!("ct@{name}"), "ExecMainStatus"), 67);
            let journal = machine.journal(&format!("ct@{name}"));
            assert!(journal.contains(message), "{journal}");
        }
        machine.start("ct@mapped");
        let pid = machine.main_pid("ct@mapped");
        assert_eq!(words(&machine.read_file(format!("/proc/{pid}/uid_map"))), "0 500000 65536");
        assert_eq!(status(machine, pid, "Gid"), "600000 600000 600000 600000");
    }
}
