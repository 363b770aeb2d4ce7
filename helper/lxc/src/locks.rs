// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where liblxc keeps its locks: for root in /run/lxc, where it forgets one for each container that ever was. This
//! process sees a directory of the container's own there, which goes with it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;

/// RUNTIME_PATH of the library, and its own directory there.
const LOCKS: &str = "/run/lxc";

/// Has the library keep its locks in `state`. Without privileges that is what it does by itself (XDG_RUNTIME_DIR).
pub(crate) fn keep_to(state: &Path) -> Result<(), String> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let failed = |what: &str, error: nix::Error| format!("cannot {what}: {error}");
    match DirBuilder::new().mode(0o755).create(LOCKS) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(format!("cannot make {LOCKS}: {error}"));
        }
        _ => {}
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| failed("unshare(CLONE_NEWNS)", error))?;
    let private = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|error| failed("mount /", error))?;
    mount(Some(state), LOCKS, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|error| failed("mount over /run/lxc", error))
}
