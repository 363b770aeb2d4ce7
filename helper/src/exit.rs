// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a start ends before the handover: the step it failed in, the reason, and the exit status that becomes the
//! unit's. The numbers are those of sysexits(3); DESIGN section 5 fixes them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ct_config::name::{ContainerName, UnitName};
use ct_config::problem::Problem;

use crate::message::Message;

/// The status after a handover: systemd ignores it when MAINPID= was taken, and fails the unit when it was lost.
pub(crate) const HANDED_OVER: i32 = 99;

/// The steps of `start`, in order; the journal field `CT_STEP=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Config,
    Claim,
    User,
    Namespaces,
    Rootfs,
    Cgroup,
    Hooks,
    Bundle,
    Runtime,
    Console,
    Ready,
    HandOver,
    Stop,
}

impl Step {
    /// The word that stands in the journal.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Claim => "claim",
            Self::User => "user",
            Self::Namespaces => "namespaces",
            Self::Rootfs => "rootfs",
            Self::Cgroup => "cgroup",
            Self::Hooks => "hooks",
            Self::Bundle => "bundle",
            Self::Runtime => "runtime",
            Self::Console => "console",
            Self::Ready => "ready",
            Self::HandOver => "handover",
            Self::Stop => "stop",
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
    /// `systemctl start ct@typo`
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Masked(String),
    /// PID 1 does not have the settings of this config.
    #[error("{0}")]
    NotLoaded(String),
    /// What the generator found and the config's own files do not show.
    #[error("{0}")]
    Unstartable(String),
    /// What the container's pod has no namespaces for.
    #[error("{0}")]
    CannotJoinPod(String),
    /// The start of a pod.
    #[error(transparent)]
    Pod(Box<Error>),
    /// config.json of an OCI bundle.
    #[error("{}: {reason}", path.display())]
    Bundle { path: PathBuf, reason: String },
    #[error("/{0} of the root file system is a symbolic link")]
    LinkInRootfs(&'static str),
    /// `root.idmap` where kernel or file system cannot.
    #[error(
        "cannot mount {what} with the container's ids (chown the files and set root.idmap = false instead)"
    )]
    NoIdMappedMount { what: String, source: io::Error },
    #[error("no such {what}: {}", path.display())]
    Missing { what: Named, path: PathBuf, source: io::Error },
    /// An account of the host.
    #[error("{0}")]
    NoAccount(String),
    /// Subordinate ids.
    #[error("{0}")]
    NoIds(String),
    /// A user or group of the container.
    #[error("{0}")]
    NoUser(String),
    #[error("the runtime {name:?} is not installed: {reason}")]
    RuntimeMissing { name: String, reason: String },
    #[error("root.lxcfs = \"yes\": {reason}")]
    NoLxcfs { reason: String },
    #[error("there is no small init on this host: {reason}")]
    NoSmallInit { reason: String },
    #[error("{name} failed: {reason}")]
    RuntimeFailed { name: String, reason: String },
    #[error("{call}")]
    System { call: String, source: io::Error },
    #[error("{name} is being started by another process")]
    AlreadyStarting { name: ContainerName },
    /// The root file system keeps what is written to it, and somebody else has it.
    #[error(
        "{} is in use by {user}, and keeps what is written to it; {hint}, or set root.writable to \"ephemeral\" or \"no\"",
        what
    )]
    RootInUse { what: String, user: String, hint: &'static str },
    /// The console service does not take the container's terminal.
    #[error(
        "{unit} does not take the terminal: {reason}; is it masked, or is a `systemctl daemon-reload` needed?"
    )]
    NoConsole { unit: UnitName, reason: String },
    #[error("not in the control group of {unit}")]
    NotItsUnit { unit: String },
    #[error("cgroup2 is not mounted at {root} (ct needs the unified hierarchy)")]
    NoUnifiedHierarchy { root: &'static str },
    #[error("{0}")]
    Interrupted(String),
    #[error("not ready after {after:?}: {reason}")]
    NotReady { after: std::time::Duration, reason: String },
    #[error("stop.command failed: {command}: {reason}")]
    StopCommand { command: String, reason: String },
    #[error("the {stage} hook {program} failed: {reason}")]
    HookFailed { stage: &'static str, program: String, reason: String },
}

/// What a path of the config stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Rootfs,
    Layer,
    UpperLayer,
    WorkDirectory,
    Bundle,
    BundleConfig,
    MountSource,
    MountTarget,
    Device,
    EnvFile,
    SeccompFile,
    Namespace,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rootfs => "rootfs",
            Self::Layer => "layer",
            Self::UpperLayer => "upper layer",
            Self::WorkDirectory => "work directory",
            Self::Bundle => "bundle",
            Self::BundleConfig => "bundle config",
            Self::MountSource => "mount source",
            Self::MountTarget => "mount target in the container",
            Self::Device => "device",
            Self::EnvFile => "env_file",
            Self::SeccompFile => "seccomp file",
            Self::Namespace => "namespace",
        })
    }
}

impl Error {
    /// A failed system call, said as the call itself: `mount("overlay", "/run/ct/web/rootfs")`.
    pub(crate) fn system(call: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { call: call.into(), source: source.into() }
    }

