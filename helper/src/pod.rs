// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-helper pod-start NAME`: the namespaces of a pod, made and given to PID 1 to hold; and how a member finds them.
//!
//! Killed between any two steps it leaves nothing: what it made lives in this process, in PID 1's descriptor store and
//! in the unit's RuntimeDirectory=, and all three end with the unit.

use std::fs;
use std::path::PathBuf;

use ct_config::container::{Container, IdMap, IdRange, Network};
use ct_config::name::PodName;
use ct_config::pod::{Membership, Pod};

use crate::account::{Account, SubordinateIds};
use crate::claim::RunDirectory;
use crate::exit::{At, Error, Failure, Step};
use crate::journal::Journal;
use crate::namespaces::{self, Id, Kind, Namespace};
use crate::{notify, read, shared_memory, sys, user_namespace};

/// The network of members that are in the host's, in place of a namespace's id.
const HOST_NETWORK: &str = "net:host";
/// Before the three numbers of a line of uid_map.
const UID: &str = "uid";
/// Before the three numbers of a line of gid_map.
const GID: &str = "gid";

/// What a member joins: paths for the runtime.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) ipc: Option<PathBuf>,
    pub(crate) uts: Option<PathBuf>,
    /// The user namespace that the others belong to.
    pub(crate) user: Option<PathBuf>,
    /// Whether the network belongs to that one, too.
    pub(crate) owns_network: bool,
    /// What is mounted at /dev/shm.
    pub(crate) shared_memory: Option<PathBuf>,
}

/// Makes the namespaces of the pod `name`.
pub(crate) fn start(name: &str, journal: Journal) -> Result<(), Failure> {
    sys::close_on_exec_above_stderr().map_err(|e| Error::system("close_range", e)).at(Step::Claim)?;
    is_the_unit(name).at(Step::Claim)?;
    let pod = read::pod(name, journal).at(Step::Config)?;
    let made = make(&pod).at(Step::Namespaces)?;
    // What an earlier run left there, if this one is a restart.
    for kind in Kind::ALL {
        notify::forget_descriptor(kind.as_str()).at(Step::Namespaces)?;
    }
    for namespace in &made.namespaces {
        notify::store_descriptor(namespace.kind.as_str(), &namespace.fd).at(Step::Namespaces)?;
    }
    notify::barrier(|| {}).at(Step::Namespaces)?;
    for namespace in &made.namespaces {
        is_held(namespace).at(Step::Namespaces)?;
    }
    write_record(&pod, &made).at(Step::Namespaces)
}

/// Whether PID 1 runs this process as `ct-pod@NAME.service`, told by the directory that it made for it.
fn is_the_unit(name: &str) -> Result<(), Error> {
    match std::env::var("RUNTIME_DIRECTORY") {
        Ok(directory) if directory == format!("/run/ct-pod/{name}") => Ok(()),
        _ => Err(Error::Usage(format!(
            "`ct-helper pod-start` is what ct-pod@{name}.service runs; start a container of the pod"
        ))),
    }
}

/// The pod's RuntimeDirectory=.
fn directory(name: &PodName) -> PathBuf {
    PathBuf::from(format!("/run/ct-pod/{name}"))
}

/// The file that says which namespaces are the pod's.
fn record(name: &PodName) -> PathBuf {
    directory(name).join("namespaces")
}

/// What a pod is made of.
struct Made {
    namespaces: Vec<Namespace>,
    /// The maps of the user namespace, if there is one.
    ids: Option<SubordinateIds>,
}

fn make(pod: &Pod) -> Result<Made, Error> {
    let mut made = if pod.has_user_namespace() {
        make_owned(pod)?
    } else {
        Made { namespaces: make_of_root(pod)?, ids: None }
    };
    if pod.share.ipc {
        made.namespaces.push(shared_memory::make(&directory(&pod.name))?);
    }
    Ok(made)
}

/// The namespaces of an account.
fn make_owned(pod: &Pod) -> Result<Made, Error> {
    let account = pod.account.as_ref().map_or_else(|| Ok(Account::root()), Account::read)?;
    let kinds = [(Kind::Net, pod.pins_network()), (Kind::Ipc, pod.share.ipc), (Kind::Uts, pod.share.uts)];
    let kinds: Vec<Kind> = kinds.into_iter().filter(|(_, shared)| *shared).map(|(kind, _)| kind).collect();
    let ids = ids(pod, &account)?;
    Ok(Made { namespaces: user_namespace::make(&account, &ids, &kinds, &pod.hostname)?, ids: Some(ids) })
}

fn ids(pod: &Pod, account: &Account) -> Result<SubordinateIds, Error> {
    match &pod.idmap {
        None | Some(IdMap::Auto) => SubordinateIds::read(account),
        Some(IdMap::Ranges { uid, gid }) => Ok(SubordinateIds { uid: uid.clone(), gid: gid.clone() }),
    }
}

