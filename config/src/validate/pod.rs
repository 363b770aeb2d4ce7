// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a pod's fragment to the [`Pod`], and what a container says of its pod.

use std::path::PathBuf;

use super::Check;
use crate::container::{Digest, Network};
use crate::document::SourceMap;
use crate::fragment::{Fragment, List, PodFragment, Text};
use crate::name::{PodName, UnitName};
use crate::pod::{Membership, Pod, Share};
use crate::problem::Problem;
use crate::suggest;

/// What can be shared.
const NAMESPACES: [&str; 3] = ["net", "ipc", "uts"];

/// What is known of a pod besides its fragment.
pub(crate) struct PodIdentity {
    pub(crate) name: PodName,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) digest: Digest,
}

/// Checks everything and fills in the defaults. `None` if there is any problem, also of those there were before.
pub(crate) fn pod(
    fragment: PodFragment,
    identity: PodIdentity,
    map: SourceMap<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Pod> {
    let mut check = Check { map, problems };
    let PodIdentity { name, files, digest } = identity;
    let share = check.share(fragment.share.as_ref());
    if let Some(mode) = fragment.network.as_ref().and_then(|network| network.mode.as_ref())
        && !share.net
    {
        check.hint(mode, "network.mode", "has no effect, the members share no network", say_share("net"));
    }
    if let Some(hostname) = &fragment.hostname
        && !share.uts
    {
        check.hint(hostname, "hostname", "has no effect, the members share no host name", say_share("uts"));
    }
    let mapped = fragment.idmap.as_ref().and_then(|idmap| idmap.uid.as_ref().or(idmap.gid.as_ref()));
    let owner = fragment.user.as_ref().map(|user| ("user", user.span()));
    let owner = owner.or(mapped.map(|ids| ("idmap", ids.span())));
    let pod = Pod {
        account: fragment.user.and_then(|user| check.account(&user)),
        idmap: fragment.idmap.and_then(|idmap| check.idmap(idmap)),
        description: fragment.description.map(|text| text.into_inner()).filter(|text| !text.is_empty()),
        hostname: fragment.hostname.map_or_else(|| name.to_string(), |text| check.hostname(text)),
        network: fragment.network.and_then(|network| check.network(network)).unwrap_or(Network::None),
        resources: check.resources(fragment.resources.unwrap_or_default()),
        share,
        name,
        files,
        digest,
    };
    if let Some((key, span)) = owner.filter(|_| pod.has_user_namespace()) {
        if !pod.pins_any() {
            check.at(&span, key, "has no effect, the members share no namespaces", None);
        } else if let Network::Namespace(path) = &pod.network {
            let reason = format!("{} is root's, and cannot be joined with other ids", path.display());
            check.at(&span, key, &reason, None);
        }
    }
    problems.is_empty().then_some(pod)
}

fn say_share(namespace: &str) -> Option<String> {
    Some(format!("add {namespace:?} to share"))
}

impl Check<'_> {
    fn share(&mut self, list: Option<&List>) -> Share {
        let all = Share { net: true, ipc: true, uts: true };
        let Some(list) = list else { return all };
        let before = self.problems.len();
        for word in list.get_ref() {
            let text = word.get_ref().as_str();
            if !NAMESPACES.contains(&text) {
                let hint =
                    suggest(text, NAMESPACES.into_iter()).map(|near| format!("did you mean {near:?}?"));
                self.hint(word, "share", &format!("{text:?} is not one of \"net\", \"ipc\", \"uts\""), hint);
            }
        }
        // What was misspelt was meant to be shared: nothing is to be said of what it leaves without effect.
        if self.problems.len() > before {
            return all;
        }
        let has = |namespace| list.get_ref().iter().any(|word| word.get_ref() == namespace);
        Share { net: has("net"), ipc: has("ipc"), uts: has("uts") }
    }

    /// The pod of a container. What the defaults of the host say gives way to it, what the container itself says does not.
    pub(super) fn membership(&mut self, fragment: &Fragment) -> Option<Membership> {
        let text = fragment.pod.as_ref()?;
        let pod = self.parsed(text, "pod", PodName::parse(text.get_ref()))?;
        let network = fragment.network.as_ref().and_then(|network| network.mode.as_ref());
        let own = |text: Option<&Text>| {
            text.map(|text| text.span())
                .filter(|span| !self.map.is_of_host(span))
                .map(|span| self.map.place(&span))
        };
        Some(Membership {
            pod,
            place: self.map.place(&text.span()),
            hostname: own(fragment.hostname.as_ref()),
            network: own(network),
            // Never given way: it would run as root what was not meant to.
            idmap: fragment
                .idmap
                .as_ref()
                .and_then(|idmap| idmap.uid.as_ref().or(idmap.gid.as_ref()))
                .map(|ids| self.map.place(&ids.span())),
            account: fragment.user.as_ref().map(|user| self.map.place(&user.span())),
        })
    }

    /// The slice of a container, which is its pod's if it has one.
    pub(super) fn slice_of(&mut self, slice: Option<Text>, membership: Option<&Membership>) -> UnitName {
        let Some(membership) = membership else { return self.slice(slice) };
        let pods = membership.pod.slice();
        if let Some(own) = slice.filter(|text| !self.map.is_of_host(&text.span())) {
            let reason = format!("the slice of the pod {} is {pods}", membership.pod);
            self.hint(&own, "slice", &reason, Some("leave out one of slice and pod".to_owned()));
        }
        pods
    }
}
