// SPDX-License-Identifier: MIT OR Apache-2.0
//! A config in the making, and what became of each line that it is made from. Nothing gets lost: a line that no rule
//! speaks of is refused at the end.

use std::fmt;

use toml_edit::{Array, Key, Value};

use crate::container_toml::ContainerToml;
use crate::output::safe;

/// One assignment of a foreign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As it was given on the command line, or found from there.
    pub file: String,
    /// From 1.
    pub number: usize,
    /// `[Container]`; empty where there are none.
    pub section: String,
    /// As written.
    pub key: String,
    /// As written, continued lines joined.
    pub value: String,
}

impl Line {
    pub(super) fn new(file: &str, number: usize, section: &str, key: &str, value: &str) -> Self {
        let [file, section, key, value] = [file, section, key, value].map(str::to_owned);
        Self { file, number, section, key, value }
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Bad {
    /// As in [`Line`].
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// What became of one line.
#[derive(Debug, Default, Clone)]
struct Fate {
    /// The keys it set, as `KEY = VALUE`.
    into: Vec<String>,
    /// What is different now.
    changes: Vec<String>,
    /// Why it, or a part of it, was not carried over, and what to do.
    refusals: Vec<String>,
}

/// What became of one line, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It means the same.
    Carried,
    /// Something is different, or not needed any more.
    Changed,
    /// Not, or not all of it, carried over.
    Refused,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Carried => "carried",
            Self::Changed => "changed",
            Self::Refused => "refused",
        })
    }
}

/// The config and the report.
#[derive(Debug, Default)]
pub struct Draft {
    lines: Vec<(Line, Fate)>,
    values: Vec<(Vec<String>, Value)>,
    mounts: Vec<Vec<(&'static str, Value)>>,
    /// What is so without a line that says it.
    notes: Vec<String>,
}

/// The order of tables in a config, as ct.toml(5) has them.
const ORDER: [&str; 21] = [
    "description",
    "runtime",
    "user",
    "slice",
    "hostname",
    "pod",
    "root",
    "process",
    "idmap",
    "mount",
    "limits",
    "resources",
    "oom",
    "depends",
    "autostart",
    "ready",
    "stop",
    "restart",
    "hooks",
    "network",
    "security",
];

impl Draft {
    /// Begins with the lines, in their order.
    pub(super) fn new(lines: Vec<Line>) -> Self {
        Self { lines: lines.into_iter().map(|line| (line, Fate::default())).collect(), ..Self::default() }
    }

    /// The lines, by number.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines.iter().map(|(line, _)| line.clone()).collect()
    }

    fn fate(&mut self, at: usize) -> &mut Fate {
        &mut self.lines.get_mut(at).expect("rules speak of lines there are").1
    }

    /// Line `at` sets a key.
    pub(super) fn set(&mut self, at: usize, path: &[&str], value: impl Into<Value>) {
        let value = value.into();
        self.fate(at).into.push(shown(path, &value));
        self.put(path, value);
    }

    /// Line `at` adds to a list.
    pub(super) fn add(&mut self, at: usize, path: &[&str], item: impl Into<Value>) {
        let item = item.into();
        let mut alone = Array::new();
        alone.push(item.clone());
        self.fate(at).into.push(shown(path, &Value::Array(alone)));
        self.push(path, item);
    }

    /// Line `at` adds a mount.
    pub(super) fn mount(&mut self, at: usize, mount: Mount) {
        let keys = mount.keys();
        let shown: Vec<String> = keys.iter().map(|(key, value)| format!("{key} = {}", text(value))).collect();
        self.fate(at).into.push(format!("mount = {{ {} }}", shown.join(", ")));
        self.mounts.push(keys);
    }

    /// Something about line `at` is different now.
    pub(super) fn change(&mut self, at: usize, why: impl Into<String>) {
        self.fate(at).changes.push(why.into());
    }

    /// Line `at` is not carried over: why, and what to do.
    pub(super) fn refuse(&mut self, at: usize, why: impl Into<String>) {
        self.fate(at).refusals.push(why.into());
    }

    /// A key that no line sets: what the other program does unless told otherwise.
    pub(super) fn assume(&mut self, path: &[&str], value: impl Into<Value>, why: &str) {
        let value = value.into();
        self.notes.push(format!("{}: {why}", shown(path, &value)));
        self.put(path, value);
    }

