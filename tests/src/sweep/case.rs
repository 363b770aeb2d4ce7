// SPDX-License-Identifier: MIT OR Apache-2.0
//! What units run the helper for, and containers that use most of what it does.

use std::fmt;

use crate::Machine;

/// The units of all cases.
pub(super) const UNITS: [&str; 3] = ["ct@web", "ct@api", "ct-pod@shop"];

/// One command of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `ct-helper start` of a container that a command inside says is ready.
    Start,
    /// `ct-helper start` of a container that says so itself, and has a watchdog.
    StartNotify,
    /// `ct-helper hook web post_start`, beside the container.
    PostStart,
    /// `ct-helper stop web`, before the signal.
    Stop,
    /// `ct-helper hook web post_stop`, after its end.
    PostStop,
    /// `ct-helper pod-start shop`, before the first member.
    PodStart,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::StartNotify, Self::PostStart, Self::Stop, Self::PostStop, Self::PodStart];

    /// As `make sweep` is asked for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::StartNotify => "start-notify",
            Self::PostStart => "post-start",
            Self::Stop => "stop",
            Self::PostStop => "post-stop",
            Self::PodStart => "pod-start",
        }
    }

    /// The unit that runs it.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::StartNotify => "ct@api",
            Self::PodStart => "ct-pod@shop",
            Self::Start | Self::PostStart | Self::Stop | Self::PostStop => "ct@web",
        }
    }

    /// The unit that is started: the pod's is by its member.
    pub(super) fn started(self) -> &'static str {
        if self == Self::PodStart { "ct@member" } else { self.unit() }
    }

    /// The unit's control group, from the root of the machine's.
    pub(super) fn cgroup(self) -> String {
        let slice = if self == Self::PodStart { "ct.slice/ct-shop.slice" } else { "ct.slice" };
        format!("{slice}/{}.service", self.unit())
    }

    /// Whether it runs when the unit is started; else when it stops.
    pub(super) fn is_of_start(self) -> bool {
        !matches!(self, Self::Stop | Self::PostStop)
    }

    /// The directive that runs it, and the helper's arguments.
    fn command(self) -> (&'static str, &'static str) {
        match self {
            Self::Start | Self::StartNotify => ("ExecStart", "start %i"),
            Self::PostStart => ("ExecStartPost", "hook %i post_start"),
            Self::Stop => ("ExecStop", "stop %i"),
            Self::PostStop => ("ExecStopPost", "hook %i post_stop"),
            Self::PodStart => ("ExecStart", "pod-start %i"),
        }
    }

    /// Has the unit wait at the gate before it executes the helper. Its failure is ignored where it always is.
    pub(super) fn drop_in(self, gate: &str) -> String {
        let (directive, arguments) = self.command();
        let prefix = if directive == "ExecStart" { "" } else { "-" };
        format!(
            "[Unit]\nStartLimitIntervalSec=0\n[Service]\nTimeoutStartSec=30s\n{directive}=\n\
             {directive}={prefix}/bin/sh -c 'read go <{gate} && exec /usr/libexec/ct/ct-helper {arguments}'\n"
        )
    }
}

impl fmt::Display for Case {
    /// As a container's name would stand before a point: `start web`, then `.2 openat #3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start web",
            Self::StartNotify => "start api",
            Self::PostStart => "hook web post_start",
            Self::Stop => "stop web",
            Self::PostStop => "hook web post_stop",
            Self::PodStart => "pod-start shop",
        })
    }
}

/// Layers, an upper layer, mounts, an account with subordinate ids, hooks of every moment, limits: what both have.
fn container(runtime: &str, script: &str, more: &str) -> String {
    format!(
        "runtime = \"{runtime}\"\nuser = \"ct-web\"\n\
         [root]\nlayers = [\"base\", \"app\"]\nwritable = \"ephemeral\"\n\
         [process]\ncommand = [\"/bin/sh\", \"-c\", '''trap 'exit 0' TERM; {script}; sleep 1000 & wait''']\nuser = \"www-data\"\n\
         [[mount]]\nsource = \"/srv/data\"\ntarget = \"/mnt\"\n\
         [limits]\nnofile = \"512:1024\"\n[stop]\ntimeout = \"10s\"\n{more}"
    )
}

pub(super) fn prepare(machine: &Machine, runtime: &str) {
    machine
        .shell("useradd --system ct-web; echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid")
        .succeeds();
    machine.busybox_rootfs("/var/lib/ct/layers/base");
    machine
        .shell("mkdir -p /var/lib/ct/layers/app/etc /srv/data /var/lib/ct/layers/base/mnt; systemctl start ct.slice")
        .succeeds();
    // Ready as soon as init does not ignore the signal any more that stops it.
    let hooks = "command = [\"true\"]\n[ready]\ncommand = [\"test\", \"-e\", \"/dev/shm/trap\"]\ntimeout = \"20s\"\n\
                 [hooks]\npre_start = [[\"/bin/true\"]]\npost_start = [[\"/bin/true\"]]\n\
                 pre_stop = [[\"/bin/true\"]]\npost_stop = [[\"/bin/true\"]]\ntimeout = \"10s\"\n";
    machine.container("web", &container(runtime, ": >/dev/shm/trap", hooks));
    // The host's programs are in the container too, for systemd-notify(1).
    let notify = "[ready]\nnotify = true\nwatchdog = \"10min\"\ntimeout = \"20s\"\n\
                  [hooks]\npre_start = [[\"/bin/true\"]]\n\
                  [[mount]]\nsource = \"/usr\"\ntarget = \"/usr\"\noptions = [\"ro\"]\n\
                  [[mount]]\nsource = \"/usr/lib\"\ntarget = \"/lib\"\noptions = [\"ro\"]\n\
                  [[mount]]\nsource = \"/usr/lib64\"\ntarget = \"/lib64\"\noptions = [\"ro\"]\n";
    machine.container("api", &container(runtime, "systemd-notify --ready", notify));
    machine.write_file("/etc/ct/pods/shop.toml", 0o644, "");
    machine.container(
        "member",
        &format!(
            "runtime = \"{runtime}\"\npod = \"shop\"\n[root]\nlayers = [\"base\"]\nwritable = \"ephemeral\"\n\
             [process]\ncommand = [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; : >/tmp/trap; sleep 1000 & wait\"]\n\
             [ready]\ncommand = [\"test\", \"-e\", \"/tmp/trap\"]\n"
        ),
    );
    machine.daemon_reload();
}

/// Forgets what failed.
pub(super) fn clear(machine: &Machine, case: Case) {
    let slice = if case == Case::PodStart { "; systemctl stop ct-shop.slice" } else { "" };
    machine.shell(&format!("systemctl reset-failed {} {} 2>/dev/null{slice}", case.unit(), case.started()));
}
