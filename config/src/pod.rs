// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pods: a slice with resources and namespaces that several containers share. A validated pod, how its files become one,
//! and what a container that names it must not say for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use crate::container::{AccountName, Container, Digest, IdMap, Network, RuntimeFamily};
use crate::document::{self, SourceMap};
use crate::fragment::PodFragment;
use crate::name::PodName;
use crate::problem::Problem;
use crate::settings::Property;
use crate::sources::{SourceFiles, Tree};
use crate::{suggest, validate};

/// One pod, valid as far as it can be known without looking at the host.
#[derive(Debug, Clone)]
pub struct Pod {
    /// The stem of the file it was read from; nothing else names a pod.
    pub name: PodName,
    /// `Description=` of the unit.
    pub description: Option<String>,
    /// The host account that the namespaces belong to, and that runs the runtimes of the members; `None` for root.
    pub account: Option<AccountName>,
    /// The user namespace that the members share, if there is one; an account has one without this, too.
    pub idmap: Option<IdMap>,
    /// What the members share.
    pub share: Share,
    /// The host name of the shared uts namespace.
    pub hostname: String,
    /// The network that is shared, if one is.
    pub network: Network,
    /// `[resources]` of the slice, as in [`Container::resources`].
    pub resources: Vec<Property>,
    /// Every file it was read from, the main one first.
    pub files: Vec<PathBuf>,
    /// Digest over those files.
    pub digest: Digest,
}

/// Which namespaces the members of a pod have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// network_namespaces(7)
    pub net: bool,
    /// ipc_namespaces(7), and /dev/shm with it
    pub ipc: bool,
    /// uts_namespaces(7): the host name
    pub uts: bool,
}

/// A pod whose config cannot be used, with all that is wrong with it.
#[derive(Debug, Clone)]
pub struct BrokenPod {
    /// The pod.
    pub name: PodName,
    /// Never empty; in the order of files and lines.
    pub problems: Vec<Problem>,
}

/// That a container belongs to a pod, and where its file says what only some pods allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The pod.
    pub pod: PodName,
    /// Where it is named.
    pub place: Place,
    /// Where the container has a host name of its own.
    pub hostname: Option<Place>,
    /// Where the container has a network of its own.
    pub network: Option<Place>,
    /// Where the container has a user namespace of its own.
    pub idmap: Option<Place>,
    /// Where it is given to an account.
    pub account: Option<Place>,
}

impl serde::Serialize for Membership {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.pod.as_str())
    }
}

/// A place in a file, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line and column, both from 1.
    pub position: Option<(u32, u32)>,
}

/// The pods there are.
#[derive(Debug)]
pub struct Pods {
    tree: Tree<PodName>,
    loaded: BTreeMap<PodName, Result<Pod, Box<BrokenPod>>>,
}

impl Pods {
    /// Reads all pods below `root`. Without a directory of pods this costs the three calls that find out.
    pub fn scan(root: &Path) -> Self {
        Self::of(Tree::scan(root))
    }

    /// As [`Pods::scan`] for one pod alone.
    pub fn only(root: &Path, name: &PodName) -> Self {
        Self::of(Tree::only(root, name))
    }

    /// Reads the pods of a tree.
    pub fn of(tree: Tree<PodName>) -> Self {
        let loaded = tree.names().map(|name| (name.clone(), load(&tree, name))).collect();
        Self { tree, loaded }
    }

