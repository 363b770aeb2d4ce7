// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper run NAME ID`: a container's config with another command, in a unit of its own. The steps are those of a
//! start; what differs is told by the [`Instance`].
//!
//! Standard input is a channel to ctctl, on which the request comes and the reason of a failure goes back. Detached,
//! this is a service that hands init over as every start does. In the foreground the helper stays, see [`foreground`].

mod foreground;
mod surroundings;

use std::os::fd::{AsFd, OwnedFd};

use ct_channel::Channel;
use ct_channel::message::{Event, Why};
use ct_config::run::{Request, RunName};

use crate::claim::{self, RunDirectory};
use crate::exit::{At, Error, Failure, Step};
use crate::instance::Instance;
use crate::journal::Journal;
use crate::prepare::{Prepared, Site};
use crate::reaper::{self, Started};
use crate::runtime::places::Streams;
use crate::sole_root::SoleRoot;
use crate::start::Outcome;
use crate::{cgroup, handover, read, rootfs, sys};

/// Runs what is asked for. `umask` is what PID 1 has set for the unit.
pub(crate) fn run(run: RunName, umask: u32) -> (Result<Outcome, Failure>, Journal) {
    let by_hand = Error::Usage("`ct-helper run` is what `ctctl run` starts".to_owned());
    let asked = take_channel().and_then(|mut channel| {
        let request = channel.receive::<Request>();
        match request {
            // Something else is on standard input.
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => Err(by_hand),
            Err(error) => Err(Error::system("read the request", error)),
            Ok(asked) => Ok(asked.map(|(request, streams)| (channel, request, streams))),
        }
    });
    match asked {
        Err(error) => (Err(Failure { step: Step::Claim, error }), Journal::Caller),
        // ctctl has thought better of it, and says why.
        Ok(None) => (Ok(Outcome::AlreadyToldWhy(64)), Journal::Caller),
        Ok(Some((channel, request, streams))) if request.foreground.is_some() => {
            let done = foreground::run(run, &request, channel, streams);
            (Ok(Outcome::AlreadyToldWhy(done)), Journal::Caller)
        }
        Ok(Some((channel, request, _))) => {
            let journal = Journal::connect_run(&run);
            let outcome = detached(run, &request, umask, (&channel, journal));
            if let Err(failure) = &outcome {
                tell(&channel, failure, Why::NotStarted);
            }
            (outcome, journal)
        }
    }
}

/// Standard input, which becomes /dev/null, is the way to ctctl.
fn take_channel() -> Result<Channel, Error> {
    let failed = |e| Error::system("take standard input", e);
    let stdin: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let null = std::fs::File::open("/dev/null").map_err(|e| Error::system("open /dev/null", e))?;
    nix::unistd::dup2_stdin(&null).map_err(|e| failed(e.into()))?;
    Ok(Channel::from(stdin))
}

/// Nobody may listen any more.
fn tell(channel: &Channel, failure: &Failure, why: Why) {
    let _ = channel.send(&Event::Failed { why, reason: failure.to_string() }, &[]);
}

/// As a start, in a service of its own.
fn detached(
    run: RunName,
    request: &Request,
    umask: u32,
    (channel, journal): (&Channel, Journal),
) -> Result<Outcome, Failure> {
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e)).at(Step::Claim)?;
    sys::fail_writes_beyond_the_limit().map_err(|e| Error::system("sigaction", e)).at(Step::Claim)?;
    claim::is_the_run(&run).at(Step::Claim)?;
    let name = run.container.clone();
    let instance = Instance::Service(run);
    let own_cgroup = cgroup::of_unit(&instance.unit()).at(Step::Claim)?;

    let mut container = read::run(name.as_str(), request, journal).at(Step::Config)?;
    let directory = RunDirectory::claim(&instance).at(Step::Claim)?;
    let _root = SoleRoot::claim(&container, &instance).at(Step::Claim)?;
    rootfs::leave_host_mounts().at(Step::Rootfs)?;
    let site = Site { instance, cgroup: own_cgroup, run: directory, umask, terminal: None, journal };
    let prepared = site.prepare(&mut container)?;

    let started = reaper::start(
        || prepared.run(Streams::of_service()),
        |error| {
            let why = why(&error, &prepared);
            let failure = Failure { step: Step::Runtime, error };
            tell(channel, &failure, why);
            journal.failure(&failure)
        },
    );
    let (reaper, init) = match started.at(Step::Runtime)? {
        Started::Init(reaper, init) => (reaper, init),
        Started::Failed(status) => return Ok(Outcome::AlreadyToldWhy(status)),
    };
    let end = handover::hand_over_run(reaper, &init).at(Step::HandOver)?;
    Ok(end.map_or(Outcome::HandedOver, Outcome::from))
}

/// What kept the runtime from running the command.
fn why(error: &Error, prepared: &Prepared<'_>) -> Why {
    match error {
        Error::RuntimeFailed { .. } => prepared.why_not().unwrap_or(Why::NotStarted),
        _ => Why::NotStarted,
    }
}
