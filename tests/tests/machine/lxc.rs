// SPDX-License-Identifier: MIT OR Apache-2.0
//! `runtime = "lxc"`: is a container of LXC's a unit like all others, with the monitor as its main process?
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ends;
mod mounts;
mod system;

use std::path::PathBuf;
use std::process::Command;

use ct_tests::{Machine, on_every_machine};

/// A container of busybox with this command of a shell.
fn container(script: &str, more: &str) -> String {
    format!(
        "runtime = \"lxc\"\n{more}\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n"
    )
}

const IDLE: &str = "trap 'exit 0' TERM; echo up; sleep 1000 & wait";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.start("ct.slice");
}

/// An account of its own, with subordinate ids.
fn account(machine: &Machine) {
    machine
        .shell("useradd --system --no-create-home ct-web && echo ct-web:300000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
}

/// The container's init: LXC's monitor is its parent.
fn init_of(machine: &Machine, unit: &str) -> u64 {
    let monitor = machine.main_pid(unit);
    let children = machine.read_file(format!("/proc/{monitor}/task/{monitor}/children"));
    children
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{unit}: the monitor {monitor} has the children {children:?}"))
}

/// Loaded by a program of the host's that is executed with the container's libraries: keeps a descriptor of it, and leaves
/// a shell behind that writes there as soon as nobody executes it any longer.
const INTRUDER: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void intrude(void) {
    char program[256] = "";
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0 || !strstr(program, "ct-lxc"))
        return;
    dup2(open("/proc/self/exe", O_RDONLY), 9);
    setenv("PROGRAM", program, 1);
    if (fork() == 0) {
        setsid();
        execl("/bin/sh", "sh", "-c", "echo $PROGRAM >/n/seen;"
            "until (echo OWNED >>/proc/self/fd/9) 2>/n/why; do grep -q busy /n/why || exec touch /n/end; sleep 0.02; done;"
            "touch /n/written /n/end", NULL);
    }
    if (getpid() == 1)
        pause();
    _exit(0);
}
"#;

/// What the C compiler makes of this with these options.
fn compiled(source: &str, options: &[&str]) -> Vec<u8> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "compiled-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&directory).unwrap();
    let (code, output) = (directory.join("source.c"), directory.join("output"));
    std::fs::write(&code, source).unwrap();
    let built = Command::new("cc").args(options).arg("-o").arg(&output).arg(&code).status().unwrap();
    assert!(built.success(), "cc: {built}");
    let read = std::fs::read(&output).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    read
}

