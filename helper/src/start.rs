// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper start NAME`: the steps of a start, in order, from the config to the handover.
//!
//! Killed between any two of them it leaves nothing: mounts live in the unit's private mount namespace, processes in
//! its cgroup, files in its RuntimeDirectory=, and PID 1 takes all three away with the unit.

use ct_config::container::{Container, IdMap};

use crate::account::{Account, SubordinateIds, host_id};
use crate::bundle::{self, Parts};
use crate::cgroup::{self, UnitCgroup};
use crate::claim::{self, RunDirectory};
use crate::exit::{At, Error, Failure, Step};
use crate::journal::Journal;
use crate::reaper::{self, End, Started};
use crate::rootfs::{self, Owner};
use crate::runtime::{Places, Runtime};
use crate::{handover, mounts, read, sys};

/// How a start that did not fail ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// PID 1 has the container's init.
    HandedOver,
    /// Init ended before there was anything to hand over: with this status.
    Exited(i32),
    /// Init was killed by this signal before there was anything to hand over.
    Killed(i32),
    /// The start failed, and another process of ours has said why.
    AlreadyToldWhy(i32),
}

/// Starts the container `name` and hands its init to PID 1.
pub(crate) fn start(name: &str, journal: Journal) -> Result<Outcome, Failure> {
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e)).at(Step::Claim)?;

    claim::is_the_unit(name).at(Step::Claim)?;
    let own_cgroup = cgroup::of_unit(name).at(Step::Claim)?;

    // What the container is to be.
    let container = read::container(name, journal).at(Step::Config)?;
    let run = RunDirectory::claim(&container.name).at(Step::Claim)?;
    let runtime = Runtime::locate(&container.runtime).at(Step::Runtime)?;
    let account = account(&container).at(Step::User)?;
    let ids = id_maps(&container, &account, &runtime).at(Step::User)?;
    let owner = owner(ids.as_ref()).at(Step::User)?;

    // Its files, mounted where only this unit sees them.
    let base = bundle::read_base(&container.root.source).at(Step::Bundle)?;
    rootfs::leave_host_mounts().at(Step::Rootfs)?;
    if ids.is_some() {
        run.open_for_traversal().at(Step::Rootfs)?;
    }
    if let Some(left_out) = bundle::left_out(base.as_ref()) {
        journal.warning(Step::Bundle, left_out);
    }
    let bundle_root = bundle::base_root(&container.root.source, base.as_ref());
    let rootfs = rootfs::mount_root(&container.root, bundle_root.as_deref(), &run, owner).at(Step::Rootfs)?;
    let mounts = mounts::prepare(&container.mounts, &rootfs, &run, !account.is_root()).at(Step::Rootfs)?;

    // Its cgroup, below the one whose limits PID 1 has set.
    let cgroup = UnitCgroup::prepare(own_cgroup).at(Step::Cgroup)?;
    for controller in cgroup.delegate_controllers().at(Step::Cgroup)? {
        journal
            .warning(Step::Cgroup, &format!("cannot hand on the cgroup controller {controller}, ignoring"));
    }
    if ids.is_some() {
        let (uid, gid) = if account.is_root() { (owner.uid, owner.gid) } else { (account.uid, account.gid) };
        cgroup.give_payload(uid, gid).at(Step::Cgroup)?;
    }

    // config.json, for the runtime.
    let parts = Parts {
        container: &container,
        base,
        rootfs: &rootfs,
        ids: ids.as_ref(),
        cgroup: cgroup.payload(),
        repeat_open_files: runtime.raises_open_files(),
        repeat_devices: runtime.refuses_devices(),
        implied_groups: account.is_root() || !runtime.insists_on_being_root(),
        mounts,
    };
    let spec = bundle::assemble(parts).at(Step::Bundle)?;
    let places = Places {
        bundle: run.make("bundle", 0o500).at(Step::Bundle)?,
        state: run.make_owned("runtime", &account).at(Step::Bundle)?,
    };
    bundle::write(&spec, &places.bundle, &account).at(Step::Bundle)?;

    // The container itself, started by a process that PID 1 takes its init over from.
    let started = reaper::start(
        || runtime.run(&container.name, &places, &account, &cgroup),
        |error| journal.failure(&Failure { step: Step::Runtime, error }),
    );
    let (reaper, init) = match started.at(Step::Runtime)? {
        Started::Init(reaper, init) => (reaper, init),
        Started::Failed(status) => return Ok(Outcome::AlreadyToldWhy(status)),
    };
    match handover::hand_over(reaper, &init).at(Step::HandOver)? {
        None => Ok(Outcome::HandedOver),
        Some(End::Exited(status)) => Ok(Outcome::Exited(status)),
        Some(End::Killed(signal)) => Ok(Outcome::Killed(signal)),
    }
}

/// The host account that runs the runtime.
fn account(container: &Container) -> Result<Account, Error> {
    container.account.as_ref().map_or_else(|| Ok(Account::root()), Account::read)
}

/// The maps of the user namespace. An account other than root cannot do without one, and gets its own ranges unless
/// the config says which.
fn id_maps(
    container: &Container,
    account: &Account,
    runtime: &Runtime<'_>,
) -> Result<Option<SubordinateIds>, Error> {
    let insists = !account.is_root() && runtime.insists_on_being_root();
    match &container.idmap {
        None if account.is_root() => Ok(None),
        None | Some(IdMap::Auto) => {
            let ids = SubordinateIds::read(account)?;
            Ok(Some(if insists { ids.with_account_as_root(account) } else { ids }))
        }
        Some(IdMap::Ranges { uid, gid }) => {
            let ids = SubordinateIds { uid: uid.clone(), gid: gid.clone() };
            if insists && owner(Some(&ids))?.uid != account.uid {
                return Err(Error::ConfigText(format!(
                    "idmap: {} without privileges wants id 0 mapped to the account itself: [[0, {}, 1], [1, ...]]",
                    container.runtime.name, account.uid
                )));
            }
            Ok(Some(ids))
        }
    }
}

/// The host ids of the container's root.
fn owner(ids: Option<&SubordinateIds>) -> Result<Owner, Error> {
    let Some(ids) = ids else { return Ok(Owner { uid: 0, gid: 0 }) };
    match (host_id(&ids.uid, 0), host_id(&ids.gid, 0)) {
        (Some(uid), Some(gid)) => Ok(Owner { uid, gid }),
        _ => Err(Error::NoUser("the id maps leave out the container's root (id 0)".to_owned())),
    }
}
