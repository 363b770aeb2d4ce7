// SPDX-License-Identifier: MIT OR Apache-2.0
//! config.json: the container in the runtime's words (OCI runtime-spec, config.md).
//!
//! It begins as ct's defaults, or as the bundle's own config.json, and gets on top what the TOML says. What PID 1 has
//! set already (limits, oom score, resources) is never said a second time.

mod defaults;
mod limits;
mod namespaces;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ct_config::container::{Container, ReadyWhen, RootSource, Seccomp};
use ct_config::settings::is_system_init;
use ct_config::value::Timespan;
use nix::unistd::{Uid, chown};
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    BoxBuilder, Capability, Linux, LinuxSeccomp, Mount, PosixRlimit, Process, RootBuilder, Spec, User,
    UserBuilder,
};

use crate::account::Account;
use crate::confined;
use crate::container_user;
use crate::exit::{Error, Named};
use crate::identity::Identity;
use crate::pod::Joined;
use crate::ready::notify_socket;
use crate::rootfs::Rootfs;
use crate::runtime::Runtime;
use crate::{capabilities, devices, env_file, mounts, seccomp, small_init};

/// What a program without an environment of its own finds its commands with.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file mode creation mask of a service that says nothing else, see systemd.exec(5).
pub(crate) const USUAL_UMASK: u32 = 0o022;

/// Everything config.json is made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) container: &'a Container,
    /// The bundle's own config.json.
    pub(crate) base: Option<Spec>,
    pub(crate) rootfs: &'a Rootfs,
    pub(crate) identity: &'a Identity,
    pub(crate) runtime: &'a Runtime<'a>,
    /// The namespaces of the container's pod.
    pub(crate) joined: &'a Joined,
    /// `linux.cgroupsPath`
    pub(crate) cgroup: PathBuf,
    /// `[[mount]]`, with sources that the runtime can reach.
    pub(crate) mounts: Vec<ct_config::container::Mount>,
    /// `UMask=` of the unit.
    pub(crate) umask: u32,
    /// Its standard files are a new terminal, of so many rows and columns.
    pub(crate) terminal: Option<(u16, u16)>,
}

/// Reads the config.json of `root.bundle`.
pub(crate) fn read_base(source: &RootSource) -> Result<Option<Spec>, Error> {
    let RootSource::Bundle(directory) = source else { return Ok(None) };
    confined::host_directory(directory).map_err(|e| Error::open(Named::Bundle, directory, e))?;
    let path = directory.join("config.json");
    let opened = confined::host_path(&path).map_err(|e| Error::open(Named::BundleConfig, &path, e))?;
    let bytes = confined::read_regular(&opened).map_err(|e| Error::open(Named::BundleConfig, &path, e))?;
    let spec = serde_json::from_slice(&bytes)
        .map_err(|e| Error::Bundle { path: path.clone(), reason: e.to_string() })?;
    check_base(&spec, &path)?;
    Ok(Some(spec))
}

/// What a bundle must have, though the specification's types do without: with a part filled in by nobody the container
/// would be another than its author meant.
fn check_base(spec: &Spec, path: &Path) -> Result<(), Error> {
    let bad = |why: &str| Err(Error::Bundle { path: path.to_owned(), reason: why.to_owned() });
    match (spec.root(), spec.process(), spec.linux()) {
        (None, _, _) => bad("it has no \"root\""),
        (_, None, _) => bad("it has no \"process\""),
        (_, _, None) => bad("it has no \"linux\", so that nothing would be contained"),
        _ => Ok(()),
    }
}

/// Whether a bundle has a terminal about which the config says nothing. Who holds it is said in the unit, which is made
/// without a look into bundles: the config has to say it, too.
pub(crate) fn check_terminal(container: &Container, base: Option<&Spec>) -> Result<(), Error> {
    let has_one = base.and_then(|base| base.process().as_ref()?.terminal()).unwrap_or(false);
    let RootSource::Bundle(directory) = &container.root.source else { return Ok(()) };
    if !has_one || container.process.terminal.is_some() {
        return Ok(());
    }
    let reason =
        "its process has a terminal; say process.terminal = true in the config as well, or false".to_owned();
    Err(Error::Bundle { path: directory.join("config.json"), reason })
}

