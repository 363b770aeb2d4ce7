// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys that exist. One struct per table, every key optional: defaults are for [`crate::validate`] to fill in, and
//! what a value may be beyond its type is for it to check. The positions stay with the values, for its messages.

mod host;
mod pod;
mod spanned;
mod value;

use serde::Deserialize;
use std::collections::BTreeMap;

pub use host::{HostAutostart, HostFragment, HostRuntime};
pub use pod::PodFragment;
pub use spanned::Spanned;
use value::table;
pub use value::{IdRanges, Scalar, Setting, Table};

use crate::word::{LogMode, Lxcfs, OomPolicy, RestartPolicy, Writable};

/// A string with its position.
pub type Text = Spanned<String>;
/// A list of strings, each with its position.
pub type List = Spanned<Vec<Text>>;
/// `[resources]` and the verbatim sections: any key.
pub type Settings = BTreeMap<Text, Spanned<Setting>>;

/// One container file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fragment {
    /// `Description=` of the unit.
    pub description: Option<Text>,
    /// The OCI runtime: crun, runc, a name from `[runtimes]` of ct.toml, or an absolute path.
    pub runtime: Option<Text>,
    /// The host account that runs the runtime, with ranges in subuid(5) and subgid(5); default root.
    pub user: Option<Spanned<Scalar>>,
    /// The slice of the unit; default ct.slice.
    pub slice: Option<Text>,
    /// The pod it belongs to, see ct-pod.toml(5).
    pub pod: Option<Text>,
    /// The host name inside; default the container's name.
    pub hostname: Option<Text>,
    /// The root file system: exactly one of path, layers and bundle.
    #[serde(default, deserialize_with = "table")]
    pub root: Option<Root>,
    /// The process that is the container's init.
    #[serde(default, deserialize_with = "table")]
    pub process: Option<Process>,
    /// Where its output goes.
    #[serde(default, deserialize_with = "table")]
    pub log: Option<Log>,
    /// The user namespace.
    #[serde(default, deserialize_with = "table")]
    pub idmap: Option<IdMap>,
    /// Mounts on top of the root file system.
    pub mount: Option<Vec<Spanned<Table<Mount>>>>,
    /// prlimit(2) of the container's processes.
    #[serde(default, deserialize_with = "table")]
    pub limits: Option<Limits>,
    /// systemd.resource-control(5) in snake case.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::resources"))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Root {
    /// A directory, by its absolute path.
    pub path: Option<Text>,
    /// Overlay layers, lowest first; bare names are below /var/lib/ct/layers/.
    pub layers: Option<List>,
    /// An OCI bundle, whose config.json is the base that other keys override.
    pub bundle: Option<Text>,
    /// What becomes of writes: persistent, ephemeral (fresh at each start), or no (read-only).
    pub writable: Option<Writable>,
    /// An id-mapped mount, to share one root file system between containers with other id ranges.
    pub idmap: Option<Spanned<bool>>,
    /// no (default), auto, or yes: files of /proc from lxcfs.
    pub lxcfs: Option<Spanned<Lxcfs>>,
}

/// `[process]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// The argument vector; default /sbin/init.
    pub command: Option<List>,
    /// The working directory, absolute.
    pub cwd: Option<Text>,
    /// Environment variables.
    pub env: Option<BTreeMap<Text, Spanned<Scalar>>>,
    /// Files of the host in the syntax of `EnvironmentFile=`; a leading `-` allows them to be missing.
    pub env_file: Option<List>,
    /// User inside the container, by name or number.
    pub user: Option<Spanned<Scalar>>,
    /// Group inside the container, by name or number.
    pub group: Option<Spanned<Scalar>>,
    /// Supplementary groups inside the container.
    pub groups: Option<Vec<Spanned<Scalar>>>,
    /// A terminal as its console, for `ctctl console`; its output goes to the log without escape sequences.
    pub terminal: Option<Spanned<bool>>,
    /// Standard input that never ends, and that can be written to; else it is empty. A terminal has that anyway.
    pub stdin_open: Option<Spanned<bool>>,
    /// A tiny init in front of the command, as process 1.
    pub init: Option<Spanned<bool>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Log {
    /// What standard output and error are, and whether the journal has what comes on them, or on the terminal.
    pub mode: Option<Spanned<LogMode>>,
}

/// `[idmap]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IdMap {
    /// "auto" (the ranges of subuid(5) and subgid(5)), or ranges of [container id, host id, count].
    pub uid: Option<Spanned<IdRanges>>,
    /// "auto" (the ranges of subuid(5) and subgid(5)), or ranges of [container id, host id, count].
    pub gid: Option<Spanned<IdRanges>>,
}

