// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a process in the container see: its environment, its descriptors, its root, its mounts?

use ct_tests::{Machine, on_every_machine};

const RUNTIMES: [&str; 2] = ["crun", "runc"];

/// Starts a container whose init writes a report to its log and ends, and returns the log.
fn report(machine: &Machine, name: &str, toml: &str) -> String {
    machine.container(name, toml);
    machine.daemon_reload();
    machine.start(&format!("ct@{name}"));
    machine.wait_for(&format!("ct@{name}"), "ActiveState", "inactive");
    let journal = machine.journalctl(&["--identifier", name, "--output", "cat"]);
    machine.shell(&format!("rm /etc/ct/containers/{name}.toml")).succeeds();
    journal
}

/// A container that runs this shell script; `more` follows the `[process]` table.
fn script(runtime: &str, root: &str, script: &str, more: &str) -> String {
    format!(
        "runtime = {runtime:?}\n[root]\n{root}\n[process]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n{more}"
    )
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

on_every_machine! {
    fn the_environment_is_the_configs_and_nothing_else(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.write_file("/etc/default/web", 0o600, "FROM_FILE=\"two words\"\nBOTH=file\n");
        for runtime in RUNTIMES {
            let more = "env = { BOTH = \"env\", PERCENT = \"%n $HOME\", HOME = \"/\", PATH = \"/bin\" }\n\
                        env_file = [\"/etc/default/web\", \"-/etc/default/missing\"]\n";
            let toml = script(runtime, "path = \"/srv/rootfs\"", "xargs -0 -n 1 echo </proc/1/environ", more);
            let expected = ["BOTH=env", "FROM_FILE=two words", "HOME=/", "PATH=/bin", "PERCENT=%n $HOME"];
            assert_eq!(sorted(&report(machine, runtime, &toml)), expected, "{runtime}");
        }
    }

    fn output_is_the_journals_and_cannot_raise_its_own_priority(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            report(machine, runtime, &script(runtime, "path = \"/srv/rootfs\"", "echo '<0>alarm'; echo bare >&2", ""));
            let entries = machine.journal_entries(&format!("ct@{runtime}"));
            let entry = |message: &str| entries.iter().find(|entry| entry["MESSAGE"] == message);
            let alarm = entry("<0>alarm").expect("the line as it was printed");
            assert_eq!(alarm["PRIORITY"], "6", "{runtime}");
            assert_eq!(alarm["_SYSTEMD_UNIT"], format!("ct@{runtime}.service"));
            assert!(entry("bare").is_some(), "{runtime}: standard error is logged, too");
        }
    }

    fn only_three_descriptors_are_open(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        // PID 1 gives the helper more than it should pass on: descriptors of its own and of a store.
        let drop_in = "[Service]\nOpenFile=/etc/passwd:passwd:read-only\nStandardInput=file:/etc/hostname\n";
        machine.write_file("/etc/systemd/system/ct@.service.d/10-open.conf", 0o644, drop_in);
        for runtime in RUNTIMES {
            let list = "ls /proc/1/fd; true";
            let toml = script(runtime, "path = \"/srv/rootfs\"", list, "");
            assert_eq!(sorted(&report(machine, runtime, &toml)), ["0", "1", "2"], "{runtime}");
        }
    }

    fn signals_are_a_plain_services(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let plain = ["systemd-run", "--wait", "--pipe", "--property=IgnoreSIGPIPE=no", "grep", "^Sig[BI]", "/proc/self/status"];
        let expected = machine.run(plain).succeeds().stdout;
        for runtime in RUNTIMES {
            // Not a shell, which has handlers of its own.
            let toml = format!(
                "runtime = {runtime:?}\n[root]\npath = \"/srv/rootfs\"\n\
                 [process]\ncommand = [\"/bin/grep\", \"^Sig[BI]\", \"/proc/self/status\"]\n"
            );
            assert_eq!(report(machine, runtime, &toml), expected, "{runtime}");
        }
    }

    fn identity_directory_and_attributes(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            let look = "hostname; id; pwd; umask; cat /proc/1/status | grep -E '^(Cap|NoNew|Seccomp:|Groups)'; \
                        ip -o link | wc -l; grep ^0: /proc/self/cgroup";
            let more = "cwd = \"/var/www\"\nuser = \"www-data\"\n";
            let toml = script(runtime, "path = \"/srv/rootfs\"", look, more);
            let seen = report(machine, &format!("id-{runtime}"), &toml);
            let seen: Vec<String> =
                seen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(
                seen,
                [
                    &format!("id-{runtime}"),
                    "uid=33(www-data) gid=33(www-data) groups=4(adm),33(www-data)",
                    "/var/www",
                    "0022",
                    "Groups: 4 33",
                    "CapInh: 0000000000000000",
                    "CapPrm: 0000000000000000",
                    "CapEff: 0000000000000000",
                    "CapBnd: 00000000800405fb",
                    "CapAmb: 0000000000000000",
                    "NoNewPrivs: 1",
                    "Seccomp: 2",
                    "1",
                    "0::/",
                ],
                "{runtime}"
            );
        }
    }

    fn an_init_system_may_reboot_where_it_cannot_load_a_kernel(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("ln -s /bin/busybox /srv/rootfs/sbin/init").succeeds();
        let unconfined = "[security]\nseccomp = 'unconfined'\n";
        let maps = "[idmap]\nuid = [[0, 200000, 65536]]\ngid = [[0, 200000, 65536]]\n";
        let kinds = [
            ("filtered", String::new(), "00000000804405fb"),
            ("unconfined", unconfined.to_owned(), "00000000800405fb"),
            ("mapped", format!("{unconfined}{maps}"), "00000000804405fb"),
        ];
        for (name, more, _) in &kinds {
            let root = "[root]\npath = '/srv/rootfs'\nwritable = 'no'\n";
            machine.write_file(format!("/etc/ct/containers/{name}.toml"), 0o644, format!("{root}{more}"));
        }
        machine.daemon_reload();
        for (name, _, bounding) in &kinds {
            machine.start(&format!("ct@{name}"));
            let status = machine.read_file(format!("/proc/{}/status", machine.main_pid(&format!("ct@{name}"))));
            assert!(status.contains(&format!("CapBnd:\t{bounding}\n")), "{name}: {status}");
        }
    }

    fn the_units_umask_is_the_containers(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            for (set, seen) in [("", "0022\n"), ("[systemd.service]\nUMask = \"0077\"\n", "0077\n")] {
                for user in ["", "user = \"www-data\"\n"] {
                    let toml = script(runtime, "path = \"/srv/rootfs\"", "umask", &format!("{user}{set}"));
                    assert_eq!(report(machine, &format!("{runtime}{seen:.4}{}", user.len()), &toml), seen, "{runtime}{user}");
                }
            }
        }
    }

    fn a_directory_is_written_kept_or_left_alone(machine: &Machine) {
        for runtime in RUNTIMES {
            machine.busybox_rootfs("/srv/rootfs");
            let write = "touch /etc/mark 2>/dev/null && echo written || echo refused; ls /etc/mark 2>/dev/null; true";
            let with = |writable: &str| {
                script(runtime, &format!("path = \"/srv/rootfs\"\nwritable = {writable:?}"), write, "")
            };
            // The image lacks a mount point; a read-only container does not make one in it.
            machine.shell("rm -r /srv/rootfs/sys").succeeds();
            assert_eq!(report(machine, &format!("{runtime}-no"), &with("no")), "refused\n");
            machine.shell("test ! -e /srv/rootfs/sys").succeeds();
            let name = format!("{runtime}-ephemeral");
            assert_eq!(report(machine, &name, &with("ephemeral")), "written\n/etc/mark\n");
            machine.shell("test ! -e /srv/rootfs/etc/mark").succeeds();
            assert_eq!(report(machine, &format!("{runtime}-persistent"), &with("persistent")), "written\n/etc/mark\n");
            machine.shell("test -e /srv/rootfs/etc/mark && rm -r /srv/rootfs").succeeds();
        }
    }

    fn layers_lie_on_each_other_and_their_upper_layer_is_kept_or_fresh(machine: &Machine) {
        machine.busybox_rootfs("/var/lib/ct/layers/base");
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine
            .shell("mkdir -p '/var/lib/ct/layers/app/etc' '/srv/odd: la,yer\\/etc'; cd /var/lib/ct/layers; \
                    echo base >base/etc/who; echo app >app/etc/who; echo odd >'/srv/odd: la,yer\\/etc/odd'")
            .succeeds();
        let look = "cat /etc/who /etc/odd; echo run >>/etc/runs; cat /etc/runs; true";
        for (through, runtime) in [("", "crun"), ("user = \"ct-web\"\n", "crun"), ("", "runc")] {
            let name = format!("{runtime}{}", through.len());
            let with = |writable: &str| {
                let root = format!("layers = [\"base\", \"app\", '/srv/odd: la,yer\\']\nwritable = {writable:?}");
                format!("{through}{}", script(runtime, &root, &format!("exec 2>&1; {look}"), ""))
            };
            let fresh = "app\nodd\nrun\n";
            for _ in 0..2 {
                // Through an account, /etc belongs to an id outside the container's map and cannot be written to.
                let seen = report(machine, &format!("{name}e"), &with("ephemeral"));
                if through.is_empty() {
                    assert_eq!(seen.replace("run\n", ""), "app\nodd\n".repeat(seen.matches("app").count()));
                    assert!(seen.ends_with(fresh), "{seen}");
                } else {
                    assert!(seen.starts_with("app\nodd\n"), "{seen}");
                }
            }
            if !through.is_empty() {
                continue;
            }
            report(machine, &format!("{name}p"), &with("persistent"));
            let seen = report(machine, &format!("{name}p"), &with("persistent"));
            assert!(seen.ends_with("app\nodd\nrun\nrun\n"), "{seen}");
            machine.shell(&format!("test -e /var/lib/ct/{name}p/upper/etc/runs")).succeeds();
            let seen = report(machine, &format!("{name}n"), &with("no"));
            assert!(seen.starts_with("app\nodd\n") && seen.contains("Read-only file system"), "{seen}");
        }
        machine.shell("test ! -e /var/lib/ct/layers/base/etc/runs && test ! -e /var/lib/ct/layers/app/etc/runs").succeeds();
    }

    fn mounts_of_every_kind(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.shell("mkdir -p /srv/closed/data; chmod 700 /srv/closed; echo data >/srv/closed/data/file").succeeds();
        for (through, runtime) in [("", "crun"), ("", "runc"), ("user = \"ct-web\"\n", "crun")] {
            let look = "cat /data/file /motd; touch /data/x 2>/dev/null || echo ro; touch /scratch/x && echo scratch";
            let mounts = "[[mount]]\nsource = \"/srv/closed/data\"\ntarget = \"/data\"\noptions = [\"ro\", \"nosuid\"]\n\
                          [[mount]]\nsource = \"/srv/closed/data/file\"\ntarget = \"/motd\"\ntype = \"bind\"\n\
                          [[mount]]\ntarget = \"/scratch\"\ntype = \"tmpfs\"\noptions = [\"size=1M\"]\n";
            // Only `/` of the root file system must be the container's to make the targets in.
            let root = "path = \"/srv/rootfs\"";
            machine.shell("cd /srv/rootfs; mkdir -p data scratch; touch motd").succeeds();
            let toml = format!("{through}{}", script(runtime, root, look, mounts));
            let seen = report(machine, &format!("{runtime}{}", through.len()), &toml);
            assert_eq!(seen, "data\ndata\nro\nscratch\n", "{runtime} {through}");
        }
    }

    fn a_target_that_must_be_there_may_come_from_an_earlier_mount(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir -p /srv/outer/there /srv/inner /srv/rootfs/mnt; touch /srv/inner/file").succeeds();
        let outer = |kind: &str| format!("[[mount]]\nsource = \"/srv/outer\"\ntarget = \"/mnt\"\ntype = {kind:?}\n");
        let inner = |target: &str| {
            format!("[[mount]]\nsource = \"/srv/inner\"\ntarget = {target:?}\ncreate = \"no\"\n")
        };
        let list = |name: &str, directory: &str, mounts: String| {
            let toml = script("crun", "path = \"/srv/rootfs\"", &format!("ls {directory}"), &mounts);
            report(machine, name, &toml)
        };
        assert_eq!(list("below", "/mnt/there", outer("bind") + &inner("/mnt/there")), "file\n");
        // Made in the tmpfs, on the way to a mount further down.
        let deeper = "[[mount]]\nsource = \"/srv/inner\"\ntarget = \"/mnt/made/deep\"\n";
        assert_eq!(list("made", "/mnt/made", outer("tmpfs") + deeper + &inner("/mnt/made")), "file\n");

        let outer_missing = outer("bind") + &inner("/mnt/gone");
        machine.container("gone", &script("crun", "path = \"/srv/rootfs\"", "ls", &outer_missing));
        // Hidden by what is mounted over it.
        machine.shell("mkdir -p /srv/rootfs/mnt/hidden").succeeds();
        machine.container("hidden", &script("crun", "path = \"/srv/rootfs\"", "ls", &(outer("bind") + &inner("/mnt/hidden"))));
        machine.daemon_reload();
        for name in ["gone", "hidden"] {
            machine.try_start(&format!("ct@{name}")).fails();
            let journal = machine.journal(&format!("ct@{name}"));
            let expected = format!("no such mount target in the container: /mnt/{name}: no such file or directory");
            assert!(journal.lines().any(|line| line == expected), "{journal}");
        }
        assert_eq!(machine.shell("ls /srv/outer").stdout, "there\n", "nothing is made in a source");
    }

    fn networks_are_the_hosts_none_or_one_by_path(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.shell("ip link add host-only type veth peer name host-peer; ip netns add other; ip -n other link add inside type veth peer name inside-peer").succeeds();
        let links = "ip -o link | sed 's/[0-9]*: \\([^:@]*\\).*/\\1/'; ls /sys/class/net >/dev/null && echo sys";
        for (through, runtime) in [("", "crun"), ("", "runc"), ("user = \"ct-web\"\n", "crun")] {
            let seen = |name: &str, mode: &str| {
                let toml = script(runtime, "path = \"/srv/rootfs\"", links, &format!("[network]\nmode = {mode:?}\n"));
                report(machine, &format!("{runtime}{}{name}", through.len()), &format!("{through}{toml}"))
            };
            assert_eq!(seen("none", "none"), "lo\nsys\n", "{runtime} {through}");
            assert!(seen("host", "host").contains("host-only\n"), "{runtime} {through}");
            // Nobody without rights in it may enter a network namespace of root's.
            if through.is_empty() {
                assert!(seen("ns", "ns:/run/netns/other").contains("inside\n"), "{runtime}");
            }
        }
        machine.shell("ip netns del other; ip link del host-only").succeeds();
    }

    fn devices_are_those_of_the_config_and_no_others(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        for runtime in RUNTIMES {
            let look = "exec 3<>/dev/fuse && echo opened; stat -c %t:%T /dev/fuse; \
                        mknod /tmp/kmsg c 1 11 2>&1 && cat /tmp/kmsg; for f in null zero full random urandom tty; do \
                        test -c /dev/$f || echo no $f; done; head -c 1 /dev/urandom | wc -c";
            let more = "[security]\ndevices = [\"/dev/fuse:rw\"]\ncapabilities = { add = [\"CAP_MKNOD\"] }\n";
            let seen = report(machine, runtime, &script(runtime, "path = \"/srv/rootfs\"", look, more));
            assert!(seen.starts_with("opened\na:e5\n") && seen.ends_with("\n1\n"), "{runtime}: {seen}");
            assert!(seen.contains("Operation not permitted"), "{runtime}: another device is not to be had: {seen}");
            assert!(!seen.contains("no "), "{runtime}: {seen}");
        }
        let missing = script("crun", "path = \"/srv/rootfs\"", "true", "[security]\ndevices = [\"/dev/gone\"]\n");
        machine.container("missing", &missing);
        machine.daemon_reload();
        machine.try_start("ct@missing").fails();
        assert_eq!(machine.show_number("ct@missing", "ExecMainStatus"), 66);
    }

    fn read_only_goes_for_what_is_mounted_below(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("mkdir -p /srv/data/below /srv/rootfs/data; echo one >/srv/one; mount -t tmpfs below /srv/data/below").succeeds();
        for runtime in RUNTIMES {
            let mount = "[[mount]]\nsource = \"/srv/data\"\ntarget = \"/data\"\noptions = [\"ro\"]\n\
                         [[mount]]\nsource = \"/srv/one\"\ntarget = \"/one\"\noptions = [\"ro\"]\n\
                         [[mount]]\ntarget = \"/dev\"\ntype = \"tmpfs\"\noptions = [\"mode=755\", \"size=1M\"]\n";
            let look = "touch /data/x /data/below/x 2>&1 | grep -c Read-only; cat /one; (echo two >/one) 2>&1 | grep -c Read-only; ls -d /dev/shm /dev/pts";
            let seen = report(machine, runtime, &script(runtime, "path = \"/srv/rootfs\"", look, mount));
            assert_eq!(seen, "2\none\n1\n/dev/pts\n/dev/shm\n", "{runtime}");
        }
    }

    fn a_bundle_is_the_base_that_the_config_overrides(machine: &Machine) {
        machine.busybox_rootfs("/srv/bundle/rootfs");
        for runtime in RUNTIMES {
            machine.shell("cd /srv/bundle && rm -f config.json && runc spec").succeeds();
            machine
                .shell("cd /srv/bundle && sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"\\/bin\\/env\"/; \
                        s/\"TERM=xterm\"/\"FROM_BUNDLE=1\"/' config.json")
                .succeeds();
            let toml = format!(
                "runtime = {runtime:?}\n[root]\nbundle = \"/srv/bundle\"\n[process]\nenv = {{ FROM_TOML = \"2\" }}\n"
            );
            let seen = report(machine, &format!("{runtime}-base"), &toml);
            assert!(seen.contains("FROM_BUNDLE=1\n") && seen.contains("FROM_TOML=2\n"), "{seen}");
            let toml = script(runtime, "bundle = \"/srv/bundle\"", "echo mine; hostname; touch /x || true", "");
            let seen = report(machine, &format!("{runtime}-over"), &toml);
            assert!(seen.contains("mine\nrunc\n") && seen.contains("Read-only file system"), "{seen}");
        }
    }
}