/// Where a bundle's root is: relative to the bundle unless absolute.
pub(crate) fn base_root(source: &RootSource, base: Option<&Spec>) -> Option<PathBuf> {
    let RootSource::Bundle(directory) = source else { return None };
    Some(directory.join(base?.root().as_ref()?.path()))
}

/// Whether the config.json that the runtime was given has hooks for the time after the container. Meanwhile it was an
/// account's, and can be anything.
pub(crate) fn has_poststop(bundle: &Path) -> bool {
    let read = || -> Option<bool> {
        let opened = confined::host_path(&bundle.join("config.json")).ok()?;
        let spec: Spec = serde_json::from_slice(&confined::read_regular(&opened).ok()?).ok()?;
        Some(!spec.hooks().as_ref()?.poststop().as_ref()?.is_empty())
    };
    read().unwrap_or(false)
}

/// Puts the parts together.
pub(crate) fn assemble(mut parts: Parts<'_>) -> Result<Spec, Error> {
    let base = parts.base.take();
    let own_config = base.is_some();
    let mut spec = base.map_or_else(defaults::defaults, Ok)?;
    set_root(&mut spec, &parts, own_config)?;
    let mut process = spec.process().clone().unwrap_or_default();
    let capabilities = assemble_process(&mut process, &parts, own_config)?;
    let mut all_mounts = match spec.mounts().clone() {
        Some(bundled) if own_config => bundled,
        _ => {
            let ids = parts.identity.ids.as_ref();
            mounts::defaults(parts.container, ids, has_system_init(&process), parts.joined)?
        }
    };
    spec.set_process(Some(process));
    let mut linux = spec.linux().clone().unwrap_or_default();
    assemble_linux(&mut linux, &parts, own_config, &capabilities)?;
    if let Some(source) = &parts.joined.shared_memory {
        mounts::share_memory(&mut all_mounts, source)?;
    }
    mounts::add(&mut all_mounts, &parts.mounts)?;
    add_devices(&mut linux, &mut all_mounts, &parts)?;
    spec.set_mounts(Some(all_mounts));
    spec.set_linux(Some(linux));
    Ok(spec)
}

/// The root file system, and the name of what is in it.
fn set_root(spec: &mut Spec, parts: &Parts<'_>, own_config: bool) -> Result<(), Error> {
    let readonly = parts.rootfs.readonly.or_else(|| spec.root().as_ref().and_then(|root| root.readonly()));
    let root = RootBuilder::default().path(&parts.rootfs.path).readonly(readonly.unwrap_or(false)).build();
    spec.set_root(Some(root.map_err(malformed)?));
    let container = parts.container;
    if parts.joined.uts.is_some() {
        // It has the pod's, and to set one would be to set it for all members.
        spec.set_hostname(None).set_domainname(None);
    } else if container.hostname.is_some() || !own_config {
        spec.set_hostname(Some(container.hostname.clone().unwrap_or_else(|| container.name.to_string())));
    }
    Ok(())
}

/// Init. Returns its capabilities, which the system-call filter depends on.
fn assemble_process(
    process: &mut Process,
    parts: &Parts<'_>,
    own_config: bool,
) -> Result<Vec<Capability>, Error> {
    let (container, family, identity) = (parts.container, parts.runtime.family, parts.identity);
    let root = &parts.rootfs.directory;
    let capabilities = set_process(process, container, root, own_config, identity.ids.is_some())?;
    limits::say(process, container, family.limits_to_repeat())?;
    set_terminal(process, parts.terminal)?;
    // The usual one is nobody's wish: a bundle's own stands, and without it the runtime passes on the helper's.
    if parts.umask != USUAL_UMASK {
        process.user_mut().set_umask(Some(parts.umask));
    }
    // Groups that nobody asked for by name.
    let implied_groups = identity.account.is_root() || !family.insists_on_being_root();
    if !implied_groups && container.process.groups.is_empty() {
        process.user_mut().set_additional_gids(None);
    }
    let system_init = has_system_init(process);
    set_environment(process, container, own_config, system_init)?;
    Ok(capabilities)
}

