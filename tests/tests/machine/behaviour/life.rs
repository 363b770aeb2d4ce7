// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the start of a container to its end.

use super::runtime_under_test::{Container, PLAIN, RuntimeUnderTest};

pub(crate) const START: &[Container] = &[Container {
    name: "start",
    script: "echo \"hello from $(hostname)\"; trap 'exit 0' TERM; touch /shared/up; sleep 1000 & wait",
    ..PLAIN
}];

/// The unit has a main process, in its own control group and a child of PID 1; what the container prints is the unit's log;
/// nothing of ct's helper stays.
pub(crate) fn starts(tried: &RuntimeUnderTest) {
    let (machine, unit) = (tried.machine, tried.unit("start"));
    tried.start("start");
    assert_eq!(machine.show(&unit, "ActiveState"), "active");
    let main = machine.main_pid(&unit);
    assert!(tried.processes("start").contains(&main), "the main process is not in the unit's group");
    let parent = machine.shell(&format!("sed -n 's/^PPid:\\s*//p' /proc/{main}/status")).succeeds().stdout;
    assert_eq!(parent, "1\n", "the main process should be PID 1's child");
    let hello = format!("hello from {}", tried.name("start"));
    let journal = machine.journal(&unit);
    assert!(
        journal.lines().any(|line| line == hello),
        "the container's output is not the unit's:\n{journal}"
    );
    // It ends a little after the start.
    machine.wait_until("! pgrep -l ct-helper");
}

pub(crate) const READY: &[Container] = &[Container {
    name: "ready",
    tables: "[ready]\ncommand = [\"test\", \"-e\", \"/shared/let\"]\ninterval = \"50ms\"\n",
    ..PLAIN
}];

/// The start waits until a command inside succeeds.
pub(crate) fn becomes_ready(tried: &RuntimeUnderTest) {
    let (machine, unit) = (tried.machine, tried.unit("ready"));
    machine.run(["systemctl", "start", "--no-block", &unit]).succeeds();
    machine.wait_for(&unit, "StatusText", "Waiting until ready: test -e /shared/let: exit status 1");
    assert_eq!(machine.show(&unit, "ActiveState"), "activating");
    machine.shell(&format!("touch {}", tried.shared("ready", "let"))).succeeds();
    machine.wait_for(&unit, "ActiveState", "active");
}

pub(crate) const STOP: &[Container] = &[
    Container {
        name: "polite",
        script: "trap 'echo asked >/shared/told; exit 0' QUIT; touch /shared/up; sleep 1000 & wait",
        tables: "[stop]\nsignal = \"SIGQUIT\"\n",
        ..PLAIN
    },
    Container {
        name: "deaf",
        script: "trap '' TERM; touch /shared/up; while :; do sleep 0.1; done",
        tables: "[stop]\ntimeout = \"1s\"\n",
        ..PLAIN
    },
];

/// The container hears the signal that the config says; one that does not end is killed.
pub(crate) fn stops(tried: &RuntimeUnderTest) {
    for (container, state, result) in [("polite", "inactive", "success"), ("deaf", "failed", "timeout")] {
        tried.start(container);
        tried.machine.stop(&tried.unit(container));
        tried.ended(container, state, result, 9);
    }
    assert_eq!(tried.machine.read_file(tried.shared("polite", "told")), "asked\n");
}

pub(crate) const EXIT_STATUS: &[Container] = &[
    Container { name: "zero", script: "exit 0", ..PLAIN },
    Container { name: "seven", script: "exit 7", ..PLAIN },
    Container { name: "killed", ..PLAIN },
];

/// The unit ends as the container's init does.
pub(crate) fn has_the_status_of_its_init(tried: &RuntimeUnderTest) {
    let machine = tried.machine;
    for (container, state, result, status) in
        [("zero", "inactive", "success", 0), ("seven", "failed", "exit-code", 7)]
    {
        machine.try_start(&tried.unit(container));
        tried.ended(container, state, result, status);
    }
    tried.start("killed");
    let is_init = |pid: &u64| {
        // Some of them have ended since.
        let status = machine.shell(&format!("cat /proc/{pid}/status")).stdout;
        status.starts_with("Name:\tsh\n")
            && status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
    };
    // Where there is none, as in a sandbox, the main process is all that there is to kill.
    let init = tried.processes("killed").into_iter().find(is_init);
    let init = init.unwrap_or_else(|| machine.main_pid(&tried.unit("killed")));
    machine.run(["kill", "-KILL", &init.to_string()]).succeeds();
    tried.ended("killed", "failed", "signal", 9);
}

pub(crate) const REBOOT: &[Container] = &[Container {
    name: "reboot",
    script: "touch /shared/up; while [ ! -s /shared/word ]; do sleep 0.1; done; read word </shared/word; rm /shared/word; \
             $word -f; sleep 1000",
    tables: "[security]\ncapabilities = { add = [\"CAP_SYS_BOOT\"] }\n",
    ..PLAIN
}];

/// reboot(2) inside starts the unit again, or ends it well.
pub(crate) fn reboots_and_powers_off(tried: &RuntimeUnderTest) {
    let (machine, unit) = (tried.machine, tried.unit("reboot"));
    let say = |word: &str| {
        let (file, new) = (tried.shared("reboot", "word"), tried.shared("reboot", "new"));
        machine.shell(&format!("echo {word} >{new}; mv {new} {file}")).succeeds();
    };
    tried.start("reboot");
    let first = machine.main_pid(&unit);
    say("reboot");
    machine.wait_for_another(&unit, first);
    assert_eq!(machine.show(&unit, "NRestarts"), "1");
    assert_eq!(machine.show(&unit, "Result"), "success");
    say("poweroff");
    tried.ended("reboot", "inactive", "success", 0);
}

/// A program that asks for a reboot is refused, and the container goes on.
pub(crate) fn is_told_that_it_cannot_reboot(tried: &RuntimeUnderTest, reason: &str) {
    tried.start("reboot");
    let first = tried.machine.main_pid(&tried.unit("reboot"));
    let asked = tried.machine.run(["ctctl", "exec", &tried.name("reboot"), "--", "reboot", "-f"]).fails();
    assert!(asked.stderr.contains(reason), "{asked}");
    assert_eq!(tried.machine.main_pid(&tried.unit("reboot")), first);
}

pub(crate) const FREEZE: &[Container] = &[Container {
    name: "freeze",
    script: "trap 'exit 0' TERM; touch /shared/up; while :; do echo x >>/shared/count; sleep 0.05; done",
    ..PLAIN
}];

/// Nothing in it runs until it is thawed.
pub(crate) fn freezes(tried: &RuntimeUnderTest) {
    let (machine, unit) = (tried.machine, tried.unit("freeze"));
    tried.start("freeze");
    machine.run(["systemctl", "freeze", &unit]).succeeds();
    let group = format!("/sys/fs/cgroup/ct.slice/{unit}.service");
    machine.shell(&format!("grep -qx 'frozen 1' {group}/cgroup.events")).succeeds();
    machine.run(["systemctl", "thaw", &unit]).succeeds();
    let count = tried.shared("freeze", "count");
    machine.shell(&format!("rm -f {count}")).succeeds();
    machine.wait_until(&format!("test -s {count}"));
    machine.stop(&unit);
    tried.ended("freeze", "inactive", "success", 0);
}
