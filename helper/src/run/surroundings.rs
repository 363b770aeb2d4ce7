// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PID 1 gives to a service, for a process that has come from somebody's shell: signals, session, limits, oom score,
//! namespaces.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;

use ct_config::container::Container;
use ct_config::run;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::Error;
use crate::{sole_root, sys};

/// That of a service.
pub(super) const UMASK: u32 = crate::bundle::USUAL_UMASK;

const SCORE: &str = "/proc/self/oom_score_adj";

/// By their directives in systemd.exec(5).
const LIMITS: [(&str, Resource); 16] = [
    ("LimitAS", Resource::As),
    ("LimitCORE", Resource::Core),
    ("LimitCPU", Resource::Cpu),
    ("LimitDATA", Resource::Data),
    ("LimitFSIZE", Resource::Fsize),
    ("LimitLOCKS", Resource::Locks),
    ("LimitMEMLOCK", Resource::Memlock),
    ("LimitMSGQUEUE", Resource::Msgqueue),
    ("LimitNICE", Resource::Nice),
    ("LimitNOFILE", Resource::Nofile),
    ("LimitNPROC", Resource::Nproc),
    ("LimitRSS", Resource::Rss),
    ("LimitRTPRIO", Resource::Rtprio),
    ("LimitRTTIME", Resource::Rttime),
    ("LimitSIGPENDING", Resource::Sigpending),
    ("LimitSTACK", Resource::Stack),
];

/// Leaves behind what a shell hands on: ignored signals, its session and terminal, open files. Standard input, output
/// and error become what ctctl has sent.
pub(super) fn shed(streams: Vec<OwnedFd>) -> Result<(), Error> {
    sys::default_signals().map_err(|e| Error::system("sigaction", e))?;
    sys::fail_writes_beyond_the_limit().map_err(|e| Error::system("sigaction", e))?;
    // EPERM: it is one already.
    let _ = nix::unistd::setsid();
    if let [stdin, stdout, stderr] = streams.as_slice() {
        nix::unistd::dup2_stdin(stdin)
            .and_then(|()| nix::unistd::dup2_stdout(stdout))
            .and_then(|()| nix::unistd::dup2_stderr(stderr))
            .map_err(|e| Error::system("dup2", e))?;
    }
    drop(streams);
    std::env::set_current_dir("/").map_err(|e| Error::system("chdir(\"/\")", e))?;
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e))
}

/// Sets oom score and limits.
pub(super) fn limit(container: &Container, defaults: &BTreeMap<String, (u64, u64)>) -> Result<(), Error> {
    set_score(container.oom.score_adjust)?;
    let limits = run::limits(container, defaults);
    for (directive, resource) in LIMITS {
        let Some((soft, hard)) = limits.get(directive) else { continue };
        set_limit(resource, *soft, *hard)
            .map_err(|e| Error::system(format!("setrlimit for {directive}="), e))?;
    }
    Ok(())
}

fn set_score(configured: Option<i16>) -> Result<(), Error> {
    let read = |path: &str| fs::read_to_string(path).map_err(|e| Error::system(format!("read {path}"), e));
    // A service that has none of its own has PID 1's.
    let wanted = configured.map_or_else(|| read("/proc/1/oom_score_adj"), |score| Ok(score.to_string()))?;
    if read(SCORE)?.trim() == wanted.trim() {
        return Ok(());
    }
    match fs::write(SCORE, wanted.trim()) {
        // As PID 1 does where it may not.
        Err(error) if configured.is_some() => Err(Error::system(format!("write {SCORE}"), error)),
        _ => Ok(()),
    }
}

/// As PID 1 does it: where the hard limit may not be raised, as near to it as may be.
fn set_limit(resource: Resource, soft: u64, hard: u64) -> rustix::io::Result<()> {
    let finite = |number: u64| Some(number).filter(|number| *number != u64::MAX);
    let limit = Rlimit { current: finite(soft), maximum: finite(hard) };
    match setrlimit(resource, limit) {
        Err(rustix::io::Errno::PERM) => {
            let highest = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let hard = hard.min(highest);
            setrlimit(resource, Rlimit { current: finite(soft.min(hard)), maximum: finite(hard) })
        }
        other => other,
    }
}

/// Enters the namespaces of PID 1: the caller may have been in others.
pub(super) fn enter_namespaces() -> Result<(), Error> {
    let of_pid_1 = sys::pidfd_open(1).map_err(|e| Error::system("pidfd_open(1)", e))?;
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    setns(&of_pid_1, flags).map_err(|e| Error::system("setns(pid 1)", e))?;
    sole_root::make_directory()
}

/// Leaves for a mount namespace of its own, with a file system of its own over the directory of all runs.
pub(super) fn make_own_mounts() -> Result<(), Error> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| Error::system("unshare(CLONE_NEWNS)", e))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .map_err(|e| Error::system("mount(\"/\", MS_REC|MS_SLAVE)", e))?;
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), run::DIRECTORY, Some("tmpfs"), flags, Some("mode=0755"))
        .map_err(|e| Error::system(format!("mount(\"tmpfs\", {:?})", run::DIRECTORY), e))
}
