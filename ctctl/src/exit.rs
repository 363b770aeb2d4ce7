// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of exit codes, for scripts. Those that systemctl(1), podman(1) and sysexits.h have a number for have it here.

use std::process::ExitCode;

/// How a verb ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done as asked.
    Done,
    /// It failed, or `check` found errors.
    Failed,
    /// A wrong command line, or a name that means several containers.
    Usage,
    /// A verb that needs a running container: `status`, `ps`, `kill`, `console --once`.
    NotRunning,
    /// No such container.
    NoSuchContainer,
    /// systemd cannot be reached.
    Unreachable,
    /// polkit, systemd or the kernel says no.
    NotPermitted,
    /// `--timeout` is over.
    TimedOut,
    /// `exec` and `run`: the command could not be started, for a reason of ct's or the runtime's.
    NotStarted,
    /// `exec` and `run`: there is such a file, but it cannot be run.
    NotExecutable,
    /// `exec` and `run`: there is no such command.
    CommandNotFound,
    /// What the command, the container or journalctl ended with; 128 and the number of the signal that killed it.
    Of(u8),
}

impl Status {
    /// The codes and what they mean, as ctctl(1) has them.
    pub const TABLE: [(Self, &str); 11] = [
        (Self::Done, "Done as asked."),
        (Self::Failed, "It failed, or check found errors, or import refused something."),
        (Self::Usage, "A wrong command line, or a name that may be any of several containers."),
        (Self::NotRunning, "The container is not running: status, ps, kill, freeze, thaw, console --once."),
        (Self::NoSuchContainer, "There is no such container."),
        (Self::Unreachable, "systemd cannot be reached."),
        (Self::NotPermitted, "polkit, systemd or the kernel does not permit it."),
        (Self::TimedOut, "The time of --timeout is over."),
        (Self::NotStarted, "exec and run: the command could not be started."),
        (Self::NotExecutable, "exec and run: the command cannot be executed."),
        (Self::CommandNotFound, "exec and run: there is no such command."),
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NoSuchContainer => 4,
            Self::Unreachable => 69,
            Self::NotPermitted => 77,
            Self::TimedOut => 124,
            Self::NotStarted => 125,
            Self::NotExecutable => 126,
            Self::CommandNotFound => 127,
            Self::Of(code) => code,
        }
    }

    /// Of several containers: the first that is not [`Status::Done`].
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        if self == Self::Done { next } else { self }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.code().into()
    }
}
