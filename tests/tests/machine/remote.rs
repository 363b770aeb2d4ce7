// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl -H`: two booted machines with a wire between them, an ssh server on one, and the verbs said on the other.

use std::time::Duration;

use ct_tests::{Command, Machine, Output, Root, on_every_machine};

/// The address of the second machine, in its own network namespace.
const THERE: &str = "root@10.9.0.2";
/// Far above any answer, far below what a person would wait.
const DEADLINE: Duration = Duration::from_secs(200);

/// ssh(1) of the first machine: asks nobody, and knows the second by its key.
const SSH_CONFIG: &str = "Host *\nBatchMode yes\nStrictHostKeyChecking yes\nIdentityFile /etc/ct-tests/key\n\
                          IdentitiesOnly yes\nUserKnownHostsFile /etc/ct-tests/known_hosts\n";
/// systemd listens, so that the server is there once the socket is.
const SSH_SOCKET: &str = "[Socket]\nListenStream=10.9.0.2:22\nAccept=yes\n";
const SSH_SERVICE: &str = "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nStandardInput=socket\n\
                           StandardError=null\nExecStart=/usr/sbin/dropbear -i -s -r /etc/ct-tests/host\n";

/// One that ends with 7 when it is told so.
fn container(description: &str) -> String {
    let script = "trap 'exit 7' USR1; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    format!(
        "description = \"{description}\"\nroot.path = \"/srv/rootfs\"\n\
         process.command = [\"sh\", \"-c\", \"{script}\"]\n"
    )
}

/// Two machines, each with a container `web` of its own.
struct Pair {
    here: Machine,
    there: Machine,
}

impl Pair {
    fn boot(root: Root) -> Self {
        let name = ct_tests::test_name();
        let pair = Self {
            here: Machine::boot_from(root, &format!("{name}-here")),
            there: Machine::boot_from(root, &format!("{name}-there")),
        };
        pair.connect();
        pair.let_in();
        for (machine, words) in [(&pair.here, "of here"), (&pair.there, "of there")] {
            machine.busybox_rootfs("/srv/rootfs");
            machine.container("web", &container(words));
            machine.daemon_reload();
        }
        pair
    }

    /// A wire between the namespaces; the host has no end of it.
    fn connect(&self) {
        let [here, there] = [&self.here, &self.there].map(|machine| machine.pid().to_string());
        let wire = ["link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", &there];
        // Process numbers are the host's, hence no machine can say this.
        let made = std::process::Command::new("nsenter")
            .args(["--net", "--target", &here, "--", "ip"])
            .args(wire)
            .output()
            .expect("util-linux is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for (machine, address) in [(&self.here, "10.9.0.1/24"), (&self.there, "10.9.0.2/24")] {
            machine.shell(&format!("ip address add {address} dev wire && ip link set wire up")).succeeds();
        }
    }

    /// Keys of both, and the server.
    fn let_in(&self) {
        self.there.shell("mkdir -p /etc/ct-tests").succeeds();
        let host = self.there.run(["dropbearkey", "-t", "ed25519", "-f", "/etc/ct-tests/host"]).succeeds();
        let host = host
            .stdout
            .lines()
            .find(|line| line.starts_with("ssh-ed25519 "))
            .expect("it prints the public key")
            .to_owned();
        self.here.write_file("/etc/ct-tests/known_hosts", 0o600, format!("10.9.0.2 {host}\n"));
        self.here.shell("ssh-keygen -q -t ed25519 -N '' -f /etc/ct-tests/key").succeeds();
        self.here.write_file("/root/.ssh/config", 0o600, SSH_CONFIG);
        let key = self.here.read_file("/etc/ct-tests/key.pub");
        self.there.write_file("/root/.ssh/authorized_keys", 0o600, key);
        self.there.shell("chmod 0700 /root /root/.ssh").succeeds();
        self.there.write_file("/etc/systemd/system/ssh-test.socket", 0o644, SSH_SOCKET);
        self.there.write_file("/etc/systemd/system/ssh-test@.service", 0o644, SSH_SERVICE);
        self.there.daemon_reload();
        self.there.start("ssh-test.socket");
    }