/// One `[[mount]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mount {
    /// What is mounted.
    pub source: Option<Text>,
    /// Where in the container, absolute.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Address space in bytes: `LimitAS=`.
    pub r#as: Option<Spanned<Scalar>>,
    /// Size of a core file in bytes: `LimitCORE=`.
    pub core: Option<Spanned<Scalar>>,
    /// CPU time, a time span: `LimitCPU=`.
    pub cpu: Option<Spanned<Scalar>>,
    /// Data segment in bytes: `LimitDATA=`.
    pub data: Option<Spanned<Scalar>>,
    /// Size of a file in bytes: `LimitFSIZE=`.
    pub fsize: Option<Spanned<Scalar>>,
    /// Number of file locks: `LimitLOCKS=`.
    pub locks: Option<Spanned<Scalar>>,
    /// Locked memory in bytes: `LimitMEMLOCK=`.
    pub memlock: Option<Spanned<Scalar>>,
    /// POSIX message queues in bytes: `LimitMSGQUEUE=`.
    pub msgqueue: Option<Spanned<Scalar>>,
    /// Nice ceiling: 1 to 40, or a nice level with its sign: `LimitNICE=`.
    pub nice: Option<Spanned<Scalar>>,
    /// Open files: `LimitNOFILE=`.
    pub nofile: Option<Spanned<Scalar>>,
    /// Processes of the user: `LimitNPROC=`.
    pub nproc: Option<Spanned<Scalar>>,
    /// Resident set in bytes, without effect in Linux: `LimitRSS=`.
    pub rss: Option<Spanned<Scalar>>,
    /// Real-time priority, 0 to 99: `LimitRTPRIO=`.
    pub rtprio: Option<Spanned<Scalar>>,
    /// CPU time without a blocking call under real-time scheduling: `LimitRTTIME=`.
    pub rttime: Option<Spanned<Scalar>>,
    /// Queued signals: `LimitSIGPENDING=`.
    pub sigpending: Option<Spanned<Scalar>>,
    /// Stack in bytes: `LimitSTACK=`.
    pub stack: Option<Spanned<Scalar>>,
}

/// `[oom]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Oom {
    /// `OOMScoreAdjust=`, -1000 to 1000.
    pub score_adjust: Option<Spanned<i64>>,
    /// `OOMPolicy=`: kill, stop or continue.
    pub policy: Option<OomPolicy>,
}

/// `[depends]`: containers by name, or units by full unit name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Depends {
    /// Started first; their stop takes this container along.
    pub requires: Option<Vec<Text>>,
    /// Started first, if they can be.
    pub wants: Option<Vec<Text>>,
    /// Started first, if they are started at all: order alone.
    pub after: Option<Vec<Text>>,
    /// Started after this one: order alone.
    pub before: Option<Vec<Text>>,
}

/// `[autostart]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// How long it may take to be ready, then the start fails; default 90s.
    pub timeout: Option<Spanned<Scalar>>,
}

/// `[stop]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stop {
    /// Default SIGTERM; SIGRTMIN+3 when the command is a systemd.
    pub signal: Option<Spanned<Scalar>>,
    /// `TimeoutStopSec=`: then it is killed; default systemd's, 90s.
    pub timeout: Option<Spanned<Scalar>>,
    /// Run inside before the signal.
    pub command: Option<List>,
    /// How long that may take; default 10s.
    pub command_timeout: Option<Spanned<Scalar>>,
}

/// `[restart]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Restart {
    /// `Restart=` of systemd.service(5).
    pub policy: Option<RestartPolicy>,
    /// `RestartSec=`: the pause before.
    pub delay: Option<Spanned<Scalar>>,
    /// `StartLimitBurst=` of systemd.unit(5).
    pub start_limit_burst: Option<Spanned<i64>>,
    /// `StartLimitIntervalSec=` of systemd.unit(5).
    pub start_limit_interval: Option<Spanned<Scalar>>,
}

/// `[hooks]`: lists of argument vectors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Network {
    /// none (default), host, or ns: and the path of a namespace.
    pub mode: Option<Text>,
}

/// `[security]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Security {
    /// Changes to the default set of capabilities.
    #[serde(default, deserialize_with = "table")]
    pub capabilities: Option<Capabilities>,
    /// Programs gain nothing from set-user-ID bits and file capabilities; default true.
    pub no_new_privileges: Option<bool>,
    /// default, unconfined, or the path of an OCI seccomp object in JSON.
    pub seccomp: Option<Text>,
    /// Host devices: `/dev/fuse:rw`.
    pub devices: Option<Vec<Text>>,
}

/// `security.capabilities`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// Added to the default set.
    pub add: Option<Vec<Text>>,
    /// Taken from it; "ALL" for all of them.
    pub drop: Option<Vec<Text>>,
}

/// `[systemd.unit]` and `[systemd.service]`: verbatim directives.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Systemd {
    /// For the `[Unit]` section.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::unit_directives"))]
    pub unit: Option<Settings>,
    /// For the `[Service]` section.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::service_directives"))]
    pub service: Option<Settings>,
}
