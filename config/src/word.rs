// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys whose values are a few words. A word means the same in a file, in a [`Container`](crate::container::Container) and
//! in its JSON, so there is one type for all three.

use serde::{Deserialize, Serialize};

/// `root.lxcfs`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Lxcfs {
    /// The kernel's own.
    #[default]
    No,
    /// lxcfs where it runs.
    Auto,
    /// lxcfs, and no container without it.
    Yes,
}

/// `root.writable`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Writable {
    /// Writes stay: in the directory itself, or in an upper layer below /var/lib/ct/NAME/.
    #[default]
    Persistent,
    /// Writes go to a fresh upper layer at each start.
    Ephemeral,
    /// The root file system is read-only.
    No,
}

/// `log.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LogMode {
    /// To the journal: standard output and error are its stream; a terminal's output the console service passes on.
    #[default]
    Journal,
    /// The same through a pipe, which the console service reads: programs can open /dev/stdout.
    Pipe,
    /// Nowhere; a terminal's output to those who are attached.
    None,
}

/// `oom.policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OomPolicy {
    /// Kill the whole container.
    Kill,
    /// Stop the container cleanly.
    Stop,
    /// Only log.
    Continue,
}

/// `restart.policy`: `Restart=` of systemd.service(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "systemd's own words")]
pub enum RestartPolicy {
    No,
    Always,
    OnSuccess,
    OnFailure,
    OnAbnormal,
    OnAbort,
    OnWatchdog,
}
