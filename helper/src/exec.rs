// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper exec NAME`: a command inside a container that runs, for `ctctl exec`, which has put this process into a
//! scope of its own and says on standard input what to run (see [`ct_channel`]).
//!
//! The runtime enters the container, starts the command and ends: the command becomes our child, for this process is a
//! subreaper, and so its end is known exactly, and is never taken for an end of the runtime. It has the limits and the oom
//! score that PID 1 gave to the container's own, in a group below the container's, so that it is accounted with it and
//! killed with it. What is left of ct meanwhile is this process, with nothing to do.

pub(crate) mod files;
mod process;
mod program;
mod started;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use ct_channel::Channel;
use ct_channel::message::{Event, Request, Unit, Why};
use ct_config::container::Container;
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid};

use crate::account::Account;
use crate::cgroup::{JobGroup, UnitCgroup};
use crate::exec::files::ExecFiles;
use crate::exec::started::Command;
use crate::exit::{Error, Failure, Step};
use crate::instance::Instance;
use crate::journal::Journal;
use crate::runtime::Runtime;
use crate::runtime::family::Family;
use crate::runtime::places::Places;
use crate::{claim, identity, read, sys};

/// Why there is no end of the command to tell.
#[derive(Debug)]
pub(crate) struct NotRun {
    why: Why,
    reason: String,
}

impl NotRun {
    fn because(reason: impl Into<String>) -> Self {
        Self { why: Why::NotStarted, reason: reason.into() }
    }
}

impl From<Error> for NotRun {
    fn from(error: Error) -> Self {
        // A system call that failed in the middle of a path names the path; which step it was tells the caller nothing.
        Self::because(Failure { step: Step::Runtime, error }.to_string())
    }
}

/// Runs what is asked for on standard input. The status to exit with says nothing: all is told there.
pub(crate) fn exec(name: &str, journal: Journal) -> Result<i32, Error> {
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e))?;
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|e| Error::system("dup", e))?;
    let mut channel = Channel::from(stdin);
    // Whoever types Ctrl-C means the command, and `ctctl` passes that on. It is no failure to lead a session already.
    let _ = nix::unistd::setsid();
    sys::default_signals().map_err(|e| Error::system("sigaction", e))?;
    let by_hand = |_no_socket| {
        Error::Usage(format!("`ct-helper exec` is what ctctl runs; use `ctctl exec {name} COMMAND`"))
    };
    // Nothing asked, nothing done: ctctl has died, or there is no scope.
    let Some((request, streams)) = channel.receive::<Request>().map_err(by_hand)? else { return Ok(0) };
    let event = run(name, &request, streams, &mut channel, journal)
        .unwrap_or_else(|NotRun { why, reason }| Event::Failed { why, reason });
    // Nobody may be left to hear it.
    let _ = channel.send(&event, &[]);
    Ok(0)
}

fn run(
    name: &str,
    request: &Request,
    streams: Vec<OwnedFd>,
    channel: &mut Channel,
    journal: Journal,
) -> Result<Event, NotRun> {
    let container = read::config(name, journal)?;
    let runtime = Runtime::locate(&container.runtime)?;
    let account = identity::account(&container)?;
    let instance = Instance::Container(container.name.clone());
    let cgroup = UnitCgroup::of_running(&request.unit.control_group, &instance.unit())?;
    let root = root_of(&container, &request.unit, &cgroup, runtime.family)?;
    if cgroup.is_frozen() {
        return Err(NotRun::because(format!(
            "{name} is frozen: nothing in it runs until `systemctl thaw ct@{name}`"
        )));
    }
    claim::reopen(&container, &instance)?;
    let places = Places::of(&instance, &account)?;
    let drops_groups = !account.is_root() && runtime.family.insists_on_being_root();
    let process = process::render(request, &root, &places, drops_groups)?;
    program::check(&root, &process)?;
    let files = ExecFiles::make(&instance, &account, &process)?;
    let group = cgroup.job_in_payload(&account)?;
    let inside = Inside { runtime, account, places, cgroup, group };
    let ran = inside.start(&request.unit, streams, &files).and_then(|runtime| {
        let command = Command::wait_for_start(runtime, &inside, &files, channel)?;
        Ok(command.wait_for_end(&inside, channel))
    });
    match &ran {
        // What it has left running goes on, in the group until the end of the container.
        Ok(_) => inside.group.remove(false),
        Err(_) => {
            inside.group.kill();
            inside.group.remove(true);
        }
    }
    // The runtime's own words tell whether it was the command's fault.
    ran.map_err(|error| NotRun { why: program::why(&error.reason), ..error })
}

