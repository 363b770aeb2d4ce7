// SPDX-License-Identifier: MIT OR Apache-2.0
//! The OCI runtime: one run of it creates and starts the container, and leaves init behind as a child of ours.
//!
//! `run --detach` is create and start in one process; between the two there is nothing for ct to do, and loading the
//! runtime twice would cost more than all the rest of a start. The caller is a subreaper, so that init becomes its
//! child when the runtime exits: the pid cannot be reused and the exit status cannot be lost while the caller lives.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ct_config::container::{self, RuntimeFamily};
use nix::unistd::{Gid, Uid};

use crate::account::Account;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::claim::RunDirectory;
use crate::exec::files::ExecFiles;
use crate::exit::{Error, in_small_letters, printable};
use crate::instance::Instance;
use crate::job::{Job, Output};
use crate::sys;

/// Where a runtime given by its bare name is looked for, and what it finds newuidmap(1) with.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a runtime's own helper process may outlive the runtime, in milliseconds.
const PARENT_TIMEOUT: u16 = 5_000;

/// How long a runtime may take to run a bundle's last hooks.
const DELETE_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a file that the account may have written is read, in bytes.
const MAX_UNTRUSTED: u64 = 64 * 1024;

/// A runtime that is there and can be executed.
#[derive(Debug)]
pub(crate) struct Runtime<'a> {
    configured: &'a container::Runtime,
    program: PathBuf,
}

/// Where the runtime finds and leaves its things.
#[derive(Debug)]
pub(crate) struct Places {
    /// The directory of config.json.
    pub(crate) bundle: PathBuf,
    /// A directory that belongs to the account: the runtime's state, its log, the pid file.
    pub(crate) state: PathBuf,
    /// The name by which it knows the container.
    pub(crate) id: String,
}

/// The standard files of a container's init. Output is always the helper's own.
#[derive(Debug)]
pub(crate) struct Streams {
    /// What it reads.
    pub(crate) stdin: Stdio,
    /// Where the runtime sends a new terminal to, that is all three then.
    pub(crate) console_socket: Option<PathBuf>,
}

impl Streams {
    /// Those of a service.
    pub(crate) fn of_service() -> Self {
        Self { stdin: Stdio::null(), console_socket: None }
    }
}

impl Places {
    /// Those of a container that was started as `account`.
    ///
    /// The config may name another one by now. What the runtime finds here was perhaps written by the account: run by
    /// anybody else, root above all, it would enter, kill and execute what that account chose.
    pub(crate) fn of(instance: &Instance, account: &Account) -> Result<Self, Error> {
        let (bundle, state) = (Self::bundle_of(instance), instance.directory().join("runtime"));
        let places = Self { bundle, state, id: instance.runtime_id() };
        let owner = std::fs::symlink_metadata(&places.state)
            .map_err(|e| Error::system(format!("stat {}", places.state.display()), e))?
            .uid();
        if owner == account.uid {
            return Ok(places);
        }
        Err(Error::ConfigText(format!(
            "user: {} was started as uid {owner} and not as {}; until it is started again its runtime is not run",
            places.id, account.name
        )))
    }

    /// The bundle that the runtime gets, for those who only look for it.
    pub(crate) fn bundle_of(instance: &Instance) -> PathBuf {
        instance.directory().join("bundle")
    }

    /// Makes both in the run-time directory.
    pub(crate) fn make(run: &RunDirectory, instance: &Instance, account: &Account) -> Result<Self, Error> {
        let (bundle, state) = (run.make("bundle", 0o500)?, run.make_owned("runtime", account)?);
        Ok(Self { bundle, state, id: instance.runtime_id() })
    }
}

impl<'a> Runtime<'a> {
    /// Finds the program.
    pub(crate) fn locate(configured: &'a container::Runtime) -> Result<Self, Error> {
        let missing =
            |reason: &str| Error::RuntimeMissing { name: configured.name.clone(), reason: reason.to_owned() };
        let program = if configured.program.is_absolute() {
            Some(configured.program.clone()).filter(|path| path.exists())
        } else {
            SEARCH_PATH
                .split(':')
                .map(|directory| Path::new(directory).join(&configured.program))
                .find(|path| path.exists())
        };
        let program = program.ok_or_else(|| {
            missing(&if configured.program.is_absolute() {
                format!("no file {}", configured.program.display())
            } else {
                format!("no {} in {SEARCH_PATH}", configured.program.display())
            })
        })?;
        let executable =
            std::fs::metadata(&program).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
        if !executable {
            return Err(missing(&format!("{} is not an executable file", program.display())));
        }
        Ok(Self { configured, program })
    }