/// What Linux alone has: namespaces, the control group, the system-call filter.
fn assemble_linux(
    linux: &mut Linux,
    parts: &Parts<'_>,
    own_config: bool,
    capabilities: &[Capability],
) -> Result<(), Error> {
    namespaces::set(linux, parts.container, parts.identity.ids.as_ref(), own_config)?;
    namespaces::join(linux, parts.joined)?;
    linux.set_cgroups_path(Some(parts.cgroup.clone()));
    // Which devices may be opened is the unit's to say (DevicePolicy=, DeviceAllow=).
    if let Some(resources) = linux.resources_mut() {
        resources.set_devices(None);
    }
    match &parts.container.security.seccomp {
        None if own_config => {}
        wanted => {
            let filter = read_seccomp(wanted.as_ref().unwrap_or(&Seccomp::Default), capabilities)?;
            linux.set_seccomp(filter);
        }
    }
    Ok(())
}

/// `security.devices`
fn add_devices(linux: &mut Linux, mounts: &mut Vec<Mount>, parts: &Parts<'_>) -> Result<(), Error> {
    let family = parts.runtime.family;
    let bind = parts.identity.ids.is_some() || family.binds_devices();
    let rules = devices::add(linux, mounts, &parts.container.security.devices, bind)?;
    if family.refuses_devices() && !rules.is_empty() {
        linux.set_resources(Some(devices::with_rules(linux.resources().clone(), rules)));
    }
    Ok(())
}

/// Command, directory, user, capabilities. Returns the capabilities, which the system-call filter depends on.
fn set_process(
    process: &mut Process,
    container: &Container,
    rootfs: &OwnedFd,
    own_config: bool,
    has_own_ids: bool,
) -> Result<Vec<Capability>, Error> {
    if let Some(command) = &container.process.command {
        process.set_args(Some(command.clone()));
    }
    if container.process.init {
        process.set_args(process.args().as_ref().map(|args| small_init::in_front_of(args)));
    }
    if let Some(cwd) = &container.process.cwd {
        process.set_cwd(cwd.clone());
    }
    if let Some(user) = container_user::resolve(rootfs, &container.process)? {
        let umask = process.user().umask();
        let mut resolved: User = UserBuilder::default()
            .uid(user.uid)
            .gid(user.gid)
            .additional_gids(user.groups)
            .build()
            .map_err(malformed)?;
        resolved.set_umask(umask);
        process.set_user(resolved);
    }
    let bundled = process.capabilities().as_ref().filter(|_| own_config).map(|sets| {
        let set = sets.bounding().iter().flatten().copied();
        set.collect::<Vec<Capability>>()
    });
    let security = &container.security;
    let untouched = security.capabilities_add.is_empty() && security.capabilities_drop.is_empty();
    // With this capability of the host's own a kernel can be loaded as well (kexec_load(2)), unless the filter refuses it.
    let is_filtered = matches!(security.seccomp, None | Some(Seccomp::Default));
    let may_reboot = has_system_init(process) && (has_own_ids || is_filtered);
    let capabilities = capabilities::effective(security, bundled, may_reboot)?;
    if !own_config || !untouched {
        process.set_capabilities(Some(capabilities::sets(&capabilities)?));
    }
    if let Some(wanted) = security.no_new_privileges {
        process.set_no_new_privileges(Some(wanted));
    }
    let limited = |limit: &PosixRlimit| {
        let name = limit.typ().to_string();
        container.limits.keys().any(|resource| resource.rlimit_name() == name)
    };
    process.set_rlimits(process.rlimits().clone().map(|mut limits| {
        limits.retain(|limit| !limited(limit));
        limits
    }));
    if container.oom.score_adjust.is_some() {
        process.set_oom_score_adj(None);
    }
    Ok(capabilities)
}

