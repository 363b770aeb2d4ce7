// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a container: `[root]` and `[[mount]]`.

use std::path::PathBuf;

use serde::Serialize;

/// `[root]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Root {
    /// Exactly one of the three.
    pub source: RootSource,
    /// What happens to what the container writes. For a bundle `None` keeps the bundle's `root.readonly`.
    pub writable: Option<Writable>,
    /// Its files are shown with the ids of the container's user namespace, and belong to others on disk.
    pub idmap: bool,
    /// Whether files of /proc come from lxcfs.
    pub lxcfs: Lxcfs,
}

/// `root.lxcfs`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lxcfs {
    /// The kernel's own.
    #[default]
    No,
    /// lxcfs where it runs.
    Auto,
    /// lxcfs, and no container without it.
    Yes,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RootSource {
    /// A directory, absolute.
    Path(PathBuf),
    /// Overlay layers, absolute, lowest first, at least one.
    Layers(Vec<PathBuf>),
    /// An OCI bundle directory, absolute.
    Bundle(PathBuf),
}

/// `root.writable`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writable {
    /// Writes stay: in the directory itself, or in an upper layer below /var/lib/ct/NAME/.
    #[default]
    Persistent,
    /// Writes go to a fresh upper layer at each start.
    Ephemeral,
    /// The root file system is read-only.
    No,
}

/// One `[[mount]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// For a bind mount an absolute path; for others what mount(2) calls the source.
    pub source: PathBuf,
    /// Absolute path inside the container, without `..`.
    pub target: PathBuf,
    /// `bind`, `tmpfs`, or any file system type.
    pub kind: String,
    /// mount(8) options, in order.
    pub options: Vec<String>,
    /// What to make at a missing target inside the root file system.
    pub create: Create,
}

/// `mount.create`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Create {
    /// A directory or a file, as the source is.
    #[default]
    AsSource,
    /// A directory.
    Dir,
    /// An empty file.
    File,
    /// Nothing: a missing target is an error.
    No,
}
