// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users and groups inside the container, resolved in its own /etc/passwd and /etc/group.
//!
//! Those files belong to whoever made the image and may have been changed by the container since: they are opened
//! inside the root file system (openat2(2), RESOLVE_IN_ROOT), bounded in size, and only ever yield ids that the user
//! namespace confines.

use std::os::fd::AsFd;
use std::path::Path;

use ct_config::container::{IdName, Process};

use crate::confined;
use crate::exit::Error;

/// What `process.user` of config.json gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups; the first is `gid`, as the runtime specification asks for.
    pub(crate) groups: Vec<u32>,
}

/// Resolves `[process]` user, group and groups; `None` when none of them is said.
///
/// A user given by name, or by a number that /etc/passwd knows, brings its primary group and its memberships with it,
/// as login(1) does; a number nobody knows has group 0, as with every other container tool.
pub(crate) fn resolve(root: impl AsFd, process: &Process) -> Result<Option<ContainerUser>, Error> {
    if process.user.is_none() && process.group.is_none() && process.groups.is_empty() {
        return Ok(None);
    }
    let passwd = read(&root, "etc/passwd")?;
    let group = read(&root, "etc/group")?;
    let entry = match &process.user {
        None => find_user(&passwd, &IdName::Id(0)),
        Some(wanted) => match (find_user(&passwd, wanted), wanted) {
            (None, IdName::Name(name)) => {
                return Err(Error::NoUser(format!("no user {name:?} in the container's /etc/passwd")));
            }
            (found, _) => found,
        },
    };
    let uid = match (&process.user, &entry) {
        (_, Some(entry)) => entry.uid,
        (Some(IdName::Id(uid)), None) => *uid,
        _ => 0,
    };
    let gid = match &process.group {
        Some(wanted) => group_id(&group, wanted)?,
        None => entry.as_ref().map_or(0, |entry| entry.gid),
    };
    let mut groups = vec![gid];
    for wanted in &process.groups {
        groups.push(group_id(&group, wanted)?);
    }
    if let (Some(entry), true) = (&entry, process.user.is_some() && process.groups.is_empty()) {
        groups.extend(memberships(&group, &entry.name));
    }
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|id| seen.insert(*id));
    Ok(Some(ContainerUser { uid, gid, groups }))
}

fn read(root: &impl AsFd, path: &str) -> Result<String, Error> {
    let bytes = confined::read_in_root(root, Path::new(path))
        .map_err(|source| Error::system(format!("read /{path} of the container"), source))?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
}

fn find_user(passwd: &str, wanted: &IdName) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        let found = match wanted {
            IdName::Name(wanted) => wanted == name,
            IdName::Id(wanted) => *wanted == uid,
        };
        found.then(|| User { name: name.to_owned(), uid, gid })
    })
}

fn group_id(group: &str, wanted: &IdName) -> Result<u32, Error> {
    let name = match wanted {
        IdName::Id(gid) => return Ok(*gid),
        IdName::Name(name) => name,
    };
    group
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != name {
                return None;
            }
            id(fields.nth(1)?)
        })
        .ok_or_else(|| Error::NoUser(format!("no group {name:?} in the container's /etc/group")))
}

/// The groups that list `user` as a member.
fn memberships(group: &str, user: &str) -> Vec<u32> {
    group
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let gid = id(fields.nth(2)?)?;
            fields.next()?.split(',').any(|member| member.trim() == user).then_some(gid)
        })
        .collect()
}

/// An id that chown(2) does not take for "leave it".
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rootfs(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("ct-user-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("etc")).unwrap();
        std::fs::write(
            path.join("etc/passwd"),
            "root:x:0:0::/:/bin/sh\nwww:x:33:44::/:/bin/sh\nbad:x:-1:0::/:\n",
        )
        .unwrap();
        std::fs::write(
            path.join("etc/group"),
            "root:x:0:\nwww:x:44:\nadm:x:4:syslog,www\nbig:x:4294967295:\n",
        )
        .unwrap();
        path
    }

    fn resolved(process: Process) -> Result<Option<ContainerUser>, String> {
        let path = rootfs(&format!("{:p}", &process));
        let root = confined::host_directory(&path).unwrap();
        let user = resolve(&root, &process).map_err(|error| error.to_string());
        std::fs::remove_dir_all(path).unwrap();
        user
    }

    fn user(name: &str) -> Process {
        Process { user: Some(IdName::Name(name.into())), ..Process::default() }
    }

    #[test]
    fn a_name_brings_its_group_and_memberships() {
        let www = ContainerUser { uid: 33, gid: 44, groups: vec![44, 4] };
        assert_eq!(resolved(user("www")), Ok(Some(www.clone())));
        assert_eq!(resolved(Process { user: Some(IdName::Id(33)), ..Process::default() }), Ok(Some(www)));
    }

    #[test]
    fn what_is_said_wins() {
        let process =
            Process { group: Some(IdName::Name("adm".into())), groups: vec![IdName::Id(7)], ..user("www") };
        assert_eq!(resolved(process), Ok(Some(ContainerUser { uid: 33, gid: 4, groups: vec![4, 7] })));
        let stranger = Process { user: Some(IdName::Id(5000)), ..Process::default() };
        assert_eq!(resolved(stranger), Ok(Some(ContainerUser { uid: 5000, gid: 0, groups: vec![0] })));
        assert_eq!(resolved(Process::default()), Ok(None));
    }

    #[test]
    fn unknown_names_and_impossible_ids_are_errors() {
        assert_eq!(
            resolved(user("nobody-here")),
            Err("no user \"nobody-here\" in the container's /etc/passwd".into())
        );
        assert_eq!(resolved(user("bad")), Err("no user \"bad\" in the container's /etc/passwd".into()));
        let process = Process { group: Some(IdName::Name("big".into())), ..Process::default() };
        assert_eq!(resolved(process), Err("no group \"big\" in the container's /etc/group".into()));
    }
}
