// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys that exist. One struct per table, every key optional: defaults are for [`crate::validate`] to fill in, and
//! what a value may be beyond its type is for it to check. The positions stay with the values, for its messages.

mod host;
mod pod;
mod value;

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

pub use host::{HostAutostart, HostFragment, HostRuntime};
pub use pod::PodFragment;
use value::table;
pub use value::{IdRanges, Scalar, Setting, Table};

/// A string with its position.
pub type Text = Spanned<String>;
/// A list of strings, each with its position.
pub type List = Spanned<Vec<Text>>;
/// `[resources]` and the verbatim sections: any key.
pub type Settings = BTreeMap<Text, Spanned<Setting>>;

/// One container file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Fragment {
    /// `Description=` of the unit.
    pub description: Option<Text>,
    /// crun (default), runc, a name from `[runtimes]` of ct.toml, or an absolute path.
    pub runtime: Option<Text>,
    /// The host account that runs the runtime; default root.
    pub user: Option<Spanned<Scalar>>,
    /// The slice of the unit; default ct.slice.
    pub slice: Option<Text>,
    /// The pod it belongs to.
    pub pod: Option<Text>,
    /// The host name inside; default the container's name.
    pub hostname: Option<Text>,
    /// The root file system.
    #[serde(default, deserialize_with = "table")]
    pub root: Option<Root>,
    /// The process that is the container's init.
    #[serde(default, deserialize_with = "table")]
    pub process: Option<Process>,
    /// The user namespace.
    #[serde(default, deserialize_with = "table")]
    pub idmap: Option<IdMap>,
    /// Mounts on top of the root file system.
    pub mount: Option<Vec<Spanned<Table<Mount>>>>,
    /// prlimit(2) of the container's processes.
    #[serde(default, deserialize_with = "table")]
    pub limits: Option<Limits>,
    /// systemd.resource-control(5) in snake case.
    pub resources: Option<Settings>,
    /// What the out-of-memory killer does.
    #[serde(default, deserialize_with = "table")]
    pub oom: Option<Oom>,
    /// Order and requirement dependencies.
    #[serde(default, deserialize_with = "table")]
    pub depends: Option<Depends>,
    /// Whether and when boot starts it.
    #[serde(default, deserialize_with = "table")]
    pub autostart: Option<Autostart>,
    /// When it counts as started.
    #[serde(default, deserialize_with = "table")]
    pub ready: Option<Ready>,
    /// How it is stopped.
    #[serde(default, deserialize_with = "table")]
    pub stop: Option<Stop>,
    /// When it is started again.
    #[serde(default, deserialize_with = "table")]
    pub restart: Option<Restart>,
    /// Programs of the host to run along with it.
    #[serde(default, deserialize_with = "table")]
    pub hooks: Option<Hooks>,
    /// The network namespace.
    #[serde(default, deserialize_with = "table")]
    pub network: Option<Network>,
    /// Capabilities, system calls, devices.
    #[serde(default, deserialize_with = "table")]
    pub security: Option<Security>,
    /// Verbatim directives of the unit.
    #[serde(default, deserialize_with = "table")]
    pub systemd: Option<Systemd>,
}

/// `[root]`: exactly one of path, layers, bundle.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Root {
    /// A directory.
    pub path: Option<Text>,
    /// Overlay layers, lowest first; bare names are below /var/lib/ct/layers/.
    pub layers: Option<List>,
    /// An OCI bundle, whose config.json is the base that other keys override.
    pub bundle: Option<Text>,
    /// persistent, ephemeral (fresh at each start), or no.
    pub writable: Option<Writable>,
    /// An id-mapped mount, to share one root file system between containers with other id ranges.
    pub idmap: Option<Spanned<bool>>,
    /// no (default), auto, or yes: files of /proc from lxcfs.
    pub lxcfs: Option<Lxcfs>,
}

/// `root.lxcfs`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "said at crate::container::Lxcfs")]
pub enum Lxcfs {
    No,
    Auto,
    Yes,
}

/// `root.writable`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "said at crate::container::Writable")]
pub enum Writable {
    Persistent,
    Ephemeral,
    No,
}

/// `[process]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Process {
    /// The argument vector; default /sbin/init.
    pub command: Option<List>,
    /// Working directory.
    pub cwd: Option<Text>,
    /// Environment.
    pub env: Option<BTreeMap<Text, Spanned<Scalar>>>,
    /// Files in the syntax of `EnvironmentFile=`; a leading `-` allows them to be missing.
    pub env_file: Option<List>,
    /// User inside the container, by name or number.
    pub user: Option<Spanned<Scalar>>,
    /// Group inside the container, by name or number.
    pub group: Option<Spanned<Scalar>>,
    /// Supplementary groups inside the container.
    pub groups: Option<Vec<Spanned<Scalar>>>,
    /// A terminal as its console.
    pub terminal: Option<Spanned<bool>>,
    /// A tiny init in front of the command.
    pub init: Option<Spanned<bool>>,
}

/// `[idmap]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct IdMap {
    /// "auto", or ranges of container id, host id, count.
    pub uid: Option<Spanned<IdRanges>>,
    /// "auto", or ranges of container id, host id, count.
    pub gid: Option<Spanned<IdRanges>>,
}

/// One `[[mount]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Mount {
    /// What is mounted.
    pub source: Option<Text>,
    /// Where in the container.
    pub target: Option<Text>,
    /// bind (the default for an absolute source), tmpfs, or any file system.
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// Options of mount(8).
    pub options: Option<Vec<Text>>,
    /// What to make at a missing target; default what the source is.
    pub create: Option<Create>,
}

