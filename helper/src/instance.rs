// SPDX-License-Identifier: MIT OR Apache-2.0
//! One life of a container: that of its unit, or a run of another command beside it. What is a life's own, its unit,
//! its run-time directory and its name for the runtime, is told here.

use std::path::{Path, PathBuf};

use ct_config::name::ContainerName;
use ct_config::run::RunName;

/// Whose life it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instance {
    /// The container's own, `ct@NAME.service`.
    Container(ContainerName),
    /// A run's, `ct-run-NAME-ID.service`.
    Service(RunName),
    /// A run's in the foreground, `ct-run-NAME-ID.scope`.
    Scope(RunName),
}

impl Instance {
    /// The unit's name.
    pub(crate) fn unit(&self) -> String {
        match self {
            Self::Container(name) => name.unit().to_string(),
            Self::Service(run) => run.service(),
            Self::Scope(run) => run.scope(),
        }
    }

    /// The run-time directory.
    pub(crate) fn directory(&self) -> PathBuf {
        match self {
            Self::Container(name) => container_directory(name),
            Self::Service(run) | Self::Scope(run) => run.directory(),
        }
    }

    /// The name by which the runtime, and its hooks, know it.
    pub(crate) fn runtime_id(&self) -> String {
        match self {
            Self::Container(name) => name.to_string(),
            Self::Service(run) | Self::Scope(run) => run.to_string(),
        }
    }

    /// The container.
    pub(crate) fn container(&self) -> &ContainerName {
        match self {
            Self::Container(name) => name,
            Self::Service(run) | Self::Scope(run) => &run.container,
        }
    }

    /// The run, if it is one.
    pub(crate) fn run(&self) -> Option<&RunName> {
        match self {
            Self::Container(_) => None,
            Self::Service(run) | Self::Scope(run) => Some(run),
        }
    }

    /// Whether PID 1 waits for it to be started, and listens to what it says of that.
    pub(crate) fn has_manager(&self) -> bool {
        !matches!(self, Self::Scope(_))
    }
}

/// The run-time directory of a container's own life.
pub(crate) fn container_directory(name: &ContainerName) -> PathBuf {
    Path::new("/run/ct").join(name.as_str())
}
