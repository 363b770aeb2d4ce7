// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make demo`: boots a real systemd in namespaces of its own, with ct installed, and shows it at work.
//!
//! Every line after a `# ` prompt is what the command printed just now. Each step also states what it must show; where it
//! does not, the demo ends with a failure, and the machine's journal is kept as for a failed test. The machine has its
//! own network, of which nothing but the loopback device exists, and ends with this process.

use std::io::{IsTerminal, Write};

use ct_tests::{Machine, Root};

const WEB: &str = r#"description = "A web server"
root = { path = "/srv/busybox", writable = "no" }
process.command = ["/bin/httpd", "-f", "-v", "-p", "127.0.0.1:8080", "-h", "/var/www"]
mount = [{ source = "/srv/www", target = "/var/www", options = ["ro"] }]
network.mode = "host"
limits.nofile = "1024:4096"
autostart.enabled = true
stop.signal = "SIGKILL"                        # as PID 1 of its container, httpd ignores SIGTERM
systemd.service.SuccessExitStatus = "SIGKILL"  # any directive of systemd.service(5)
"#;

const JOB: &str = r#"[root]
path = "/srv/busybox"
[process]
command = ["/bin/sh", "-c", "echo working; sleep 1; exit 7"]
"#;

const GUEST: &str = r#"user = "www-data"
[root]
path = "/srv/busybox"
[process]
command = ["/bin/sh", "-c", "trap exit TERM; id -u; sleep 1000 & wait"]
"#;

const TYPO: &str = r#"[root]
path = "/srv/busybox"
[process]
comand = ["/bin/true"]
"#;

/// The machine and where it is shown.
struct Show {
    machine: Machine,
    terminal: bool,
}

fn main() {
    let terminal = std::io::stdout().is_terminal();
    say("Booting a systemd in namespaces of its own; nothing of this computer's is touched.");
    let machine = Machine::prepare(Root::Host, "demo")
        .busybox_rootfs("/srv/busybox")
        .file("/srv/www/index.html", 0o644, "Hello from a container.\n")
        .file("/etc/subuid", 0o644, "www-data:200000:65536\n")
        .file("/etc/subgid", 0o644, "www-data:200000:65536\n")
        .container("web", WEB)
        .container("job", JOB)
        .container("guest", GUEST)
        .container("typo", TYPO)
        .boot();
    let show = Show { machine, terminal };
    show.boot_has_started_the_web_server();
    show.the_containers_init_is_the_units_main_process();
    show.an_exit_status_is_the_units();
    show.an_account_runs_a_container();
    show.a_broken_config_is_refused();
    show.ctctl_does_the_rest();
    show.nothing_stays_behind();
    drop(show);
    say("\nThe machine is gone, with all that was in it.");
}

impl Show {
    fn boot_has_started_the_web_server(&self) {
        self.chapter("Boot has started the container whose config says so");
        self.run("cat /proc/1/comm; systemctl --version | head -n 1", &["systemd\n"]);
        self.run("cat /etc/ct/containers/web.toml", &["autostart.enabled = true"]);
        self.run("systemctl is-active ct@web", &["active\n"]);
        self.machine.wait_until("ss -Hltn sport = :8080 | grep -q .");
        self.run("busybox wget -q -O - http://127.0.0.1:8080/", &["Hello from a container.\n"]);
    }

    fn the_containers_init_is_the_units_main_process(&self) {
        self.chapter("Its init is the unit's main process and PID 1's child; its log is the unit's");
        self.machine.run(["journalctl", "--sync"]).succeeds();
        self.run("systemctl status --no-pager --lines=0 ct@web", &["active (running)", "(httpd)", "payload"]);
        let init = "-p $(systemctl show --value -p MainPID ct@web)";
        self.run(&format!("ps -o pid,ppid,args {init}"), &[" 1 /bin/httpd -f"]);
        self.run("pgrep ct- || echo no process of ct itself", &["no process of ct itself\n"]);
        let log = "journalctl --no-pager --quiet -u ct@web";
        self.run(log, &["Started", "response:200"]);
    }