/// `mount.create`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "said at crate::container::Create")]
pub enum Create {
    Dir,
    File,
    No,
}

/// `[limits]`: each "soft:hard", one value for both, or "infinity".
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[expect(missing_docs, reason = "the resources of getrlimit(2)")]
pub struct Limits {
    pub r#as: Option<Spanned<Scalar>>,
    pub core: Option<Spanned<Scalar>>,
    pub cpu: Option<Spanned<Scalar>>,
    pub data: Option<Spanned<Scalar>>,
    pub fsize: Option<Spanned<Scalar>>,
    pub locks: Option<Spanned<Scalar>>,
    pub memlock: Option<Spanned<Scalar>>,
    pub msgqueue: Option<Spanned<Scalar>>,
    pub nice: Option<Spanned<Scalar>>,
    pub nofile: Option<Spanned<Scalar>>,
    pub nproc: Option<Spanned<Scalar>>,
    pub rss: Option<Spanned<Scalar>>,
    pub rtprio: Option<Spanned<Scalar>>,
    pub rttime: Option<Spanned<Scalar>>,
    pub sigpending: Option<Spanned<Scalar>>,
    pub stack: Option<Spanned<Scalar>>,
}

/// `[oom]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Oom {
    /// -1000 to 1000
    pub score_adjust: Option<Spanned<i64>>,
    /// kill (default), stop, continue
    pub policy: Option<OomPolicy>,
}

/// `oom.policy`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "said at crate::container::OomPolicy")]
pub enum OomPolicy {
    Kill,
    Stop,
    Continue,
}

/// `[depends]`: containers by name, or units by full unit name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Depends {
    /// Started first; their stop takes this container along.
    pub requires: Option<Vec<Text>>,
    /// Started first, if they can be.
    pub wants: Option<Vec<Text>>,
    /// Order alone.
    pub after: Option<Vec<Text>>,
    /// Order alone.
    pub before: Option<Vec<Text>>,
}

/// `[autostart]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Autostart {
    /// Start at boot.
    pub enabled: Option<bool>,
    /// Lower first; default 1000.
    pub priority: Option<Spanned<i64>>,
    /// Pause after it is ready before the next in its lane.
    pub delay: Option<Spanned<Scalar>>,
}

/// `[ready]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Ready {
    /// Run inside until it exits with 0.
    pub command: Option<List>,
    /// Pause between two runs; default 250ms.
    pub interval: Option<Spanned<Scalar>>,
    /// How long one run may take; default 10s.
    pub command_timeout: Option<Spanned<Scalar>>,
    /// The container itself sends READY=1.
    pub notify: Option<Spanned<bool>>,
    /// The longest pause between two WATCHDOG=1 of the container.
    pub watchdog: Option<Spanned<Scalar>>,
    /// How long it may take to be ready; default 90s.
    pub timeout: Option<Spanned<Scalar>>,
}

/// `[stop]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Stop {
    /// Default SIGTERM; SIGRTMIN+3 when the command is a systemd.
    pub signal: Option<Spanned<Scalar>>,
    /// Then it is killed.
    pub timeout: Option<Spanned<Scalar>>,
    /// Run inside before the signal.
    pub command: Option<List>,
    /// How long that may take; default 10s.
    pub command_timeout: Option<Spanned<Scalar>>,
}

/// `[restart]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Restart {
    /// `Restart=` of systemd.service(5).
    pub policy: Option<RestartPolicy>,
    /// Pause before.
    pub delay: Option<Spanned<Scalar>>,
    /// `StartLimitBurst=` of systemd.unit(5).
    pub start_limit_burst: Option<Spanned<i64>>,
    /// `StartLimitIntervalSec=` of systemd.unit(5).
    pub start_limit_interval: Option<Spanned<Scalar>>,
}

/// `restart.policy`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "systemd's own words")]
pub enum RestartPolicy {
    No,
    Always,
    OnSuccess,
    OnFailure,
    OnAbnormal,
    OnAbort,
    OnWatchdog,
}

/// `[hooks]`: lists of argument vectors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Hooks {
    /// Before the container is created.
    pub pre_start: Option<Spanned<Vec<List>>>,
    /// After it is started.
    pub post_start: Option<Spanned<Vec<List>>>,
    /// Before it is told to stop.
    pub pre_stop: Option<Spanned<Vec<List>>>,
    /// After it has ended.
    pub post_stop: Option<Spanned<Vec<List>>>,
    /// How long each of them may take; default 30s.
    pub timeout: Option<Spanned<Scalar>>,
}

/// `[network]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Network {
    /// none (default), host, or ns: and the path of a namespace.
    pub mode: Option<Text>,
}

/// `[security]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Security {
    /// Changes to the default set of capabilities.
    #[serde(default, deserialize_with = "table")]
    pub capabilities: Option<Capabilities>,
    /// Default true.
    pub no_new_privileges: Option<bool>,
    /// default, unconfined, or the path of an OCI seccomp object in JSON.
    pub seccomp: Option<Text>,
    /// Host devices: `/dev/fuse:rw`.
    pub devices: Option<Vec<Text>>,
}

/// `security.capabilities`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Capabilities {
    /// Added to the default set.
    pub add: Option<Vec<Text>>,
    /// Taken from it; "ALL" for all of them.
    pub drop: Option<Vec<Text>>,
}

/// `[systemd.unit]` and `[systemd.service]`: verbatim directives.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Systemd {
    /// For the `[Unit]` section.
    pub unit: Option<Settings>,
    /// For the `[Service]` section.
    pub service: Option<Settings>,
}
