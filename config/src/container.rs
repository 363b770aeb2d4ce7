// SPDX-License-Identifier: MIT OR Apache-2.0
//! A validated container: what `NAME.toml` means once every file is merged, every default filled in and every
//! value checked. Made by [`crate::validate`] alone; whoever holds a [`Container`] need not check it again.
//!
//! In JSON it has these names, sizes are bytes and time spans microseconds or `"infinity"`.
//!
//! A field is an `Option` where "not said" differs from any value: an OCI bundle's own `config.json` then decides.

mod isolation;
mod lifecycle;
mod process;
mod root;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

pub use self::isolation::{Device, Network, Seccomp, Security};
pub use self::lifecycle::{Autostart, Dependency, Depends, Hooks, Ready, ReadyWhen, Restart, Stop};
pub use self::process::{EnvFile, IdMap, IdName, IdRange, Process};
pub use self::root::{Create, Mount, Root, RootSource};
use crate::name::{ContainerName, UnitName};
use crate::pod::Membership;
use crate::settings::Property;
use crate::value::{Limit, RlimitResource};
pub use crate::word::{LogMode, Lxcfs, OomPolicy, RestartPolicy, Writable};

/// One container, valid as far as it can be known without looking at the host.
#[derive(Debug, Clone, Serialize)]
pub struct Container {
    /// The stem of the file it was read from; nothing else names a container.
    pub name: ContainerName,
    /// `Description=` of the unit.
    pub description: Option<String>,
    /// The program that creates the container.
    pub runtime: Runtime,
    /// The host account that runs the runtime; `None` for root.
    pub account: Option<AccountName>,
    /// `Slice=` of the unit, `ct.slice` unless said otherwise; that of the pod, if it has one.
    pub slice: UnitName,
    /// The pod it belongs to.
    #[serde(rename = "pod")]
    pub membership: Option<Box<Membership>>,
    /// The container's host name; `None` leaves it to a bundle and is the container's name otherwise.
    pub hostname: Option<String>,
    /// Where its root file system comes from.
    pub root: Root,
    /// The process that is the container's init.
    pub process: Process,
    /// Where its output goes.
    pub log: LogMode,
    /// The user namespace; `None` for none, unless an account asks for one.
    pub idmap: Option<IdMap>,
    /// Mounts on top of the root file system, in order.
    pub mounts: Vec<Mount>,
    /// prlimit(2) of the container's processes, set by PID 1 in the unit.
    pub limits: BTreeMap<RlimitResource, Limit>,
    /// `[resources]`: systemd.resource-control(5) settings, in the order of [`crate::resource_control::TABLE`].
    #[serde(serialize_with = "crate::settings::serialize_as_map")]
    pub resources: Vec<Property>,
    /// `OOMScoreAdjust=` and `OOMPolicy=`.
    pub oom: Oom,
    /// Order and requirement dependencies.
    pub depends: Depends,
    /// Whether and when boot starts it.
    pub autostart: Autostart,
    /// When it counts as started.
    pub ready: Ready,
    /// How it is stopped.
    pub stop: Stop,
    /// When systemd starts it again.
    pub restart: Restart,
    /// Programs of the host that run along with it.
    pub hooks: Hooks,
    /// The network namespace; `None` leaves it to a bundle and is `Network::None` otherwise.
    pub network: Option<Network>,
    /// Capabilities, seccomp, devices.
    pub security: Security,
    /// `[systemd.unit]`: verbatim directives, already checked for injection.
    pub extra_unit: Vec<Directive>,
    /// `[systemd.service]`: verbatim directives, already checked for injection.
    pub extra_service: Vec<Directive>,
    /// Every file it was read from, the main one first.
    pub files: Vec<PathBuf>,
    /// Digest over those files and the host settings that shaped it.
    pub digest: Digest,
}

/// SHA-256 as lower-case hexadecimal text, 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Digest(pub String);

/// A host account: by name, or by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AccountName {
    /// A name of passwd(5).
    Name(String),
    /// A user id, never 0 (that is "no account"), 65535 or 4294967295.
    Uid(u32),
}

/// How the runtime is driven. What differs between runtimes is stated by the helper, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeFamily {
    /// crun's command line.
    Crun,
    /// runc's command line, which other OCI runtimes follow.
    Runc,
    /// youki's.
    Youki,
    /// That of gVisor's runsc.
    Runsc,
    /// LXC, which is no OCI runtime.
    Lxc,
}

/// The runtime of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Runtime {
    /// The name or path as configured, for messages.
    pub name: String,
    /// Which command line it understands.
    pub family: RuntimeFamily,
    /// The program: absolute, or a bare name to be looked up in the helper's fixed search path.
    pub program: PathBuf,
    /// Global arguments from `[runtimes]` of ct.toml, put before the sub-command.
    pub arguments: Vec<String>,
}

/// `[oom]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Oom {
    /// -1000..=1000
    pub score_adjust: Option<i16>,
    /// `OOMPolicy=`
    pub policy: Option<OomPolicy>,
}

/// One verbatim unit-file directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Directive {
    /// `LogLevelMax`
    pub name: String,
    /// Its values, one line each; no control characters, no trailing backslash.
    pub values: Vec<String>,
}
