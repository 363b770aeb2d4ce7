// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the fragment to the [`Container`]: every rule and every default, the only place for either. All problems are
//! collected; a container with any is not made.

mod isolation;
mod lifecycle;
mod pod;
mod process;
mod runtime;
mod unit;

pub use isolation::CAPABILITIES;
pub(crate) use pod::{PodIdentity, pod};
pub(crate) use runtime::{INSTEAD_OF_HOST_NETWORK, LXC_IN_HOST_NETWORK};
#[cfg(feature = "schema")]
pub(crate) use unit::{FORBIDDEN_SERVICE, FORBIDDEN_UNIT};

use std::fmt::Display;
use std::path::{Component, Path, PathBuf};

use crate::container::{AccountName, Container, Digest, Root, RootSource};
use crate::document::{MAX_PROBLEMS, ROOT_SOURCES, SourceMap, Span};
use crate::fragment::{self, Fragment, List, Scalar, Spanned, Text};
use crate::host::Host;
use crate::name::{ContainerName, UnitName, is_layer_name};
use crate::problem::Problem;
use crate::sources::HookFiles;
use crate::value::{Timespan, parse_number};

/// Where bare layer names are.
pub const LAYERS: &str = "/var/lib/ct/layers";
/// The kernel's own bound.
pub const MAX_LAYERS: usize = 500;
/// The slice of a container that names none.
const DEFAULT_SLICE: &str = "ct.slice";

/// What there is to say of a key that has no effect yet. Accepting it would promise something.
const NOT_YET: &str = "not supported yet";

/// Collects problems.
pub(crate) struct Check<'a> {
    map: SourceMap<'a>,
    problems: &'a mut Vec<Problem>,
}

/// What is known of a container besides its fragment.
pub(crate) struct Identity {
    pub(crate) name: ContainerName,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) hooks: HookFiles,
    pub(crate) digest: Digest,
}

