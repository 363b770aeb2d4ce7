// SPDX-License-Identifier: MIT OR Apache-2.0
//! One system container: a Debian, the runtime, and who runs that.

use ct_tests::{Machine, Output, Preparation, Root, System, Terminal, test_name};

/// Boots with the Debian, notes down when it goes up and down in a file of the host, and is idle.
const NOTES: &str = "[Unit]\nDescription=Notes\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                     ExecStart=/bin/sh -c 'echo up >>/notes/log'\nExecStop=/bin/sh -c 'echo down >>/notes/log'\n";

/// Which account, where its ids come from, and what it has to own.
const ACCOUNT: &str = "useradd --system --no-create-home ct-sys && \
                       echo ct-sys:200000:65536 | tee /etc/subuid >/etc/subgid";

/// A Debian with a systemd, as a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) runtime: &'static str,
    pub(crate) system: System,
    pub(crate) through_account: bool,
}

/// Both Debians with these runtimes, by root and through an account: half of that on each machine, so that every two of
/// them meet on both.
pub(crate) fn all(root: Root, runtimes: &[&'static str]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &runtime in runtimes {
        for system in System::all() {
            let odd = (runtime == "runc") ^ (system == System::Debian13) ^ (root == Root::Debian13);
            cases.push(Case { runtime, system, through_account: odd });
        }
    }
    cases
}

/// A machine with the files of both Debians and of the unit that takes notes.
pub(crate) fn machine(root: Root) -> Preparation {
    let prepared = Machine::prepare(root, &test_name());
    System::all()
        .into_iter()
        .fold(prepared, Preparation::layer)
        .file("/var/lib/ct/layers/notes/etc/systemd/system/notes.service", 0o644, NOTES)
        .link(
            "/var/lib/ct/layers/notes/etc/systemd/system/multi-user.target.wants/notes.service",
            "../notes.service",
        )
        .file("/var/lib/ct/layers/notes/notes/.keep", 0o644, "")
        // Not as after an update, with caches to be made anew at each boot: systemd-update-done.service(8).
        .file("/var/lib/ct/layers/notes/etc/.updated", 0o644, "")
        .file("/var/lib/ct/layers/notes/var/.updated", 0o644, "")
}

impl Case {
    /// Its name: `crun-debian12`, `runc-debian13-account`.
    pub(crate) fn name(&self) -> String {
        let account = if self.through_account { "-account" } else { "" };
        format!("{}-{}{account}", self.runtime, self.system.name())
    }

    /// Its unit.
    pub(crate) fn unit(&self) -> String {
        format!("ct@{}", self.name())
    }

    /// Writes its config, with `more` at the end, and makes its directory for notes.
    pub(crate) fn configure(&self, machine: &Machine, more: &str) {
        let name = self.name();
        if self.through_account {
            machine.shell(&format!("id ct-sys >/dev/null 2>&1 || {{ {ACCOUNT}; }}")).succeeds();
        }
        machine
            .shell(&format!("mkdir -p -m 1777 /srv/notes/{name}; chmod 1777 /srv/notes/{name}"))
            .succeeds();
        let account = if self.through_account { "user = \"ct-sys\"\n" } else { "" };
        machine.container(
            &name,
            &format!(
                "runtime = {:?}\n{account}\
                 [root]\nlayers = [{:?}, \"notes\"]\nwritable = \"ephemeral\"\nidmap = {}\n\
                 [process]\nterminal = true\n\
                 [[mount]]\nsource = \"/srv/notes/{name}\"\ntarget = \"/notes\"\n\
                 [ready]\nnotify = true\ntimeout = \"5min\"\n[stop]\ntimeout = \"5min\"\n{more}",
                self.runtime,
                self.system.name(),
                self.through_account,
            ),
        );
    }

    /// Runs a command inside.
    pub(crate) fn exec(&self, machine: &Machine, script: &str) -> Output {
        machine.run(["ctctl", "exec", &self.name(), "--", "sh", "-c", script])
    }

    /// What its unit has noted down: the ups and downs of the systemd inside.
    pub(crate) fn notes(&self, machine: &Machine) -> String {
        machine.read_file(format!("/srv/notes/{}/log", self.name())).replace('\n', " ")
    }

    /// On /dev/console agetty(8) asks, and what it says above its prompt is in the unit's log.
    #[track_caller]
    pub(crate) fn assert_that_its_console_asks_who(&self, machine: &Machine) {
        let (name, unit) = (self.name(), self.unit());
        let issue = format!("Debian GNU/Linux {} {name} console", self.system.name().replace("debian", ""));
        machine.wait_for_line(&unit, &issue);
        let terminal = Terminal::new(25, 80);
        let attached = machine.command(["ctctl", "console", &name]).on(&terminal).spawn();
        terminal.wait_for(&format!("{name} login: "));
        terminal.type_in("nobody\r");
        terminal.wait_for("Password: ");
        terminal.type_in("\x1d\x1d"); // detaches
        attached.wait().succeeds();
    }
}
