// SPDX-License-Identifier: MIT OR Apache-2.0
//! `checkpoint` and `restore`: what runs in a container, to the disk and back. The runtime writes it and reads it; systemd is
//! told that this end is none of a failure, and that this start goes on from there.
//!
//! The runtime kills what it has written. To systemd that would be a crash, to be restarted after; so a drop-in says
//! otherwise, for the while. It is no setting that PID 1 takes for a unit that is there.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::settings::HELPER;
use ct_dbus::Systemd;
use ct_dbus::job::Verb;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::run_all;
use crate::names::resolve;
use crate::output::safe;

/// Where the helper looks for what a start is to go on from.
const REQUESTS: &str = "/run/ct-restore";
/// systemd.unit(5), below what an administrator writes to /etc.
const DROP_INS: &str = "/run/systemd/system";
/// How long the end of the container may take to be seen by systemd.
const PATIENCE: Duration = Duration::from_secs(30);

/// Write what runs in a container to the disk, and end it
///
/// Memory, open files and all else of its processes are written to a directory, from which `ctctl restore` goes on with them. The
/// unit is inactive then: it has not failed, and is not started again. A checkpoint appears whole or not at all, and takes
/// the place of an older one of the same container. What the container keeps in its root file system and in mounts is not
/// part of it, and must be there as it was.
///
/// It takes root, a container without an account, whose root file system outlives it, and a runtime that can: runsc; runc, and
/// crun if it was built for it, with CRIU, see criu(8). With CRIU `log.mode` must be "pipe" or "none": it has but one end of the
/// journal's stream. There must be no `process.terminal` and no `ready.notify`. If the runtime fails, the container goes on, and what it says is shown.
#[derive(Debug, Args)]
pub struct CheckpointArguments {
    /// The name of a container, or a beginning that is unique
    name: String,
    /// Where to write it instead of /var/lib/ct/NAME/checkpoint, in a directory that root alone can write to
    ///
    /// If DIR is there, it must be a checkpoint.
    #[arg(value_name = "DIR")]
    image: Option<PathBuf>,
    /// Let the container go on (not with runsc)
    #[arg(long)]
    leave_running: bool,
}

/// Start a container from a checkpoint
///
/// The container must not run, and its config must be the one of the checkpoint, which stays where it is. Only this start
/// uses the checkpoint. Later starts, also those that `[restart]` makes, are normal ones.
///
/// The files that its programs had open must be there as they were: CRIU goes on with none that has gone or has another size. It says
/// which.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The name of a container, or a beginning that is unique
    name: String,
    /// Where the checkpoint is, if not in /var/lib/ct/NAME/checkpoint
    #[arg(value_name = "DIR")]
    image: Option<PathBuf>,
}

/// `ctctl checkpoint`
pub fn checkpoint(arguments: &CheckpointArguments, context: &Context) -> Result<Status, Error> {
    let (name, image) = subject("checkpoint", &arguments.name, arguments.image.as_deref(), context)?;
    let systemd = context.systemd()?;
    let unit = name.unit().to_string();
    let state = systemd.unit(&unit)?.text("ActiveState").to_owned();
    if state != "active" {
        return Err(Error::failed(format!("{name} is not running ({state})")));
    }
    if arguments.leave_running {
        return dump(&name, &image, true);
    }
    let expected = Expected::tell(systemd, &unit)?;
    let status = dump(&name, &image, false)?;
    let ended = until_ended(systemd, &unit);
    drop(expected);
    ended.map(|()| status)
}

/// `ctctl restore`
pub fn restore(arguments: &RestoreArguments, context: &Context) -> Result<Status, Error> {
    let (name, image) = subject("restore", &arguments.name, arguments.image.as_deref(), context)?;
    if !image.join("ct.json").is_file() {
        return Err(Error::failed(format!("there is no checkpoint in {}", image.display())));
    }
    let state = context.systemd()?.unit(name.unit().as_str())?.text("ActiveState").to_owned();
    if !matches!(state.as_str(), "inactive" | "failed") {
        return Err(Error::failed(format!("{name} runs ({state}): stop it first")));
    }
    let _request = Request::make(&name, &image)?;
    run_all(Verb::Start, std::slice::from_ref(&name), context)
}

