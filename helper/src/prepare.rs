// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that a container needs before its runtime is run, in order: its namespaces, files and control group, the hooks
//! before it, and its config.json. The steps are the same whoever the container is started by.

use std::path::{Path, PathBuf};

use ct_channel::message::Why;
use ct_config::container::{Container, Mount, ReadyWhen};
use oci_spec::runtime::Spec;

use crate::bundle::{self, Parts};
use crate::cgroup::UnitCgroup;
use crate::claim::RunDirectory;
use crate::exit::{At, Error, Failure, Step};
use crate::identity::Identity;
use crate::inside::Inside;
use crate::instance::Instance;
use crate::journal::Journal;
use crate::message::Message;
use crate::program::Program;
use crate::ready::notify_socket::NotifySocket;
use crate::rootfs::{self, Owner, Rootfs};
use crate::runtime::Runtime;
use crate::runtime::places::{Places, Streams};
use crate::{hooks, lxcfs, mounts, pod, small_init};

/// Where a container is made, in a mount namespace that nobody else sees into.
#[derive(Debug)]
pub(crate) struct Site {
    /// Which life of it.
    pub(crate) instance: Instance,
    /// The unit's control group, as in /proc/self/cgroup.
    pub(crate) cgroup: String,
    /// Its run-time directory.
    pub(crate) run: RunDirectory,
    /// What PID 1 has set for the unit.
    pub(crate) umask: u32,
    /// Its standard files are a new terminal, of so many rows and columns.
    pub(crate) terminal: Option<(u16, u16)>,
    pub(crate) journal: Journal,
}

/// A container of which all is there but its processes.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) container: &'a Container,
    pub(crate) runtime: Runtime<'a>,
    pub(crate) identity: Identity,
    pub(crate) cgroup: UnitCgroup,
    pub(crate) places: Places,
    /// The socket of a container that says itself when it is ready.
    pub(crate) socket: Option<NotifySocket>,
    /// Whether files of its /proc come from lxcfs.
    pub(crate) has_lxcfs: bool,
    /// Its command, and where that is looked for.
    program: Program,
    rootfs: Rootfs,
    /// The host ids of the user that its command runs as.
    pub(crate) user: Owner,
    /// Claimed as long as this is held.
    claimed: RunDirectory,
}

impl Site {
    /// Makes everything.
    pub(crate) fn prepare(self, container: &mut Container) -> Result<Prepared<'_>, Failure> {
        let Self { instance, cgroup, run, umask, terminal, journal } = self;
        let joined = pod::join(container, &run).at(Step::Namespaces)?;
        let container: &Container = container;
        let runtime = Runtime::locate(&container.runtime).at(Step::Runtime)?;
        let identity = Identity::read(container, &runtime).at(Step::User)?;

        // Its files.
        let base = bundle::read_base(&container.root.source).at(Step::Bundle)?;
        if instance.run().is_none() {
            bundle::check_terminal(container, base.as_ref()).at(Step::Bundle)?;
        }
        let bundle_root = bundle::base_root(&container.root.source, base.as_ref());
        let rootfs = mount_rootfs(container, bundle_root, &run, &identity).at(Step::Rootfs)?;

        // Its cgroup, below the one whose limits PID 1 has set.
        let mut cgroup = prepare_cgroup(cgroup, journal).at(Step::Cgroup)?;

        // Hooks, which may mount something for it: in its root file system, or where [[mount]] looks.
        hooks::before_start(container, &instance, &rootfs.path).at(Step::Hooks)?;
        let socket = notify_socket(container, &run).at(Step::Ready)?;
        let wanted = wanted_mounts(container, socket.as_ref()).at(Step::Rootfs)?;
        let through_account = !identity.account.is_root();
        let mounts = mounts::prepare(&wanted, &rootfs, &run, through_account).at(Step::Rootfs)?;

        // config.json, for the runtime.
        let parts = Parts {
            container,
            base,
            rootfs: &rootfs,
            identity: &identity,
            runtime: &runtime,
            joined: &joined,
            cgroup: cgroup.payload(),
            mounts,
            umask,
            terminal,
        };
        let spec = bundle::assemble(parts).at(Step::Bundle)?;
        give_payload(&mut cgroup, &identity, &spec, &runtime).at(Step::Cgroup)?;
        let places = Places::make(&run, &instance, &identity.account).at(Step::Bundle)?;
        runtime.write_config(&spec, &places, &identity.account).at(Step::Bundle)?;

        let user = spec.process().as_ref().map_or(identity.owner, |process| identity.of_user(process.user()));
        let (has_lxcfs, program) = (lxcfs::is_among(&wanted), Program::of(&spec));
        Ok(Prepared {
            container,
            runtime,
            identity,
            cgroup,
            places,
            socket,
            has_lxcfs,
            program,
            rootfs,
            user,
            claimed: run,
        })
    }
}

impl Prepared<'_> {
    /// Creates and starts the container; the pid of its init, a child of this process.
    pub(crate) fn run(&self, streams: Streams) -> Result<i32, Error> {
        self.runtime.run(&self.places, &self.identity.account, &self.cgroup, streams)
    }

    /// As [`Self::run`], or from a checkpoint.
    pub(crate) fn run_from(&self, image: Option<&Path>, streams: Streams) -> Result<i32, Error> {
        let Some(image) = image else { return self.run(streams) };
        self.runtime.restore((&self.places, &self.identity.account), &self.cgroup, streams, image)
    }

    /// The run-time directory, which stays root's.
    pub(crate) fn directory(&self) -> &Path {
        self.claimed.path()
    }

    /// Why the runtime could not run its command, if it is because of that file.
    pub(crate) fn why_not(&self) -> Option<Why> {
        self.program.why_not(&self.rootfs.directory)
    }

    /// What it takes to run something inside it.
    pub(crate) fn inside(&self) -> Inside<'_> {
        Inside {
            name: &self.container.name,
            runtime: &self.runtime,
            places: &self.places,
            account: &self.identity.account,
            cgroup: &self.cgroup,
        }
    }
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

/// Makes the groups below the unit's.
fn prepare_cgroup(own_cgroup: String, journal: Journal) -> Result<UnitCgroup, Error> {
    let cgroup = UnitCgroup::prepare(own_cgroup)?;
    for controller in cgroup.delegate_controllers()? {
        journal.warning(
            Step::Cgroup,
            Message::ControllerKept,
            &format!("cannot hand on the cgroup controller {controller}, ignoring"),
        );
    }
    Ok(cgroup)
}

/// Gives the container's group to whom it belongs.
fn give_payload(
    cgroup: &mut UnitCgroup,
    identity: &Identity,
    spec: &Spec,
    runtime: &Runtime<'_>,
) -> Result<(), Error> {
    let to_init = bundle::runs_system_init(spec) && !runtime.family.makes_own_groups();
    let Some((uid, gid)) = identity.payload_owner(to_init) else { return Ok(()) };
    cgroup.give_payload(uid, gid)?;
    if !identity.account.is_root() && identity.account.uid != uid {
        cgroup.share_payload(gid)?;
    }
    Ok(())
}
