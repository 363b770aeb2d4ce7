// SPDX-License-Identifier: MIT OR Apache-2.0
//! LXC (lxc.container.conf(5)), which is no OCI runtime: it reads a config of its own, and a process of it, the monitor,
//! stays as long as the container does and is the parent of init.
//!
//! So the monitor is the unit's main process. It is ct's own program around LXC's library (`helper/lxc`), for lxc-start(1)
//! does not end as init did. Signals that it gets it passes on to init, and its death takes init along. The LXC config is
//! rendered from the same assembled specification that the OCI runtimes get as config.json, which is written too: the
//! command and its environment are read there.

mod binds;
mod config;
mod entries;
mod monitor;
mod network;
mod seccomp;
pub(crate) mod terminal;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, chown};
use oci_spec::runtime::Spec;

use super::adoption::children_of;
use super::call::Call;
use super::family::Family;
use super::places::{Places, Streams};
use super::said::read_untrusted;
use crate::account::Account;
use crate::bundle;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::exec::files::ExecFiles;
use crate::exit::{Error, printable};
use crate::sys;

/// LXC 5 and 6.
#[derive(Debug)]
pub(super) struct Lxc;

impl Family for Lxc {
    fn makes_own_groups(&self) -> bool {
        true
    }

    /// A node made by hand would have to be described a second time; what is bound is the host's own.
    fn binds_devices(&self) -> bool {
        true
    }

    fn takes_standard_files(&self) -> bool {
        true
    }

    fn write_config(&self, spec: &Spec, places: &Places, account: &Account) -> Result<(), Error> {
        let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
        let profile = seccomp.map(seccomp::render).transpose()?;
        let profile_path = profile.is_some().then(|| places.bundle.join("seccomp"));
        let mut prepared = spec.clone();
        binds::prepare(&mut prepared, run_of(places))?;
        let config = config::render(&prepared, profile_path.as_deref())?;
        if let (Some(text), Some(path)) = (&profile, &profile_path) {
            write(path, text, account)?;
        }
        write(&config_path(places), &config, account)?;
        bundle::write(spec, &places.bundle, account)
    }

    fn start(&self, call: &Call<'_>, cgroup: &UnitCgroup, streams: Streams) -> Result<i32, Error> {
        let unstarted = call.places.state.join("unstarted");
        mark(&unstarted)?;
        let mut command = program(call, "start");
        command.arg(option("config", &call.places.bundle.join("config.json")));
        command.arg(option("log", &call.log())).arg(option("unstarted", &unstarted));
        let (spec, account) = (read_spec(call.places)?, call.account);
        network::leave(&mut command, &spec, account)?;
        let socket = streams.console_socket.clone();
        streams.give_to(&mut command)?;
        if let Some(socket) = socket {
            let terminal = terminal::make(&spec, &socket)?;
            command.arg(option("terminal", &terminal.path));
            let again = || terminal.slave.try_clone().map_err(|e| Error::system("dup", e));
            command.stdin(again()?).stdout(again()?).stderr(again()?);
        }
        // LXC makes groups for an account only where it finds itself in one that is the account's.
        sys::enter_cgroup_before_exec(&mut command, cgroup.payload_procs()?);
        if !account.is_root() {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            sys::switch_user_before_exec(&mut command, uid, gid, cgroup.groups_of_account());
        }
        let path = call.path.display();
        let monitor = monitor::spawn(command)
            .map_err(|e| Error::system(format!("execute {path} as {}", account.name), e))?;
        if monitor::wait_until_it_runs(monitor, cgroup, &unstarted)? {
            return Ok(monitor);
        }
        let said = read_untrusted(&call.log()).ok().and_then(|text| first_error(&text));
        Err(call.failed_because(said.unwrap_or_else(|| "it ended without a word".to_owned())))
    }

    /// Init is the monitor's child, in the innermost group that LXC has made.
    fn init_of(&self, main: i32, cgroup: &UnitCgroup) -> Option<i32> {
        children_of(main).into_iter().find(|pid| cgroup.holds_in(*pid, config::PAYLOAD))
    }

    fn exec(&self, call: &Call<'_>, group: &JobGroup, argv: &[String]) -> Command {
        let mut command = program(call, "exec");
        command.arg(option("config", &call.places.bundle.join("config.json")));
        command.arg(option("cgroup", group.path())).arg("--").args(argv);
        network::enter(&mut command, group);
        command
    }

