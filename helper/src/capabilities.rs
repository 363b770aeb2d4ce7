// SPDX-License-Identifier: MIT OR Apache-2.0
//! `process.capabilities` of config.json. See capabilities(7).

use ct_config::container::Security;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

use crate::bundle::malformed;
use crate::exit::Error;

/// What a container's root may do unless told otherwise: manage its own files, ids and processes, and listen on
/// ports below 1024. Nothing in it reaches the host's devices, network or clock.
const DEFAULT: [Capability; 11] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// The default set, less `drop`, plus `add`; `base` replaces the default for a bundle that has its own.
///
/// With `may_reboot` it may end its container by reboot(2), since that alone tells a reboot from a power-off. In a pid
/// namespace of its own that call can do nothing else (pid_namespaces(7)).
pub(crate) fn effective(
    security: &Security,
    base: Option<Vec<Capability>>,
    may_reboot: bool,
) -> Result<Vec<Capability>, Error> {
    let default = || DEFAULT.into_iter().chain(may_reboot.then_some(Capability::SysBoot)).collect();
    let mut set = base.unwrap_or_else(default);
    if security.capabilities_drop.iter().any(|name| name == "ALL") {
        set.clear();
    }
    for name in security.capabilities_drop.iter().filter(|name| *name != "ALL") {
        let dropped = parse(name)?;
        set.retain(|capability| *capability != dropped);
    }
    for name in &security.capabilities_add {
        if name == "ALL" {
            set = all();
            continue;
        }
        let added = parse(name)?;
        if !set.contains(&added) {
            set.push(added);
        }
    }
    Ok(set)
}

/// The three sets that have them. Inheritable and ambient stay empty: a program in the container gains nothing from
/// a file capability that the image carries by accident.
pub(crate) fn sets(capabilities: &[Capability]) -> Result<LinuxCapabilities, Error> {
    let set = || capabilities.iter().copied().collect::<Capabilities>();
    LinuxCapabilitiesBuilder::default()
        .bounding(set())
        .effective(set())
        .permitted(set())
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()
        .map_err(malformed)
}

fn parse(name: &str) -> Result<Capability, Error> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|_unknown| Error::ConfigText(format!("no capability is called {name:?}")))
}

/// Every capability that the specification names; the runtime leaves out what its kernel does not know.
fn all() -> Vec<Capability> {
    NAMES.iter().filter_map(|name| parse(name).ok()).collect()
}

/// In the kernel's numbering, from include/uapi/linux/capability.h.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn security(add: &[&str], drop: &[&str]) -> Security {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Security { capabilities_add: owned(add), capabilities_drop: owned(drop), ..Security::default() }
    }

    #[test]
    fn every_capability_of_the_kernel_is_known() {
        assert_eq!(all().len(), NAMES.len());
    }

    #[test]
    fn add_and_drop_change_the_default_set() {
        let set = effective(&security(&["CAP_NET_ADMIN"], &["CAP_KILL", "CAP_CHOWN"]), None, false).unwrap();
        assert!(set.contains(&Capability::NetAdmin) && !set.contains(&Capability::Kill));
        assert_eq!(set.len(), DEFAULT.len() - 1);
        assert_eq!(effective(&security(&["CAP_KILL"], &["ALL"]), None, false).unwrap(), [Capability::Kill]);
        assert_eq!(effective(&security(&["ALL"], &[]), None, false).unwrap().len(), NAMES.len());
        assert_eq!(effective(&security(&[], &[]), Some(vec![]), true).unwrap(), []);
    }

    #[test]
    fn an_init_system_may_reboot_unless_that_is_dropped() {
        let set = effective(&security(&[], &[]), None, true).unwrap();
        assert_eq!(set.last(), Some(&Capability::SysBoot));
        assert_eq!(set.len(), DEFAULT.len() + 1);
        assert_eq!(effective(&security(&[], &["CAP_SYS_BOOT"]), None, true).unwrap(), DEFAULT);
    }
}