/// Checks everything and fills in the defaults. `None` if there is any problem, also of those there were before.
pub(crate) fn container(
    fragment: Fragment,
    identity: Identity,
    host: &Host,
    map: SourceMap<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Container> {
    let incomplete = !problems.is_empty();
    let mut check = Check { map, problems };
    let Identity { name, files, hooks, digest } = identity;
    let membership = check.membership(&fragment);
    let runtime = check.runtime(fragment.runtime.as_ref(), host);
    check.runtime_can(&fragment, &runtime);
    let root = fragment.root.unwrap_or_default();
    // A pod may have ids for its members, which its own file tells.
    let has_ids = fragment.user.is_some() || fragment.idmap.is_some() || fragment.pod.is_some();
    check.idmap_has_ids(&root, has_ids);
    let root = check.root(root, incomplete, &files);
    let (extra_unit, extra_service) = check.systemd(fragment.systemd.unwrap_or_default());
    let process = check.process(fragment.process.unwrap_or_default(), root.as_ref());
    let has_terminal = process.terminal == Some(true);
    let container = Container {
        description: fragment.description.map(Spanned::into_inner).filter(|text| !text.is_empty()),
        runtime,
        account: fragment.user.and_then(|user| check.account(&user)),
        slice: check.slice_of(fragment.slice, membership.as_ref()),
        membership: membership.map(Box::new),
        hostname: fragment.hostname.map(|text| check.hostname(text)),
        process,
        log: check.log(fragment.log.unwrap_or_default(), has_terminal),
        idmap: fragment.idmap.and_then(|idmap| check.idmap(idmap)),
        mounts: check.mounts(fragment.mount.unwrap_or_default()),
        limits: check.limits(fragment.limits.unwrap_or_default()),
        resources: check.resources(fragment.resources.unwrap_or_default()),
        oom: check.oom(fragment.oom.unwrap_or_default()),
        depends: check.depends(fragment.depends.unwrap_or_default(), &name),
        autostart: check.autostart(fragment.autostart.unwrap_or_default()),
        ready: check.ready(fragment.ready.unwrap_or_default()),
        stop: check.stop(fragment.stop.unwrap_or_default()),
        restart: check.restart(fragment.restart.unwrap_or_default()),
        hooks: check.hooks(fragment.hooks.unwrap_or_default(), hooks),
        network: fragment.network.and_then(|network| check.network(network)),
        security: check.security(fragment.security.unwrap_or_default()),
        root: root?,
        extra_unit,
        extra_service,
        name,
        files,
        digest,
    };
    problems.is_empty().then_some(container)
}

impl Check<'_> {
    /// Takes down what is wrong with a value.
    fn problem<T>(&mut self, value: &Spanned<T>, key: &str, reason: &str) {
        self.hint(value, key, reason, None);
    }

    /// The same with what to do about it.
    fn hint<T>(&mut self, value: &Spanned<T>, key: &str, reason: &str, hint: Option<String>) {
        self.at(&value.span(), key, reason, hint);
    }

    fn at(&mut self, span: &Span, key: &str, reason: &str, hint: Option<String>) {
        self.map.report(self.problems, span, key, reason, hint);
    }

    /// Whether nothing more would be taken down: what is costly to say need not be.
    fn is_full(&self) -> bool {
        self.problems.len() > MAX_PROBLEMS
    }

    /// The value, unless it is none.
    fn parsed<T, V, E: Display>(&mut self, value: &Spanned<V>, key: &str, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.problem(value, key, &error.to_string());
                None
            }
        }
    }

    fn path(&mut self, text: &Text, key: &str) -> PathBuf {
        self.parsed(text, key, parse_path(text.get_ref())).unwrap_or_default()
    }

    fn timespan(&mut self, text: &Spanned<Scalar>, key: &str) -> Option<Timespan> {
        self.parsed(text, key, Timespan::parse(&text.get_ref().0))
    }

    /// `incomplete`: something of the files was lost, perhaps just this.
    fn root(&mut self, root: fragment::Root, incomplete: bool, files: &[PathBuf]) -> Option<Root> {
        let spans = [
            root.path.as_ref().map(Spanned::span),
            root.layers.as_ref().map(Spanned::span),
            root.bundle.as_ref().map(Spanned::span),
        ];
        let mut named = spans.into_iter().zip(ROOT_SOURCES).filter_map(|(span, key)| Some((span?, key)));
        let first = named.next();
        for (span, key) in named {
            let other = first.as_ref().map(|(_, other)| *other).unwrap_or_default();
            let reason =
                format!("root.{other} is set as well, and only one of path, layers and bundle can be");
            self.at(&span, &format!("root.{key}"), &reason, None);
        }
        let source = match (root.path, root.layers, root.bundle) {
            (Some(path), ..) => RootSource::Path(self.path(&path, "root.path")),
            (_, Some(layers), _) => RootSource::Layers(self.layers(&layers)),
            (.., Some(bundle)) => RootSource::Bundle(self.path(&bundle, "root.bundle")),
            (None, None, None) if incomplete => return None,
            (None, None, None) => {
                self.problems.push(Problem {
                    file: files.first().cloned().unwrap_or_default(),
                    position: None,
                    key: Some("root".to_owned()),
                    reason: "no root file system".to_owned(),
                    hint: Some("set one of path, layers and bundle in [root]".to_owned()),
                });
                return None;
            }
        };
        // Only a bundle says something of its own.
        let writable = match source {
            RootSource::Bundle(_) => root.writable,
            _ => Some(root.writable.unwrap_or_default()),
        };
        let lxcfs = root.lxcfs.map(Spanned::into_inner).unwrap_or_default();
        let idmap = root.idmap.is_some_and(Spanned::into_inner);
        Some(Root { source, writable, idmap, lxcfs })
    }

    /// An id-mapped root shows its files with the ids of a user namespace: there must be one.
    fn idmap_has_ids(&mut self, root: &fragment::Root, has_ids: bool) {
        if let Some(idmap) = root.idmap.as_ref().filter(|idmap| *idmap.get_ref() && !has_ids) {
            let hint = Some("set [idmap], or `user` to an account with subordinate ids".to_owned());
            self.hint(idmap, "root.idmap", "the container has no user namespace to map ids for", hint);
        }
    }

    fn layers(&mut self, layers: &List) -> Vec<PathBuf> {
        const KEY: &str = "root.layers";
        if layers.get_ref().is_empty() {
            self.problem(layers, KEY, "must not be empty");
        }
        if layers.get_ref().len() > MAX_LAYERS {
            self.problem(layers, KEY, &format!("has more than {MAX_LAYERS} layers"));
            return Vec::new();
        }
        let mut paths: Vec<PathBuf> = Vec::with_capacity(layers.get_ref().len());
        for layer in layers.get_ref() {
            let text = layer.get_ref().as_str();
            let path = if text.starts_with('/') {
                self.path(layer, KEY)
            } else if is_layer_name(text) {
                Path::new(LAYERS).join(text)
            } else {
                let reason = format!("{text:?} is neither an absolute path nor the name of a layer");
                self.problem(layer, KEY, &reason);
                continue;
            };
            // The kernel refuses it, with no more than "too many levels of symbolic links".
            if paths.contains(&path) {
                self.problem(layer, KEY, &format!("{text:?} is listed twice"));
            }
            paths.push(path);
        }
        paths
    }

    /// `None` is root.
    fn account(&mut self, user: &Spanned<Scalar>) -> Option<AccountName> {
        let text = user.get_ref().0.as_str();
        if matches!(text, "root" | "0") {
            return None;
        }
        match self.parsed(user, "user", parse_id(text, "an account"))? {
            Some(uid) => Some(AccountName::Uid(uid)),
            None => Some(AccountName::Name(text.to_owned())),
        }
    }

    fn slice(&mut self, text: Option<Text>) -> UnitName {
        let default = || UnitName::parse(DEFAULT_SLICE).expect("a valid unit name");
        let Some(text) = text else { return default() };
        let name = text.get_ref().as_str();
        let Some(stem) = name.strip_suffix(".slice") else {
            let hint = Some(format!("did you mean \"{name}.slice\"?"));
            self.hint(&text, "slice", &format!("{name:?} does not end in .slice"), hint);
            return default();
        };
        // A dash is a level of the tree of slices; "-.slice" alone is its root.
        let levels = stem == "-" || (!stem.starts_with('-') && !stem.ends_with('-') && !stem.contains("--"));
        match UnitName::parse(name) {
            Ok(unit) if levels && !stem.contains('@') => unit,
            Ok(_) => {
                self.problem(
                    &text,
                    "slice",
                    &format!("{name:?} is not the name of a slice, see systemd.slice(5)"),
                );
                default()
            }
            Err(error) => {
                self.problem(&text, "slice", &error.to_string());
                default()
            }
        }
    }

    fn hostname(&mut self, text: Text) -> String {
        let name = text.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
        };
        if name.len() > 64 {
            self.problem(&text, "hostname", &format!("{name:?} is longer than 64 characters"));
        } else if !name.split('.').all(label) {
            self.problem(&text, "hostname", &format!("{name:?} is not a host name"));
        }
        text.into_inner()
    }
}