    /// All pods, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Result<Pod, Box<BrokenPod>>> {
        self.loaded.values()
    }

    /// One pod, if there is one of this name.
    pub fn find(&self, name: &PodName) -> Option<&Result<Pod, Box<BrokenPod>>> {
        self.loaded.get(name)
    }

    /// What is wrong with the directories themselves, or with names in them.
    pub fn problems(&self) -> &[Problem] {
        self.tree.problems()
    }

    /// The main file of a pod, as it is named on the host.
    pub fn main_file(&self, name: &PodName) -> Option<PathBuf> {
        self.tree.main_file(name)
    }

    /// Why there is no pod of this name, and what to do.
    pub fn unknown(&self, name: &PodName) -> (String, Option<String>) {
        if self.tree.is_masked(name) {
            return (format!("the pod {name} is masked: its file is a link to /dev/null"), None);
        }
        let near = suggest(name.as_str(), self.loaded.keys().map(PodName::as_str));
        let hint = near.map(|near| format!("did you mean {near}?"));
        (format!("no pod is called {name}: there is no /etc/ct/pods/{name}.toml"), hint)
    }

    /// The pod of a container, or why it cannot be a member.
    pub fn join(&self, container: &Container) -> Result<Option<&Pod>, Vec<Problem>> {
        let Some(membership) = &container.membership else { return Ok(None) };
        let unusable = |reason, hint| Err(vec![membership.place.problem("pod", reason, hint)]);
        match self.find(&membership.pod) {
            None => {
                let (reason, hint) = self.unknown(&membership.pod);
                unusable(reason, hint)
            }
            Some(Err(broken)) => {
                let first = broken.problems.first().map(ToString::to_string).unwrap_or_default();
                unusable(format!("the pod {} cannot be used: {first}", membership.pod), None)
            }
            Some(Ok(pod)) => {
                let problems = conflicts(container, membership, pod);
                if problems.is_empty() { Ok(Some(pod)) } else { Err(problems) }
            }
        }
    }
}

/// The score of the sandbox of each pod that has one, see [`Container::sandbox_score`]: the lowest of its members'.
///
/// They are one application to whoever wrote the pod, and a member that the kernel kills takes what the others need with
/// it: so none is killed before what the most precious of them allows.
pub fn lowest_scores<'a>(scores: impl Iterator<Item = (&'a PodName, i16)>) -> BTreeMap<&'a PodName, i16> {
    let mut lowest = BTreeMap::new();
    for (pod, score) in scores {
        lowest.entry(pod).and_modify(|least: &mut i16| *least = score.min(*least)).or_insert(score);
    }
    lowest
}

impl Container {
    /// The pod of a container that is in a sandbox, and the score that it asks for.
    pub fn sandbox_score(&self) -> Option<(&PodName, i16)> {
        let membership = self.membership.as_ref().filter(|_| self.runtime.family == RuntimeFamily::Runsc)?;
        Some((&membership.pod, self.oom.score_adjust.unwrap_or(0)))
    }
}

/// What a container says for itself although its pod says it for all.
fn conflicts(container: &Container, membership: &Membership, pod: &Pod) -> Vec<Problem> {
    let name = &pod.name;
    let mut problems = Vec::new();
    let mut conflict = |place: &Option<Place>, key: &str, there: bool, reason: String, hint: String| {
        if let Some(place) = place.as_ref().filter(|_| there) {
            problems.push(place.problem(key, reason, Some(hint)));
        }
    };
    conflict(
        &membership.hostname,
        "hostname",
        pod.share.uts,
        format!("the members of the pod {name} share one host name"),
        "set hostname in the pod, or leave \"uts\" out of its share".to_owned(),
    );
    conflict(
        &membership.network,
        "network.mode",
        pod.share.net,
        format!("the members of the pod {name} share one network"),
        "set [network] in the pod, or leave \"net\" out of its share".to_owned(),
    );
    conflict(
        &membership.idmap,
        "idmap",
        pod.has_user_namespace(),
        format!("the members of the pod {name} share one user namespace"),
        "set [idmap] in the pod".to_owned(),
    );
    let is_sandbox = container.runtime.family == RuntimeFamily::Runsc;
    conflict(
        &Some(membership.place.clone()),
        "pod",
        is_sandbox && (pod.share.ipc || pod.share.uts),
        format!(
            "{} cannot: its sandbox has ipc and uts of its own, and the pod {name} shares them",
            container.runtime.name
        ),
        "set share = [\"net\"] in the pod".to_owned(),
    );
    let owner = |account: &Option<AccountName>| match account {
        None => "root".to_owned(),
        Some(AccountName::Name(name)) => name.clone(),
        Some(AccountName::Uid(uid)) => uid.to_string(),
    };
    let (own, pods) = (owner(&container.account), owner(&pod.account));
    let (place, key) = match &membership.account {
        Some(place) => (place, "user"),
        None => (&membership.place, "pod"),
    };
    conflict(
        &Some(place.clone()),
        key,
        pod.pins_any() && own != pods,
        format!("{own} cannot join the namespaces of the pod {name}, which are {pods}'s"),
        format!("set user = {pods:?} here, or user = {own:?} in the pod"),
    );
    problems.extend(monitor_in_host_network(container, membership, pod));
    problems.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
    problems
}

