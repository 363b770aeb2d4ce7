// SPDX-License-Identifier: MIT OR Apache-2.0
//! A validated container: what `NAME.toml` means once every file is merged, every default filled in and every
//! value checked. Made by [`crate::validate`] alone; whoever holds a [`Container`] need not check it again.
//!
//! In JSON it has these names, sizes are bytes and time spans microseconds or `"infinity"`.
//!
//! A field is an `Option` where "not said" differs from any value: an OCI bundle's own `config.json` then decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::name::{ContainerName, UnitName};
use crate::pod::{Membership, Place};
use crate::settings::Property;
use crate::value::{Limit, RlimitResource, Signal, Timespan};

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

/// `[root]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Root {
    /// Exactly one of the three.
    pub source: RootSource,
    /// What happens to what the container writes. For a bundle `None` keeps the bundle's `root.readonly`.
    pub writable: Option<Writable>,
    /// Its files are shown with the ids of the container's user namespace, and belong to others on disk.
    pub idmap: bool,
    /// Whether files of /proc come from lxcfs.
    pub lxcfs: Lxcfs,
}

/// `root.lxcfs`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lxcfs {
    /// The kernel's own.
    #[default]
    No,
    /// lxcfs where it runs.
    Auto,
    /// lxcfs, and no container without it.
    Yes,
}

/// `log.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogMode {
    /// To the journal: standard output and error are its stream, and nobody stands in between. A terminal's output is
    /// passed on by the console service.
    #[default]
    Journal,
    /// The same through a pipe, which the console service reads: programs can open /dev/stdout.
    Pipe,
    /// Nowhere; a terminal's output to those who are attached.
    None,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RootSource {
    /// A directory, absolute.
    Path(PathBuf),
    /// Overlay layers, absolute, lowest first, at least one.
    Layers(Vec<PathBuf>),
    /// An OCI bundle directory, absolute.
    Bundle(PathBuf),
}

/// `root.writable`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writable {
    /// Writes stay: in the directory itself, or in an upper layer below /var/lib/ct/NAME/.
    #[default]
    Persistent,
    /// Writes go to a fresh upper layer at each start.
    Ephemeral,
    /// The root file system is read-only.
    No,
}

/// `[process]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Process {
    /// The argument vector; never empty. `None`: the bundle's, else `/sbin/init`.
    pub command: Option<Vec<String>>,
    /// Working directory, absolute, without `..`.
    pub cwd: Option<PathBuf>,
    /// Environment; wins over `env_files`.
    pub env: BTreeMap<String, String>,
    /// Files in the syntax of `EnvironmentFile=`, later ones win.
    pub env_files: Vec<EnvFile>,
    /// A terminal as its console. `None`: not said, which is no, and no wish against a bundle's own.
    pub terminal: Option<bool>,
    /// Standard input never ends, and can be written to.
    pub stdin_open: bool,
    /// User inside the container.
    pub user: Option<IdName>,
    /// Group inside the container.
    pub group: Option<IdName>,
    /// Supplementary groups inside the container.
    pub groups: Vec<IdName>,
    /// A small init of the host runs as process 1 in front of the command.
    pub init: bool,
}

/// One entry of `process.env_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvFile {
    /// Absolute.
    pub path: PathBuf,
    /// Written with a leading `-`: a missing file is not an error.
    pub optional: bool,
}

/// A user or group inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum IdName {
    /// A number, never 65535 or 4294967295.
    Id(u32),
    /// A name, resolved in the container's own files.
    Name(String),
}

/// `[idmap]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdMap {
    /// `"auto"` for either: the account's ranges of subuid(5) and subgid(5).
    Auto,
    /// As written; each list is non-empty, maps container id 0, and has no overlap on either side.
    Ranges {
        /// user_namespaces(7) uid_map
        uid: Vec<IdRange>,
        /// user_namespaces(7) gid_map
        gid: Vec<IdRange>,
    },
}

/// One line of uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdRange {
    /// First id inside the namespace.
    pub container: u32,
    /// First id on the host.
    pub host: u32,
    /// Number of ids, at least 1; neither side runs past 4294967294.
    pub count: u32,
}

/// One `[[mount]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// For a bind mount an absolute path; for others what mount(2) calls the source.
    pub source: PathBuf,
    /// Absolute path inside the container, without `..`.
    pub target: PathBuf,
    /// `bind`, `tmpfs`, or any file system type.
    pub kind: String,
    /// mount(8) options, in order.
    pub options: Vec<String>,
    /// What to make at a missing target inside the root file system.
    pub create: Create,
}

/// `mount.create`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Create {
    /// A directory or a file, as the source is.
    #[default]
    AsSource,
    /// A directory.
    Dir,
    /// An empty file.
    File,
    /// Nothing: a missing target is an error.
    No,
}

