// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[[mount]]`, `[network]`, `[security]`.

use std::path::{Path, PathBuf};

use super::{Check, NOT_YET, parse_path};
use crate::container::{Create, Device, Mount, Network, Seccomp, Security};
use crate::document::MAX_MOUNTS;
use crate::fragment::{self, Spanned, Table, Text};
use crate::resource_control::is_plain_path;
use crate::suggest;

/// File systems without a device; mount(2) takes any source for them.
const SOURCELESS: [&str; 14] = [
    "tmpfs",
    "ramfs",
    "proc",
    "sysfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "bpf",
    "debugfs",
    "tracefs",
    "securityfs",
    "hugetlbfs",
    "configfs",
];

/// capabilities(7), without the CAP_.
pub const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

impl Check<'_> {
    pub(super) fn mounts(&mut self, mounts: Vec<Spanned<Table<fragment::Mount>>>) -> Vec<Mount> {
        if let Some(beyond) = mounts.get(MAX_MOUNTS) {
            self.problem(beyond, "mount", &format!("more than {MAX_MOUNTS} mounts"));
            return Vec::new();
        }
        let mut made: Vec<Mount> = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let Some(new) = self.mount(&mount) else { continue };
            if made.iter().any(|old| old.target == new.target) {
                let reason = format!("{} is mounted twice", new.target.display());
                self.problem(&mount, "mount.target", &reason);
            }
            made.push(new);
        }
        made
    }

    fn mount(&mut self, mount: &Spanned<Table<fragment::Mount>>) -> Option<Mount> {
        let Table(fields) = mount.get_ref();
        let target = match &fields.target {
            Some(target) => self.mount_target(target),
            None => {
                self.problem(mount, "mount.target", "is missing");
                return None;
            }
        };
        let source = fields.source.as_ref().map(|source| source.get_ref().as_str());
        let kind = match &fields.kind {
            Some(kind) => self.mount_kind(kind),
            None if source.is_some_and(|source| source.starts_with('/')) => "bind".to_owned(),
            None => {
                self.problem(
                    mount,
                    "mount.type",
                    "is missing, and the source is not an absolute path to bind",
                );
                return None;
            }
        };
        let source = match &fields.source {
            Some(source) if kind == "bind" => self.path(source, "mount.source"),
            Some(source) if source.get_ref().is_empty() => {
                self.problem(source, "mount.source", "must not be empty");
                return None;
            }
            Some(source) => PathBuf::from(source.get_ref()),
            None if SOURCELESS.contains(&kind.as_str()) => PathBuf::from(&kind),
            None => {
                self.problem(mount, "mount.source", "is missing");
                return None;
            }
        };
        let create = match fields.create {
            None => Create::AsSource,
            Some(fragment::Create::Dir) => Create::Dir,
            Some(fragment::Create::File) => Create::File,
            Some(fragment::Create::No) => Create::No,
        };
        let options = fields.options.iter().flatten().map(|option| self.mount_option(option)).collect();
        Some(Mount { source, target, kind, options, create })
    }

    fn mount_target(&mut self, target: &Text) -> PathBuf {
        let path = self.path(target, "mount.target");
        if path == Path::new("/") {
            self.problem(target, "mount.target", "must not be \"/\", which [root] is for");
        } else if path.starts_with("/proc") {
            self.problem(target, "mount.target", "must not be below /proc");
        }
        path
    }

    fn mount_kind(&mut self, kind: &Text) -> String {
        let text = kind.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if text.is_empty() || !text.bytes().all(plain) {
            self.problem(kind, "mount.type", &format!("{text:?} is not the name of a file system"));
        }
        text.clone()
    }

    fn mount_option(&mut self, option: &Text) -> String {
        let text = option.get_ref();
        if text.is_empty() {
            self.problem(option, "mount.options", "an option must not be empty");
        } else if text.contains(',') && !text.contains('"') {
            self.problem(
                option,
                "mount.options",
                &format!("{text:?} is more than one option, make it several strings"),
            );
        }
        text.clone()
    }

    pub(super) fn network(&mut self, network: fragment::Network) -> Option<Network> {
        const KEY: &str = "network.mode";
        let mode = network.mode?;
        let text = mode.get_ref().as_str();
        match (text, text.split_once(':')) {
            ("host", _) => return Some(Network::Host),
            ("none", _) => return Some(Network::None),
            (_, Some(("ns", path))) => {
                return self.parsed(&mode, KEY, parse_path(path)).map(Network::Namespace);
            }
            (_, Some(("container" | "bridge", _))) => {
                self.problem(&mode, KEY, &format!("{text:?} is {NOT_YET}"));
            }
            _ => {
                let reason = format!("{text:?} is not one of \"none\", \"host\", \"ns:/path\"");
                self.problem(&mode, KEY, &reason);
            }
        }
        None
    }

    pub(super) fn security(&mut self, security: fragment::Security) -> Security {
        let capabilities = security.capabilities.unwrap_or_default();
        let add = capabilities.add.unwrap_or_default();
        let drop = capabilities.drop.unwrap_or_default();
        let capabilities_add = self.capabilities(&add, "security.capabilities.add");
        let capabilities_drop = self.capabilities(&drop, "security.capabilities.drop");
        for text in &drop {
            let both = parse_capability(text.get_ref())
                .is_some_and(|name| name != "ALL" && capabilities_add.contains(&name));
            if both {
                let reason = format!("{:?} is added as well", text.get_ref());
                self.problem(text, "security.capabilities.drop", &reason);
            }
        }
        Security {
            capabilities_add,
            capabilities_drop,
            no_new_privileges: security.no_new_privileges,
            seccomp: security.seccomp.and_then(|text| self.seccomp(&text)),
            devices: security
                .devices
                .unwrap_or_default()
                .iter()
                .filter_map(|text| self.device(text))
                .collect(),
        }
    }

    fn capabilities(&mut self, texts: &[Text], key: &str) -> Vec<String> {
        let mut names = Vec::with_capacity(texts.len());
        for text in texts {
            match parse_capability(text.get_ref()) {
                Some(name) => names.push(name),
                None if self.is_full() => break,
                None => {
                    let bare = bare_capability(text.get_ref());
                    let hint = suggest(&bare, CAPABILITIES.into_iter());
                    let hint = hint.map(|name| format!("did you mean \"CAP_{name}\"?"));
                    let reason = format!("{:?} is not a capability", text.get_ref());
                    self.hint(text, key, &reason, hint);
                }
            }
        }
        names.sort();
        names.dedup();
        names
    }

    fn seccomp(&mut self, text: &Text) -> Option<Seccomp> {
        match text.get_ref().as_str() {
            "default" => Some(Seccomp::Default),
            "unconfined" => Some(Seccomp::Unconfined),
            path if path.starts_with('/') => Some(Seccomp::File(self.path(text, "security.seccomp"))),
            other => {
                let reason = format!("{other:?} is not one of \"default\", \"unconfined\", \"/path.json\"");
                self.problem(text, "security.seccomp", &reason);
                None
            }
        }
    }

    fn device(&mut self, text: &Text) -> Option<Device> {
        self.parsed(text, "security.devices", parse_device(text.get_ref()))
    }
}