    fn an_exit_status_is_the_units(&self) {
        self.chapter("An exit status is carried through");
        self.run("grep command /etc/ct/containers/job.toml", &["exit 7"]);
        self.run("systemctl start ct@job; while systemctl -q is-active ct@job; do sleep 0.1; done", &[]);
        self.run(
            "systemctl show -p Result,ExecMainStatus ct@job",
            &["Result=exit-code\n", "ExecMainStatus=7\n"],
        );
    }

    fn an_account_runs_a_container(&self) {
        self.chapter("Through an account, the container's root is nobody on the host");
        self.run("head -qn 1 /etc/ct/containers/guest.toml /etc/subuid", &["user = \"www-data\"\n"]);
        self.run("systemctl start ct@guest", &[]);
        let init = "-p $(systemctl show --value -p MainPID ct@guest)";
        self.run(&format!("ps -o pid,ppid,uid,args {init}"), &["200000 /bin/sh"]);
        self.machine.run(["journalctl", "--sync"]).succeeds();
        self.run("journalctl --no-pager --quiet -o cat -t guest", &["0\n"]);
    }

    fn a_broken_config_is_refused(&self) {
        self.chapter("A broken config is refused with its place, and no other container is touched");
        self.fails("systemctl start ct@typo", &["failed"]);
        self.machine.run(["journalctl", "--sync"]).succeeds();
        self.run(
            "journalctl --no-pager --quiet -o cat -t ct-helper -u ct@typo",
            &["/etc/ct/containers/typo.toml:4:1: ", "`command`"],
        );
        self.run("systemctl is-active ct@web", &["active\n"]);
    }

    fn ctctl_does_the_rest(&self) {
        self.chapter("ctctl does what systemctl cannot");
        self.run("ctctl list", &["guest", "failed", "invalid", "running"]);
        self.run("ctctl exec web -- hostname", &["web\n"]);
        self.fails("ctctl exec web -- sh -c 'exit 42'", &[]);
        self.run("ctctl set web nofile=512:4096 memory_max=64M", &[]);
        self.run("ctctl exec web -- grep 'open files' /proc/1/limits", &[" 512 ", " 4096 "]);
        self.run("ctctl run job -- echo the same container, another command", &["another command\n"]);
    }

    fn nothing_stays_behind(&self) {
        self.chapter("Stopped, nothing stays behind");
        self.run("systemctl stop ct@web ct@guest", &[]);
        let left =
            "ls -A /run/ct; findmnt -r | grep ct/; ls -d /sys/fs/cgroup/ct.slice/ct@*; echo that is all";
        let output = self.run(&format!("({left}) 2>/dev/null"), &["that is all\n"]);
        assert_eq!(output, "that is all\n", "nothing should be left");
    }

    fn chapter(&self, title: &str) {
        let (bold, plain) = if self.terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        say(&format!("\n{bold}== {title}{plain}"));
    }

    /// Shows a command that succeeds and prints all of this.
    fn run(&self, command: &str, expected: &[&str]) -> String {
        self.step(command, expected, true)
    }

    /// Shows a command that fails and prints all of this.
    fn fails(&self, command: &str, expected: &[&str]) {
        self.step(command, expected, false);
    }

    fn step(&self, command: &str, expected: &[&str], succeeds: bool) -> String {
        let (bold, plain) = if self.terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        say(&format!("# {bold}{command}{plain}"));
        // In one stream, as a terminal shows them.
        let output = self.machine.shell(&format!("exec 2>&1\n{command}"));
        say(output.stdout.trim_end_matches('\n'));
        assert_eq!(output.status.success(), succeeds, "`{command}` ended with {}", output.status);
        for text in expected {
            assert!(output.stdout.contains(text), "`{command}` should print `{}`", text.trim_end());
        }
        output.stdout
    }
}

/// A line on standard output; none for no text. A reader that has gone away is no reason to end half way.
fn say(text: &str) {
    if !text.is_empty() {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}
