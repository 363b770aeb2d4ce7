// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a start ends before the handover: the step it failed in, the reason, and the exit status that becomes the
//! unit's. The numbers are those of sysexits(3); DESIGN section 5 fixes them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ct_config::problem::Problem;

/// The status after a handover: systemd ignores it when MAINPID= was taken, and fails the unit when it was lost.
pub(crate) const HANDED_OVER: i32 = 99;

/// The steps of `start`, in order; the journal field `CT_STEP=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Config,
    Claim,
    User,
    Rootfs,
    Cgroup,
    Bundle,
    Runtime,
    HandOver,
}

impl Step {
    /// The word that stands in the journal.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Claim => "claim",
            Self::User => "user",
            Self::Rootfs => "rootfs",
            Self::Cgroup => "cgroup",
            Self::Bundle => "bundle",
            Self::Runtime => "runtime",
            Self::HandOver => "handover",
        }
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{}", one_per_line(.0))]
    Config(Vec<Problem>),
    #[error("{0}")]
    ConfigText(String),
    #[error("no such {what}: {}", path.display())]
    Missing { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{0}")]
    NoUser(String),
    #[error("the runtime {name:?} is not installed: {reason}")]
    RuntimeMissing { name: String, reason: String },
    #[error("{name} failed: {reason}")]
    RuntimeFailed { name: String, reason: String },
    #[error("{call}")]
    System { call: String, source: io::Error },
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Interrupted(String),
}

impl Error {
    /// A failed system call, said as the call itself: `mount("overlay", "/run/ct/web/rootfs")`.
    pub(crate) fn system(call: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { call: call.into(), source: source.into() }
    }

    /// A path of the config that could not be opened: missing is the user's, all else is the system's.
    pub(crate) fn open(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::Missing { what, path: path.to_owned(), source }
            }
            _ => Self::System { call: format!("open {what} {}", path.display()), source },
        }
    }

    /// The exit status of DESIGN section 5.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Usage(_) => 64,
            Self::Missing { .. } => 66,
            Self::NoUser(_) => 67,
            Self::RuntimeMissing { .. } => 69,
            Self::RuntimeFailed { .. } => 70,
            Self::System { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::System { .. } | Self::Interrupted(_) => 71,
            Self::Refused(_) => 77,
            Self::Config(_) | Self::ConfigText(_) => 78,
        }
    }
}

/// An error and the step it happened in.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut source = std::error::Error::source(&self.error);
        while let Some(cause) = source {
            write!(f, ": {}", in_small_letters(&cause.to_string()))?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Says in which step a result failed.
pub(crate) trait At<T> {
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Error> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, error })
    }
}

/// `No such file or directory (os error 2)` as `no such file or directory`.
pub(crate) fn in_small_letters(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or(text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn one_per_line(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_a_story_and_keeps_its_status() {
        let failure = Failure {
            step: Step::Rootfs,
            error: Error::open("rootfs", Path::new("/srv/x"), nix::errno::Errno::ENOENT),
        };
        assert_eq!(failure.to_string(), "no such rootfs: /srv/x: no such file or directory");
        assert_eq!(failure.error.code(), 66);
        assert_eq!(Error::system("mkdir", nix::errno::Errno::ENOSPC).code(), 71);
        assert_eq!(Error::system("mkdir", nix::errno::Errno::EACCES).code(), 77);
    }
}
