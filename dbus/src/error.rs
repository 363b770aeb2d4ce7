// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong between us and systemd.

use std::time::Duration;

/// An answer that is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the bus nor systemd's own socket answers.
    #[error("cannot reach systemd: {reason}")]
    Unreachable {
        /// What was tried, and why it failed.
        reason: String,
        #[source]
        #[expect(missing_docs, reason = "the source of the error")]
        source: Option<Box<zbus::Error>>,
    },
    /// There is no such unit.
    #[error("there is no unit {unit}")]
    NoSuchUnit {
        /// Its name.
        unit: String,
    },
    /// polkit, or systemd itself, says no.
    #[error("not permitted: {what}")]
    NotPermitted {
        /// What was asked for.
        what: String,
    },
    /// systemd refused; in its own words.
    #[error("{what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// systemd's message.
        reason: String,
        /// The name of the D-Bus error.
        name: String,
    },
    /// The answer did not come, or made no sense.
    #[error("{what}")]
    Failed {
        /// What was asked for.
        what: String,
        #[source]
        #[expect(missing_docs, reason = "the source of the error")]
        source: Box<zbus::Error>,
    },
    /// systemd, or the bus, went away while a job was waited for.
    #[error("the connection to systemd ended before the job of {units}, which goes on")]
    Lost {
        /// The units of the jobs.
        units: String,
    },
    /// The job goes on, but was not waited for any longer.
    #[error("not done after {after:?}: {}; the job goes on", units.join(", "))]
    TimedOut {
        /// The units of the jobs.
        units: Vec<String>,
        /// How long it was waited for.
        after: Duration,
    },
}

/// The errors of D-Bus that mean the same: the caller may not.
const NOT_PERMITTED: [&str; 3] = [
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.AuthFailed",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
];

/// What a bus says for a service that went away before it answered.
const NO_REPLY: [&str; 3] = [
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Disconnected",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
];

impl Error {
    /// Whether it is the connection that failed, or the one behind it: another try may go well.
    pub fn is_of_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. } | Self::Failed { .. })
    }

    /// What became of `what`, asked of `unit` if it was one unit's.
    pub(crate) fn of_call(what: impl Into<String>, unit: Option<&str>, error: zbus::Error) -> Self {
        let what = what.into();
        let zbus::Error::MethodError(name, message, _) = &error else {
            return Self::Failed { what, source: Box::new(error) };
        };
        match (name.as_str(), unit) {
            (name, _) if NO_REPLY.contains(&name) => Self::Failed { what, source: Box::new(error) },
            (name, _) if NOT_PERMITTED.contains(&name) => Self::NotPermitted { what },
            ("org.freedesktop.systemd1.NoSuchUnit", Some(unit)) => Self::NoSuchUnit { unit: unit.to_owned() },
            (name, _) => {
                let reason = message.as_deref().unwrap_or(name).trim_end_matches('.').to_owned();
                Self::Refused { what, reason, name: name.to_owned() }
            }
        }
    }
}
