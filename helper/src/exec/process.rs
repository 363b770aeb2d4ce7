// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process in the runtime's words (OCI runtime-spec, "process"): that of the container's own config.json, as it was
//! started, with what was asked for. So capabilities, system-call filter and no_new_privileges are the container's.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use ct_channel::message::{Request, Size, Why};
use ct_config::container::{EnvFile, IdName, Process as Wanted};
use nix::fcntl::OFlag;
use oci_spec::runtime::{BoxBuilder, Process, Spec, User, UserBuilder};

use super::NotRun;
use crate::bundle::malformed;
use crate::exit::Error;
use crate::runtime::places::Places;
use crate::{confined, container_user, env_file};

/// Variables by which the container's init speaks to ct, and nobody else shall.
const OF_INIT: [&str; 2] = ["NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// Puts it together. `drops_groups`: the runtime cannot set supplementary groups.
pub(super) fn render(
    request: &Request,
    root: &OwnedFd,
    places: &Places,
    drops_groups: bool,
) -> Result<Process, NotRun> {
    let mut process = of_container(&places.bundle)?;
    process.set_args(Some(request.command.clone()));
    process.set_terminal(Some(request.terminal.is_some()));
    process.set_console_size(None);
    if let Some(Size { rows, columns }) = request.terminal.filter(|size| *size != Size::default()) {
        let size = BoxBuilder::default().height(u64::from(rows)).width(u64::from(columns)).build();
        process.set_console_size(Some(size.map_err(malformed)?));
    }
    if let Some(user) = &request.user {
        let umask = process.user().umask();
        let mut user = resolve(user, root)?;
        user.set_umask(umask);
        if drops_groups {
            user.set_additional_gids(None);
        }
        process.set_user(user);
    }
    if let Some(cwd) = &request.cwd {
        check_directory(cwd, root)?;
        process.set_cwd(cwd.clone());
    }
    let environment = environment(&process, request)?;
    process.set_env(Some(environment.iter().map(|(key, value)| format!("{key}={value}")).collect()));
    Ok(process)
}

/// That of the container's init. The file may be an account's, who runs the runtime with it anyhow.
fn of_container(bundle: &Path) -> Result<Process, NotRun> {
    let path = bundle.join("config.json");
    let read = confined::host_path(&path).and_then(|opened| confined::read_regular(&opened));
    let bytes = read.map_err(|e| Error::system(format!("read {}", path.display()), e))?;
    let spec: Result<Spec, _> = serde_json::from_slice(&bytes);
    let process = spec.ok().and_then(|spec| spec.process().clone());
    process.ok_or_else(|| NotRun::because(format!("{} has no process", path.display())))
}

/// `USER[:GROUP]`, in the container's own files.
fn resolve(text: &str, root: &OwnedFd) -> Result<User, NotRun> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let wanted = Wanted { user: Some(id(user)?), group: group.map(id).transpose()?, ..Wanted::default() };
    let found = container_user::resolve(root, &wanted)?;
    let found = found.ok_or_else(|| NotRun::because(format!("no user {text:?}")))?;
    let user = UserBuilder::default().uid(found.uid).gid(found.gid).additional_gids(found.groups).build();
    Ok(user.map_err(malformed)?)
}

/// A name or a number; chown(2) takes the highest one for "leave it".
fn id(text: &str) -> Result<IdName, NotRun> {
    match text.parse() {
        Ok(u32::MAX) => Err(NotRun::because(format!("{text} is no id"))),
        Ok(number) => Ok(IdName::Id(number)),
        // More digits than an id has would be looked up as a name, and is none.
        Err(_) if text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(NotRun::because(format!("{text:?} is no user or group (USER[:GROUP], names or numbers)")))
        }
        Err(_) => Ok(IdName::Name(text.to_owned())),
    }
}

/// The runtime would make one that is not there, and follow a link of /proc to wherever that leads.
fn check_directory(cwd: &Path, root: &OwnedFd) -> Result<(), NotRun> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    if !cwd.is_absolute() {
        return Err(NotRun::because(format!("the directory {} is not absolute", cwd.display())));
    }
    confined::in_root(root, cwd, flags).map(drop).map_err(|error| {
        let error = Error::system(format!("open the directory {} in the container", cwd.display()), error);
        NotRun { why: Why::NotExecutable, ..NotRun::from(error) }
    })
}

/// The container's own, then the files, then what was given.
fn environment(process: &Process, request: &Request) -> Result<BTreeMap<String, String>, NotRun> {
    let mut environment = BTreeMap::new();
    for assignment in process.env().iter().flatten() {
        let (key, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        if !OF_INIT.contains(&key) {
            environment.insert(key.to_owned(), value.to_owned());
        }
    }
    let files: Vec<EnvFile> =
        request.env_files.iter().map(|path| EnvFile { path: path.clone(), optional: false }).collect();
    environment.extend(env_file::read_all(&files)?);
    environment.extend(request.env.iter().cloned());
    Ok(environment)
}