/// `[oom]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Oom {
    /// -1000..=1000
    pub score_adjust: Option<i16>,
    /// `OOMPolicy=`
    pub policy: Option<OomPolicy>,
}

/// `oom.policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OomPolicy {
    /// Kill the whole container.
    Kill,
    /// Stop the container cleanly.
    Stop,
    /// Only log.
    Continue,
}

/// `[depends]`, container names already turned into unit names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Depends {
    /// `Requires=` and `After=`
    pub requires: Vec<Dependency>,
    /// `Wants=` and `After=`
    pub wants: Vec<Dependency>,
    /// `After=`
    pub after: Vec<Dependency>,
    /// `Before=`
    pub before: Vec<Dependency>,
}

/// One entry of `[depends]` and where it stands, for messages about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The unit, `ct@db.service` for a container.
    pub unit: UnitName,
    /// Where it is named.
    #[serde(skip)]
    pub place: Place,
}

/// `[autostart]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Autostart {
    /// Whether `ct.target` wants it.
    pub enabled: bool,
    /// Lower first.
    pub priority: i32,
    /// Pause after it is ready before boot starts the next in its lane.
    pub delay: Timespan,
}

impl Autostart {
    /// The priority of a container that does not name one.
    pub const DEFAULT_PRIORITY: i32 = 1000;
}

/// `[ready]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// What makes it ready.
    pub when: ReadyWhen,
    /// How long that may take, from the start of its init; does not matter for [`ReadyWhen::Started`].
    pub timeout: Timespan,
}

/// What makes a container ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyWhen {
    /// The runtime has started it.
    Started,
    /// A command inside has exited with 0.
    Command {
        /// The argument vector; never empty.
        command: Vec<String>,
        /// Pause between two runs, never infinite.
        interval: Timespan,
        /// How long one run may take before it is killed.
        timeout: Timespan,
    },
    /// It has said READY=1 itself, see sd_notify(3).
    Notified {
        /// `WatchdogSec=`: the longest pause between two WATCHDOG=1.
        watchdog: Option<Timespan>,
    },
}

/// `[stop]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// `KillSignal=`; `None` is SIGTERM, or what the init named by the command expects.
    pub signal: Option<Signal>,
    /// `TimeoutStopSec=`
    pub timeout: Option<Timespan>,
    /// Run inside before the signal; never empty.
    pub command: Option<Vec<String>>,
    /// How long it may take before it is killed.
    pub command_timeout: Timespan,
}

/// `[restart]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Restart {
    /// `Restart=`
    pub policy: Option<RestartPolicy>,
    /// `RestartSec=`
    pub delay: Option<Timespan>,
    /// `StartLimitBurst=`
    pub start_limit_burst: Option<u32>,
    /// `StartLimitIntervalSec=`
    pub start_limit_interval: Option<Timespan>,
}

/// `Restart=` of systemd.service(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// `[hooks]`: programs of the host, run as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hooks {
    /// Before the container is created, in the mount namespace that it is made from. One that fails fails the start.
    pub pre_start: Vec<Vec<String>>,
    /// After it is ready.
    pub post_start: Vec<Vec<String>>,
    /// Before it is told to stop.
    pub pre_stop: Vec<Vec<String>>,
    /// After it has ended, also when it never started.
    pub post_stop: Vec<Vec<String>>,
    /// How long each of them may take before it is killed.
    pub timeout: Timespan,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The host's network namespace.
    Host,
    /// A namespace of its own with nothing but a loopback device.
    None,
    /// An existing namespace, by absolute path.
    Namespace(PathBuf),
}

/// `[security]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Security {
    /// Capabilities to add to the default set, in OCI spelling (`CAP_NET_ADMIN`); sorted, each once.
    pub capabilities_add: Vec<String>,
    /// Capabilities to take from it; `["ALL"]` takes all before adding.
    pub capabilities_drop: Vec<String>,
    /// `no_new_privileges`, `None` leaves it to a bundle and is true otherwise.
    pub no_new_privileges: Option<bool>,
    /// The system-call filter, `None` leaves it to a bundle and is `Default` otherwise.
    pub seccomp: Option<Seccomp>,
    /// Host devices to give to the container.
    pub devices: Vec<Device>,
}

/// `security.seccomp`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// ct's own filter.
    Default,
    /// No filter.
    Unconfined,
    /// An OCI `linux.seccomp` object in a JSON file.
    File(PathBuf),
}

/// One entry of `security.devices`: `/dev/fuse:rw`, `/dev/sda:/dev/disk:r`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The node on the host, absolute, below /dev.
    pub source: PathBuf,
    /// The node in the container.
    pub target: PathBuf,
    /// Some of `rwm`, in that order, each once, never empty.
    pub access: String,
}

/// One verbatim unit-file directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Directive {
    /// `LogLevelMax`
    pub name: String,
    /// Its values, one line each; no control characters, no trailing backslash.
    pub values: Vec<String>,
}
