// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what, and by which way: an ordinary user gets what polkit allows and otherwise "not permitted"; root needs
//! no bus; another machine is reached by ssh(1).

use std::collections::BTreeSet;

use ct_tests::{Machine, Output, on_every_machine};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// polkit notices a new file some time later; one that starts has read it when it answers.
const RULE: &str = "install -D -m 0644 /usr/share/ct/polkit/50-ct.rules /etc/polkit-1/rules.d/50-ct.rules \
    && systemctl restart polkit";

fn container(machine: &Machine, name: &str) {
    machine.container(
        name,
        &format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{IDLE}\"]\n"),
    );
}

/// What a verb is to end with.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// For all: it only reads.
    Everybody,
    /// For the group that the rule names, once the rule is in force.
    Group,
    /// For root. Freezing is, since systemd does not tell polkit which unit is meant.
    Root,
}

/// Every verb, as `web` runs and `idle` does not.
const VERBS: [(&str, &[&str], Access); 31] = [
    ("list", &[], Access::Everybody),
    ("status", &["web"], Access::Everybody),
    ("state", &["web"], Access::Everybody),
    ("inspect", &["web"], Access::Everybody),
    ("logs", &["web"], Access::Everybody),
    ("ps", &[], Access::Everybody),
    ("stats", &["--no-stream"], Access::Everybody),
    ("top", &["--help"], Access::Everybody),
    ("check", &[], Access::Everybody),
    ("render", &["web"], Access::Everybody),
    ("schema", &[], Access::Everybody),
    ("start", &["idle"], Access::Group),
    ("stop", &["idle"], Access::Group),
    ("restart", &["web"], Access::Group),
    ("freeze", &["web"], Access::Root),
    ("thaw", &["web"], Access::Root),
    ("kill", &["-s", "SIGCONT", "web"], Access::Group),
    ("wait", &["--timeout", "50ms", "web"], Access::Everybody),
    ("enable", &["idle"], Access::Root),
    ("disable", &["idle"], Access::Root),
    ("exec", &["web", "--", "true"], Access::Root),
    ("run", &["idle", "--", "true"], Access::Root),
    ("console", &["--once", "web"], Access::Root),
    ("checkpoint", &["web"], Access::Root),
    ("restore", &["web"], Access::Root),
    ("set", &["web", "resources.tasks_max=77"], Access::Root),
    ("create", &["--rootfs", "/srv/rootfs", "new"], Access::Root),
    ("edit", &["web"], Access::Root),
    ("destroy", &["--yes", "web"], Access::Root),
    ("import-image", &["--name", "new", "/srv/image"], Access::Root),
    ("import", &["/srv/new.container"], Access::Root),
];

fn as_user(machine: &Machine, user: &str, argv: &[&str]) -> Output {
    let group = format!("--regid={user}");
    let reuid = format!("--reuid={user}");
    let setpriv = ["setpriv", &reuid, &group, "--init-groups", "--reset-env", "--"];
    machine.run(setpriv.iter().chain(argv))
}