/// An absolute path, without the needless parts of it.
pub(crate) fn parse_path(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with('/') {
        return Err(format!("{text:?} is not an absolute path"));
    }
    // PATH_MAX, with its NUL.
    if text.len() > 4095 {
        return Err("the path is longer than 4095 bytes".to_owned());
    }
    // As nearly all are written: there is nothing to leave out.
    if text.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")) {
        return Ok(PathBuf::from(text));
    }
    let path = Path::new(text);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{text:?} contains \"..\""));
    }
    Ok(path.components().collect())
}

/// A user or group: the number if it is one, `None` if it is a name. `what` begins the reason.
pub(crate) fn parse_id(text: &str, what: &str) -> Result<Option<u32>, String> {
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        let id = parse_number(text).and_then(|n| u32::try_from(n).ok());
        return match id {
            // (uid_t)-1 of 16 and of 32 bits: to the kernel "leave it as it is".
            Some(65535 | u32::MAX) => Err(format!("{text} is not usable as an id")),
            Some(id) => Ok(Some(id)),
            None => Err(format!("{text:?} is not an id from 0 to 4294967294")),
        };
    }
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let body = text.strip_suffix('$').unwrap_or(text);
    if first && text.len() <= 256 && body.bytes().all(plain) {
        Ok(None)
    } else {
        Err(format!("{text:?} is not the name or number of {what}"))
    }
}