    /// Something to know that no line says.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Whether a key is set.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        self.values.iter().any(|(known, _)| known == path)
    }

    pub(super) fn has_mount(&self, target: &str) -> bool {
        let is = |(key, value): &(&str, Value)| *key == "target" && value.as_str() == Some(target);
        self.mounts.iter().any(|mount| mount.iter().any(is))
    }

    fn put(&mut self, path: &[&str], value: Value) {
        match self.values.iter_mut().find(|(known, _)| known == path) {
            Some((_, old)) => *old = value,
            None => self.values.push((path.iter().map(|word| (*word).to_owned()).collect(), value)),
        }
    }

    fn push(&mut self, path: &[&str], item: Value) {
        match self.values.iter_mut().find(|(known, _)| known == path) {
            Some((_, Value::Array(list))) => list.push(item),
            _ => {
                let mut list = Array::new();
                list.push(item);
                self.put(path, Value::Array(list));
            }
        }
    }

    /// Refuses what no rule spoke of.
    pub(super) fn finish(&mut self, why: impl Fn(&Line) -> String) {
        for (line, fate) in &mut self.lines {
            if fate.into.is_empty() && fate.changes.is_empty() && fate.refusals.is_empty() {
                fate.refusals.push(why(line));
            }
        }
    }

    /// Each line and what became of it.
    pub fn outcomes(&self) -> impl Iterator<Item = (&Line, Outcome)> {
        self.lines.iter().map(|(line, fate)| (line, fate.outcome()))
    }

    /// Whether anything was refused.
    pub fn is_partial(&self) -> bool {
        self.outcomes().any(|(_, outcome)| outcome == Outcome::Refused)
    }

    /// One line for each line, and for each note; safe for a terminal.
    pub fn report(&self) -> Vec<String> {
        let of = |(line, fate): &(Line, Fate)| {
            let mut text =
                format!("{}:{}: {}: {}={}", line.file, line.number, fate.outcome(), line.key, line.value);
            if !fate.into.is_empty() {
                text.push_str(&format!(" -> {}", fate.into.join(", ")));
            }
            let words = [fate.refusals.join("; "), fate.changes.join("; ")];
            let words: Vec<&str> =
                words.iter().map(String::as_str).filter(|words| !words.is_empty()).collect();
            if !words.is_empty() {
                text.push_str(&format!(": {}", words.join("; ")));
            }
            safe(&text).into_owned()
        };
        let notes = self.notes.iter().map(|note| safe(&format!("note: {note}")).into_owned());
        self.lines.iter().map(of).chain(notes).collect()
    }

    /// As [`Draft::report`], for programs.
    pub fn json(&self) -> serde_json::Value {
        let line = |(line, fate): &(Line, Fate)| {
            serde_json::json!({
                "file": line.file, "line": line.number, "section": line.section, "key": line.key, "value": line.value,
                "outcome": fate.outcome().to_string(), "into": fate.into, "changes": fate.changes,
                "refusals": fate.refusals,
            })
        };
        let lines: Vec<_> = self.lines.iter().map(line).collect();
        serde_json::json!({ "lines": lines, "notes": self.notes })
    }

    /// The config. What was refused is a comment at its end.
    pub fn toml(&self, about: &str) -> String {
        let mut toml = ContainerToml::new(&[about.to_owned()]);
        let mut values: Vec<&(Vec<String>, Value)> = self.values.iter().collect();
        let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        values.sort_by_key(|(path, _)| rank(path.first().map_or("", String::as_str)));
        let mounts = rank("mount");
        let mut mounted = false;
        for (path, value) in values {
            if !mounted && rank(path.first().map_or("", String::as_str)) > mounts {
                self.mounts.iter().for_each(|mount| toml.push_table("mount", mount.clone()));
                mounted = true;
            }
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            toml.set(&path, value.clone()).expect("no rule makes a table of a value");
        }
        if !mounted {
            self.mounts.iter().for_each(|mount| toml.push_table("mount", mount.clone()));
        }
        let refused = self.lines.iter().filter(|(_, fate)| fate.outcome() == Outcome::Refused);
        for (index, (line, fate)) in refused.enumerate() {
            if index == 0 {
                toml.remark("Not carried over:");
            }
            let why = fate.refusals.join("; ");
            toml.remark(format!("  {}:{}: {}={}: {why}", line.file, line.number, line.key, line.value));
        }
        toml.render()
    }
}

impl Fate {
    fn outcome(&self) -> Outcome {
        match self {
            Self { refusals, .. } if !refusals.is_empty() => Outcome::Refused,
            Self { changes, .. } if !changes.is_empty() => Outcome::Changed,
            _ => Outcome::Carried,
        }
    }
}

/// One `[[mount]]`.
#[derive(Debug, Default)]
pub(super) struct Mount {
    pub(super) source: Option<String>,
    pub(super) target: String,
    pub(super) kind: Option<String>,
    pub(super) options: Vec<String>,
    pub(super) create: Option<&'static str>,
}

impl Mount {
    fn keys(self) -> Vec<(&'static str, Value)> {
        let mut keys = Vec::new();
        keys.extend(self.source.map(|source| ("source", Value::from(source))));
        keys.push(("target", Value::from(self.target)));
        keys.extend(self.kind.map(|kind| ("type", Value::from(kind))));
        if !self.options.is_empty() {
            keys.push(("options", Value::Array(self.options.iter().collect())));
        }
        keys.extend(self.create.map(|create| ("create", Value::from(create))));
        keys
    }
}

fn shown(path: &[&str], value: &Value) -> String {
    let path: Vec<String> = path.iter().map(|word| Key::new(*word).to_string()).collect();
    format!("{} = {}", path.join("."), text(value))
}

fn text(value: &Value) -> String {
    value.to_string().trim().to_owned()
}
