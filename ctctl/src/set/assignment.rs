// SPDX-License-Identifier: MIT OR Apache-2.0
//! `KEY=VALUE`, and what it means for a container that runs.

use ct_config::container::Container;
use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::resource_control::TABLE;
use ct_config::sources::Tree;
use ct_config::value::RlimitResource;
use toml_edit::{DocumentMut, Item, Table, Value};

use crate::config_file;
use crate::container_toml::parse_value;
use crate::error::Error;

/// How it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By systemd, in the unit.
    Resource(&'static str),
    /// In every process.
    Limit(RlimitResource),
    /// In every process, too.
    OomScore,
    /// Not at all while it runs.
    AtStart,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// As it was given.
    given: String,
    /// The key of ct.toml(5), with its table.
    pub(crate) key: String,
    value: Value,
    pub(crate) kind: Kind,
}

/// What podman, the kernel and people call `oom.score_adjust`.
const OOM_SCORE: [&str; 5] =
    ["oom.score_adjust", "score_adjust", "oom_score_adjust", "oom_score_adj", "OOMScoreAdjust"];

impl Kind {
    /// The setting of systemd.exec(5) or systemd.resource-control(5).
    pub(crate) fn property(self) -> Option<&'static str> {
        match self {
            Self::Resource(directive) => Some(directive),
            Self::Limit(resource) => Some(resource.directive()),
            Self::OomScore => Some("OOMScoreAdjust"),
            Self::AtStart => None,
        }
    }
}

impl Assignment {
    /// Takes it apart; that the value is a good one, [`Assignment::check`] says.
    pub(crate) fn parse(given: &str) -> Result<Self, Error> {
        let (key, value) = given
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Error::Usage(format!("{given:?} is not KEY=VALUE")))?;
        let (key, kind) = known(key.trim())?;
        let value = parse_value(value.trim());
        Ok(Self { given: given.to_owned(), key, value, kind })
    }

    /// Has the parser of the configs look at it, alone, so that what it says is said of this one.
    pub(crate) fn check(&self, name: &ContainerName) -> Result<(), Error> {
        match self.kind {
            Kind::AtStart => Ok(()),
            _ => container_with(&[self], name).map(drop),
        }
    }

    /// Puts it into a file, in place of what the key was there.
    pub(crate) fn put(&self, document: &mut DocumentMut) -> Result<(), Error> {
        let mut parts: Vec<&str> = self.key.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
        for part in parts {
            let item = table.entry(part).or_insert_with(|| Item::Table(Table::new()));
            table = item
                .as_table_like_mut()
                .ok_or_else(|| Error::Usage(format!("{:?}: {part} is not a table", self.given)))?;
        }
        table.insert(last, Item::Value(self.value.clone()));
        Ok(())
    }
}

/// A container that has nothing but these, as the parser sees it.
pub(crate) fn container_with(assignments: &[&Assignment], name: &ContainerName) -> Result<Container, Error> {
    let mut document = DocumentMut::new();
    let mut root = Table::new();
    root.insert("path", Item::Value("/".into()));
    document.insert("root", Item::Table(root));
    assignments.iter().try_for_each(|one| one.put(&mut document))?;
    let path = config_file::path_of(name);
    let tree = Tree::empty("/".as_ref());
    ct_config::load_as_if(&tree, &Host::default(), name, &path, document.to_string()).map_err(|broken| {
        let given: Vec<&str> = assignments.iter().map(|one| one.given.as_str()).collect();
        let reasons: Vec<String> = broken
            .problems
            .iter()
            .map(|problem| match &problem.hint {
                Some(hint) => format!("{} ({hint})", problem.reason),
                None => problem.reason.clone(),
            })
            .collect();
        Error::Usage(format!("{}: {}", given.join(" "), reasons.join("; ")))
    })
}

/// The key in full, and what can be done with it.
fn known(key: &str) -> Result<(String, Kind), Error> {
    if OOM_SCORE.contains(&key) {
        return Ok(("oom.score_adjust".to_owned(), Kind::OomScore));
    }
    let resource = key.strip_prefix("resources.").unwrap_or(key);
    if let Some(row) = TABLE.iter().find(|row| row.key == resource || row.directive == key) {
        return Ok((format!("resources.{}", row.key), Kind::Resource(row.directive)));
    }
    let limit = key.strip_prefix("limits.").unwrap_or(key);
    if let Some(one) =
        RlimitResource::ALL.into_iter().find(|one| one.key() == limit || one.directive() == key)
    {
        return Ok((format!("limits.{}", one.key()), Kind::Limit(one)));
    }
    let live = TABLE.iter().map(|row| row.key).chain(RlimitResource::ALL.map(RlimitResource::key));
    let is_of_table = key.contains('.') && !key.starts_with("resources.") && !key.starts_with("limits.");
    if is_of_table || ["description", "hostname", "runtime", "user", "slice", "pod"].contains(&key) {
        return Ok((key.to_owned(), Kind::AtStart));
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    let hint = ct_config::suggest(last, live.chain(["score_adjust"]));
    let hint = hint.map(|hint| format!(" (did you mean {hint:?}?)")).unwrap_or_default();
    Err(Error::Usage(format!("there is no key {key:?} to set{hint}")))
}
