// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is laid over the root before PID 1 runs: the build, and the test's own files.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::root::results_dir;

/// The shell script that fills a directory with a container's root filesystem.
pub(crate) const BUSYBOX_ROOTFS: &str = include_str!("busybox-rootfs.sh");

/// The test's own files, by their paths in the machine.
#[derive(Default)]
pub(crate) struct Seed {
    pub(crate) files: Vec<(PathBuf, u32, String)>,
    pub(crate) links: Vec<(PathBuf, String)>,
    pub(crate) busybox_rootfs: Vec<PathBuf>,
}

impl Seed {
    /// Writes it all below a directory.
    pub(crate) fn fill(&self, dir: &Path) -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        install_build(dir)?;
        let place = |path: &Path| {
            let path = dir.join(path.strip_prefix("/").unwrap_or(path));
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            std::io::Result::Ok(path)
        };
        for path in &self.busybox_rootfs {
            succeeds(Command::new("sh").args(["-c", BUSYBOX_ROOTFS, "sh"]).arg(place(path)?))?;
        }
        for (path, target) in &self.links {
            symlink(target, place(path)?)?;
        }
        for (path, mode, text) in &self.files {
            let path = place(path)?;
            fs::write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(*mode))?;
        }
        Ok(())
    }
}

/// The build of the running test's own target directory, by `make install`.
fn install_build(dir: &Path) -> std::io::Result<()> {
    let results = results_dir();
    let target = results.parent().expect("results are below target");
    // As the Makefile's PROGRAM.
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let programs = target.join(&host).join("release");
    for program in ["ct-generator", "ct-helper", "ct-lxc", "ctctl"] {
        if let Some(source) = newer_source(&programs.join(program)) {
            let message = format!("{program} is older than {}: `make build` first", source.display());
            return Err(std::io::Error::other(message));
        }
    }
    let variable = |name: &str, path: &Path| {
        let mut assignment = OsString::from(name);
        assignment.push(path);
        assignment
    };
    let mut install = Command::new("make");
    // A make above us would hand on its options and its job server.
    install.args(["-s", "-C", concat!(env!("CARGO_MANIFEST_DIR"), "/.."), "install"]);
    install.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    // Told, it need not ask the compiler, which takes longer than all the rest.
    install.args([variable("DESTDIR=", dir), variable("TARGET=", target), variable("HOST=", host.as_ref())]);
    succeeds(&mut install).map_err(|error| std::io::Error::other(format!("after `make build`? {error}")))
}

/// A source changed since its program was linked: the test would be one of yesterday's program.
/// Cargo lists the sources in a Makefile rule beside the program.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let modified = |path: &Path| {
        path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let rule = fs::read_to_string(program.with_extension("d")).ok()?;
    let sources = rule.split_once(": ")?.1.split_whitespace().map(PathBuf::from);
    let built = modified(program);
    sources.into_iter().find(|source| modified(source) > built)
}

pub(crate) fn succeeds(command: &mut Command) -> std::io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(std::io::Error::other(format!("{command:?}: {}\n{stderr}", output.status)))
}