on_every_machine! {
    fn the_unit_ends_as_init_does(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for (script, code, status, result) in [
            ("exit 0", "exited", "0", "success"),
            ("sleep 0.3; exit 0", "exited", "0", "success"),
            ("sleep 0.3; exit 7", "exited", "7", "exit-code"),
            ("sleep 0.3; exit 137", "exited", "137", "exit-code"),
        ] {
            machine.container("web", &container(script, ""));
            machine.daemon_reload();
            machine.try_start("ct@web");
            machine.wait_until("! systemctl is-active --quiet ct@web");
            let said = machine.journal("ct@web");
            assert_eq!(machine.show("ct@web", "Result"), result, "{script}: {said}");
            assert_eq!(machine.show("ct@web", "ExecMainStatus"), status, "{script}: {said}");
            assert_eq!(code, "exited");
            machine.run(["systemctl", "reset-failed", "ct@web"]);
        }
        machine.assert_no_leaks(&before);
    }

    fn it_starts_runs_and_stops_as_a_unit(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        machine.container("web", &container(IDLE, ""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.wait_until("journalctl -q -u ct@web -o cat | grep -qx up");
        let monitor = machine.main_pid("ct@web");
        assert_eq!(machine.read_file(format!("/proc/{monitor}/comm")), "ct-lxc\n");
        let parent = machine.shell(&format!("ps -o ppid= -p {monitor}")).succeeds().stdout;
        assert_eq!(parent.trim(), "1", "PID 1's own child");
        let init = init_of(machine, "ct@web");
        let group = machine.read_file(format!("/proc/{init}/cgroup"));
        assert!(group.ends_with("0::/ct.slice/ct@web.service/payload/lxc.payload\n"), "{group}");
        machine.wait_until("! pgrep -a 'ct-helper|lxc-monitord'");
        let inside = "echo $A$B; cat /proc/1/comm; grep ^0:: /proc/self/cgroup; exit 7";
        let exec = machine.run(["ctctl", "exec", "-e", "A= a\"b'", "-e", "B=c\nd ", "web", "--", "sh", "-c", inside]);
        let printed = exec.exits(7).stdout;
        assert!(printed.starts_with(" a\"b'c\nd \nsh\n0::/ct-job-") || printed.starts_with("a\"b'c d\nsh\n0::/ct-job-"), "{printed:?}");
        machine.stop("ct@web");
        assert_eq!(machine.show("ct@web", "Result"), "success");
        machine.assert_no_leaks(&before);
    }

    fn what_kills_init_is_what_the_unit_dies_of(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(IDLE, ""));
        machine.daemon_reload();
        machine.start("ct@web");
        let init = init_of(machine, "ct@web");
        machine.shell(&format!("kill -KILL {init}")).succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(machine.show("ct@web", "Result"), "signal");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "9");
        // And the other way round: a container does not outlive its monitor.
        machine.shell("systemctl reset-failed ct@web").succeeds();
        machine.start("ct@web");
        let (monitor, init) = (machine.main_pid("ct@web"), init_of(machine, "ct@web"));
        machine.shell(&format!("kill -KILL {monitor}")).succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        machine.wait_until(&format!("! test -d /proc/{init}"));
    }

    /// What would end a line or a field of an LXC config, or mean something there, gets to the container as it is.
    fn nothing_in_a_config_becomes_a_line_of_lxcs(machine: &Machine) {
        prepare(machine);
        machine.shell(r#"mkdir -p '/srv/a b\c#d' && echo found >'/srv/a b\c#d/file'"#).succeeds();
        machine.container(
            "web",
            r##"
runtime = "lxc"
[root]
path = "/srv/rootfs"
[process]
cwd = "/x y"
command = ["/bin/sh", "-c", "pwd; cat 'q #1/file'; env | grep ^V; exit 3"]
env = { V1 = "'single'", V2 = '"double"', V3 = " blanks # lxc.uts.name = x ", V4 = 'back\slash $HOME %n' }
[[mount]]
source = '/srv/a b\c#d'
target = "/x y/q #1"
options = ["ro"]
"##,
        );
        machine.daemon_reload();
        machine.try_start("ct@web");
        machine.wait_for("ct@web", "ActiveState", "failed");
        let log = machine.journal("ct@web");
        for line in ["/x y", "found", "V1='single'", "V2=\"double\"", r"V4=back\slash $HOME %n"] {
            assert!(log.lines().any(|seen| seen.ends_with(line)), "{line}\n{log}");
        }
        assert!(log.contains("V3= blanks # lxc.uts.name = x"), "{log}");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "3", "{log}");

        // Nor does a line of several, and nothing that LXC could take for its own.
        let value = "a\nlxc.hook.pre-start = /bin/touch /srv/owned\n\tb \u{1b}'";
        machine.write_file("/srv/env", 0o600, format!("V=\"{value}\"\n"));
        let script = "printf \"<%s>\" \"$V\" >/n/value; exit 4";
        let mount = "[[mount]]\nsource = \"/srv/n\"\ntarget = \"/n\"\n";
        let config = container(script, "").replace("command", "env_file = [\"/srv/env\"]\ncommand");
        machine.shell("mkdir /srv/n").succeeds();
        machine.container("web", &format!("{config}{mount}"));
        machine.daemon_reload();
        machine.try_start("ct@web");
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "4", "{}", machine.journal("ct@web"));
        assert_eq!(machine.read_file("/srv/n/value"), format!("<{value}>"));
        machine.shell("! test -e /srv/owned").succeeds();
    }

    fn its_rights_are_those_with_another_runtime(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /srv/shared && chmod 777 /srv/shared").succeeds();
        let script = r"grep -E '^(Cap...|NoNewPrivs|Seccomp|Uid|Gid|Groups):' /proc/self/status; hostname; ls /sys/class/net
cat /proc/self/oom_score_adj; umask; pwd; cat /proc/keys /proc/timer_list; test -c /dev/fuse && echo fuse
unshare -U true && echo unshared; mount -t tmpfs none /tmp && echo mounted; touch /denied && echo root is writable
echo x >/proc/sys/kernel/hostname && echo /proc is writable; mkdir /sys/fs/cgroup/x && echo groups can be made";
        let mut seen = Vec::new();
        for runtime in ["crun", "lxc"] {
            let unit = format!("ct@as-{runtime}");
            machine.write_file(format!("/srv/shared/{runtime}.sh"), 0o755, script);
            machine.container(
                &format!("as-{runtime}"),
                &format!(
                    "runtime = {runtime:?}\nhostname = \"same\"\n[root]\npath = \"/srv/rootfs\"\nwritable = \"no\"\n\
                     [process]\ncwd = \"/tmp\"\nuser = \"www-data\"\n\
                     command = [\"/bin/sh\", \"-c\", '''sh /mnt/{runtime}.sh >/mnt/{runtime} 2>/dev/null; {IDLE}''']\n\
                     [oom]\nscore_adjust = 300\n[security]\ndevices = [\"/dev/fuse:rw\"]\n\
                     [[mount]]\nsource = \"/srv/shared\"\ntarget = \"/mnt\"\n\
                     [systemd.service]\nUMask = \"0027\"\n"
                ),
            );
            machine.daemon_reload();
            machine.start(&unit);
            machine.wait_until(&format!("journalctl -q -u {unit} -o cat | grep -qx up"));
            seen.push(machine.read_file(format!("/srv/shared/{runtime}")));
            machine.stop(&unit);
        }
        assert_eq!(seen.first(), seen.get(1), "crun and lxc");
        assert!(seen.iter().all(|text| text.contains("Seccomp:\t2") && text.contains("0027\n/tmp\nfuse\n")), "{seen:?}");
        assert!(seen.iter().all(|text| text.ends_with("fuse\n")), "nothing that is refused works: {seen:?}");
    }

    fn why_a_start_failed_is_said(machine: &Machine) {
        prepare(machine);
        machine.container("web", &container(IDLE, "").replace("/bin/sh", "/bin/no-such"));
        machine.daemon_reload();
        machine.try_start("ct@web").fails();
        let said = machine.journal("ct@web");
        assert!(said.contains("/bin/no-such"), "{said}");
        machine.container("web", &format!("{}[network]\nmode = \"ns:/etc/passwd\"\n", container(IDLE, "")));
        machine.daemon_reload();
        machine.try_start("ct@web").fails();
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "70", "{}", machine.journal("ct@web"));
    }

    fn the_namespaces_of_a_pod_are_joined(machine: &Machine) {
        prepare(machine);
        machine.write_file("/etc/ct/pods/shop.toml", 0o644, "share = [\"net\", \"ipc\", \"uts\"]\n");
        for name in ["one", "two"] {
            machine.container(name, &container(IDLE, "pod = \"shop\""));
        }
        machine.daemon_reload();
        machine.start("ct@one");
        machine.start("ct@two");
        let (one, two) = (init_of(machine, "ct@one"), init_of(machine, "ct@two"));
        for kind in ["net", "ipc", "uts"] {
            let count = |other: u64| {
                let links = format!("readlink /proc/{one}/ns/{kind} /proc/{other}/ns/{kind} | uniq | wc -l");
                machine.shell(&links).succeeds().stdout
            };
            assert_eq!((count(two), count(1)), ("1\n".to_owned(), "2\n".to_owned()), "{kind}");
        }
    }

    /// CVE-2019-5736: a command that is the program which enters the container, over again with the container's libraries.
    fn nothing_inside_writes_to_a_program_of_the_hosts(machine: &Machine) {
        prepare(machine);
        machine.write_file("/srv/rootfs/intruder.so", 0o755, compiled(INTRUDER, &["-shared", "-fPIC"]));
        machine.write_file("/srv/rootfs/etc/ld.so.preload", 0o644, "/intruder.so\n");
        machine.write_file("/srv/rootfs/again", 0o755, "#!/proc/self/exe\n");
        let libraries = "cd /srv/rootfs && mkdir -p lib64 lib/x86_64-linux-gnu /srv/n && chmod 777 /srv/n
cp -L /lib64/ld-linux-x86-64.so.2 lib64/
ldd /usr/libexec/ct/ct-lxc | awk '/=>/ { print $3 }' | xargs -I{} cp -L {} lib/x86_64-linux-gnu/";
        machine.shell(libraries).succeeds();
        let mount = "[[mount]]\nsource = \"/srv/n\"\ntarget = \"/n\"\n";
        machine.container("web", &format!("{}{mount}", container(IDLE, "")));
        machine.daemon_reload();
        machine.start("ct@web");
        // As an upgrade of ct replaces it, so that the monitor no longer executes that very file.
        machine.shell("cd /usr/libexec/ct && cp -p ct-lxc new && mv new ct-lxc").succeeds();
        let digest = || machine.shell("sha256sum /usr/libexec/ct/*").succeeds().stdout;
        let before = digest();
        machine.run(["ctctl", "exec", "web", "--", "/again"]).succeeds();
        machine.wait_until("test -e /srv/n/end");
        assert_eq!(digest(), before, "{}", machine.read_file("/srv/n/seen"));
        machine.shell("! test -e /srv/n/written").succeeds();
        assert_eq!(machine.read_file("/srv/n/seen"), "/memfd:ct-lxc (deleted)\n");
        let why = machine.read_file("/srv/n/why");
        assert!(why.contains("Operation not permitted"), "{why}");

        // The monitor, and init before it became the command, are such a copy too.
        machine.shell("rm /srv/n/*").succeeds();
        machine.container("first", &format!("{}{mount}", container(IDLE, "")).replace("\"/bin/sh\"", "\"/again\""));
        machine.daemon_reload();
        machine.try_start("ct@first");
        machine.wait_until("test -s /srv/n/seen");
        assert_eq!(machine.read_file("/srv/n/seen"), "/memfd:ct-lxc (deleted)\n");
        assert_eq!(digest(), before);
        machine.shell("systemctl kill --signal=KILL ct@first").succeeds();
    }

    /// LXC's command socket has an abstract name, which whoever is in the same network namespace may connect to.
    fn no_monitor_is_reached_from_another_container(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /srv/rootfs/lib64 /srv/rootfs/usr && cp -L /lib64/ld-linux-x86-64.so.2 /srv/rootfs/lib64/").succeeds();
        let host = "[network]\nmode = \"host\"\n";
        machine.container("alone", &container(IDLE, ""));
        machine.container("shares", &format!("{}{host}", container(IDLE, "")));
        machine.container("joins", &format!("{}[network]\nmode = \"ns:/run/netns/other\"\n", container(IDLE, "")));
        let usr = "[[mount]]\nsource = \"/usr\"\ntarget = \"/mnt\"\noptions = [\"rbind\", \"ro\"]\n";
        machine.container("near", &format!("{}{host}{usr}", container(IDLE, "").replace("\"lxc\"", "\"crun\"")));
        machine.shell("ip netns add other").succeeds();
        machine.daemon_reload();
        for name in ["alone", "shares", "joins"] {
            machine.start(&format!("ct@{name}"));
        }
        machine.start("ct@near");
        for name in ["alone", "shares", "joins"] {
            let stop = format!("LD_LIBRARY_PATH=/mnt/lib/x86_64-linux-gnu /mnt/bin/lxc-stop -k -P /run/ct/{name} -n {name}");
            let said = machine.run(["ctctl", "exec", "near", "--", "sh", "-c", &stop]);
            assert!(said.stderr.contains("is not running"), "{said}");
            assert_eq!(machine.show(&format!("ct@{name}"), "ActiveState"), "active");
        }
        let network = |pid: u64| machine.shell(&format!("readlink /proc/{pid}/ns/net")).succeeds().stdout;
        let (of_host, other) = (network(1), machine.shell("stat -Lc 'net:[%i]' /run/netns/other").succeeds().stdout);
        let mut seen = Vec::new();
        for name in ["alone", "shares", "joins"] {
            let unit = format!("ct@{name}");
            seen.push(network(init_of(machine, &unit)));
            let monitors = network(machine.main_pid(&unit));
            assert!(![&of_host, &other].contains(&&monitors) && !seen.contains(&monitors), "{name}");
            let inside = machine.run(["ctctl", "exec", name, "--", "readlink", "/proc/self/ns/net"]).succeeds();
            assert_eq!(Some(&inside.stdout), seen.last(), "{name}");
        }
        assert_eq!(seen.get(1..), Some([of_host.clone(), other.clone()].as_slice()));
        assert!(seen.first().is_some_and(|own| ![of_host, other].contains(own)));
        let monitor = machine.main_pid("ct@alone");
        let info = machine.shell(&format!("nsenter -n -t {monitor} lxc-info -P /run/ct/alone -n alone -sH"));
        assert_eq!(info.stdout, "RUNNING\n", "{info}");
        machine.shell("grep -a @/run/systemd /proc/1/net/unix; ! grep -a @/run/ct /proc/1/net/unix").succeeds();
    }

    fn the_monitor_of_an_account_is_not_reached_either(machine: &Machine) {
        prepare(machine);
        account(machine);
        machine.container("web", &container(IDLE, "user = \"ct-web\""));
        machine.daemon_reload();
        machine.start("ct@web");
        machine.shell("! grep -a @/run/ct /proc/1/net/unix").succeeds();
        let inside = machine.run(["ctctl", "exec", "web", "--", "readlink", "/proc/self/ns/net"]).succeeds().stdout;
        let init = init_of(machine, "ct@web");
        assert_eq!(inside, machine.shell(&format!("readlink /proc/{init}/ns/net")).succeeds().stdout);

        // In the host's network it would be.
        machine.container("shares", &container(IDLE, "user = \"ct-web\"\nnetwork.mode = \"host\""));
        let refused = machine.run(["ctctl", "check"]).exits(1);
        let said = "/etc/ct/containers/shares.toml:3:16: network.mode: lxc cannot: through an account its command socket";
        assert!(refused.stdout.contains(said) && refused.stdout.contains("(crun can, and so can lxc without `user`)"), "{refused}");
        machine.daemon_reload();
        machine.try_start("ct@shares").fails();
        assert_eq!(machine.show("ct@shares", "ExecMainStatus"), "78", "{}", machine.journal("ct@shares"));
    }

    /// There /sys is the host's, with what is mounted in it.
    fn the_hosts_network_is_there_in_a_user_namespace(machine: &Machine) {
        prepare(machine);
        // Where newuidmap(1) is, LXC asks it also as root.
        machine.shell("echo root:300000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        let script = "readlink /proc/self/ns/net; grep -c '^0::/ct-job' /proc/self/cgroup; ls -d /sys/kernel /sys/fs/cgroup/ct-job* | wc -l; \
                      ls /sys/fs/cgroup/ct.slice; mkdir /sys/fs/cgroup/x || echo read-only";
        let network = machine.run(["readlink", "/proc/1/ns/net"]).succeeds().stdout;
        let maps = "uid = [[0, 300000, 65536]]\ngid = [[0, 300000, 65536]]\n";
        for runtime in ["crun", "lxc"] {
            let config = container(IDLE, "").replace("\"lxc\"", &format!("{runtime:?}"));
            machine.container("web", &format!("{config}[network]\nmode = \"host\"\n[idmap]\n{maps}"));
            machine.daemon_reload();
            machine.start("ct@web");
            let inside = machine.run(["ctctl", "exec", "web", "--", "sh", "-c", script]);
            assert_eq!(inside.stdout, format!("{network}1\n2\nread-only\n"), "{runtime}: {inside}");
            machine.stop("ct@web");
        }
    }
}