/// The container, and where its checkpoint is.
fn subject(
    verb: &str,
    name: &str,
    image: Option<&Path>,
    context: &Context,
) -> Result<(ContainerName, PathBuf), Error> {
    context.only_here(verb)?;
    if !nix::unistd::geteuid().is_root() {
        let reason = format!("not permitted: {verb} takes root");
        return Err(Error::Failed { reason, status: Status::NotPermitted });
    }
    let name = resolve(name, context)?;
    let image = match image {
        None => PathBuf::from(format!("/var/lib/ct/{name}/checkpoint")),
        Some(path) => {
            std::path::absolute(path).map_err(|e| Error::system("find the current directory", e))?
        }
    };
    Ok((name, image))
}

/// Has the helper have the runtime write it.
fn dump(name: &ContainerName, image: &Path, leave_running: bool) -> Result<Status, Error> {
    let mut command = Command::new(HELPER);
    command.arg("checkpoint").args(leave_running.then_some("--leave-running")).arg(name.as_str()).arg(image);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| Error::system(format!("execute {HELPER}"), e))?;
    if output.status.success() {
        return Ok(Status::Done);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("ct-helper: ");
    Err(Error::failed(if said.is_empty() { output.status.to_string() } else { safe(said).into_owned() }))
}

/// That systemd takes the coming end for a good one, until this is dropped.
struct Expected<'s> {
    systemd: &'s Systemd,
    directory: PathBuf,
}

impl<'s> Expected<'s> {
    fn tell(systemd: &'s Systemd, unit: &str) -> Result<Self, Error> {
        let directory = Path::new(DROP_INS).join(format!("{unit}.d"));
        let path = directory.join("90-ct-checkpoint.conf");
        let failed = |e| Error::system(format!("write {}", path.display()), e);
        fs::create_dir_all(&directory).map_err(failed)?;
        let expected = Self { systemd, directory: directory.clone() };
        // runsc's sandbox ends by itself, what CRIU has written is killed.
        let text = "# Written by ctctl while it makes a checkpoint.\n[Service]\n\
                    SuccessExitStatus=SIGKILL\nRestartPreventExitStatus=0 SIGKILL\n";
        fs::write(&path, text).map_err(failed)?;
        systemd.reload()?;
        Ok(expected)
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        // What else is in there is somebody else's.
        let _ = fs::remove_file(self.directory.join("90-ct-checkpoint.conf"));
        let _ = fs::remove_dir(&self.directory);
        if let Err(error) = self.systemd.reload() {
            eprintln!("ctctl: {}, ignoring", safe(&error.to_string()));
        }
    }
}

fn until_ended(systemd: &Systemd, unit: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    // Before the look: what changes after it is heard.
    let mut watch = systemd.watch(unit)?;
    loop {
        let state = systemd.unit(unit)?.text("ActiveState").to_owned();
        if matches!(state.as_str(), "inactive" | "failed") {
            return Ok(());
        }
        if watch.next(Some(deadline))?.is_none() {
            return Err(Error::failed(format!("the checkpoint is made, and {unit} is still {state}")));
        }
    }
}

/// The file that makes the next start one from a checkpoint. The start takes it away; whatever becomes of that, it is gone
/// when this is dropped.
struct Request {
    path: PathBuf,
}

impl Request {
    fn make(name: &ContainerName, image: &Path) -> Result<Self, Error> {
        let directory = Path::new(REQUESTS);
        let path = directory.join(name.as_str());
        let failed = |e| Error::system(format!("write {}", path.display()), e);
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed(e)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| {
            if e.kind() == ErrorKind::AlreadyExists {
                return Error::failed(format!(
                    "{name} is being restored by somebody else ({})",
                    path.display()
                ));
            }
            failed(e)
        })?;
        let request = Self { path: path.clone() };
        file.write_all(image.as_os_str().as_encoded_bytes()).map_err(failed)?;
        Ok(request)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // Gone already, as a rule.
        let _ = fs::remove_file(&self.path);
    }
}