/// Whether the container's init is an init system.
pub(crate) fn runs_system_init(spec: &Spec) -> bool {
    spec.process().as_ref().is_some_and(has_system_init)
}

fn has_system_init(process: &Process) -> bool {
    process.args().as_ref().is_some_and(|args| is_system_init(args))
}

/// A terminal has its size before the command is there to ask for it.
fn set_terminal(process: &mut Process, size: Option<(u16, u16)>) -> Result<(), Error> {
    process.set_terminal(Some(size.is_some()));
    if let Some((rows, columns)) = size.filter(|size| *size != (0, 0)) {
        let size = BoxBuilder::default().height(u64::from(rows)).width(u64::from(columns)).build();
        process.set_console_size(Some(size.map_err(malformed)?));
    }
    Ok(())
}

/// The environment is what the config says and nothing of ours: a bundle's, then `env_file`, then `env`. Only `PATH`
/// is filled in when nobody says it, and `container`, by which a systemd inside knows where it is.
fn set_environment(
    process: &mut Process,
    container: &Container,
    own_config: bool,
    system_init: bool,
) -> Result<(), Error> {
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    if !own_config {
        environment.insert("PATH".to_owned(), DEFAULT_PATH.to_owned());
        if system_init {
            environment.insert("container".to_owned(), "ct".to_owned());
        }
    }
    for assignment in process.env().iter().flatten() {
        let (key, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        environment.insert(key.to_owned(), value.to_owned());
    }
    if let ReadyWhen::Notified { watchdog } = container.ready.when {
        environment.insert("NOTIFY_SOCKET".to_owned(), notify_socket::TARGET.to_owned());
        // sd_watchdog_enabled(3)
        if let Some(span) = watchdog.and_then(Timespan::finite) {
            environment.insert("WATCHDOG_USEC".to_owned(), span.as_micros().to_string());
        }
    }
    environment.extend(env_file::read_all(&container.process.env_files)?);
    environment.extend(container.process.env.clone());
    process.set_env(Some(environment.iter().map(|(key, value)| format!("{key}={value}")).collect()));
    Ok(())
}

fn read_seccomp(wanted: &Seccomp, capabilities: &[Capability]) -> Result<Option<LinuxSeccomp>, Error> {
    match wanted {
        Seccomp::Default => seccomp::default_filter(capabilities).map(Some),
        Seccomp::Unconfined => Ok(None),
        Seccomp::File(path) => {
            let opened = confined::host_path(path).map_err(|e| Error::open(Named::SeccompFile, path, e))?;
            let bytes =
                confined::read_regular(&opened).map_err(|e| Error::open(Named::SeccompFile, path, e))?;
            serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| Error::ConfigText(format!("{}: {e}", path.display())))
        }
    }
}

/// Writes config.json where the runtime, running as `account`, can read it and no other user can: it may hold secrets
/// in its environment. What the account makes of its own container's config is its own affair.
pub(crate) fn write(spec: &Spec, directory: &Path, account: &Account) -> Result<(), Error> {
    let path = directory.join("config.json");
    let failed =
        |what: &str, source: std::io::Error| Error::system(format!("{what} {}", path.display()), source);
    let json = serde_json::to_vec(spec).map_err(|e| failed("render", e.into()))?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&path)
        .map_err(|e| failed("create", e))?;
    file.write_all(&json).map_err(|e| failed("write", e))?;
    if !account.is_root() {
        // The account, and not its group, which it may share with half the host.
        for readable in [directory, path.as_path()] {
            chown(readable, Some(Uid::from_raw(account.uid)), None).map_err(|e| failed("chown", e.into()))?;
        }
    }
    Ok(())
}

/// A builder of the specification's types refused: a defect of ours, said as such.
pub(crate) fn malformed(error: OciSpecError) -> Error {
    Error::system("build config.json", std::io::Error::other(error))
}