    /// A path of the config that could not be opened: missing is the user's, all else is the system's.
    pub(crate) fn open(what: Named, path: &Path, source: impl Into<io::Error>) -> Self {
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
            Self::NoAccount(_) | Self::NoIds(_) | Self::NoUser(_) => 67,
            Self::RuntimeMissing { .. } | Self::NoSmallInit { .. } | Self::NoLxcfs { .. } => 69,
            Self::RuntimeFailed { .. } => 70,
            Self::System { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::HookFailed { .. } | Self::StopCommand { .. } => 73,
            Self::NotReady { .. } => 75,
            Self::System { .. }
            | Self::NoConsole { .. }
            | Self::Interrupted(_)
            | Self::NoIdMappedMount { .. } => 71,
            Self::AlreadyStarting { .. }
            | Self::RootInUse { .. }
            | Self::NotItsUnit { .. }
            | Self::NoUnifiedHierarchy { .. } => 77,
            Self::Pod(error) => error.code(),
            Self::Config(_)
            | Self::ConfigText(_)
            | Self::CannotJoinPod(_)
            | Self::Unknown(_)
            | Self::Masked(_)
            | Self::NotLoaded(_)
            | Self::Unstartable(_)
            | Self::Bundle { .. }
            | Self::LinkInRootfs(_) => 78,
        }
    }

    /// What the message catalog explains it as.
    pub(crate) fn message(&self) -> Message {
        match self {
            Self::Usage(_) | Self::NotItsUnit { .. } => Message::NotItsUnit,
            Self::AlreadyStarting { .. } => Message::AlreadyStarting,
            Self::RootInUse { .. } => Message::RootInUse,
            Self::NoUnifiedHierarchy { .. } => Message::NoUnifiedHierarchy,
            Self::Config(_) | Self::ConfigText(_) => Message::ConfigBroken,
            Self::Unknown(_) => Message::ConfigUnknown,
            Self::Masked(_) => Message::ConfigMasked,
            Self::NotLoaded(_) => Message::ConfigNotLoaded,
            Self::Unstartable(_) => Message::Unstartable,
            Self::CannotJoinPod(_) => Message::CannotJoinPod,
            Self::Pod(_) => Message::PodFailed,
            Self::Bundle { .. } => Message::BundleBroken,
            Self::LinkInRootfs(_) => Message::LinkInRootfs,
            Self::NoIdMappedMount { .. } => Message::NoIdMappedMount,
            Self::Missing { what, .. } => what.missing(),
            Self::NoAccount(_) => Message::NoAccount,
            Self::NoIds(_) => Message::NoIds,
            Self::NoUser(_) => Message::NoUser,
            Self::RuntimeMissing { .. } => Message::RuntimeMissing,
            Self::NoSmallInit { .. } => Message::NoSmallInit,
            Self::NoLxcfs { .. } => Message::NoLxcfs,
            Self::RuntimeFailed { .. } => Message::RuntimeFailed,
            Self::System { source, .. } => of_system_call(source),
            Self::Interrupted(_) => Message::Interrupted,
            Self::NotReady { .. } => Message::NotReady,
            Self::NoConsole { .. } => Message::NoConsole,
            Self::HookFailed { .. } => Message::HookFailed,
            Self::StopCommand { .. } => Message::StopCommandFailed,
        }
    }
}

impl Named {
    /// What the message catalog explains its absence as.
    fn missing(self) -> Message {
        match self {
            Self::Rootfs => Message::NoRootfs,
            Self::Layer | Self::UpperLayer | Self::WorkDirectory => Message::NoLayer,
            Self::Bundle | Self::BundleConfig => Message::NoBundle,
            Self::MountSource => Message::NoMountSource,
            Self::MountTarget => Message::NoMountTarget,
            Self::Device => Message::NoDevice,
            Self::EnvFile | Self::SeccompFile | Self::Namespace => Message::NoFile,
        }
    }
}

/// Where the cure is known by the error number, that; see errno(3).
fn of_system_call(source: &io::Error) -> Message {
    match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => Message::NoSpace,
        Some(libc::EACCES | libc::EPERM) => Message::NotPermitted,
        Some(libc::EMFILE | libc::ENFILE | libc::EFBIG | libc::ENOMEM | libc::EAGAIN) => {
            Message::LimitReached
        }
        _ => Message::SystemCallFailed,
    }
}

/// An error and the step it happened in.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) error: Error,
}

impl Failure {
    /// To be explained as that of a pod.
    pub(crate) fn of_pod(self) -> Self {
        Self { error: Error::Pod(Box::new(self.error)), ..self }
    }
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

/// Text of others, on one line and bounded: no control characters, and none that turns the direction of what follows
/// it on a terminal.
pub(crate) fn printable(text: &str, length: usize) -> String {
    let is_printable = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_printable(c) { c } else { ' ' }).take(length).collect()
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
            error: Error::open(Named::Rootfs, Path::new("/srv/x"), nix::errno::Errno::ENOENT),
        };
        assert_eq!(failure.to_string(), "no such rootfs: /srv/x: no such file or directory");
        assert_eq!(failure.error.code(), 66);
        assert_eq!(Error::system("mkdir", nix::errno::Errno::ENOSPC).code(), 71);
        assert_eq!(Error::system("mkdir", nix::errno::Errno::EACCES).code(), 77);
    }
}
