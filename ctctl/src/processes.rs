// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ps`: the processes of containers, as the kernel has them in the units' cgroups. Nothing is asked of the inside: a
//! container's own ps(1) is the container's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;

use clap::Args;
use ct_config::name::ContainerName;
use serde::Serialize;

use crate::amount;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve_all;
use crate::output::{print_json, print_table};
use crate::units;

/// How much of a command line is read: a process may have megabytes of it.
const MAX_COMMAND: u64 = 4096;

/// List the processes of containers, as the host has them
///
/// PID is the host's number, INSIDE the container's own; USER is an account of the host, or a number that has none.
///
/// With --json an array of objects: container, pid, pid_inside, parent, user, uid, state (see proc(5)), cpu (microseconds),
/// memory (bytes), argv.
#[derive(Debug, Args)]
pub struct PsArguments {
    /// Names of containers, or beginnings that are unique; all that run, if there is none
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// One process; the order is that of the JSON.
#[derive(Debug, Serialize)]
struct Process {
    container: String,
    pid: u32,
    pid_inside: Option<u32>,
    parent: Option<u32>,
    user: Option<String>,
    uid: Option<u32>,
    state: Option<String>,
    cpu: Option<u64>,
    memory: Option<u64>,
    argv: Vec<String>,
}

/// `ctctl ps`
pub fn ps(arguments: &PsArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("ps")?;
    let named = resolve_all(&arguments.names, context)?;
    let loaded = units::loaded(context)?;
    let wanted: Vec<&ContainerName> =
        if named.is_empty() { loaded.keys().collect() } else { named.iter().collect() };
    let accounts = accounts();
    let mut status = Status::Done;
    let mut processes = Vec::new();
    for name in wanted {
        match loaded.get(name).and_then(|unit| unit.group.as_ref()) {
            Some(group) => {
                let read = |pid| Process::read(name, pid, &accounts);
                processes.extend(group.processes().into_iter().filter_map(read));
            }
            None if named.is_empty() => {}
            None => {
                eprintln!("ctctl: {name} is not running");
                status = status.and(Status::NotRunning);
            }
        }
    }
    if arguments.json {
        print_json(&processes)?;
    } else {
        let rows: Vec<Vec<String>> = processes.iter().map(Process::cells).collect();
        print_table(&HEADER, &rows, &[1, 2, 5, 6])?;
    }
    Ok(status)
}

const HEADER: [&str; 8] = ["CONTAINER", "PID", "INSIDE", "USER", "STATE", "CPU", "MEMORY", "COMMAND"];

impl Process {
    /// `None` for one that is gone meanwhile.
    fn read(name: &ContainerName, pid: u32, accounts: &BTreeMap<u32, String>) -> Option<Self> {
        let status = read(pid, "status")?;
        let status = String::from_utf8_lossy(&status);
        let field = |key: &str| {
            status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
        };
        // Real, effective, saved, file system.
        let uid = field("Uid").and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok());
        // From the outermost namespace to the innermost.
        let pid_inside = field("NSpid").and_then(|pids| pids.split_ascii_whitespace().last()?.parse().ok());
        let kilobytes = field("VmRSS").and_then(|size| size.split(' ').next()?.parse::<u64>().ok());
        let mut argv = arguments(&read(pid, "cmdline").unwrap_or_default());
        if argv.is_empty() {
            // One that has ended, and that nobody has waited for.
            argv.push(format!("[{}]", field("Name").unwrap_or("?")));
        }
        Some(Self {
            container: name.to_string(),
            pid,
            pid_inside,
            parent: field("PPid").and_then(|pid| pid.parse().ok()),
            user: uid.map(|uid: u32| accounts.get(&uid).cloned().unwrap_or_else(|| uid.to_string())),
            uid,
            state: field("State").and_then(|state| state.split(' ').next()).map(str::to_owned),
            cpu: cpu(&read(pid, "stat").unwrap_or_default()),
            memory: kilobytes.map(|kilobytes| kilobytes * 1024),
            argv,
        })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.container.clone(),
            self.pid.to_string(),
            self.pid_inside.map(|pid| pid.to_string()).unwrap_or_default(),
            self.user.clone().unwrap_or_default(),
            self.state.clone().unwrap_or_default(),
            self.cpu.map(amount::span).unwrap_or_default(),
            self.memory.map(amount::bytes).unwrap_or_default(),
            self.argv.join(" "),
        ]
    }
}

fn read(pid: u32, file: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(format!("/proc/{pid}/{file}")).ok()?;
    opened.take(MAX_COMMAND).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Each ends with a NUL byte.
fn arguments(cmdline: &[u8]) -> Vec<String> {
    let Some(cmdline) = cmdline.strip_suffix(b"\0").or(Some(cmdline)).filter(|bytes| !bytes.is_empty())
    else {
        return Vec::new();
    };
    cmdline.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// Of its own threads, in microseconds: `utime` and `stime` of proc_pid_stat(5).
fn cpu(stat: &[u8]) -> Option<u64> {
    // The name before may be anything, parentheses too.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    let mut times = rest.split_ascii_whitespace().skip(11).map_while(|word| word.parse::<u64>().ok());
    let ticks = times.next()? + times.next()?;
    Some(ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Names for user ids, passwd(5). A name service, which may hang, is not asked.
fn accounts() -> BTreeMap<u32, String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut accounts = BTreeMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok()));
        if let (Some(name), Some(uid)) = (name, uid) {
            // The first of several names is the one that counts.
            accounts.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_stat_may_be_anything() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 1 0 100 0 0";
        assert_eq!(cpu(stat), Some(2_000_000));
        assert_eq!(cpu(b"7 (a"), None);
    }

    #[test]
    fn arguments_may_be_empty() {
        assert_eq!(arguments(b"sh\0-c\0\0"), ["sh", "-c", ""]);
        assert_eq!(arguments(b"title set by the program"), ["title set by the program"]);
        assert!(arguments(b"").is_empty());
    }
}
