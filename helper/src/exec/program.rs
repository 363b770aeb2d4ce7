// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a command does not run: looked up where the runtime looks it up, since each runtime says it in other words.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ct_channel::message::Why;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use oci_spec::runtime::Process;

use super::NotRun;
use crate::confined;
use crate::exit::printable;

/// What execve(2) says of a file that is there and looks like a program: that of no format, for another user, without its
/// interpreter. Here alone the runtime's own words count: who may execute what is more than the mode of one file.
const REFUSED: [&str; 5] = [
    "not executable",
    "permission denied",
    "exec format error",
    "text file busy",
    "no such file or directory",
];

/// Why the program of `process` cannot run, if its file alone shows that. The runtime would say the same, on the command's
/// own standard error.
pub(super) fn check(root: &OwnedFd, process: &Process) -> Result<(), NotRun> {
    let program = process.args().as_ref().and_then(|args| args.first()).map_or("", String::as_str);
    let shown = printable(program, 200);
    let (why, reason) = match find(root, program, process) {
        Some(Found::Program) => return Ok(()),
        Some(Found::Other) => (Why::NotExecutable, format!("{shown} in the container is no executable file")),
        None if program.contains('/') => (Why::NotFound, format!("there is no {shown} in the container")),
        None => (Why::NotFound, format!("there is no {shown} in the container's $PATH")),
    };
    Err(NotRun { why, reason })
}

/// What it was that the runtime failed at, which says `reason`: the program, or all else.
pub(super) fn why(reason: &str) -> Why {
    let lower = reason.to_lowercase();
    if REFUSED.iter().any(|words| lower.contains(words)) { Why::NotExecutable } else { Why::NotStarted }
}

/// The best that is found.
fn find(root: &OwnedFd, program: &str, process: &Process) -> Option<Found> {
    let found: Vec<Found> = places(program, process).iter().filter_map(|path| look(root, path)).collect();
    let is_program = found.contains(&Found::Program);
    if is_program { Some(Found::Program) } else { found.first().copied() }
}

/// Where a program may be, as execvp(3) has it.
fn places(program: &str, process: &Process) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![process.cwd().join(program)];
    }
    let path = process.env().iter().flatten().find_map(|variable| variable.strip_prefix("PATH="));
    path.unwrap_or_default()
        .split(':')
        .filter(|directory| !program.is_empty() && !directory.is_empty())
        .map(|directory| process.cwd().join(directory).join(program))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A file that somebody may execute, or one that cannot be looked at.
    Program,
    /// A directory, or a file without an executable bit.
    Other,
}

/// Only ever looks: nothing of the container's is opened.
fn look(root: &OwnedFd, path: &Path) -> Option<Found> {
    match confined::in_root(root, path, OFlag::O_PATH) {
        Ok(file) => Some(match fstat(&file) {
            Ok(stat) if stat.st_mode & libc::S_IFMT != libc::S_IFREG => Found::Other,
            Ok(stat) if std::fs::Permissions::from_mode(stat.st_mode).mode() & 0o111 == 0 => Found::Other,
            _ => Found::Program,
        }),
        Err(e) => match e.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => None,
            _ => Some(Found::Program),
        },
    }
}