    /// Whether an account must be its container's own root. runc changes the owner of a file of its own to the
    /// container's root, which without privileges only works when that is itself; nor does it then set supplementary
    /// groups.
    pub(crate) fn insists_on_being_root(&self) -> bool {
        self.configured.family == RuntimeFamily::Runc
    }

    /// Whether the runtime raises its own soft limit of open files and passes that on: the Go runtime does, and older
    /// versions of runc forget to take it back. What PID 1 has set must then be said once more in config.json.
    pub(crate) fn raises_open_files(&self) -> bool {
        self.configured.family == RuntimeFamily::Runc
    }

    /// Whether the runtime refuses every device that config.json does not allow by a rule, beside what PID 1 refuses.
    /// crun attaches a program of its own only where there are rules, and wants CAP_SYS_RESOURCE for it.
    pub(crate) fn refuses_devices(&self) -> bool {
        self.configured.family == RuntimeFamily::Runc
    }

    /// Creates and starts the container, as the account, and returns the pid of its init: a child of this process, not
    /// yet waited for.
    pub(crate) fn run(
        &self,
        places: &Places,
        account: &Account,
        cgroup: &UnitCgroup,
        streams: Streams,
    ) -> Result<i32, Error> {
        let pid_file = places.state.join("pid");
        let log = places.state.join("log");
        let mut command = self.command(places);
        command.arg("--log").arg(&log).arg("--log-format").arg("json");
        command
            .arg("run")
            .arg("--detach")
            .arg("--bundle")
            .arg(&places.bundle)
            .arg("--pid-file")
            .arg(&pid_file);
        if let Some(socket) = streams.console_socket {
            command.arg("--console-socket").arg(socket);
        }
        command.arg(&places.id);
        set_environment(&mut command, account, places);
        if !account.is_root() {
            sys::switch_user_before_exec(
                &mut command,
                Uid::from_raw(account.uid),
                Gid::from_raw(account.gid),
            );
            cgroup.lend_to(account.uid)?;
        }
        let status = command.stdin(streams.stdin).status().map_err(|e| {
            Error::system(format!("execute {} as {}", self.program.display(), account.name), e)
        })?;
        if !account.is_root() {
            cgroup.take_back()?;
        }
        if !status.success() {
            return Err(self.failed(&log, &status.to_string()));
        }
        Self::adopt(&pid_file, cgroup).map_err(|reason| self.failed(&log, &reason))
    }

    /// The program with its global options.
    fn command(&self, places: &Places) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.configured.arguments).arg("--root").arg(places.state.join("containers"));
        if self.configured.family == RuntimeFamily::Crun {
            // Its default depends on how it was built; PID 1 has made our cgroup already.
            command.arg("--cgroup-manager=cgroupfs");
        }
        command
    }

    /// The runtime's command that runs `argv` inside the container, as its own user, in a group below its cgroup.
    pub(crate) fn exec(
        &self,
        places: &Places,
        account: &Account,
        group: &JobGroup,
        argv: &[String],
    ) -> Command {
        // Without a log file: what it has to say goes to where the command's own output goes.
        let mut command = self.command(places);
        command.arg("exec").arg("--cgroup").arg(group.below_payload()).arg(&places.id).args(argv);
        set_environment(&mut command, account, places);
        command
    }

    /// The runtime's command that runs the process of `files` inside the container and ends when that runs. It keeps what
    /// it has to say to its log, for its standard error is the process's.
    pub(crate) fn exec_detached(
        &self,
        places: &Places,
        account: &Account,
        group: &JobGroup,
        files: &ExecFiles,
    ) -> Command {
        let mut command = self.command(places);
        command.arg("--log").arg(files.log()).args(["--log-format", "json", "exec", "--detach"]);
        command.arg("--process").arg(files.process()).arg("--pid-file").arg(files.pid());
        if let Some(socket) = files.console_socket() {
            command.arg("--console-socket").arg(socket);
        }
        command.arg("--cgroup").arg(group.below_payload()).arg(&places.id);
        set_environment(&mut command, account, places);
        command
    }

    /// The name in the config.
    pub(crate) fn name(&self) -> &str {
        &self.configured.name
    }

    /// Has the runtime forget a container that has ended, which is when it runs a bundle's poststop hooks.
    pub(crate) fn delete(&self, places: &Places, account: &Account) -> Result<(), Error> {
        let mut command = self.command(places);
        command.arg("delete").arg("--force").arg(&places.id);
        set_environment(&mut command, account, places);
        let group = JobGroup::beside_this_process()?;
        let deadline = Instant::now().checked_add(DELETE_TIMEOUT);
        let job = Job { command, group: &group, account, deadline, output: Output::Keep, input: None };
        let finished = job.run(&[])?;
        if finished.end.is_success() {
            return Ok(());
        }
        Err(Error::RuntimeFailed { name: self.configured.name.clone(), reason: finished.to_string() })
    }

    /// Takes the process that the pid file names for init only if it is our own child, in the container's cgroup: the
    /// file lies in a directory that the account may write to.
    pub(crate) fn adopt(pid_file: &Path, cgroup: &UnitCgroup) -> Result<i32, String> {
        let text = read_untrusted(pid_file)
            .map_err(|e| format!("it left no pid file: {}", in_small_letters(&e.to_string())))?;
        let pid: i32 =
            text.trim().parse().ok().filter(|pid| *pid > 1).ok_or("its pid file names no process")?;
        if !becomes_own_child(pid) {
            return Err(format!("process {pid} of its pid file is not the container's init"));
        }
        if !cgroup.holds(pid) {
            return Err(format!("the container's init {pid} is not in {}", cgroup.payload().display()));
        }
        Ok(pid)
    }

    /// The runtime's own words for what went wrong, or how it ended when it said nothing.
    fn failed(&self, log: &Path, otherwise: &str) -> Error {
        let said = read_untrusted(log).ok().and_then(|text| last_error(&text));
        Error::RuntimeFailed {
            name: self.configured.name.clone(),
            reason: said.unwrap_or_else(|| otherwise.to_owned()),
        }
    }
}