    /// `ctctl -H HOST WORDS` on the first machine.
    fn command(&self, host: &str, words: &str) -> Command<'_> {
        let argv = ["ctctl", "-H", host].into_iter().chain(words.split_whitespace());
        self.here.command(argv).deadline(DEADLINE)
    }

    #[track_caller]
    fn ctctl(&self, words: &str) -> Output {
        self.ctctl_to(THERE, words)
    }

    /// Runs it; ssh has ended by then, and the session on the second machine soon after.
    #[track_caller]
    fn ctctl_to(&self, host: &str, words: &str) -> Output {
        let output = self.command(host, words).run();
        self.there.settle("ct@web");
        self.here.shell("pgrep -a -x ssh").exits(1);
        self.assert_no_sessions();
        output
    }

    #[track_caller]
    fn assert_no_sessions(&self) {
        self.there.wait_until("! pgrep -a -x dropbear && ! pgrep -a -f systemd-stdio-bridg[e]");
    }

    /// Both as systemd has them, of the first and of the second machine.
    #[track_caller]
    fn both(&self, property: &str) -> (String, String) {
        (self.here.show("ct@web", property), self.there.show("ct@web", property))
    }
}

fn pair_of(first: &str, second: &str) -> (String, String) {
    (first.to_owned(), second.to_owned())
}

