// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.init`: a program that is process 1 in place of one that is not made for it. It reaps what nobody else
//! waits for, and passes signals on, which process 1 would ignore unless it has handlers for them
//! (pid_namespaces(7)).

use std::path::Path;

use ct_config::container::{Create, Mount};

use crate::exit::Error;

/// Where the container finds it: on the tmpfs that every container has.
pub(crate) const TARGET: &str = "/dev/ct-init";

/// Statically linked ones, so that they work in any root file system: catatonit's, and tini's.
const PROGRAMS: [&str; 4] = [
    "/usr/bin/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/tini-static",
];

/// The host's program as a mount into the container.
pub(crate) fn mount() -> Result<Mount, Error> {
    let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
    let program = program.ok_or_else(|| Error::NoSmallInit {
        reason: format!("none of {} is there; install catatonit or tini", PROGRAMS.join(", ")),
    })?;
    Ok(Mount {
        source: program.into(),
        target: TARGET.into(),
        kind: "bind".to_owned(),
        options: vec!["ro".to_owned(), "nosuid".to_owned(), "nodev".to_owned()],
        create: Create::File,
    })
}

/// The command with it in front.
pub(crate) fn in_front_of(command: &[String]) -> Vec<String> {
    [TARGET.to_owned(), "--".to_owned()].into_iter().chain(command.iter().cloned()).collect()
}
