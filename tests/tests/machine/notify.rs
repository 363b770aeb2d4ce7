// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ready.notify`: what a container says of itself, and what it may not say.

use ct_tests::{Machine, on_every_machine};

/// The host's programs are in the container too, for systemd-notify(1) and perl.
const WITH_HOST_PROGRAMS: &str = "[[mount]]\nsource = \"/usr\"\ntarget = \"/usr\"\noptions = [\"ro\"]\n\
    [[mount]]\nsource = \"/usr/lib\"\ntarget = \"/lib\"\noptions = [\"ro\"]\n\
    [[mount]]\nsource = \"/usr/lib64\"\ntarget = \"/lib64\"\noptions = [\"ro\"]\n";

fn container(runtime: &str, script: &str, ready: &str) -> String {
    format!(
        "runtime = \"{runtime}\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n\
         {WITH_HOST_PROGRAMS}[ready]\nnotify = true\n{ready}"
    )
}

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.run(["systemctl", "start", "ct.slice"]).succeeds();
}

on_every_machine! {
    fn the_container_says_when_it_is_ready(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        let script = "trap 'exit 0' TERM; systemd-notify --status=\"loading\"; while [ ! -e /tmp/go ]; do sleep 0.1; done; systemd-notify --ready; sleep 1000 & wait";
        for (user, runtime) in [("", "crun"), ("", "runc"), ("33", "crun")] {
            machine.shell("rm -f /srv/rootfs/tmp/go; chmod 1777 /srv/rootfs/tmp").succeeds();
            let text = container(runtime, script, "");
            let text = if user.is_empty() { text } else { text.replace("[process]\n", &format!("[process]\nuser = {user}\n")) };
            machine.container("db", &text);
            machine.daemon_reload();
            machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
            machine.wait_for("ct@db", "StatusText", "loading");
            assert_eq!(machine.show("ct@db", "ActiveState"), "activating");
            machine.shell("touch /srv/rootfs/tmp/go").succeeds();
            machine.wait_for("ct@db", "ActiveState", "active");
            // Nothing of ct stays.
            machine.wait_until("test -z \"$(cat /sys/fs/cgroup/ct.slice/ct@db.service/supervisor/cgroup.procs)\"");
            machine.stop("ct@db");
            assert_eq!(machine.show("ct@db", "Result"), "success", "{runtime} {user}");
        }
        machine.shell("! ls /srv/rootfs/dev | grep ct-").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn it_works_through_an_account(machine: &Machine) {
        prepare(machine);
        machine.shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid; chown -R 200000:200000 /srv/rootfs").succeeds();
        let before = machine.leaks();
        machine.container("db", &format!("user = \"ct-web\"\n{}", container("crun", &format!("systemd-notify --ready; {IDLE}"), "")));
        machine.daemon_reload();
        machine.start("ct@db");
        machine.stop("ct@db");
        machine.assert_no_leaks(&before);
    }

    fn nothing_else_it_says_reaches_pid_1(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        // Every word that could do harm, an escape sequence, nothing at all, too much, and two hundred descriptors.
        machine.write_file(
            "/srv/rootfs/bin/attack",
            0o755,
            r#"#!/usr/bin/perl
use Socket;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
connect($s, sockaddr_un($ENV{NOTIFY_SOCKET})) or die "connect: $!";
for my $m ("MAINPID=1", "FDSTORE=1", "NOTIFYACCESS=all", "ERRNO=7", "BUSERROR=x", "WATCHDOG=trigger", "STOPPING=1",
           "RELOADING=1\nMONOTONIC_USEC=1", "", "READY=1x", "X_READY=1\nREADY = 1", "A" x 60000, "READY=1\n" . "A" x 5000,
           "STATUS=\e[31mred\a\x9b") {
    send($s, $m, 0) // die "send: $!";
}
open(my $f, ">", "/tmp/attacked");
sleep 1000;
"#,
        );
        let script = format!("attack & while [ ! -e /tmp/go ]; do sleep 0.1; done; systemd-notify --ready; {IDLE}");
        machine.container("db", &container("crun", &script, "timeout = \"1min\"\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
        machine.wait_until("test -e /srv/rootfs/tmp/attacked");
        machine.wait_until("systemctl show --value -p StatusText ct@db | grep -q red");
        let helper = machine.main_pid("ct@db");
        assert!(machine.shell(&format!("cat /proc/{helper}/cmdline")).stdout.contains("ct-helper"), "the main process is the helper still");
        assert_eq!(machine.show("ct@db", "ActiveState"), "activating");
        assert_eq!(machine.show("ct@db", "NotifyAccess"), "main");
        assert_eq!(machine.show("ct@db", "StatusErrno"), "0");
        assert_eq!(machine.show("ct@db", "NFileDescriptorStore"), "0");
        let status = machine.show("ct@db", "StatusText");
        assert!(status.contains("[31mred") && !status.contains('\u{1b}') && !status.contains('\u{7}'), "{status:?}");
        machine.shell("touch /srv/rootfs/tmp/go").succeeds();
        machine.wait_for("ct@db", "ActiveState", "active");
        machine.stop("ct@db");
        machine.assert_no_leaks(&before);
    }

    fn another_process_of_the_host_is_not_heard(machine: &Machine) {
        prepare(machine);
        machine.container("db", &container("crun", IDLE, "timeout = \"8s\"\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
        machine.wait_until("test -S /run/ct/db/notify/socket");
        // root can reach the socket, and is not of the container; nobody else gets there at all.
        machine.shell("NOTIFY_SOCKET=/run/ct/db/notify/socket systemd-notify --no-block --ready").succeeds();
        machine.shell("! setpriv --reuid 33 --regid 33 --clear-groups ls /run/ct/db/notify").succeeds();
        machine.wait_for("ct@db", "ActiveState", "failed");
        assert_eq!(machine.show("ct@db", "ExecMainStatus"), "75");
        let said = machine.journalctl(&["--unit", "ct@db", "--identifier", "ct-helper", "--output", "cat"]);
        assert!(said.contains("not ready after 8s: the container has not said READY=1"), "{said}");
    }

    fn it_may_ask_for_more_time(machine: &Machine) {
        prepare(machine);
        machine.write_file("/srv/rootfs/bin/say", 0o755, "#!/usr/bin/perl\nuse Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); send($s, $ARGV[0], 0, sockaddr_un($ENV{NOTIFY_SOCKET})) // die; sleep 1;\n");
        let script = format!("say EXTEND_TIMEOUT_USEC=60000000; sleep 5; say READY=1; {IDLE}");
        machine.container("db", &container("crun", &script, "timeout = \"5s\"\n[systemd.service]\nTimeoutStartSec = \"5s\"\n[stop]\ntimeout = \"3s\"\n"));
        machine.daemon_reload();
        machine.start("ct@db");
        machine.stop("ct@db");
    }

    fn a_watchdog_is_fed_by_the_container_through_a_relay(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        machine.write_file(
            "/srv/rootfs/bin/feed",
            0o755,
            "#!/usr/bin/perl\nuse Socket; $SIG{TERM} = sub { exit 0 }; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); my $a = sockaddr_un($ENV{NOTIFY_SOCKET});\n\
             die unless $ENV{WATCHDOG_USEC} == 5000000; send($s, \"READY=1\", 0, $a);\n\
             while (! -e \"/tmp/starve\") { send($s, \"WATCHDOG=1\\nSTATUS=fed\\nMAINPID=1\", 0, $a); select(undef, undef, undef, 0.2) } sleep 1000;\n",
        );
        machine.container("db", &container("crun", "exec feed", "watchdog = \"5s\"\n[stop]\ntimeout = \"1min\"\n"));
        machine.daemon_reload();
        machine.start("ct@db");
        let main = machine.main_pid("ct@db");
        machine.wait_for("ct@db", "StatusText", "fed");
        assert_eq!(machine.show("ct@db", "WatchdogUSec"), "5s");
        // Longer than the watchdog waits.
        machine.wait_until("test $(ps -o etimes= -p $(systemctl show --value -p MainPID ct@db)) -ge 12");
        assert_eq!((machine.show("ct@db", "ActiveState").as_str(), machine.main_pid("ct@db")), ("active", main));
        machine.shell("touch /srv/rootfs/tmp/starve").succeeds();
        machine.wait_for("ct@db", "ActiveState", "failed");
        assert_eq!(machine.show("ct@db", "Result"), "watchdog");
        machine.shell("rm /srv/rootfs/tmp/starve; systemctl reset-failed ct@db").succeeds();
        // A stop takes the relay along.
        machine.start("ct@db");
        machine.stop("ct@db");
        assert_eq!(machine.show("ct@db", "Result"), "success");
        machine.assert_no_leaks(&before);
    }

    fn a_small_init_reaps_and_passes_signals_on(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        for runtime in ["crun", "runc"] {
            // As process 1 this would neither reap the orphan nor end by a signal it has no handler for.
            machine.container(
                "web",
                &format!("runtime = \"{runtime}\"\n[root]\npath = \"/srv/rootfs\"\n[process]\ninit = true\ncommand = [\"sh\", \"-c\", \"(sleep 0.1 & exec true) ; exec sleep 1000\"]\n"),
            );
            machine.daemon_reload();
            machine.start("ct@web");
            let main = machine.main_pid("ct@web");
            machine.wait_until(&format!("tr '\\0' ' ' </proc/{main}/cmdline | grep -q '^/dev/ct-init '"));
            machine.wait_until(&format!("test \"$(cat /proc/{main}/task/{main}/children | wc -w)\" = 1"));
            machine.stop("ct@web");
            assert_eq!(machine.show("ct@web", "Result"), "success", "{runtime}: the signal reached the command");
        }
        machine.container("web", "[root]\npath = \"/srv/rootfs\"\n[process]\ninit = true\ncommand = [\"sh\", \"-c\", \"until [ -e /tmp/go ]; do sleep 0.1; done; exit 7\"]\n");
        machine.daemon_reload();
        machine.start("ct@web");
        machine.shell("touch /srv/rootfs/tmp/go").succeeds();
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7");
        machine.shell("! ls /srv/rootfs/dev | grep ct-; systemctl reset-failed ct@web").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn a_flood_keeps_neither_the_start_nor_pid_1(machine: &Machine) {
        prepare(machine);
        let before = machine.leaks();
        machine.write_file(
            "/srv/rootfs/bin/flood",
            0o755,
            "#!/usr/bin/perl\nuse Socket; fork(); fork(); socket(my $s, AF_UNIX, SOCK_DGRAM, 0); my $a = sockaddr_un($ENV{NOTIFY_SOCKET});\n\
             send($s, \"READY=1\", 0, $a) if $ARGV[0]; my $i; while (1) { $i++; send($s, \"STATUS=$i\\nWATCHDOG=1\", 0, $a) }\n",
        );
        // The start ends in its time.
        machine.container("db", &container("crun", "exec flood", "timeout = \"2s\"\n[stop]\ntimeout = \"3s\"\n"));
        machine.daemon_reload();
        assert!(!machine.try_start("ct@db").status.success());
        assert_eq!(machine.show("ct@db", "ExecMainStatus"), "75");
        // A stop is heard: by the helper while it waits, and by PID 1 when it is fed by a relay.
        machine.container("db", &container("crun", "exec flood", "timeout = \"5min\"\n[stop]\nsignal = \"SIGKILL\"\n"));
        machine.daemon_reload();
        machine.run(["systemctl", "start", "--no-block", "ct@db"]).succeeds();
        machine.wait_until("systemctl show --value -p StatusText ct@db | grep -q '^[1-9]'");
        machine.stop("ct@db");
        machine.container("db", &container("crun", "exec flood 1", "watchdog = \"1min\"\n[stop]\nsignal = \"SIGKILL\"\n"));
        machine.daemon_reload();
        machine.start("ct@db");
        machine.wait_until("systemctl show --value -p StatusText ct@db | grep -q '^[1-9]'");
        machine.stop("ct@db");
        machine.shell("systemctl reset-failed").succeeds();
        machine.assert_no_leaks(&before);
    }

    fn descriptors_that_it_sends_are_not_kept(machine: &Machine) {
        prepare(machine);
        machine.write_file(
            "/srv/rootfs/bin/send",
            0o755,
            r#"#!/usr/bin/perl
use Socket;
use POSIX;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
connect($s, sockaddr_un($ENV{NOTIFY_SOCKET})) or die;
my $sendmsg = (POSIX::uname())[4] eq "x86_64" ? 46 : 211;
my $control = pack("Q l l l253 x4", 16 + 4 * 253, 1, 1, (0) x 253);
for my $word ("STATUS=a", "STATUS=b", "READY=1") {
    my $parts = pack("P Q", $word, length $word);
    my $message = pack("Q Q P Q P Q Q", 0, 0, $parts, 1, $control, length $control, 0);
    # Again while too many are on their way.
    select(undef, undef, undef, 0.01) while syscall($sendmsg, fileno($s), $message, 0) < 0;
}
sleep 1000;
"#,
        );
        // Fewer than in one message; the helper has the same limit.
        machine.container("db", &container("crun", "exec send", "timeout = \"1min\"\n[limits]\nnofile = 64\n[stop]\nsignal = \"SIGKILL\"\n"));
        machine.daemon_reload();
        machine.start("ct@db");
        machine.stop("ct@db");
    }
}
