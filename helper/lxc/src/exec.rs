// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-lxc exec`: a command inside a container that runs. With `--pid-file` it is left behind, a child of whoever adopts
//! this process's; without, its end is waited for.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid};

use crate::arguments::Arguments;
use crate::command::Process;
use crate::liblxc::{self, Liblxc};
use crate::{FAILED, locks, terminal};

/// Runs the command.
pub(crate) fn exec(arguments: &Arguments) -> Result<i32, String> {
    liblxc::default_sigpipe();
    let process = match arguments.optional_path("process") {
        Some(path) => Process::read(&path)?,
        None => Process::of_config(&arguments.path("config")?)?,
    };
    let argv = match arguments.command.as_slice() {
        [] => process.argv()?,
        given => given.to_vec(),
    };
    if let Some(group) = arguments.optional_path("cgroup").filter(|_| geteuid().is_root()) {
        enter(&group)?;
    }
    let console = match (process.terminal(), arguments.optional_path("console-socket")) {
        (Some(size), Some(socket)) => Some((terminal::connect(&socket)?, size)),
        _ => None,
    };
    locks::keep_to(&arguments.path("state")?)?;
    let (name, library) = (arguments.text("name")?, Liblxc::load()?);
    if arguments.optional_path("log").is_some() {
        library.log_to(&arguments.text("log")?, &name)?;
    }
    let mut container = library.container(&name, &arguments.text("path")?)?;
    container.load_config(&arguments.text("lxc-config")?)?;
    let mut inside = || {
        if let Some((connection, (rows, columns))) = &console
            && let Err(reason) = terminal::take(connection, *rows, *columns)
        {
            eprintln!("ct-lxc: {reason}");
            return FAILED;
        }
        liblxc::close_on_exec_above_stderr();
        process.execute(&argv)
    };
    let pid = container
        .attach(&process.credentials(), &mut inside)
        .ok_or("LXC does not let the command into the container")?;
    match arguments.optional_path("pid-file") {
        Some(path) => write(&path, pid).map(|()| 0),
        None => Ok(wait_for(pid)),
    }
}

/// Moves this process into a control group.
fn enter(group: &Path) -> Result<(), String> {
    let procs = group.join("cgroup.procs");
    let opened = OpenOptions::new().write(true).open(&procs);
    let moved = opened.and_then(|mut file| file.write_all(b"0"));
    moved.map_err(|error| format!("cannot enter {}: {error}", group.display()))
}

fn write(path: &Path, pid: i32) -> Result<(), String> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o400).clone();
    let written = options.open(path).and_then(|mut file| file.write_all(pid.to_string().as_bytes()));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// The status of a shell for the end of a process.
fn wait_for(pid: i32) -> i32 {
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Ok(WaitStatus::Exited(_, status)) => return status,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return FAILED,
        }
    }
}
