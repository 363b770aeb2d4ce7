// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong, in words for the one who asked, and the exit code of each.

use std::error::Error as _;
use std::process::ExitCode;

use crate::exit::Status;
use crate::output::safe;

/// A verb that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// systemd, or the way to it.
    #[error(transparent)]
    Systemd(#[from] ct_dbus::Error),
    /// Nothing of this name.
    #[error("there is no container {name:?}{}", hint.as_ref().map(|h| format!(" (did you mean {h:?}?)")).unwrap_or_default())]
    NoSuchContainer {
        /// As it was given.
        name: String,
        /// One that it was probably meant to be.
        hint: Option<String>,
    },
    /// The beginning of several names.
    #[error("{name:?} may be any of: {}", candidates.join(", "))]
    Ambiguous {
        /// As it was given.
        name: String,
        /// All that begin so.
        candidates: Vec<String>,
    },
    /// Asked for in a way that cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// A file, a process, a terminal.
    #[error("{what}")]
    System {
        /// What was tried on what.
        what: String,
        #[source]
        #[expect(missing_docs, reason = "the source of the error")]
        source: std::io::Error,
    },
    /// Anything else; the code says what kind.
    #[error("{reason}")]
    Failed {
        /// What, and why.
        reason: String,
        /// With which code to end.
        status: Status,
    },
}

impl Error {
    /// Of a system call: what was tried on what.
    pub fn system(what: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }

    /// A failure that has no kind of its own.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into(), status: Status::Failed }
    }

    /// Whether it is the data that is wrong, and not the machine that reads or writes it.
    pub(crate) fn is_of_data(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.raw_os_error().is_none())
    }

    /// With which code to end.
    pub fn status(&self) -> Status {
        match self {
            Self::Systemd(ct_dbus::Error::Unreachable { .. }) => Status::Unreachable,
            Self::Systemd(ct_dbus::Error::NoSuchUnit { .. }) | Self::NoSuchContainer { .. } => {
                Status::NoSuchContainer
            }
            Self::Systemd(ct_dbus::Error::NotPermitted { .. }) => Status::NotPermitted,
            Self::Systemd(ct_dbus::Error::TimedOut { .. }) => Status::TimedOut,
            Self::Ambiguous { .. } | Self::Usage(_) => Status::Usage,
            Self::System { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Status::NotPermitted
            }
            Self::System { .. } | Self::Systemd(_) => Status::Failed,
            Self::Failed { status, .. } => *status,
        }
    }

    /// The whole story in one line, safe for a terminal.
    pub fn story(&self) -> String {
        let mut story = self.to_string();
        if self.status() == Status::NotPermitted && !story.starts_with("not permitted") {
            story.insert_str(0, "not permitted: ");
        }
        let mut cause = self.source();
        while let Some(source) = cause {
            let text = source.to_string();
            if !story.ends_with(&text) {
                story.push_str(&format!(": {text}"));
            }
            cause = source.source();
        }
        safe(&story).into_owned()
    }

    /// Says it on stderr; the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("ctctl: {}", self.story());
        self.status().into()
    }
}
