// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pods: do members share what the pod says and nothing else, and does a pod live exactly as long as its members?

use ct_tests::{Machine, on_every_machine};
use words::{SLEEP, container, inside, pod, prepare};

mod faults;
mod words;

/// The namespaces of a container: `net:[1] ipc:[2] uts:[3]`.
fn namespaces(machine: &Machine, name: &str) -> String {
    let pid = machine.main_pid(&format!("ct@{name}"));
    let links = machine.shell(&format!("cd /proc/{pid}/ns && readlink net ipc uts")).succeeds().stdout;
    links.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Restarts the pod; its members follow.
fn restart_pod(machine: &Machine) {
    machine.run(["systemctl", "restart", "ct-pod@shop"]).succeeds();
    // The members' own jobs, which nobody waited for.
    machine.wait_until("test -z \"$(systemctl list-jobs --no-legend 'ct@*')\"");
}

on_every_machine! {
    fn members_share_net_ipc_and_uts_and_others_do_not(machine: &Machine) {
        prepare(machine);
        pod(machine, "shop", "hostname = \"shop-1\"\n");
        for runtime in ["crun", "runc"] {
            for (name, top) in [("web", "pod = \"shop\""), ("db", "pod = \"shop\""), ("alone", "")] {
                container(machine, name, &format!("runtime = {runtime:?}\n{top}"));
            }
            machine.daemon_reload();
            let before = machine.leaks();
            for name in ["web", "db", "alone"] {
                machine.start(&format!("ct@{name}"));
            }
            let own = namespaces(machine, "web");
            assert_eq!(namespaces(machine, "db"), own, "{runtime}");
            let other = namespaces(machine, "alone");
            for (one, another) in own.split(' ').zip(other.split(' ')) {
                assert_ne!(one, another, "{runtime}: the one outside");
            }
            // The network: one listens on the loopback device, the other gets there.
            let listener = machine.main_pid("ct@db").to_string();
            let listening = machine
                .command(["nsenter", "--all", "--target", &listener, "--", "sh", "-c", "echo from-db | nc -l -p 7777"])
                .spawn();
            machine.wait_until(&format!("grep -q :1E61 /proc/{listener}/net/tcp*"));
            assert_eq!(inside(machine, "web", "nc 127.0.0.1 7777 </dev/null"), "from-db", "{runtime}");
            listening.wait().succeeds();
            // System V IPC, and the segments of POSIX.
            inside(machine, "db", "echo of-db >/dev/shm/x");
            assert_eq!(inside(machine, "web", "cat /dev/shm/x"), "of-db", "{runtime}");
            assert_eq!(inside(machine, "alone", "ls /dev/shm"), "", "{runtime}");
            assert!(inside(machine, "web", "grep ' /dev/shm ' /proc/mounts").contains("size=65536k"), "{runtime}");
            machine.shell(&format!("nsenter --ipc --target {listener} ipcmk --shmem 4096")).succeeds();
            assert_eq!(inside(machine, "web", "grep -c . /proc/sysvipc/shm"), "2", "{runtime}: a header and a segment");
            assert_eq!(inside(machine, "alone", "grep -c . /proc/sysvipc/shm"), "1", "{runtime}");
            // The host name, also of who asks the kernel's files.
            assert_eq!(inside(machine, "web", "hostname; cat /proc/sys/kernel/hostname"), "shop-1\nshop-1", "{runtime}");
            assert_eq!(inside(machine, "alone", "hostname"), "alone", "{runtime}");
            assert_ne!(machine.shell("hostname").succeeds().stdout.trim(), "shop-1");
            for name in ["web", "db", "alone"] {
                machine.stop(&format!("ct@{name}"));
            }
            machine.wait_for("ct-pod@shop", "ActiveState", "inactive");
            machine.stop("ct-shop.slice");
            machine.assert_no_leaks(&before);
        }
    }

    fn a_pod_has_no_process_and_its_slice_the_resources(machine: &Machine) {
        prepare(machine);
        pod(machine, "shop", "description = \"The shop\"\n[resources]\nmemory_max = \"64M\"\ntasks_max = 77\ncpu_weight = 50\n");
        container(machine, "web", "pod = \"shop\"");
        machine.daemon_reload();
        let mounts = machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout;
        machine.start("ct@web");
        assert_eq!(machine.show("ct-pod@shop", "ActiveState"), "active");
        assert_eq!(machine.show("ct-pod@shop", "SubState"), "exited");
        assert_eq!(machine.show("ct-pod@shop", "MainPID"), "0");
        assert_eq!(machine.show("ct-pod@shop", "Description"), "The shop");
        assert_eq!(machine.show("ct-pod@shop", "NFileDescriptorStore"), "4");
        let slice = "/ct.slice/ct-shop.slice";
        let group = format!("/sys/fs/cgroup{slice}/ct-pod@shop.service");
        let processes = machine.shell(&format!("cat {group}/cgroup.procs 2>/dev/null | wc -l")).succeeds().stdout;
        assert_eq!(processes.trim(), "0");
        assert_eq!(machine.show("ct-shop.slice", "MemoryMax"), (64_u64 << 20).to_string());
        assert_eq!(machine.show("ct-shop.slice", "TasksMax"), "77");
        assert_eq!(machine.show("ct-shop.slice", "CPUWeight"), "50");
        assert_eq!(machine.show("ct@web", "ControlGroup"), format!("{slice}/ct@web.service"));
        let after = machine.shell("grep -c . /proc/1/mountinfo").succeeds().stdout;
        assert_eq!(after, mounts, "PID 1 should have no more mounts than before");
    }

    fn a_pod_stops_after_its_last_member_and_takes_them_along(machine: &Machine) {
        prepare(machine);
        pod(machine, "shop", "");
        container(machine, "web", "pod = \"shop\"");
        container(machine, "db", "pod = \"shop\"");
        machine.daemon_reload();
        let before = machine.leaks();
        machine.start("ct@web");
        machine.start("ct@db");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct-pod@shop", "ActiveState"), "active", "db is still there");
        machine.stop("ct@db");
        machine.wait_for("ct-pod@shop", "ActiveState", "inactive");
        // The other way round.
        machine.start("ct@web");
        machine.start("ct@db");
        machine.stop("ct-pod@shop");
        for unit in ["ct-pod@shop", "ct@web", "ct@db"] {
            assert_eq!(machine.show(unit, "ActiveState"), "inactive", "{unit}");
            assert_eq!(machine.show(unit, "Result"), "success", "{unit}");
        }
        // Members first: the pod's stop is the last.
        let stopped = |unit: &str| machine.show_number(unit, "InactiveEnterTimestampMonotonic");
        assert!(stopped("ct@web") <= stopped("ct-pod@shop") && stopped("ct@db") <= stopped("ct-pod@shop"));
        machine.stop("ct-shop.slice");
        machine.assert_no_leaks(&before);
    }

    fn restarts_keep_the_pods_namespaces_and_its_own_restart_makes_new_ones(machine: &Machine) {
        prepare(machine);
        pod(machine, "shop", "");
        container(machine, "web", "pod = \"shop\"\nrestart.policy = \"always\"");
        container(machine, "db", "pod = \"shop\"");
        machine.daemon_reload();
        machine.start("ct@web");
        let first = namespaces(machine, "web");
        // As its only member.
        machine.restart("ct@web");
        assert_eq!(namespaces(machine, "web"), first, "after a restart by hand");
        let pid = machine.main_pid("ct@web");
        machine.shell(&format!("kill -KILL {pid}")).succeeds();
        machine.wait_until("test $(systemctl show --value -p NRestarts ct@web) = 1 && systemctl is-active ct@web");
        assert_eq!(namespaces(machine, "web"), first, "after a crash");
        machine.daemon_reload();
        machine.run(["systemctl", "daemon-reexec"]).succeeds();
        machine.start("ct@db");
        assert_eq!(namespaces(machine, "db"), first, "of one that came after a reload and a reexec");
        restart_pod(machine);
        let second = namespaces(machine, "web");
        assert_eq!(namespaces(machine, "db"), second);
        for (old, new) in first.split(' ').zip(second.split(' ')) {
            assert_ne!(old, new, "should be a new one for all");
        }
        assert_eq!(machine.show("ct-pod@shop", "NFileDescriptorStore"), "4", "nothing of the old ones is kept");
    }

    fn only_what_is_shared_is_shared(machine: &Machine) {
        prepare(machine);
        machine.shell("ip netns add outside").succeeds();
        pod(machine, "ipc", "share = [\"ipc\"]\n");
        pod(machine, "host", "share = [\"net\"]\nnetwork.mode = \"host\"\n");
        pod(machine, "path", "share = [\"net\", \"uts\"]\nnetwork.mode = \"ns:/run/netns/outside\"\n");
        pod(machine, "slice", "share = []\n");
        for (name, top) in [
            ("a", "pod = \"ipc\"\nhostname = \"of-its-own\"\nnetwork.mode = \"host\""),
            ("b", "pod = \"ipc\""),
            ("c", "pod = \"host\""),
            ("d", "pod = \"path\""),
            ("e", "pod = \"slice\""),
        ] {
            container(machine, name, top);
        }
        machine.daemon_reload();
        for name in ["a", "b", "c", "d", "e"] {
            machine.start(&format!("ct@{name}"));
        }
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| namespaces(machine, name));
        let host = machine.shell("cd /proc/1/ns && echo $(readlink net ipc uts)").succeeds().stdout;
        let part = |text: &str, number: usize| text.split_whitespace().nth(number).unwrap_or_default().to_owned();
        assert_eq!(part(&a, 1), part(&b, 1), "one ipc");
        assert_ne!(part(&a, 0), part(&b, 0));
        assert_eq!(part(&a, 0), part(&host, 0), "its own choice");
        assert_eq!(inside(machine, "a", "hostname"), "of-its-own");
        assert_eq!(inside(machine, "b", "hostname"), "b");
        assert_eq!(part(&c, 0), part(&host, 0));
        assert_ne!(part(&c, 1), part(&host, 1));
        let outside = machine.shell("stat -L -c 'net:[%i]' /run/netns/outside").succeeds().stdout;
        assert_eq!(part(&d, 0), outside.trim());
        assert_eq!(inside(machine, "d", "hostname"), "path", "the pod's name is the default");
        for number in 0..3 {
            let mine = part(&e, number);
            assert!([&a, &b, &c, &d].iter().all(|other| part(other, number) != mine), "{mine} is shared");
        }
        assert_eq!(machine.show("ct@e", "Slice"), "ct-slice.slice");
        assert_eq!(machine.show("ct-pod@slice", "NFileDescriptorStore"), "0");
    }

    fn a_member_with_a_user_namespace_joins(machine: &Machine) {
        prepare(machine);
        machine.shell("cp -a /srv/rootfs /srv/mapped && chown -R 200000:200000 /srv/mapped").succeeds();
        pod(machine, "shop", "");
        container(machine, "plain", "pod = \"shop\"");
        for runtime in ["crun", "runc"] {
            machine.container(
                runtime,
                &format!(
                    "runtime = {runtime:?}\npod = \"shop\"\n[root]\npath = \"/srv/mapped\"\n[process]\n{SLEEP}\n\
                     [idmap]\nuid = [[0, 200000, 65536]]\ngid = [[0, 200000, 65536]]\n"
                ),
            );
        }
        machine.daemon_reload();
        for name in ["plain", "crun", "runc"] {
            machine.start(&format!("ct@{name}"));
        }
        for runtime in ["crun", "runc"] {
            assert_eq!(namespaces(machine, runtime), namespaces(machine, "plain"), "{runtime}");
            assert_eq!(inside(machine, runtime, "hostname; ls /sys/class/net"), "shop\nlo", "{runtime}");
            inside(machine, runtime, &format!("touch /dev/shm/{runtime}"));
            assert_eq!(inside(machine, "plain", &format!("stat -c %u /dev/shm/{runtime}")), "200000", "{runtime}");
            let pid = machine.main_pid(&format!("ct@{runtime}"));
            assert!(machine.read_file(format!("/proc/{pid}/uid_map")).contains("200000"), "{runtime}");
        }
    }

    fn members_through_an_account_share_its_namespaces(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        let uid = machine.shell("id -u ct-web").succeeds().stdout.trim().to_owned();
        let gid = machine.shell("id -g ct-web").succeeds().stdout.trim().to_owned();
        machine.shell("ip link add outside type veth peer name outside2").succeeds();
        let account = "user = \"ct-web\"\nhostname = \"theirs\"\n";
        // runc without privileges insists on the account as its containers' root.
        let as_root = format!("{account}[idmap]\nuid = [[0, {uid}, 1], [1, 200000, 65536]]\ngid = [[0, {gid}, 1], [1, 200000, 65536]]\n");
        for (runtime, toml, root) in [("crun", account, "200000"), ("runc", &as_root, &uid)] {
            pod(machine, "shop", toml);
            for name in ["web", "db"] {
                container(machine, name, &format!("runtime = {runtime:?}\nuser = \"ct-web\"\npod = \"shop\""));
            }
            machine.daemon_reload();
            let before = machine.leaks();
            machine.start("ct@web");
            machine.start("ct@db");
            let ids = |name: &str| {
                let pid = machine.main_pid(&format!("ct@{name}"));
                machine.shell(&format!("readlink /proc/{pid}/ns/user; stat -c %u /proc/{pid}")).succeeds().stdout
            };
            assert_eq!(namespaces(machine, "db"), namespaces(machine, "web"), "{runtime}");
            assert_eq!(ids("db"), ids("web"), "{runtime}: one user namespace");
            assert_eq!(ids("web").lines().nth(1), Some(root), "{runtime}");
            assert_ne!(ids("web").lines().next(), machine.shell("readlink /proc/1/ns/user").succeeds().stdout.lines().next());
            assert_eq!(inside(machine, "web", "hostname; id -u"), "theirs\n0", "{runtime}");
            // The network is the members' own: its devices are in /sys. crun without privileges shows the host's to all.
            if runtime == "runc" {
                assert_eq!(inside(machine, "web", "ls /sys/class/net"), "lo");
            }
            let pid = machine.main_pid("ct@web");
            machine.shell(&format!("nsenter --net --target {pid} ip -o addr show dev lo | grep -q 127.0.0.1/8")).succeeds();
            inside(machine, "db", "echo of-db >/dev/shm/x; test -d /dev/mqueue");
            assert_eq!(inside(machine, "web", "cat /dev/shm/x; stat -c %u /dev/shm/x"), "of-db\n0", "{runtime}");
            machine.stop("ct-pod@shop");
            machine.stop("ct-shop.slice");
            machine.assert_no_leaks(&before);
        }
    }

    fn a_pod_may_have_ids_of_its_own(machine: &Machine) {
        prepare(machine);
        machine.shell("cp -a /srv/rootfs /srv/mapped && chown -R 300000:300000 /srv/mapped").succeeds();
        pod(machine, "shop", "[idmap]\nuid = [[0, 300000, 1000]]\ngid = [[0, 300000, 1000]]\n");
        for runtime in ["crun", "runc"] {
            machine.container(
                runtime,
                &format!("runtime = {runtime:?}\npod = \"shop\"\n[root]\npath = \"/srv/mapped\"\n[process]\n{SLEEP}\n"),
            );
        }
        machine.daemon_reload();
        machine.start("ct@crun");
        machine.start("ct@runc");
        assert_eq!(namespaces(machine, "crun"), namespaces(machine, "runc"));
        for runtime in ["crun", "runc"] {
            let pid = machine.main_pid(&format!("ct@{runtime}"));
            let map = machine.read_file(format!("/proc/{pid}/uid_map"));
            assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "300000", "1000"], "{runtime}");
            // Root inside, and of the network.
            assert_eq!(inside(machine, runtime, "hostname; cat /sys/class/net/lo/operstate; stat -c %u /"), "shop\nunknown\n0");
        }
    }

    fn edits_under_a_running_pod_change_nothing_and_it_can_be_stopped(machine: &Machine) {
        prepare(machine);
        pod(machine, "shop", "");
        container(machine, "web", "pod = \"shop\"");
        machine.daemon_reload();
        let before = machine.leaks();
        machine.start("ct@web");
        let (first, pid) = (namespaces(machine, "web"), machine.main_pid("ct@web"));
        pod(machine, "shop", "hostname = \"other\"\n");
        machine.daemon_reload();
        assert_eq!(machine.show("ct-pod@shop", "ActiveState"), "active");
        assert_eq!((namespaces(machine, "web"), machine.main_pid("ct@web")), (first.clone(), pid));
        assert_eq!(inside(machine, "web", "hostname"), "shop");
        machine.restart("ct@web");
        assert_eq!(namespaces(machine, "web"), first, "the pod was not restarted");
        restart_pod(machine);
        assert_eq!(inside(machine, "web", "hostname"), "other");
        // The config of a running pod goes away.
        machine.shell("rm /etc/ct/pods/shop.toml").succeeds();
        machine.daemon_reload();
        let pid = machine.main_pid("ct@web");
        machine.shell(&format!("kill -0 {pid}")).succeeds();
        machine.stop("ct-pod@shop");
        machine.stop("ct@web");
        machine.wait_for("ct-pod@shop", "ActiveState", "inactive");
        machine.stop("ct-shop.slice");
        machine.assert_no_leaks(&before);
    }
}
