// SPDX-License-Identifier: MIT OR Apache-2.0
//! This program executes a copy of itself in memory that nobody can write to, for processes of it are inside containers.
//!
//! What runs as root there may execute the program over again (`#!/proc/self/exe` with libraries of its own) and keep a
//! descriptor of it. Of the host's file that descriptor can be opened for writing as soon as nobody executes it any
//! longer, after an upgrade for example: CVE-2019-5736.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;

/// What this program executes.
const SELF: &str = "/proc/self/exe";
/// The copy's name, and that of its process: execve(2) would take the descriptor's number.
const NAME: &str = "ct-lxc";

/// All that may ever change in it.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Comes back only in the copy.
pub(crate) fn execute_from_memory() -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot execute a copy of this program: {error}");
    let program = File::open(SELF).map_err(failed)?;
    // A file on a disk has no seals to ask for.
    if fcntl_get_seals(&program).is_ok_and(|seals| seals.contains(SEALS)) {
        return std::fs::write("/proc/self/comm", NAME).map_err(failed);
    }
    execute_copy(program).map(|never| match never {}).map_err(failed)
}

fn execute_copy(mut program: File) -> io::Result<Infallible> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Before 6.3 no kernel knows the last one, and every such file can be executed.
    let made = match memfd_create(NAME, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(NAME, flags),
        other => other,
    };
    let mut copy = File::from(made?);
    io::copy(&mut program, &mut copy)?;
    fcntl_add_seals(&copy, SEALS)?;
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    let name = arguments.first().cloned().unwrap_or_else(|| NAME.into());
    Err(command.arg0(name).args(arguments.iter().skip(1)).exec())
}