/// The runtime's environment, all of it: what PID 1 tells us (NOTIFY_SOCKET, LISTEN_FDS, INVOCATION_ID) is for us
/// alone. crun and runc would wait for the container's own READY=1 if they saw the first.
fn set_environment(command: &mut Command, account: &Account, places: &Places) {
    command
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("HOME", &account.home)
        .env("USER", &account.name)
        .env("LOGNAME", &account.name)
        .env("XDG_RUNTIME_DIR", &places.state)
        .current_dir("/");
}

/// Waits until init is a child of this process. crun leaves a process between the two for a moment; that one ends by
/// itself, and a pidfd tells when. A parent that stays is a runtime that hands over nothing.
fn becomes_own_child(pid: i32) -> bool {
    let own = i32::try_from(std::process::id()).ok();
    // crun has one such process; more than a few would be no runtime we know.
    for _ in 0..4 {
        let Some(parent) = parent_of(pid) else { return false };
        if Some(parent) == own {
            return true;
        }
        // Gone already: init has a new parent by now.
        let Ok(between) = sys::pidfd_open(parent) else { continue };
        if parent_of(pid) == Some(parent) && !sys::ends_within(&between, PARENT_TIMEOUT).unwrap_or(false) {
            return false;
        }
    }
    false
}

/// Reads a small file from a directory that is not root's: never a link, never something that blocks.
pub(crate) fn read_untrusted(path: &Path) -> std::io::Result<String> {
    let mut file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    // The end of a log is what matters.
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_UNTRUSTED)))?;
    let mut bytes = Vec::new();
    file.take(MAX_UNTRUSTED).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The parent of a process, from proc_pid_stat(5): the second field after the command's closing parenthesis.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The last message of level error in a log of JSON lines, or the last line of any other; on one line and bounded.
pub(crate) fn last_error(log: &str) -> Option<String> {
    let message = |line: &str| -> Option<String> {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let level = entry.get("level").and_then(|level| level.as_str()).unwrap_or("error");
        let text = entry.get("msg")?.as_str()?;
        ["error", "fatal", "panic"].contains(&level).then(|| text.to_owned())
    };
    let said = log.lines().rev().find_map(message);
    let said = said.or_else(|| log.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned))?;
    Some(printable(&said, 500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_is_told() {
        let log = "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"msg\":\"no\\nsuch file\",\"level\":\"error\",\"time\":\"t\"}\n";
        assert_eq!(last_error(log), Some("no such file".into()));
        assert_eq!(last_error("plain text\n\n"), Some("plain text".into()));
        assert_eq!(last_error(""), None);
        assert_eq!(last_error(&"x".repeat(5000)).map(|text| text.len()), Some(500));
    }

    #[test]
    fn parents_are_read_past_hostile_command_names() {
        assert_eq!(
            parent_of(i32::try_from(std::process::id()).unwrap()),
            Some(nix::unistd::getppid().as_raw())
        );
        assert_eq!(parent_of(0), None);
    }
}