/// The namespaces of the host's root.
fn make_of_root(pod: &Pod) -> Result<Vec<Namespace>, Error> {
    let mut made = Vec::with_capacity(3);
    if pod.share.net {
        match &pod.network {
            Network::None => made.push(namespaces::make(Kind::Net)?),
            Network::Namespace(path) => made.push(namespaces::enter(Kind::Net, path)?),
            Network::Host => {}
        }
    }
    if pod.share.ipc {
        made.push(namespaces::make(Kind::Ipc)?);
    }
    if pod.share.uts {
        made.push(namespaces::make(Kind::Uts)?);
        nix::unistd::sethostname(&pod.hostname)
            .map_err(|e| Error::system(format!("sethostname({:?})", pod.hostname), e))?;
    }
    Ok(made)
}

/// PID 1 drops what does not fit into its store without an answer.
fn is_held(namespace: &Namespace) -> Result<(), Error> {
    match namespaces::held_by_pid_1(&namespace.id)? {
        Some(_) => Ok(()),
        None => Err(Error::ConfigText(format!(
            "PID 1 does not keep the namespace {}; is FileDescriptorStoreMax= of the unit what ct-pod@.service has?",
            namespace.id
        ))),
    }
}

fn write_record(pod: &Pod, made: &Made) -> Result<(), Error> {
    let mut lines: Vec<String> = made.namespaces.iter().map(|namespace| namespace.id.to_string()).collect();
    if pod.share.net && pod.network == Network::Host {
        lines.push(HOST_NETWORK.to_owned());
    }
    // A later look at the account's files could find others.
    for (map, ranges) in made.ids.iter().flat_map(|ids| [(UID, &ids.uid), (GID, &ids.gid)]) {
        let line = |range: &IdRange| format!("{map} {} {} {}", range.container, range.host, range.count);
        lines.extend(ranges.iter().map(line));
    }
    let path = record(&pod.name);
    fs::write(&path, lines.join("\n")).map_err(|e| Error::system(format!("write {}", path.display()), e))
}

/// `uid 0 200000 65536`
fn parse_id_range(line: &str) -> Option<(&str, IdRange)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [map @ (UID | GID), container, host, count] = fields.as_slice() else { return None };
    let range =
        IdRange { container: container.parse().ok()?, host: host.parse().ok()?, count: count.parse().ok()? };
    Some((map, range))
}

/// Joins a container to its pod, if it has one: its network and its ids become the pod's, and the result is where the rest is.
pub(crate) fn join(container: &mut Container, run: &RunDirectory) -> Result<Joined, Error> {
    let mut joined = Joined::default();
    let Some(membership) = container.membership.as_deref() else { return Ok(joined) };
    let mut network = None;
    let (mut uid, mut gid) = (Vec::new(), Vec::new());
    let directory = run.make("namespaces", 0o711)?;
    for line in read_record(membership)?.lines() {
        if line == HOST_NETWORK {
            network = Some(Network::Host);
            continue;
        }
        if let Some((map, range)) = parse_id_range(line) {
            if map == UID {
                uid.push(range)
            } else {
                gid.push(range)
            }
            continue;
        }
        let Some((kind, id)) = Id::parse(line) else { continue };
        let Some(fd) = namespaces::held_by_pid_1(&id)? else {
            return Err(Error::CannotJoinPod(format!(
                "the pod {} has lost its namespace {id}",
                membership.pod
            )));
        };
        let path = directory.join(kind.as_str());
        match kind {
            Kind::Mnt => joined.shared_memory = Some(shared_memory::attach(&fd, path)?),
            Kind::Net => network = Some(Network::Namespace(namespaces::bind(&fd, path)?)),
            Kind::Ipc => joined.ipc = Some(namespaces::bind(&fd, path)?),
            Kind::User => joined.user = Some(namespaces::bind(&fd, path)?),
            Kind::Uts => joined.uts = Some(namespaces::bind(&fd, path)?),
        }
    }
    joined.owns_network = joined.user.is_some() && matches!(network, Some(Network::Namespace(_)));
    if network.is_some() {
        container.network = network;
    }
    if joined.user.is_some() {
        container.idmap = Some(IdMap::Ranges { uid, gid });
    }
    Ok(joined)
}

fn read_record(membership: &Membership) -> Result<String, Error> {
    let path = record(&membership.pod);
    fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::CannotJoinPod(format!(
            "the pod {} is not running; after a change of `pod` run `systemctl daemon-reload`, then start again",
            membership.pod
        )),
        _ => Error::system(format!("read {}", path.display()), e),
    })
}
