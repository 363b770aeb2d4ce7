// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper start NAME`: the steps of a start, in order, from the config to the handover.
//!
//! Killed between any two of them it leaves nothing: mounts live in the unit's private mount namespace, processes in
//! its cgroup, files in its RuntimeDirectory=, and PID 1 takes all three away with the unit.

use std::path::PathBuf;

use ct_config::container::{Container, Mount, ReadyWhen};

use crate::bundle::{self, Parts};
use crate::cgroup::{self, UnitCgroup};
use crate::claim::{self, RunDirectory};
use crate::exit::{At, Error, Failure, Step};
use crate::identity::Identity;
use crate::inside::Inside;
use crate::journal::Journal;
use crate::message::Message;
use crate::ready::notify_socket::NotifySocket;
use crate::ready::{self, Waited};
use crate::reaper::{self, End, Started};
use crate::rootfs::{self, Rootfs};
use crate::runtime::{Places, Runtime};
use crate::{handover, hooks, lxcfs, mounts, pod, read, small_init, sys};

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

/// Starts the container `name` and hands its init to PID 1. `umask` is what PID 1 has set for the unit.
pub(crate) fn start(name: &str, umask: u32, journal: Journal) -> Result<Outcome, Failure> {
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e)).at(Step::Claim)?;
    sys::fail_writes_beyond_the_limit().map_err(|e| Error::system("sigaction", e)).at(Step::Claim)?;

    claim::is_the_unit(name).at(Step::Claim)?;
    let own_cgroup = cgroup::of_unit(name).at(Step::Claim)?;

    // What the container is to be.
    let mut container = read::container(name, journal).at(Step::Config)?;
    let run = RunDirectory::claim(&container.name).at(Step::Claim)?;
    // From here on, mounts are seen by nobody else.
    rootfs::leave_host_mounts().at(Step::Rootfs)?;
    let joined = pod::join(&mut container, &run).at(Step::Namespaces)?;
    let runtime = Runtime::locate(&container.runtime).at(Step::Runtime)?;
    let identity = Identity::read(&container, &runtime).at(Step::User)?;

    // Its files.
    let base = bundle::read_base(&container.root.source).at(Step::Bundle)?;
    let bundle_root = bundle::base_root(&container.root.source, base.as_ref());
    let rootfs = mount_rootfs(&container, bundle_root, &run, &identity).at(Step::Rootfs)?;

    // Its cgroup, below the one whose limits PID 1 has set.
    let cgroup = prepare_cgroup(own_cgroup, &identity, journal).at(Step::Cgroup)?;

    // Hooks, which may mount something for it: in its root file system, or where [[mount]] looks.
    hooks::before_start(&container, &rootfs.path).at(Step::Hooks)?;
    let socket = notify_socket(&container, &run).at(Step::Ready)?;
    let wanted = wanted_mounts(&container, socket.as_ref()).at(Step::Rootfs)?;
    let through_account = !identity.account.is_root();
    let mounts = mounts::prepare(&wanted, &rootfs, &run, through_account).at(Step::Rootfs)?;

    // config.json, for the runtime.
    let parts = Parts {
        container: &container,
        base,
        rootfs: &rootfs,
        identity: &identity,
        runtime: &runtime,
        joined: &joined,
        cgroup: cgroup.payload(),
        mounts,
        umask,
    };
    let spec = bundle::assemble(parts).at(Step::Bundle)?;
    let places = Places::make(&run, &identity.account).at(Step::Bundle)?;
    bundle::write(&spec, &places.bundle, &identity.account).at(Step::Bundle)?;

    // The container itself, started by a process that PID 1 takes its init over from.
    let started = reaper::start(
        || runtime.run(&container.name, &places, &identity.account, &cgroup),
        |error| journal.failure(&Failure { step: Step::Runtime, error }),
    );
    let (reaper, init) = match started.at(Step::Runtime)? {
        Started::Init(reaper, init) => (reaper, init),
        Started::Failed(status) => return Ok(Outcome::AlreadyToldWhy(status)),
    };

    // Until those that wait for it can use it.
    let inside = Inside {
        name: &container.name,
        runtime: &runtime,
        places: &places,
        account: &identity.account,
        cgroup: &cgroup,
    };
    if lxcfs::is_among(&wanted) {
        lxcfs::prime(&inside, journal);
    }
    let end = match ready::wait(&container, &init, &inside, socket.as_ref()).at(Step::Ready)? {
        Waited::Ready => handover::hand_over(reaper, &init, journal).at(Step::HandOver)?,
        Waited::Ended => handover::give_up(reaper, &init, journal).at(Step::Ready)?,
    };
    Ok(end.map_or(Outcome::HandedOver, Outcome::from))
}

/// The socket of a container that says itself when it is ready.
fn notify_socket(container: &Container, run: &RunDirectory) -> Result<Option<NotifySocket>, Error> {
    match container.ready.when {
        ReadyWhen::Notified { .. } => NotifySocket::make(run).map(Some),
        ReadyWhen::Started | ReadyWhen::Command { .. } => Ok(None),
    }
}

/// `[[mount]]`, and what ct itself puts into the container.
fn wanted_mounts(container: &Container, socket: Option<&NotifySocket>) -> Result<Vec<Mount>, Error> {
    let mut wanted = container.mounts.clone();
    wanted.extend(socket.map(NotifySocket::mount));
    if container.process.init {
        wanted.push(small_init::mount()?);
    }
    wanted.extend(lxcfs::mounts(container.root.lxcfs)?);
    Ok(wanted)
}

/// Mounts the root file system.
fn mount_rootfs(
    container: &Container,
    bundle_root: Option<PathBuf>,
    run: &RunDirectory,
    identity: &Identity,
) -> Result<Rootfs, Error> {
    if identity.ids.is_some() {
        run.open_for_traversal()?;
    }
    rootfs::mount_root(&container.root, bundle_root.as_deref(), run, identity)
}

/// Makes the groups below the unit's, and gives the container's to whom it belongs.
fn prepare_cgroup(own_cgroup: String, identity: &Identity, journal: Journal) -> Result<UnitCgroup, Error> {
    let cgroup = UnitCgroup::prepare(own_cgroup)?;
    for controller in cgroup.delegate_controllers()? {
        journal.warning(
            Step::Cgroup,
            Message::ControllerKept,
            &format!("cannot hand on the cgroup controller {controller}, ignoring"),
        );
    }
    if let Some((uid, gid)) = identity.payload_owner() {
        cgroup.give_payload(uid, gid)?;
    }
    Ok(cgroup)
}
