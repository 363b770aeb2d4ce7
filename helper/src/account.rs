// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host account that runs the runtime, and the subordinate ids it may map: passwd(5), subuid(5), subgid(5).
//!
//! The files are read directly, for a name service can hang a boot. An account that is not in /etc/passwd (LDAP,
//! systemd-homed) is asked of getent(1), in a process of its own that PID 1's start timeout covers.

use std::process::{Command, Stdio};

use ct_config::container::{AccountName, IdRange};

use crate::exit::Error;

/// A host account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

impl Account {
    /// root, for whom no switch is made.
    pub(crate) fn root() -> Self {
        Self { name: "root".to_owned(), uid: 0, gid: 0, home: "/root".to_owned() }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Looks up the configured account.
    pub(crate) fn read(wanted: &AccountName) -> Result<Self, Error> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = parse_account(&passwd, wanted)
            .or_else(|| parse_account(&getent(wanted)?, wanted))
            .ok_or_else(|| Error::NoAccount(format!("no account {} on this host", shown(wanted))))?;
        if account.uid == 0 {
            return Err(Error::NoAccount(format!(
                "the account {} is root; leave `user` out instead",
                shown(wanted)
            )));
        }
        Ok(account)
    }
}

fn shown(wanted: &AccountName) -> String {
    match wanted {
        AccountName::Name(name) => format!("{name:?}"),
        AccountName::Uid(uid) => uid.to_string(),
    }
}

/// One passwd line from the name service switch; `None` where there is no answer.
fn getent(wanted: &AccountName) -> Option<String> {
    let key = match wanted {
        AccountName::Name(name) => name.clone(),
        AccountName::Uid(uid) => uid.to_string(),
    };
    let output = Command::new("/usr/bin/getent")
        .args(["passwd", "--", &key])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

/// Finds an account among passwd(5) lines; lines that are not well-formed are passed over.
fn parse_account(passwd: &str, wanted: &AccountName) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, _] = fields.as_slice() else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let found = match wanted {
            AccountName::Name(wanted) => wanted == name,
            AccountName::Uid(wanted) => *wanted == uid,
        };
        found.then(|| Account { name: (*name).to_owned(), uid, gid, home: (*home).to_owned() })
    })
}

/// The maps of `idmap = "auto"`: the account's subordinate ranges, laid one after the other from container id 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubordinateIds {
    pub(crate) uid: Vec<IdRange>,
    pub(crate) gid: Vec<IdRange>,
}

impl SubordinateIds {
    /// The same with the account itself as the container's root, and its ranges from id 1 on.
    pub(crate) fn with_account_as_root(self, account: &Account) -> Self {
        let behind = |id: u32, ranges: Vec<IdRange>| {
            let own = IdRange { container: 0, host: id, count: 1 };
            let moved =
                |range: IdRange| Some(IdRange { container: range.container.checked_add(1)?, ..range });
            std::iter::once(own).chain(ranges.into_iter().filter_map(moved)).collect()
        };
        Self { uid: behind(account.uid, self.uid), gid: behind(account.gid, self.gid) }
    }

    /// Reads /etc/subuid and /etc/subgid.
    pub(crate) fn read(account: &Account) -> Result<Self, Error> {
        let of = |file: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let ranges = parse_subordinate(&text, account);
            if ranges.is_empty() {
                return Err(Error::NoIds(format!(
                    "the account {:?} has no ids to map in {file} (add a line such as \"{}:200000:65536\")",
                    account.name, account.name
                )));
            }
            Ok(ranges)
        };
        Ok(Self { uid: of("/etc/subuid")?, gid: of("/etc/subgid")? })
    }
}

/// The ranges of one account; owners are given by name or by number. Container ids follow on from each other.
fn parse_subordinate(text: &str, account: &Account) -> Vec<IdRange> {
    let uid = account.uid.to_string();
    let mut ranges: Vec<IdRange> = Vec::new();
    let mut container = 0_u32;
    for line in text.lines() {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [owner, host, count] = fields.as_slice() else { continue };
        let (Ok(host), Ok(count)) = (host.parse::<u32>(), count.parse::<u32>()) else { continue };
        if (*owner != account.name && *owner != uid) || count == 0 || host == 0 {
            continue;
        }
        // The kernel refuses a map whose host ids overlap (user_namespaces(7)); the same range twice is common.
        let overlaps = ranges.iter().any(|known| {
            host < known.host.saturating_add(known.count) && known.host < host.saturating_add(count)
        });
        let (Some(next), Some(_)) = (container.checked_add(count), host.checked_add(count)) else { continue };
        if overlaps {
            continue;
        }
        ranges.push(IdRange { container, host, count });
        container = next;
    }
    ranges
}

/// The host id behind a container id.
pub(crate) fn host_id(ranges: &[IdRange], container: u32) -> Option<u32> {
    let range = ranges
        .iter()
        .find(|range| container >= range.container && container - range.container < range.count)?;
    range.host.checked_add(container - range.container)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Account {
        Account { name: "ct-web".into(), uid: 990, gid: 980, home: "/var/empty".into() }
    }

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken line\nct-web:x:990:980::/var/empty:/usr/sbin/nologin\n";
        assert_eq!(parse_account(passwd, &AccountName::Name("ct-web".into())), Some(web()));
        assert_eq!(parse_account(passwd, &AccountName::Uid(990)), Some(web()));
        assert_eq!(parse_account(passwd, &AccountName::Name("ct".into())), None);
    }

    #[test]
    fn subordinate_ranges_follow_on_from_container_id_0() {
        let text =
            "other:100000:65536\nct-web:200000:65536\n990:300000:10\nct-web:200000:65536\nct-web:x:1\n";
        let ranges = parse_subordinate(text, &web());
        assert_eq!(
            ranges,
            [
                IdRange { container: 0, host: 200_000, count: 65_536 },
                IdRange { container: 65_536, host: 300_000, count: 10 },
            ]
        );
        assert_eq!(host_id(&ranges, 0), Some(200_000));
        assert_eq!(host_id(&ranges, 65_537), Some(300_001));
        assert_eq!(host_id(&ranges, 65_546), None);
    }
}