on_every_machine! {
    /// Every verb that needs nothing but systemd acts on the second machine, and not on the first.
    fn verbs_act_on_the_other_machine(root: Root) {
        let pair = Pair::boot(root);
        let listed = pair.ctctl("list --json").succeeds().stdout;
        assert_eq!(listed.trim(), "[]", "no unit is loaded there");
        pair.ctctl("status web").exits(3);
        pair.ctctl("start web").succeeds();
        assert_eq!(pair.both("ActiveState"), pair_of("inactive", "active"));
        let first = pair.there.main_pid("ct@web");

        let listed = pair.ctctl("list").succeeds().stdout;
        assert!(listed.lines().any(|line| line.starts_with("web ") && line.contains("running")), "{listed}");
        let report = pair.ctctl("status web").succeeds().stdout;
        assert!(report.contains("of there") && report.contains("running"), "{report}");

        pair.ctctl("restart web").succeeds();
        assert_ne!(pair.there.main_pid("ct@web"), first);
        pair.ctctl("set web memory_max=64M tasks_max=77").succeeds();
        assert_eq!(pair.there.show("ct@web", "MemoryMax"), (64 << 20).to_string());
        assert_eq!(pair.there.show("ct@web", "TasksMax"), "77");
        assert_ne!(pair.here.show("ct@web", "TasksMax"), "77");

        pair.ctctl("stop web").succeeds();
        assert_eq!(pair.both("ActiveState"), pair_of("inactive", "inactive"));
        // And those of the first stay as they are.
        pair.here.start("ct@web");
        let here = pair.here.main_pid("ct@web");
        pair.ctctl("start web").succeeds();
        pair.ctctl("stop web").succeeds();
        assert_eq!(pair.both("ActiveState"), pair_of("active", "inactive"));
        assert_eq!(pair.here.main_pid("ct@web"), here);
    }

    /// The end of a container there is what `wait` here ends with, also of one that it sees happen.
    fn an_end_there_is_waited_for_here(root: Root) {
        let pair = Pair::boot(root);
        pair.ctctl("start web").succeeds();
        pair.ctctl("wait web --timeout 100ms").exits(124);
        let waits = pair.command(THERE, "wait web").spawn();
        pair.there.wait_until("pgrep -f systemd-stdio-bridg[e]");
        pair.command(THERE, "kill -s USR1 web").run().succeeds();
        waits.wait().exits(7);
        pair.here.shell("pgrep -a -x ssh").exits(1);
        pair.assert_no_sessions();
        pair.ctctl("wait web").exits(7);
        assert_eq!(pair.both("ExecMainStatus"), pair_of("0", "7"));

        // Killed, it leaves no ssh either: that ends with its input.
        pair.ctctl("start web").succeeds();
        let waits = pair.command(THERE, "wait web").spawn();
        pair.there.wait_until("pgrep -f systemd-stdio-bridg[e]");
        pair.here.shell("pkill -KILL -x ctctl").succeeds();
        waits.wait().fails();
        pair.here.wait_until("! pgrep -a -x ssh");
        pair.assert_no_sessions();
    }

    /// What cannot be done, and what cannot be reached, is said with the exit codes of every other ctctl.
    fn what_fails_there_fails_here(root: Root) {
        let pair = Pair::boot(root);
        let failed_to = |host: &str, words: &str, code: i32, reason: &str| {
            let said = pair.ctctl_to(host, words).exits(code).stderr;
            assert!(said.contains(reason), "{words}: {said}");
        };
        let failed = |words: &str, code: i32, reason: &str| failed_to(THERE, words, code, reason);
        failed("exec web true", 125, "exec does not work with --host (try: ssh root@10.9.0.2 ctctl exec ...)");
        failed("inspect web", 2, "inspect does not work with --host (try: ssh root@10.9.0.2 ctctl inspect ...)");
        failed("set web nofile=50:500", 2, "does not work with --host");
        failed("status nobody", 4, "there is no container \"nobody\"");
        failed("start nobody", 4, "there is no container \"nobody\"");
        failed("kill web", 3, "web is not running");
        pair.there.shell("rm -r /srv/rootfs").succeeds();
        failed("start web", 1, "see: ssh root@10.9.0.2 journalctl -u ct@web.service");
        assert_eq!(pair.both("ActiveState"), pair_of("inactive", "failed"));

        for words in ["list", "status web", "start web", "wait web"] {
            failed_to("ssh://root@10.9.0.2:2222", words, 69, "Connection refused");
            failed_to("nobody@10.9.0.2", words, 69, "Permission denied");
        }
        // Let in, and no bridge there.
        pair.there.shell("mv /usr/bin/systemd-stdio-bridge /usr/bin/away").succeeds();
        failed("list", 69, "not found");
    }
    /// Of the second machine's accounts each is let do what polkit lets it do there.
    fn another_account_there_may_read(root: Root) {
        let pair = Pair::boot(root);
        pair.there.shell(
            "useradd -m -s /bin/sh guest && usermod -p '*' guest && cp -a /root/.ssh /home/guest/ && \
             chown -R guest: /home/guest && chmod 0755 /home/guest",
        ).succeeds();
        pair.ctctl("start web").succeeds();
        let listed = pair.ctctl_to("guest@10.9.0.2", "list").succeeds().stdout;
        assert!(listed.contains("running"), "{listed}");
        for words in ["stop web", "kill web", "set web tasks_max=7"] {
            let said = pair.ctctl_to("guest@10.9.0.2", words).exits(77).stderr;
            assert!(said.starts_with("ctctl: not permitted"), "{said}");
        }
        assert_eq!(pair.there.show("ct@web", "ActiveState"), "active");
    }

    /// A shell that greets spoils the talk, and a bus that is down ends it: an error, and nobody waits for ever.
    fn nonsense_is_an_error(root: Root) {
        let pair = Pair::boot(root);
        let failed = |greeting: &str, reason: &str| {
            // By whichever of them the shell reads when there is no terminal.
            for file in ["/root/.bashrc", "/root/.profile"] {
                pair.there.write_file(file, 0o644, format!("{greeting}\n"));
            }
            let said = pair.ctctl("list").exits(69).stderr;
            assert!(said.contains(reason) && said.len() < 1000, "{greeting}: {said}");
        };
        failed("echo welcome", "no answer from root@10.9.0.2 by ssh");
        failed("printf welcome", "no answer from root@10.9.0.2 by ssh");
        failed("head -c 100000 /dev/zero", "no answer from root@10.9.0.2 by ssh");
        failed("seq 100000", "no answer from root@10.9.0.2 by ssh");
        failed("exit 5", "systemd-stdio-bridge by ssh root@10.9.0.2: exit status: 5");
        pair.there.shell("systemctl stop dbus.socket dbus.service").succeeds();
        failed("", "systemd-stdio-bridge by ssh root@10.9.0.2: exit status: 1");
    }

    /// A server that says nothing is waited for as long as ssh does; Ctrl-C ends that, and ssh with it.
    fn ctrl_c_ends_ssh(root: Root) {
        let pair = Pair::boot(root);
        pair.there.write_file("/etc/systemd/system/silent.socket", 0o644, "[Socket]\nListenStream=10.9.0.2:2223\n");
        let service = "[Service]\nExecStart=sleep infinity\n";
        pair.there.write_file("/etc/systemd/system/silent.service", 0o644, service);
        pair.there.daemon_reload();
        pair.there.start("silent.socket");
        for verb in ["list", "start web", "wait web"] {
            let running = pair.command("ssh://root@10.9.0.2:2223", verb).spawn();
            // It has connected, and waits for the server's first line.
            pair.here.wait_until("pgrep -x ssh && ss -Htn state established | grep 2223");
            // As a terminal does it, to all at once.
            pair.here.shell("pkill -INT -x 'ctctl|ssh'").succeeds();
            running.wait().fails();
            pair.here.wait_until("! pgrep -a -x ssh");
        }
    }

    /// The way is lost: jobs are told as lost, and `wait` finds it again.
    fn a_lost_way_is_told_or_found_again(root: Root) {
        let pair = Pair::boot(root);
        let lose = "pkill -KILL -x dropbear";
        let slow = "[Service]\nExecStartPre=sleep 200\n";
        pair.there.container("other", &container("another"));
        pair.there.daemon_reload();
        pair.ctctl("start web other").succeeds();
        pair.there.settle("ct@other");
        let bus = pair.there.command(["busctl", "monitor", "org.freedesktop.systemd1"]).spawn();
        pair.there.wait_until_true(|| bus.stderr().contains("Monitoring"));
        let waits = pair.command(THERE, "wait web other").spawn();
        let listens = |times| {
            pair.there.wait_until_true(|| bus.stdout().matches("Member=Subscribe").count() >= times);
        };
        // One connection for both: ssh may ask for a password.
        listens(2);
        pair.here.shell("test $(pgrep -c -x ssh) = 1").succeeds();
        pair.there.shell(lose).succeeds();
        listens(4);
        bus.kill();
        pair.command(THERE, "kill -s USR1 web other").run().succeeds();
        assert_eq!(waits.wait().exits(7).stdout, "web 7\nother 7\n");
        pair.there.write_file("/run/systemd/system/ct@web.service.d/slow.conf", 0o644, slow);
        pair.there.daemon_reload();
        let start = pair.command(THERE, "start web").spawn();
        pair.there.wait_for("ct@web", "ActiveState", "activating");
        pair.there.shell(lose).succeeds();
        let said = start.wait().exits(1).stderr;
        assert!(said.contains("ended before the job of ct@web.service, which goes on"), "{said}");
        pair.here.shell("pgrep -a -x ssh").exits(1);
    }

    /// ssh that is the master of a shared connection takes its socket away.
    fn a_shared_connection_leaves_no_socket(root: Root) {
        let pair = Pair::boot(root);
        let shared = format!("{SSH_CONFIG}ControlMaster auto\nControlPath /run/shared-ssh\n");
        pair.here.write_file("/root/.ssh/config", 0o600, shared);
        pair.ctctl("start web").succeeds();
        pair.here.shell("test ! -e /run/shared-ssh").succeeds();
    }
}
