// SPDX-License-Identifier: MIT OR Apache-2.0
//! `destroy`: a container and all that is its own are taken away. Each step is tried, whatever became of those before;
//! what failed is listed, and a second run does what is left.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::run::RunName;
use ct_config::sources::CONTAINER_DIRS;
use ct_dbus::Systemd;
use ct_dbus::job::{JobResult, Verb};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::container_of;
use crate::question::ask;

/// Stop containers, and remove their configs and data
///
/// Removed are the config with its drop-ins below /etc/ct and /run/ct, what `systemctl enable` linked, what ctctl set, and
/// the data in /var/lib/ct/NAME. The root file system that root.path or root.bundle names stays, and so do layers, which
/// other containers may have too. Names are exact here. A container of which nothing is left is no error.
#[derive(Debug, Args)]
pub struct DestroyArguments {
    /// Exact names of containers
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Leave /var/lib/ct/NAME where it is
    #[arg(long)]
    keep_data: bool,
}

/// What there is of a container.
#[derive(Debug)]
struct Remains {
    name: ContainerName,
    /// Its units that have processes, or are about to: its own, and those of `ctctl run`, which have the same files.
    running: Vec<String>,
    /// Configs and what goes with them, below the root.
    files: Vec<PathBuf>,
    /// Its data, if that is to go.
    data: Option<PathBuf>,
    /// A config that comes with the system.
    vendors: Option<PathBuf>,
}

/// `ctctl destroy`
pub fn destroy(arguments: &DestroyArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("destroy")?;
    let parse = |given: &String| {
        ContainerName::parse(container_of(given).unwrap_or(given))
            .map_err(|error| Error::Usage(error.to_string()))
    };
    let names: Vec<ContainerName> = arguments.names.iter().map(parse).collect::<Result<_, _>>()?;
    // A folder that stands for / has no systemd.
    let systemd = if context.root() == Path::new("/") { Some(context.systemd()?) } else { None };
    let mut status = Status::Done;
    for name in names {
        let remains = Remains::of(name, arguments.keep_data, systemd, context.root())?;
        if remains.is_nothing() {
            eprintln!("ctctl: there is nothing of {}", remains.name);
            continue;
        }
        if !arguments.yes && !ask(&remains.question(), false)? {
            eprintln!("ctctl: {} was left alone", remains.name);
            status = status.and(Status::Failed);
            continue;
        }
        remains.may_be_removed()?;
        let failures = remains.remove(systemd);
        for failure in &failures {
            eprintln!("ctctl: destroy {}: {}", remains.name, failure.story());
        }
        status = failures.iter().fold(status, |status, failure| status.and(failure.status()));
    }
    Ok(status)
}

impl Remains {
    fn of(
        name: ContainerName,
        keep_data: bool,
        systemd: Option<&Systemd>,
        root: &Path,
    ) -> Result<Self, Error> {
        let unit = name.unit();
        let running = systemd.map(|systemd| running(&name, systemd)).transpose()?.unwrap_or_default();
        let there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        let below = |path: String| root.join(path.trim_start_matches('/'));
        let [administrators, until_reboot, vendors] = CONTAINER_DIRS;
        let files = [administrators, until_reboot]
            .into_iter()
            .flat_map(|dir| {
                let main = format!("{dir}/{name}.toml");
                let hidden = ["edit.toml", "edit.base", "toml.new"].map(|end| format!("{dir}/.{name}.{end}"));
                hidden.into_iter().chain([format!("{main}.d"), main])
            })
            .chain(["etc", "run"].map(|dir| format!("{dir}/systemd/system.control/{unit}.d")))
            .map(below)
            .filter(there)
            .collect();
        let data = Some(below(format!("var/lib/ct/{name}"))).filter(|_| !keep_data).filter(there);
        let vendors = Some(below(format!("{vendors}/{name}.toml"))).filter(there);
        Ok(Self { name, running, files, data, vendors })
    }

    fn is_nothing(&self) -> bool {
        self.running.is_empty() && self.files.is_empty() && self.data.is_none() && self.vendors.is_none()
    }

