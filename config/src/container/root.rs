// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a container: `[root]` and `[[mount]]`.

use std::path::PathBuf;

use serde::Serialize;

use crate::word::{Lxcfs, Writable};

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
