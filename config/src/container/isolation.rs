// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a container may reach: `[network]` and `[security]`.

use std::path::PathBuf;

use serde::Serialize;

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The host's network namespace.
    Host,
    /// A namespace of its own with nothing but a loopback device.
    None,
    /// An existing namespace, by absolute path.
    Namespace(PathBuf),
}

/// `[security]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Security {
    /// Capabilities to add to the default set, in OCI spelling (`CAP_NET_ADMIN`); sorted, each once.
    pub capabilities_add: Vec<String>,
    /// Capabilities to take from it; `["ALL"]` takes all before adding.
    pub capabilities_drop: Vec<String>,
    /// `no_new_privileges`, `None` leaves it to a bundle and is true otherwise.
    pub no_new_privileges: Option<bool>,
    /// The system-call filter, `None` leaves it to a bundle and is `Default` otherwise.
    pub seccomp: Option<Seccomp>,
    /// Host devices to give to the container.
    pub devices: Vec<Device>,
}

/// `security.seccomp`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// ct's own filter.
    Default,
    /// No filter.
    Unconfined,
    /// An OCI `linux.seccomp` object in a JSON file.
    File(PathBuf),
}

/// One entry of `security.devices`: `/dev/fuse:rw`, `/dev/sda:/dev/disk:r`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The node on the host, absolute, below /dev.
    pub source: PathBuf,
    /// The node in the container.
    pub target: PathBuf,
    /// Some of `rwm`, in that order, each once, never empty.
    pub access: String,
}
