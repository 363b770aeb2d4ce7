// SPDX-License-Identifier: MIT OR Apache-2.0
//! A runtime on a booted machine, and the containers that a behaviour is tried with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ct_tests::{Machine, Root};

use super::table::Cell;

/// What a container does that has nothing to do. Its shell is told of a SIGTERM.
pub(crate) const IDLE: &str = "trap 'exit 0' TERM; touch /shared/up; sleep 1000 & wait";

const ACCOUNT: &str = "useradd --system --no-create-home ct-web && \
                       echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid";

/// A row.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// As the key `runtime` has it.
    pub(crate) name: &'static str,
    /// Whether CI has it, so that there a runtime that is not installed is a failure.
    pub(crate) in_ci: bool,
    /// Behaviours that it has not.
    pub(crate) cannot: &'static [Cannot],
}

/// What a runtime cannot do.
#[derive(Debug)]
pub(crate) struct Cannot {
    /// The behaviour's name.
    pub(crate) behaviour: &'static str,
    /// Why, as it is said.
    pub(crate) reason: &'static str,
    /// Who says so.
    pub(crate) refusal: Refusal,
}

/// Where a runtime's lack shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// ct does not start such a container, and its log has the reason.
    AtStart,
    /// The container starts, and a program in it is told: this asserts it.
    Inside(fn(&RuntimeUnderTest, &str)),
}

impl Runtime {
    /// The program that tells its version.
    pub(crate) fn program(&self) -> &'static str {
        match self.name {
            "lxc" => "lxc-start",
            name => name,
        }
    }
}

/// A column.
#[derive(Debug)]
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    /// What it is tried with.
    pub(crate) containers: &'static [Container],
    /// Asserts it.
    pub(crate) holds: fn(&RuntimeUnderTest),
}

/// A container of busybox.
#[derive(Debug)]
pub(crate) struct Container {
    /// What sets it apart from others of the runtime.
    pub(crate) name: &'static str,
    /// Its command, for a shell.
    pub(crate) script: &'static str,
    /// Keys above the first table.
    pub(crate) keys: &'static str,
    /// Keys of `[process]`.
    pub(crate) process: &'static str,
    /// Tables.
    pub(crate) tables: &'static str,
}

/// One that is idle and has nothing special.
pub(crate) const PLAIN: Container =
    Container { name: "plain", script: IDLE, keys: "", process: "", tables: "" };

/// One of the runtimes on one of the machines.
#[derive(Clone, Copy)]
pub(crate) struct RuntimeUnderTest<'m> {
    pub(crate) machine: &'m Machine,
    runtime: &'static Runtime,
}

/// A machine with an account and a layer for the containers.
pub(crate) fn machine(root: Root, name: &str) -> Machine {
    let machine = Machine::prepare(root, name)
        .busybox_rootfs("/var/lib/ct/layers/busybox")
        .file("/var/lib/ct/layers/busybox/shared/.keep", 0o644, "")
        .boot();
    machine.shell(ACCOUNT).succeeds();
    // What Debian 13 has no package of.
    for program in ["/usr/bin/runsc", "/usr/bin/youki"] {
        if Path::new(program).exists() {
            machine.bring(program);
        }
    }
    machine
}

/// The first number that a program says of itself; `None` where there is no such program.
pub(crate) fn version(machine: &Machine, program: &str) -> Option<String> {
    let said = machine.shell(&format!("command -v {program} >/dev/null && {program} --version"));
    let mut words = said.stdout.split_whitespace();
    let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    said.status.success().then(|| words.find(is_number).unwrap_or_default().to_owned())
}

impl<'m> RuntimeUnderTest<'m> {
    pub(crate) fn new(machine: &'m Machine, runtime: &'static Runtime) -> Self {
        Self { machine, runtime }
    }

    /// The name of one of its containers.
    pub(crate) fn name(&self, container: &str) -> String {
        format!("{}-{container}", self.runtime.name)
    }

    /// Its unit.
    pub(crate) fn unit(&self, container: &str) -> String {
        format!("ct@{}", self.name(container))
    }

    /// A file of the directory that it shares with the host: `/shared/FILE` inside.
    pub(crate) fn shared(&self, container: &str, file: &str) -> String {
        format!("/srv/shared/{}/{file}", self.name(container))
    }