    fn question(&self) -> String {
        let stop: String = self.running.iter().map(|unit| format!("{unit} is stopped. ")).collect();
        let paths: String =
            self.files.iter().chain(&self.data).map(|path| format!("  {}\n", path.display())).collect();
        format!("Destroy {}? {stop}Removed for good:\n{paths}Go on?", self.name)
    }

    /// Before anything is stopped: systemd may let somebody do that who may not remove a file.
    fn may_be_removed(&self) -> Result<(), Error> {
        let folders = self.files.iter().chain(&self.data).filter_map(|path| path.parent());
        folders.into_iter().try_for_each(|folder| {
            rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).map_err(|error| {
                Error::system(format!("cannot remove anything from {}", folder.display()), error)
            })
        })
    }

    /// Every step; what failed.
    fn remove(&self, systemd: Option<&Systemd>) -> Vec<Error> {
        let mut failures = Vec::new();
        let mut stopped = true;
        if let Some(systemd) = systemd {
            if let Err(error) = self.stop(systemd) {
                failures.push(error);
                stopped = false;
            }
            failures.extend(systemd.disable(self.name.unit().as_str()).err().map(Error::from));
        }
        failures.extend(self.files.iter().filter_map(|file| remove_all(file).err()));
        if let Some(data) = &self.data {
            if stopped {
                failures.extend(remove_all(data).err());
            } else {
                let reason = format!("{} is left, since it still runs", data.display());
                failures.push(Error::failed(reason));
            }
        }
        if let Some(vendors) = &self.vendors {
            failures.push(Error::failed(format!(
                "{} is the system's own (mask it: ln -s /dev/null /etc/ct/containers/{}.toml)",
                vendors.display(),
                self.name
            )));
        }
        if let Some(systemd) = systemd {
            failures.extend(systemd.reload().err().map(Error::from));
            // Only a failed unit has something to be reset; one that is not loaded any more has not failed.
            let _ = systemd.reset_failed(self.name.unit().as_str());
        }
        failures
    }

    fn stop(&self, systemd: &Systemd) -> Result<(), Error> {
        for unit in &self.running {
            // systemd 257 does not stop what is frozen; what is not frozen needs no thawing.
            let _ = systemd.thaw(unit);
            match systemd.run(Verb::Stop, unit, None) {
                // A scope is gone with its last process.
                Ok(JobResult::Done) | Err(ct_dbus::Error::NoSuchUnit { .. }) => {}
                Ok(result) => return Err(Error::failed(format!("stop {unit}: {result}"))),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The units of a container that are not at rest.
fn running(name: &ContainerName, systemd: &Systemd) -> Result<Vec<String>, Error> {
    let own = name.unit().to_string();
    let runs = format!("ct-run-{name}-*");
    let is_its = |unit: &str| {
        let run = unit.strip_prefix("ct-run-").and_then(|rest| rest.rsplit_once('.'));
        unit == own || run.is_some_and(|(run, _)| RunName::of(name, run).is_some())
    };
    let units = systemd.list(&[&own, &runs])?.into_iter();
    let busy = units.filter(|unit| !matches!(unit.active_state.as_str(), "inactive" | "failed"));
    Ok(busy.map(|unit| unit.name).filter(|unit| is_its(unit)).collect())
}

/// Removes a file, a link, or a folder with all that is in it. What is mounted in there is somebody's and stays.
fn remove_all(path: &Path) -> Result<(), Error> {
    let failed = |error| Error::system(format!("cannot remove {}", path.display()), error);
    if let Some(mount) = mount_below(path)? {
        return Err(Error::failed(format!(
            "cannot remove {}: {} is mounted",
            path.display(),
            mount.display()
        )));
    }
    let is_dir = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?.is_dir(),
    };
    if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(failed)
}

/// A mount point there or below, see proc_pid_mountinfo(5).
fn mount_below(path: &Path) -> Result<Option<PathBuf>, Error> {
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(_) => return Ok(None),
    };
    let table = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| Error::system("cannot read /proc/self/mountinfo", error))?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(unescaped).find(|point| point.starts_with(&path)))
}

/// Blanks and the like are `\040` there.
fn unescaped(point: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let mut bytes = Vec::with_capacity(point.len());
    let mut rest = point.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code =
            after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescaped(r"/a\040b\134c\x"), Path::new(r"/a b\c\x"));
    }
}
