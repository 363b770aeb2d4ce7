// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper start NAME`: the steps of a start, in order, from the config to the handover.
//!
//! Killed between any two of them it leaves nothing: mounts live in the unit's private mount namespace, processes in
//! its cgroup, files in its RuntimeDirectory=, and PID 1 takes all three away with the unit.

use std::path::PathBuf;

use ct_config::settings::has_console;

use crate::claim::{self, RunDirectory};
use crate::console::{self, Console, Role};
use crate::exit::{At, Error, Failure, Step};
use crate::instance::Instance;
use crate::journal::Journal;
use crate::prepare::Site;
use crate::ready::{self, Waited};
use crate::reaper::{self, End, Started};
use crate::runtime::places::Streams;
use crate::sole_root::SoleRoot;
use crate::standard_files::StandardFiles;
use crate::{cgroup, checkpoint, handover, lxcfs, read, rootfs, sys};

/// How a start that did not fail ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// PID 1 has the container's init.
    HandedOver,
    /// Init ended before there was anything to hand over: with this status.
    Exited(i32),
    /// Init was killed by this signal before there was anything to hand over.
    Killed(i32),
    /// It is said already how it ended, with this status.
    AlreadyToldWhy(i32),
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        match end {
            End::Exited(status) => Self::Exited(status),
            End::Killed(signal) => Self::Killed(signal),
        }
    }
}

/// Rows and columns of a terminal before somebody attaches who has another one.
const USUAL_SIZE: (u16, u16) = (25, 80);

fn socket_of(console: &Option<Console>) -> Option<PathBuf> {
    console.as_ref().map(|console| console.path().to_owned())
}

/// Starts the container `name` and hands its init to PID 1. `umask` is what PID 1 has set for the unit.
pub(crate) fn start(name: &str, umask: u32, journal: Journal) -> Result<Outcome, Failure> {
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e)).at(Step::Claim)?;
    sys::fail_writes_beyond_the_limit().map_err(|e| Error::system("sigaction", e)).at(Step::Claim)?;

    claim::is_the_unit(name).at(Step::Claim)?;
    let own_cgroup = cgroup::of_unit(&format!("ct@{name}.service")).at(Step::Claim)?;

    // What the container is to be, and what it was.
    let image = checkpoint::take_request(name).at(Step::Config)?;
    let mut container = read::container(name, journal).at(Step::Config)?;
    image.iter().try_for_each(|image| checkpoint::check(image, &container)).at(Step::Config)?;
    let instance = Instance::Container(container.name.clone());
    let run = RunDirectory::claim(&instance).at(Step::Claim)?;
    let _root = SoleRoot::claim(&container, &instance).at(Step::Claim)?;
    // From here on, mounts are seen by nobody else.
    rootfs::leave_host_mounts().at(Step::Rootfs)?;

    // Its namespaces, files, cgroup, hooks and config.json.
    let terminal = (container.process.terminal == Some(true)).then_some(USUAL_SIZE);
    let site = Site { instance, cgroup: own_cgroup, run, umask, terminal, journal };
    let prepared = site.prepare(&mut container)?;
    let account = &prepared.identity.account;
    let console = terminal.map(|_| Console::listen(prepared.directory(), account)).transpose();
    let console = console.at(Step::Console)?;

    let files = StandardFiles::make(prepared.container, prepared.directory(), prepared.user);
    let files = files.at(Step::Console)?;

    // The container itself, started by a process that PID 1 takes its init over from.
    let started = reaper::start(
        || {
            let streams = Streams { console_socket: socket_of(&console), ..files.streams()? };
            prepared.run_from(image.as_deref(), streams)
        },
        |error| journal.failure(&Failure { step: Step::Runtime, error }),
    );
    let (reaper, init) = match started.at(Step::Runtime)? {
        Started::Init(reaper, init) => (reaper, init),
        Started::Failed(status) => return Ok(Outcome::AlreadyToldWhy(status)),
    };

    // Its terminal, or the other ends of its pipes, for the service that stays with it.
    if prepared.runtime.takes_standard_files() {
        files.give_again(prepared.user).at(Step::Console)?;
    }
    let mut offered = files.into_offered();
    if let Some(console) = console {
        let master = console.sole(account).at(Step::Console)?;
        console::give_size(&master, USUAL_SIZE).at(Step::Console)?;
        offered.push((Role::Terminal, master));
    }
    if has_console(prepared.container) {
        console::hand_over(prepared.container, &init, offered).at(Step::Console)?;
    }

    // Until those that wait for it can use it.
    let inside = prepared.inside();
    if prepared.has_lxcfs {
        lxcfs::prime(&inside, journal);
    }
    let socket = prepared.socket.as_ref();
    let end = match ready::wait(prepared.container, &init, &inside, socket).at(Step::Ready)? {
        Waited::Ready => handover::hand_over(reaper, &init, journal).at(Step::HandOver)?,
        Waited::Ended => handover::give_up(reaper, &init, journal).at(Step::Ready)?,
    };
    Ok(end.map_or(Outcome::HandedOver, Outcome::from))
}