/// Everything that a verb might have changed.
fn state(machine: &Machine) -> String {
    let script = "
        systemctl show -p Id,ActiveState,InvocationID,FreezerState,MainPID,TasksMax ct@web ct@idle getty.target
        systemctl list-units --all --plain --no-legend 'ct*' | sort
        find /etc/ct /etc/systemd /var/lib/ct /srv | sort
        cat /etc/ct/containers/*
    ";
    machine.shell(script).succeeds().stdout
}

/// Runs it, and looks at how it ends and what it says.
#[track_caller]
fn assert_access(machine: &Machine, user: &str, verb: &str, arguments: &[&str], is_permitted: bool) {
    let output = as_user(machine, user, &[&["ctctl", verb], arguments].concat());
    let says_no = output.stderr.contains("not permitted");
    let code = output.status.code();
    if is_permitted {
        assert!(!says_no && code != Some(77), "{user}: {output}");
    } else {
        // Of exec and run, every code that is not their own is the command's.
        let own = if ["exec", "run"].contains(&verb) { 125 } else { 77 };
        assert!(says_no && code == Some(own), "{user}: {output}");
    }
}

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    container(machine, "web");
    container(machine, "idle");
    machine.daemon_reload();
    machine.start("ct@web");
    machine.write_file("/srv/new.container", 0o644, "[Container]\nRootfs=/srv/rootfs\n");
    machine.shell("groupadd --system ct && useradd alice -G ct && useradd bob").succeeds();
}

on_every_machine! {
    fn every_verb_does_what_polkit_allows(machine: &Machine) {
        prepare(machine);
        let help = machine.run(["ctctl", "help"]).succeeds().stdout;
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let all: BTreeSet<&str> = commands.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help").collect();
        assert_eq!(all, VERBS.iter().map(|(verb, ..)| *verb).collect::<BTreeSet<_>>(), "each verb is tried");
        // Nobody is let in: not one who is no member, and nobody before the rule is in force.
        let before = state(machine);
        for (verb, arguments, access) in VERBS {
            for user in ["bob", "alice"] {
                assert_access(machine, user, verb, arguments, access == Access::Everybody);
            }
        }
        assert_eq!(state(machine), before);

        machine.shell(RULE).succeeds();
        for (verb, arguments, access) in VERBS {
            let before = state(machine);
            assert_access(machine, "bob", verb, arguments, access == Access::Everybody);
            assert_eq!(state(machine), before, "{verb}");
            assert_access(machine, "alice", verb, arguments, access != Access::Root);
            ["ct@web", "ct@idle"].iter().for_each(|unit| machine.settle(unit));
        }
        let group: Vec<_> = VERBS.iter().filter(|(_, _, access)| *access == Access::Group).collect();
        assert_eq!(group.len(), 4);
    }

    fn the_rule_opens_no_other_door(machine: &Machine) {
        prepare(machine);
        machine.shell(RULE).succeeds();
        as_user(machine, "alice", &["ctctl", "stop", "web"]).succeeds();
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive");
        let before = state(machine);
        let touch = ["touch", "/run/evil"];
        let tries: [&[&str]; 8] = [
            &["systemctl", "start", "getty.target"],
            &["systemctl", "stop", "dbus.service"],
            &["systemctl", "start", "ct-pod@x.service"],
            &["systemctl", "set-property", "ct@web.service", "DeviceAllow=/dev/mem rw"],
            &["systemctl", "enable", "ct@web.service"],
            &[&["systemd-run", "--unit=ct@evil.service"], &touch[..]].concat(),
            &[&["systemd-run", "--unit=ct@web.service"], &touch[..]].concat(),
            &[&["systemd-run", "--scope", "--unit=ct-exec-web-1.scope"], &touch[..]].concat(),
        ];
        for argv in tries {
            as_user(machine, "alice", argv).fails();
        }
        assert_eq!(state(machine), before);
        machine.run(["test", "-e", "/run/evil"]).fails();
    }

    /// systemd tells everybody the names of the units that it has; ct has no right of its own to tell more (no setuid).
    fn what_a_user_may_not_read_is_not_told(machine: &Machine) {
        prepare(machine);
        machine.write_file("/etc/ct/containers/secret.toml", 0o600, "password = \"hunter2\"\n");
        machine.shell("chmod 0700 /etc/ct/containers").succeeds();
        let told = |name: &str| {
            let output = as_user(machine, "bob", &["ctctl", "status", name]);
            (output.status.code(), output.stderr.replace(name, "NAME"), output.stdout.replace(name, "NAME"))
        };
        // It is there, but systemd has not read it: the same as if it were not.
        assert_eq!(told("secret"), told("nowhere"));
        for verb in ["start", "check", "render", "inspect"] {
            let output = as_user(machine, "bob", &["ctctl", verb, "secret"]).fails();
            assert!(!format!("{output}").contains("hunter2"), "{output}");
        }
    }

    /// The bus is gone, and root still starts, stops and freezes: systemd has a socket of its own.
    fn root_needs_no_bus(machine: &Machine) {
        prepare(machine);
        machine.shell("systemctl stop dbus.socket dbus.service").succeeds();
        machine.run(["ctctl", "start", "idle"]).succeeds();
        assert_eq!(machine.show("ct@idle", "ActiveState"), "active");
        let pid = machine.main_pid("ct@web");
        machine.run(["ctctl", "restart", "web", "idle"]).succeeds();
        machine.settle("ct@idle");
        assert_ne!(machine.main_pid("ct@web"), pid);
        machine.run(["ctctl", "freeze", "web"]).succeeds();
        assert_eq!(machine.show("ct@web", "FreezerState"), "frozen");
        machine.run(["ctctl", "thaw", "web"]).succeeds();
        let list = machine.run(["ctctl", "list"]).succeeds().stdout;
        assert!(list.contains("web") && list.contains("running"), "{list}");
        machine.run(["ctctl", "set", "web", "resources.tasks_max=77"]).succeeds();
        assert_eq!(machine.show("ct@web", "TasksMax"), "77");
        machine.run(["ctctl", "enable", "web"]).succeeds();
        assert_eq!(machine.run(["ctctl", "exec", "web", "--", "echo", "inside"]).succeeds().stdout, "inside\n");
        let waiting = machine.command(["ctctl", "wait", "web"]).spawn();
        machine.run(["ctctl", "kill", "--signal=9", "web"]).succeeds();
        waiting.wait().exits(137);
        machine.run(["ctctl", "stop", "idle"]).succeeds();
        assert_eq!(machine.show("ct@idle", "ActiveState"), "inactive");
        // That socket is root's.
        let user = as_user(machine, "bob", &["ctctl", "stop", "web"]).exits(69).stderr;
        assert!(user.starts_with("ctctl: cannot reach systemd: "), "{user}");
    }

    fn ssh_that_fails_says_why(machine: &Machine) {
        let failed = machine.run(["ctctl", "-H", "root@no-such-host.invalid", "list"]).exits(69).stderr;
        assert!(failed.contains("ssh: Could not resolve hostname no-such-host.invalid"), "{failed}");
        assert!(failed.contains("ctctl: cannot reach systemd: ssh root@no-such-host.invalid: exit status: 255"), "{failed}");
        let option = machine.run(["ctctl", "--host=-oProxyCommand=touch /run/evil", "list"]).exits(69).stderr;
        assert_eq!(option, "ctctl: cannot reach systemd: \"-oProxyCommand=touch /run/evil\" is not a host\n");
        machine.run(["test", "-e", "/run/evil"]).fails();
    }
}