/// The root directory of the container, as its init sees it: held by a descriptor, before anything in there is looked at.
fn root_of(
    container: &Container,
    unit: &Unit,
    cgroup: &UnitCgroup,
    family: &dyn Family,
) -> Result<OwnedFd, NotRun> {
    let not_running = || NotRun::because(format!("{} is not running", container.name));
    let pid = unit.main_pid;
    let init = sys::pidfd_open(pid).ok().filter(|_| pid > 1 && cgroup.holds(pid)).ok_or_else(not_running)?;
    let seen_by = family.files_of(pid, cgroup).ok_or_else(not_running)?;
    let root = File::open(format!("/proc/{seen_by}/root")).map_err(|_gone| not_running())?;
    // It was init's only if init is still there.
    if sys::ends_within(&init, 0).unwrap_or(true) {
        return Err(not_running());
    }
    Ok(root.into())
}

/// The container, and the group in it that is the command's.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    runtime: Runtime<'a>,
    account: Account,
    places: Places,
    cgroup: UnitCgroup,
    group: JobGroup,
}

impl Inside<'_> {
    /// Starts the runtime, with all that the command inherits.
    fn start(
        &self,
        unit: &Unit,
        streams: Vec<OwnedFd>,
        files: &ExecFiles,
    ) -> Result<std::process::Child, NotRun> {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|e| Error::system("prctl(PR_SET_CHILD_SUBREAPER)", e))?;
        let Self { runtime, account, places, group, .. } = self;
        let mut command = runtime.exec_detached(places, account, group, files);
        let mut streams = streams.into_iter().map(Stdio::from);
        let mut stream = || streams.next().unwrap_or_else(Stdio::null);
        command.stdin(stream()).stdout(stream()).stderr(stream());
        sys::limit_before_exec(&mut command, limits(unit)?);
        // An account may move its processes only from and to groups that it was given.
        if !account.is_root() || runtime.family.starts_in_payload() {
            sys::enter_cgroup_before_exec(&mut command, group.procs()?);
        }
        if !account.is_root() {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            sys::switch_user_before_exec(&mut command, uid, gid, Vec::new());
        }
        // Before the switch: afterwards the kernel would refuse it.
        let score = unit.oom_score_adjust.to_string();
        std::fs::write("/proc/self/oom_score_adj", &score)
            .map_err(|e| Error::system(format!("write {score} to /proc/self/oom_score_adj"), e))?;
        let name = runtime.name();
        command.spawn().map_err(|e| {
            Error::system(format!("execute {name} as {} with the container's limits", account.name), e).into()
        })
    }
}

fn limits(unit: &Unit) -> Result<Vec<(Resource, u64, u64)>, NotRun> {
    let known = |(name, soft, hard): &(String, u64, u64)| {
        let resource = resource(name).ok_or_else(|| NotRun::because(format!("no such limit: {name}")))?;
        Ok((resource, *soft, *hard))
    };
    unit.limits.iter().map(known).collect()
}

/// `RLIMIT_NOFILE`, see getrlimit(2).
fn resource(name: &str) -> Option<Resource> {
    Some(match name.strip_prefix("RLIMIT_")? {
        "AS" => Resource::RLIMIT_AS,
        "CORE" => Resource::RLIMIT_CORE,
        "CPU" => Resource::RLIMIT_CPU,
        "DATA" => Resource::RLIMIT_DATA,
        "FSIZE" => Resource::RLIMIT_FSIZE,
        "LOCKS" => Resource::RLIMIT_LOCKS,
        "MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "NICE" => Resource::RLIMIT_NICE,
        "NOFILE" => Resource::RLIMIT_NOFILE,
        "NPROC" => Resource::RLIMIT_NPROC,
        "RSS" => Resource::RLIMIT_RSS,
        "RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RTTIME" => Resource::RLIMIT_RTTIME,
        "SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "STACK" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}