    fn exec_detached(&self, call: &Call<'_>, group: &JobGroup, files: &ExecFiles) -> Command {
        let mut command = program(call, "exec");
        command.arg(option("process", &files.process())).arg(option("pid-file", &files.pid()));
        command.arg(option("log", &files.log())).arg(option("cgroup", group.path()));
        if let Some(socket) = files.console_socket() {
            command.arg(option("console-socket", socket));
        }
        network::enter(&mut command, group);
        command
    }

    fn complaint(&self, log: &str) -> Option<String> {
        first_error(log)
    }
}

/// The program for one of its verbs, told of which container. LXC looks for it below a path that the container's root must
/// be able to enter.
fn program(call: &Call<'_>, verb: &str) -> Command {
    let mut command = call.program();
    command.arg(verb).arg(option("state", &call.places.state)).arg(option("path", run_of(call.places)));
    command.arg(option("name", Path::new(&call.places.id)));
    command.arg(option("lxc-config", &config_path(call.places)));
    command
}

/// `--KEY=VALUE`
fn option(key: &str, value: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(format!("--{key}="));
    option.push(value);
    option
}

/// `/run/ct/NAME`
fn run_of(places: &Places) -> &Path {
    places.bundle.parent().unwrap_or(Path::new("/"))
}

fn config_path(places: &Places) -> PathBuf {
    places.bundle.join("lxc.conf")
}

/// The specification that was written, by root and unseen by others, a moment ago.
fn read_spec(places: &Places) -> Result<Spec, Error> {
    let path = places.bundle.join("config.json");
    let failed = |e: std::io::Error| Error::system(format!("read {}", path.display()), e);
    let text = std::fs::read(&path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|e| failed(e.into()))
}

/// Leaves a file that the monitor removes when there was a container. At its end a new one could not be made on a full /run,
/// nor by an account while PID 1 has closed the directory to it, and the container's own end would be lost.
fn mark(path: &Path) -> Result<(), Error> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o400).clone();
    options.open(path).map(drop).map_err(|e| Error::system(format!("create {}", path.display()), e))
}

/// Writes a file that only the account can read.
fn write(path: &Path, text: &str, account: &Account) -> Result<(), Error> {
    let failed = |what: &str, e: std::io::Error| Error::system(format!("{what} {}", path.display()), e);
    let options = OpenOptions::new().write(true).create_new(true).mode(0o400).clone();
    let mut file = options.open(path).map_err(|e| failed("create", e))?;
    file.write_all(text.as_bytes()).map_err(|e| failed("write", e))?;
    if !account.is_root() {
        chown(path, Some(Uid::from_raw(account.uid)), None).map_err(|e| failed("chown", e.into()))?;
    }
    Ok(())
}

/// What went wrong first in a log of LXC's: all errors after it are those of its callers. A line is
/// `PREFIX NAME TIME ERROR    FILE - SOURCE:FUNCTION:LINE - TEXT`.
fn first_error(log: &str) -> Option<String> {
    let text = |line: &str| line.splitn(3, " - ").nth(2).map(str::to_owned);
    let errors = || log.lines().filter(|line| line.split_whitespace().nth(3) == Some("ERROR"));
    let own = || log.lines().find_map(|line| line.strip_prefix("ct-lxc: ")).map(str::to_owned);
    // Our own hook, which is there to fail.
    let said = errors().filter_map(text).find(|text| !text.starts_with("Script exited with status"));
    said.or_else(own).map(|said| printable(&said, 500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_the_reason() {
        let log = "ct web 20261122110146.799 WARN     conf - ../src/lxc/conf.c:f:1 - Not so bad\n\
                   ct web 20261122110146.799 ERROR    utils - ../src/lxc/utils.c:open:1 - No such file - Failed to mount \"/a - b\"\n\
                   ct web 20261122110146.800 ERROR    start - ../src/lxc/start.c:spawn:985 - Failed to spawn\n\
                   ct-lxc: LXC did not start the container\n";
        assert_eq!(first_error(log).unwrap(), "No such file - Failed to mount \"/a - b\"");
        assert_eq!(first_error("ct-lxc: is LXC installed?\n").unwrap(), "is LXC installed?");
        assert_eq!(first_error(""), None);
    }
}
