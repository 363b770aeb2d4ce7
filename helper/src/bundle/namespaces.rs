// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linux.namespaces` of config.json: those of the container's own, those that it joins, and the maps of its ids.

use std::path::Path;

use ct_config::container::{Container, Network};
use oci_spec::runtime::{
    Linux, LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
};

use super::malformed;
use crate::account::SubordinateIds;
use crate::exit::Error;
use crate::pod::Joined;

/// Namespaces of the container's own, the network's as configured, and the user namespace with its maps.
pub(super) fn set(
    linux: &mut Linux,
    container: &Container,
    ids: Option<&SubordinateIds>,
    own_config: bool,
) -> Result<(), Error> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, User as Users, Uts};
    let mut namespaces = linux.namespaces().clone().unwrap_or_default();
    if !own_config {
        for typ in [Pid, Ipc, Uts, Mount, Cgroup] {
            replace(&mut namespaces, typ, None)?;
        }
    }
    match (&container.network, own_config) {
        (Some(Network::None), _) | (None, false) => replace(&mut namespaces, Net, None)?,
        (Some(Network::Namespace(path)), _) => replace(&mut namespaces, Net, Some(path))?,
        (Some(Network::Host), _) => namespaces.retain(|known| known.typ() != Net),
        (None, true) => {}
    }
    if let Some(ids) = ids {
        replace(&mut namespaces, Users, None)?;
        linux.set_uid_mappings(Some(mappings(&ids.uid)?));
        linux.set_gid_mappings(Some(mappings(&ids.gid)?));
    }
    linux.set_namespaces(Some(namespaces));
    Ok(())
}

/// A namespace of the container's own, or the one at `path`, in place of what was said of it before.
fn replace(
    namespaces: &mut Vec<LinuxNamespace>,
    typ: LinuxNamespaceType,
    path: Option<&Path>,
) -> Result<(), Error> {
    namespaces.retain(|known| known.typ() != typ);
    let mut builder = LinuxNamespaceBuilder::default().typ(typ);
    if let Some(path) = path {
        builder = builder.path(path);
    }
    namespaces.push(builder.build().map_err(malformed)?);
    Ok(())
}

/// The namespaces of a pod besides the network, in place of the container's own.
pub(super) fn join(linux: &mut Linux, joined: &Joined) -> Result<(), Error> {
    let mut namespaces = linux.namespaces().clone().unwrap_or_default();
    for (typ, path) in [
        (LinuxNamespaceType::Ipc, &joined.ipc),
        (LinuxNamespaceType::Uts, &joined.uts),
        (LinuxNamespaceType::User, &joined.user),
    ] {
        if let Some(path) = path {
            replace(&mut namespaces, typ, Some(path))?;
        }
    }
    linux.set_namespaces(Some(namespaces));
    Ok(())
}

fn mappings(ranges: &[ct_config::container::IdRange]) -> Result<Vec<LinuxIdMapping>, Error> {
    ranges
        .iter()
        .map(|range| {
            let builder = LinuxIdMappingBuilder::default();
            builder
                .container_id(range.container)
                .host_id(range.host)
                .size(range.count)
                .build()
                .map_err(malformed)
        })
        .collect()
}
