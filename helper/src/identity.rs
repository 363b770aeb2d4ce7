// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who the container is on the host: the account that runs the runtime, and the ids that its users have outside.

use ct_config::container::{Container, IdMap};

use crate::account::{Account, SubordinateIds, host_id};
use crate::exit::Error;
use crate::rootfs::Owner;
use crate::runtime::Runtime;

/// The container as the host's users see it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Who runs the runtime.
    pub(crate) account: Account,
    /// The maps of the user namespace, if there is one.
    pub(crate) ids: Option<SubordinateIds>,
    /// The host ids of the container's root.
    pub(crate) owner: Owner,
}

/// The host account that runs the container's runtime.
pub(crate) fn account(container: &Container) -> Result<Account, Error> {
    container.account.as_ref().map_or_else(|| Ok(Account::root()), Account::read)
}

impl Identity {
    /// Looks up what the config names.
    pub(crate) fn read(container: &Container, runtime: &Runtime<'_>) -> Result<Self, Error> {
        let account = account(container)?;
        let ids = id_maps(container, &account, runtime)?;
        let owner = owner(ids.as_ref())?;
        Ok(Self { account, ids, owner })
    }

    /// The host ids of a user of the container; its root's where the maps leave that out.
    pub(crate) fn of_user(&self, user: &oci_spec::runtime::User) -> Owner {
        let Some(ids) = &self.ids else { return Owner { uid: user.uid(), gid: user.gid() } };
        match (host_id(&ids.uid, user.uid()), host_id(&ids.gid, user.gid())) {
            (Some(uid), Some(gid)) => Owner { uid, gid },
            _ => self.owner,
        }
    }

    /// The host ids that `payload/` of the unit's cgroup is given to, if anybody's. An init system makes groups of its own
    /// there, so that it must be the container's root; else it is who runs the runtime.
    pub(crate) fn payload_owner(&self, system_init: bool) -> Option<(u32, u32)> {
        self.ids.as_ref()?;
        let Self { account, owner, .. } = self;
        let inside = account.is_root() || system_init;
        Some(if inside { (owner.uid, owner.gid) } else { (account.uid, account.gid) })
    }
}

/// The maps of the user namespace. An account other than root cannot do without one, and gets its own ranges unless
/// the config says which.
fn id_maps(
    container: &Container,
    account: &Account,
    runtime: &Runtime<'_>,
) -> Result<Option<SubordinateIds>, Error> {
    let insists = !account.is_root() && runtime.family.insists_on_being_root();
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
        _ => Err(Error::NoIds("the id maps leave out the container's root (id 0)".to_owned())),
    }
}
