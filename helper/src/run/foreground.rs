// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run in the foreground: this process is ctctl's child in a scope, and stays until the command has ended.
//!
//! PID 1 only watches such a process. What it would have done for a service is done here: [`super::surroundings`]. The
//! run-time directory is in a file system of this process's mount namespace, so that nothing of it can be left behind;
//! what runs, ends when this process or ctctl does: each of the two sees the other's end, and kills.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use ct_channel::Channel;
use ct_channel::message::{Event, Why};
use ct_config::container::Container;
use ct_config::run::{Foreground, Request, RunName};
use ct_config::settings::stop_signal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{surroundings, tell, why};
use crate::cgroup;
use crate::claim::RunDirectory;
use crate::console::Console;
use crate::control;
use crate::exit::{At, Error, Failure, Step};
use crate::hooks::{Moment, Stage};
use crate::instance::Instance;
use crate::journal::Journal;
use crate::orders;
use crate::prepare::{Prepared, Site};
use crate::read;
use crate::reaper::{End, Init};
use crate::runtime::places::Streams;
use crate::sole_root::SoleRoot;
use crate::sys::{self, Signals};

/// What reaches the helper and not only the command: a stop of the scope, and whoever means the run and finds us.
const PASSED_ON: [i32; 6] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// Runs it to its end, and tells how that was. Returns the status to exit with.
pub(super) fn run(run: RunName, request: &Request, mut channel: Channel, streams: Vec<OwnedFd>) -> i32 {
    let Some(foreground) = request.foreground.as_ref() else { return 64 };
    let told = match try_run(run, request, foreground, (&mut channel, streams)) {
        Ok(told) => told,
        Err((failure, why)) => {
            tell(&channel, &failure, why);
            return failure.error.code();
        }
    };
    let event = match told {
        End::Exited(status) => Event::Exited(status),
        End::Killed(signal) => Event::Killed(signal),
    };
    let _ = channel.send(&event, &[]);
    0
}

type Told<T> = Result<T, (Failure, Why)>;

fn try_run(
    run: RunName,
    request: &Request,
    foreground: &Foreground,
    (channel, streams): (&mut Channel, Vec<OwnedFd>),
) -> Told<End> {
    let not_started = |failure: Failure| (failure, Why::NotStarted);
    let journal = Journal::Caller;
    let name = run.container.clone();
    let instance = Instance::Scope(run);
    surroundings::shed(streams).at(Step::Claim).map_err(not_started)?;
    surroundings::enter_namespaces().at(Step::Namespaces).map_err(not_started)?;
    let cgroup = cgroup::of_unit(&instance.unit()).at(Step::Claim).map_err(not_started)?;
    let mut container = read::run(name.as_str(), request, journal).at(Step::Config).map_err(not_started)?;
    let signals = catch(&container).at(Step::Claim).map_err(not_started)?;
    surroundings::limit(&container, &foreground.limits).at(Step::Claim).map_err(not_started)?;
    let root = SoleRoot::claim(&container, &instance).at(Step::Claim).map_err(not_started)?;
    surroundings::make_own_mounts().at(Step::Rootfs).map_err(not_started)?;
    let directory = RunDirectory::make_own(&instance).at(Step::Claim).map_err(not_started)?;

    let (terminal, umask) = (foreground.terminal, surroundings::UMASK);
    let life = instance.clone();
    let site = Site { instance, cgroup, run: directory, umask, terminal, journal };
    let prepared = match site.prepare(&mut container) {
        Ok(prepared) => prepared,
        Err(failure) => {
            finish(&container, &life, journal);
            return Err(not_started(failure));
        }
    };
    let ended = start(&prepared, foreground, channel)
        .and_then(|init| wait(&init, &prepared, channel, signals).at(Step::Runtime).map_err(not_started));
    // Whatever of it outlives init, or could not be waited for.
    prepared.cgroup.kill_payload();
    finish(prepared.container, &life, journal);
    drop(root);
    ended
}

fn catch(container: &Container) -> Result<&'static Signals, Error> {
    let mut caught = PASSED_ON.to_vec();
    caught.push(stop_signal(container).0);
    Signals::catch_for_good(&caught).map_err(|e| Error::system("signalfd", e))
}

/// Has the runtime start the container, whose init is then our child.
fn start(prepared: &Prepared<'_>, foreground: &Foreground, channel: &Channel) -> Told<Init> {
    let runtime = |result: Result<Init, Error>| {
        result.map_err(|error| {
            let why = why(&error, prepared);
            (Failure { step: Step::Runtime, error }, why)
        })
    };
    runtime(
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|e| Error::system("prctl(PR_SET_CHILD_SUBREAPER)", e))
            .and_then(|()| {
                let account = &prepared.identity.account;
                let listen = |_size| Console::listen(prepared.directory(), account);
                let console = foreground.terminal.map(listen).transpose()?;
                let console_socket = console.as_ref().map(|console| console.path().to_owned());
                let streams = Streams { stdin: Stdio::inherit(), output: None, console_socket };
                let pid = prepared.run(streams)?;
                if let Some(console) = console {
                    let master = console.sent(account)?;
                    let told = channel.send(&Event::Terminal, &[master.as_fd()]);
                    told.map_err(|e| Error::system("hand the terminal over", e))?;
                }
                Ok(Init { pid })
            }),
    )
}

/// Waits for the end of init, and does meanwhile what ctctl says.
fn wait(
    init: &Init,
    prepared: &Prepared<'_>,
    channel: &mut Channel,
    signals: &Signals,
) -> Result<End, Error> {
    let pidfd = sys::pidfd_open(init.pid).map_err(|e| Error::system("pidfd_open", e))?;
    let failed = |e| Error::system("wait for the container's init", e);
    let _ = channel.send(&Event::Started(prepared.cgroup.payload_on_host()), &[]);
    let mut is_alone = false;
    // Along with the request.
    let mut heard = orders::already_here(channel);
    loop {
        for signal in heard.signals.drain(..) {
            let _ = sys::send_signal(&pidfd, signal);
        }
        // ctctl has ended, and nobody waits for this any more.
        if heard.is_gone && !is_alone {
            is_alone = true;
            prepared.cgroup.kill_payload();
        }
        let mut fds = vec![
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if !is_alone {
            fds.push(PollFd::new(channel.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        let is_ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        if is_ready.first() == Some(&true) {
            return match sys::wait(init.pid, libc::WEXITED).map_err(failed)? {
                Some(sys::Change::Exited(status)) => Ok(End::Exited(status)),
                Some(sys::Change::Killed(signal)) => Ok(End::Killed(signal)),
                _ => Err(failed(std::io::ErrorKind::Other.into())),
            };
        }
        while let Some((signal, sender)) = signals.next_with_sender() {
            // PID 1 stops the whole scope, and init has had its signal already.
            if sender != 1 {
                let _ = sys::send_signal(&pidfd, signal);
            }
        }
        if is_ready.get(2) == Some(&true) {
            heard = orders::hear(channel);
        }
    }
}

/// What comes after every life of a container.
fn finish(container: &Container, life: &Instance, journal: Journal) {
    let stage = Stage::PostStop;
    Moment { container, instance: life, stage, pid: None, rootfs: None }.run_all(journal, None);
    if let Err(error) = control::run_poststop(container, life) {
        journal.survived(&Failure { step: Step::Hooks, error });
    }
}
