// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs in a container, and as whom: `[process]`, `[log]` and `[idmap]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// `[process]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Process {
    /// The argument vector; never empty. `None`: the bundle's, else `/sbin/init`.
    pub command: Option<Vec<String>>,
    /// Working directory, absolute, without `..`.
    pub cwd: Option<PathBuf>,
    /// Environment; wins over `env_files`.
    pub env: BTreeMap<String, String>,
    /// Files in the syntax of `EnvironmentFile=`, later ones win.
    pub env_files: Vec<EnvFile>,
    /// A terminal as its console. `None`: not said, which is no, and no wish against a bundle's own.
    pub terminal: Option<bool>,
    /// Standard input never ends, and can be written to.
    pub stdin_open: bool,
    /// User inside the container.
    pub user: Option<IdName>,
    /// Group inside the container.
    pub group: Option<IdName>,
    /// Supplementary groups inside the container.
    pub groups: Vec<IdName>,
    /// A small init of the host runs as process 1 in front of the command.
    pub init: bool,
}

/// One entry of `process.env_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvFile {
    /// Absolute.
    pub path: PathBuf,
    /// Written with a leading `-`: a missing file is not an error.
    pub optional: bool,
}

/// A user or group inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum IdName {
    /// A number, never 65535 or 4294967295.
    Id(u32),
    /// A name, resolved in the container's own files.
    Name(String),
}

/// `[idmap]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdMap {
    /// `"auto"` for either: the account's ranges of subuid(5) and subgid(5).
    Auto,
    /// As written; each list is non-empty, maps container id 0, and has no overlap on either side.
    Ranges {
        /// user_namespaces(7) uid_map
        uid: Vec<IdRange>,
        /// user_namespaces(7) gid_map
        gid: Vec<IdRange>,
    },
}

/// One line of uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdRange {
    /// First id inside the namespace.
    pub container: u32,
    /// First id on the host.
    pub host: u32,
    /// Number of ids, at least 1; neither side runs past 4294967294.
    pub count: u32,
}