/// What LXC does for root alone, wherever the host's network comes from.
fn monitor_in_host_network(container: &Container, membership: &Membership, pod: &Pod) -> Option<Problem> {
    let (network, own) = match pod.share.net {
        true => (Some(&pod.network), None),
        false => (container.network.as_ref(), membership.network.as_ref()),
    };
    let is_of_account = container.runtime.family == RuntimeFamily::Lxc && container.account.is_some();
    if !is_of_account || network != Some(&Network::Host) {
        return None;
    }
    let (place, key) = own.map_or((&membership.place, "pod"), |place| (place, "network.mode"));
    let reason = format!("{} cannot: {}", container.runtime.name, validate::LXC_IN_HOST_NETWORK);
    Some(place.problem(key, reason, Some(validate::INSTEAD_OF_HOST_NETWORK.to_owned())))
}

impl Pod {
    /// Whether the members share a user namespace, in which they join the others.
    pub fn has_user_namespace(&self) -> bool {
        self.account.is_some() || self.idmap.is_some()
    }

    /// Whether the pod has any namespace for its members to join.
    pub fn pins_any(&self) -> bool {
        self.pins_network() || self.share.ipc || self.share.uts
    }

    /// Whether the members join a network namespace: not that of the host, in which they are if nothing is done.
    pub fn pins_network(&self) -> bool {
        self.share.net && self.network != Network::Host
    }
}

impl fmt::Display for Place {
    /// `FILE:LINE:COLUMN`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// What is wrong there.
    pub fn problem(&self, key: &str, reason: String, hint: Option<String>) -> Problem {
        Problem { file: self.file.clone(), position: self.position, key: Some(key.to_owned()), reason, hint }
    }
}

/// Reads, merges and checks one pod. All that is wrong with it is reported at once.
fn load(tree: &Tree<PodName>, name: &PodName) -> Result<Pod, Box<BrokenPod>> {
    let SourceFiles { files, mut problems, hooks: _ } = tree.read(name, tree.entry(name));
    let map = SourceMap { files: &files, host: &[], host_table: "" };
    let before = problems.len();
    let table = merged(&map, &mut problems);
    let syntax = problems.len();
    let garbled: Vec<PathBuf> = problems.iter().skip(before).map(|problem| problem.file.clone()).collect();
    document::check_text(&table, &map, &mut problems);
    let fragment: PodFragment =
        document::deserialize(table, || merged(&map, &mut Vec::new()), &map, &mut problems);
    let mut hasher = Sha256::default();
    files.iter().for_each(|file| crate::hash_file(&mut hasher, file));
    let paths = files.iter().map(|file| file.path.clone()).collect();
    let identity =
        validate::PodIdentity { name: name.clone(), files: paths, digest: crate::hex(&hasher.finalize()) };
    if let Some(pod) = validate::pod(fragment, identity, map, &mut problems) {
        return Ok(pod);
    }
    crate::drop_echoes(&mut problems, syntax, garbled.iter());
    map.sort(&mut problems);
    Err(Box::new(BrokenPod { name: name.clone(), problems }))
}

/// The main file, then the drop-ins.
fn merged<'t>(map: &SourceMap<'t>, problems: &mut Vec<Problem>) -> DeTable<'t> {
    let mut table = DeTable::new();
    for (index, file) in map.files.iter().enumerate() {
        document::merge_table(&mut table, document::parse(file, SourceMap::base(index), map, problems));
    }
    table
}