    /// Starts one, and waits until it says that it is up.
    #[track_caller]
    pub(crate) fn start(&self, container: &str) {
        self.machine.start(&self.unit(container));
        self.machine.wait_until(&format!("test -e {}", self.shared(container, "up")));
    }

    /// Waits until one has ended, and asserts how: state and result of its unit, and the status of a failed one.
    #[track_caller]
    pub(crate) fn ended(&self, container: &str, state: &str, result: &str, status: u64) {
        let unit = self.unit(container);
        self.machine.wait_for(&unit, "ActiveState", state);
        assert_eq!(self.machine.show(&unit, "Result"), result, "{unit}\n{}", self.machine.journal(&unit));
        // systemd forgets it with a unit that has ended well.
        if state == "failed" {
            assert_eq!(self.machine.show_number(&unit, "ExecMainStatus"), status, "{unit}");
        }
    }

    /// Everything that runs in a unit, as the machine counts.
    pub(crate) fn processes(&self, container: &str) -> Vec<u64> {
        let group = format!("/sys/fs/cgroup/ct.slice/{}.service", self.unit(container));
        let listed =
            self.machine.shell(&format!("find {group} -name cgroup.procs -exec cat {{}} +")).succeeds();
        listed.stdout.lines().map(|pid| pid.parse().expect("cgroup.procs has numbers")).collect()
    }

    /// A line for everything that runs in a unit, `$pid`, but for what ends meanwhile.
    pub(crate) fn of_each_process(&self, container: &str, script: &str) -> Vec<String> {
        let pids = self.processes(container).iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        let printed = self.machine.shell(&format!("for pid in {pids}; do {script}; done; true")).succeeds();
        printed.stdout.lines().map(str::to_owned).collect()
    }

    /// Writes the configs of a behaviour.
    pub(crate) fn configure(&self, behaviour: &Behaviour) {
        let mut directories = String::new();
        for container in behaviour.containers {
            let name = self.name(container.name);
            directories.push_str(&format!(" /srv/shared/{name}"));
            let through_account = container.keys.contains("user = ");
            self.machine.container(
                &name,
                &format!(
                    "runtime = {:?}\n{}\
                     [root]\nlayers = [\"busybox\"]\nwritable = \"ephemeral\"\nidmap = {through_account}\n\
                     [process]\ncommand = [\"/bin/sh\", \"-c\", '''{}''']\n{}\
                     [[mount]]\nsource = \"/srv/shared/{name}\"\ntarget = \"/shared\"\n{}",
                    self.runtime.name, container.keys, container.script, container.process, container.tables
                ),
            );
        }
        self.machine.shell(&format!("mkdir -p{directories}; chmod 777{directories}")).succeeds();
    }

    /// Tries a behaviour, and notes what is there after it that was not before.
    pub(crate) fn try_it(&self, behaviour: &Behaviour, left: &mut Vec<String>) -> Cell {
        let before = self.machine.leaks();
        let cannot = self.runtime.cannot.iter().find(|cannot| cannot.behaviour == behaviour.name);
        let tried = catch_unwind(AssertUnwindSafe(|| {
            match cannot {
                None => (behaviour.holds)(self),
                Some(Cannot { reason, refusal: Refusal::AtStart, .. }) => self.refuses(behaviour, reason),
                Some(Cannot { reason, refusal: Refusal::Inside(says), .. }) => says(self, reason),
            }
            cannot.map_or(Cell::Does, |cannot| Cell::Cannot(cannot.reason.to_owned()))
        }));
        let cell = tried.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Cell::Fails(format!("{}: {}", behaviour.name, said.unwrap_or_default()))
        });
        for container in behaviour.containers {
            let unit = self.unit(container.name);
            self.machine.shell(&format!("systemctl stop {unit}; systemctl reset-failed {unit}"));
        }
        let after = catch_unwind(AssertUnwindSafe(|| self.machine.assert_no_leaks(&before)));
        if after.is_err() {
            let difference = before.difference(&self.machine.leaks());
            left.push(format!("after {}: {}", behaviour.name, difference.join(", ")));
        }
        cell
    }

    /// Asserts that ct does not start what this runtime cannot do, and says why.
    fn refuses(&self, behaviour: &Behaviour, reason: &str) {
        for container in behaviour.containers {
            let unit = self.unit(container.name);
            self.machine.try_start(&unit).fails();
            let journal = self.machine.journal(&unit);
            assert!(journal.contains(reason), "{unit} should be refused: {reason}\n{journal}");
        }
    }
}