/// Upper case, without the CAP_.
fn bare_capability(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// In OCI's spelling.
fn parse_capability(text: &str) -> Option<String> {
    match bare_capability(text).as_str() {
        "ALL" => Some("ALL".to_owned()),
        bare if CAPABILITIES.contains(&bare) => Some(format!("CAP_{bare}")),
        _ => None,
    }
}

/// `/dev/x[:/dev/y][:rwm]`
fn parse_device(text: &str) -> Result<Device, String> {
    let bad = || format!("{text:?} is not a device such as /dev/fuse, /dev/fuse:rw or /dev/sda:/dev/disk:r");
    let mut parts = text.split(':').peekable();
    let node = |text: &str| match parse_path(text) {
        Ok(path) if !path.starts_with("/dev") || path == Path::new("/dev") => {
            Err(format!("{text:?} is not below /dev"))
        }
        // It becomes a word of DeviceAllow=.
        Ok(_) if !is_plain_path(text) => Err(format!("{text:?} has characters that no device node has")),
        Ok(path) => Ok(path),
        Err(reason) => Err(reason),
    };
    let source = node(parts.next().unwrap_or_default())?;
    let target = match parts.next_if(|part| part.starts_with('/')) {
        Some(target) => node(target)?,
        None => source.clone(),
    };
    let access = match parts.next() {
        None => "rwm".to_owned(),
        Some(letters) => {
            let once = |letter| letters.matches(letter).count() <= 1;
            let known = letters.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
            if letters.is_empty() || !known || !['r', 'w', 'm'].into_iter().all(once) {
                return Err(bad());
            }
            ['r', 'w', 'm'].into_iter().filter(|letter| letters.contains(*letter)).collect()
        }
    };
    if parts.next().is_some() { Err(bad()) } else { Ok(Device { source, target, access }) }
}
