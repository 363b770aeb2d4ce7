// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a later file is merged into what there is: tables key by key, every other value of the later file replaces the earlier
//! one, lists as a whole. Two exceptions: `[[mount]]` entries replace the one with the same `target`, and of `root.path`,
//! `root.layers` and `root.bundle` the latest file's choice drops the others.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{MAX_MOUNTS, ROOT_SOURCES};

/// Merges a later container file into what there is, of which `[defaults]` is the earliest.
pub(crate) fn merge_container<'t>(into: &mut DeTable<'t>, mut from: DeTable<'t>) {
    let new_root = from.get("root").and_then(|root| root.get_ref().as_table());
    let chooses = new_root.is_some_and(|root| ROOT_SOURCES.iter().any(|key| root.contains_key(*key)));
    if let Some(DeValue::Table(root)) = into.get_mut("root").map(Spanned::get_mut)
        && chooses
    {
        ROOT_SOURCES.iter().for_each(|key| drop(root.remove(*key)));
    }
    let adds =
        from.get("mount").and_then(|mount| mount.get_ref().as_array()).is_some_and(|list| !list.is_empty());
    if let Some(DeValue::Array(mounts)) = into.get_mut("mount").map(Spanned::get_mut)
        && adds
        && let Some(DeValue::Array(new)) = from.remove("mount").map(Spanned::into_inner)
    {
        merge_mounts(mounts, new);
    }
    merge_table(into, from);
}

/// Merges a later file of the host: `[defaults]` as a container's file, everything else table by table.
pub(crate) fn merge_host<'t>(into: &mut DeTable<'t>, mut from: DeTable<'t>) {
    let adds = from.get("defaults").is_some_and(|defaults| defaults.get_ref().is_table());
    if let Some(DeValue::Table(defaults)) = into.get_mut("defaults").map(Spanned::get_mut)
        && adds
        && let Some(DeValue::Table(new)) = from.remove("defaults").map(Spanned::into_inner)
    {
        merge_container(defaults, new);
    }
    merge_table(into, from);
}

fn merge_mounts<'t>(into: &mut DeArray<'t>, from: DeArray<'t>) {
    // Validation refuses so many; comparing each with each would take long.
    if into.len() + from.len() > 2 * MAX_MOUNTS {
        from.into_iter().for_each(|mount| into.push(mount));
        return;
    }
    // Only those of earlier files are replaced; twice the same target in one file is for validation to refuse.
    let earlier = into.len();
    for mount in from {
        let target = mount_target(&mount).map(str::to_owned);
        let known =
            into.iter_mut().take(earlier).find(|m| target.is_some() && mount_target(m) == target.as_deref());
        match known {
            Some(known) => *known = mount,
            None => into.push(mount),
        }
    }
}

fn mount_target<'m>(mount: &'m Spanned<DeValue<'_>>) -> Option<&'m str> {
    mount.get_ref().as_table()?.get("target")?.get_ref().as_str()
}

/// Merges a table key by key.
pub(crate) fn merge_table<'t>(into: &mut DeTable<'t>, from: DeTable<'t>) {
    for (key, value) in from {
        let name: &str = key.get_ref();
        let old = match into.get_mut(name).map(Spanned::get_mut) {
            Some(DeValue::Table(table)) if value.get_ref().is_table() => Some(table),
            _ => None,
        };
        match (old, value) {
            (Some(old), value) => {
                if let DeValue::Table(new) = value.into_inner() {
                    merge_table(old, new);
                }
            }
            (None, value) => {
                // Removed first: inserting alone would keep the old key, which knows the other file.
                into.remove(name);
                into.insert(key, value);
            }
        }
    }
}
