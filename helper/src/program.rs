// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a container's command could not be run: looked for where the runtime looks, as its own words differ from version
//! to version.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ct_channel::message::Why;
use nix::fcntl::OFlag;
use oci_spec::runtime::Spec;

use crate::confined;

/// What a runtime without `PATH` in the container's environment takes.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a command may be.
#[derive(Debug, Default)]
pub(crate) struct Program {
    candidates: Vec<PathBuf>,
    /// Below these is something that only the runtime sees.
    mounts: Vec<PathBuf>,
}

impl Program {
    /// The one that config.json names.
    pub(crate) fn of(spec: &Spec) -> Self {
        let Some(process) = spec.process() else { return Self::default() };
        let Some(program) = process.args().as_ref().and_then(|args| args.first()) else {
            return Self::default();
        };
        let environment = process.env().iter().flatten();
        let search = environment.filter_map(|variable| variable.strip_prefix("PATH=")).next_back();
        let candidates = if program.contains('/') {
            vec![process.cwd().join(program)]
        } else {
            let directories = search.unwrap_or(DEFAULT_PATH).split(':');
            directories.map(|directory| process.cwd().join(directory).join(program)).collect()
        };
        let mounts = spec.mounts().iter().flatten().map(|mount| mount.destination().clone()).collect();
        Self { candidates, mounts }
    }

    /// Why it could not be run, if it is because of the file.
    pub(crate) fn why_not(&self, rootfs: &OwnedFd) -> Option<Why> {
        let mut why = (!self.candidates.is_empty()).then_some(Why::NotFound);
        for path in &self.candidates {
            if self.mounts.iter().any(|mount| path.starts_with(mount)) {
                why = None;
                continue;
            }
            match is_executable(rootfs, path) {
                Some(true) => return None,
                Some(false) => why = why.map(|_| Why::NotExecutable),
                None => {}
            }
        }
        why
    }
}

/// Whether anybody may execute it; `None` where there is nothing.
fn is_executable(rootfs: &OwnedFd, path: &Path) -> Option<bool> {
    let opened = confined::in_root(rootfs, path, OFlag::O_PATH).ok()?;
    let metadata = std::fs::metadata(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
    Some(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
