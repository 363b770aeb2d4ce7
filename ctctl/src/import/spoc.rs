// SPDX-License-Identifier: MIT OR Apache-2.0
//! Definitions of SPOC, in JSON: one container's, or a registry with several of them under `containers`.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml_edit::{Array, Value};

use super::draft::{Bad, Draft, Line, Mount};
use super::lxc::id;
use super::{Settings, Source};

/// Where SPOC has layers and volumes.
const LAYERS: &str = "/var/lib/spoc/layers";
const VOLUMES: &str = "/var/lib/spoc/volumes";

/// An object with its keys in their order, twice the same too, and where the values stand.
struct Object<'t>(Vec<(String, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Object<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(keys)
            }
        }
        deserializer.deserialize_map(Keys).map(Self)
    }
}

/// Every container of a file, by name.
pub(super) fn translate(source: &Source, settings: &Settings<'_>) -> Result<Vec<(String, Draft)>, Bad> {
    let top = object(source, &source.text)?;
    let registry = top.0.iter().find(|(key, _)| key == "containers");
    let Some((_, containers)) = registry else {
        return Ok(vec![(source.name.clone(), container(source, top, settings)?)]);
    };
    let mut drafts = Vec::new();
    for (name, definition) in object(source, containers.get())?.0 {
        drafts.push((name, container(source, object(source, definition.get())?, settings)?));
    }
    // What else the registry has is nobody's: said with the first.
    if let Some((_, draft)) = drafts.first_mut() {
        for (key, _) in top.0.iter().filter(|(key, _)| key != "containers") {
            draft.note(format!("{key:?} of the registry is not about containers, and is not read"));
        }
    }
    Ok(drafts)
}

fn object<'t>(source: &Source, text: &'t str) -> Result<Object<'t>, Bad> {
    serde_json::from_str(text).map_err(|error| Bad {
        file: source.shown.clone(),
        line: line_of(source, text) + error.line().max(1) - 1,
        reason: format!("not a definition of SPOC: {error}"),
    })
}

/// The line of a part of the text, from 1.
fn line_of(source: &Source, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(source.text.as_ptr() as usize);
    source.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn container(source: &Source, object: Object<'_>, settings: &Settings<'_>) -> Result<Draft, Bad> {
    let mut lines = Vec::new();
    let mut values = Vec::new();
    for (key, raw) in object.0 {
        let value: serde_json::Value = serde_json::from_str(raw.get()).map_err(|error| Bad {
            file: source.shown.clone(),
            line: line_of(source, raw.get()),
            reason: format!("{key}: {error}"),
        })?;
        lines.push(Line::new(&source.shown, line_of(source, raw.get()), "", &key, &value.to_string()));
        values.push((key, value));
    }
    let mut draft = Draft::new(lines);
    for (at, (key, value)) in values.iter().enumerate() {
        let later = values.iter().skip(at + 1).any(|(other, _)| other == key);
        if later {
            draft.change(at, "the key comes again, and counts there");
        } else if !is_empty(value) && set(&mut draft, at, (key, value), settings).is_none() {
            draft.refuse(at, "its value is of another type than SPOC has it");
        } else if is_empty(value) {
            draft.change(at, "is empty: SPOC's default holds");
        }
    }
    defaults(&mut draft, values.iter().any(|(key, value)| key == "build" && value == true));
    draft.finish(|_| "SPOC has no such key, and ignored it".to_owned());
    Ok(draft)
}

fn is_empty(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::String(text) => text.is_empty(),
        serde_json::Value::Array(list) => list.is_empty(),
        serde_json::Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// `None` where the value is of another type.
fn set(
    draft: &mut Draft,
    at: usize,
    (key, value): (&str, &serde_json::Value),
    settings: &Settings<'_>,
) -> Option<()> {
    match key {
        "build" => {
            if value.as_bool()? {
                draft.refuse(at, "ct builds no images: its writes would be gone after a stop, set root.path to the layer to be written to");
            } else {
                draft.change(at, "nothing is built");
            }
        }
        "depends" => {
            for name in texts(value)? {
                draft.add(at, &["depends", "requires"], name);
            }
        }
        "layers" => {
            for name in texts(value)? {
                draft.add(at, &["root", "layers"], place(LAYERS, name, settings));
            }
        }
        "mounts" => {
            for (volume, target) in value.as_object()? {
                mount(draft, at, volume, target.as_str()?, settings);
            }
        }
        "env" => {
            for (name, value) in value.as_object()? {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                draft.set(at, &["process", "env", name], value);
            }
        }
        "uid" => draft.set(at, &["process", "user"], number_or_name(value)?),
        "gid" => draft.set(at, &["process", "group"], number_or_name(value)?),
        "cwd" => draft.set(at, &["process", "cwd"], value.as_str()?),
        "halt" => draft.set(at, &["stop", "signal"], number_or_name(value)?),
        "cmd" => command(draft, at, &["process", "command"], value.as_str()?),
        "ready" => command(draft, at, &["ready", "command"], value.as_str()?),
        _ => {}
    }
    Some(())
}

fn texts(value: &serde_json::Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(serde_json::Value::as_str).collect()
}

fn number_or_name(value: &serde_json::Value) -> Option<Value> {
    value.as_i64().map(Value::from).or_else(|| value.as_str().map(id))
}

fn command(draft: &mut Draft, at: usize, path: &[&str], text: &str) {
    match shlex::split(text).filter(|words| !words.is_empty()) {
        Some(words) => draft.set(at, path, Value::Array(words.iter().collect())),
        None => draft.refuse(at, "its quotes are not closed"),
    }
}

fn place(base: &str, name: &str, settings: &Settings<'_>) -> String {
    match settings.map(name) {
        Some(path) => path.to_owned(),
        None => Path::new(base).join(name).to_string_lossy().into_owned(),
    }
}

/// `MOUNTPOINT` or `MOUNTPOINT:file`
fn mount(draft: &mut Draft, at: usize, volume: &str, target: &str, settings: &Settings<'_>) {
    let (target, create) = target.strip_suffix(":file").map_or((target, "dir"), |target| (target, "file"));
    let mount = Mount {
        source: Some(place(VOLUMES, volume, settings)),
        target: format!("/{}", target.trim_matches('/')),
        create: Some(create),
        ..Mount::default()
    };
    draft.mount(at, mount);
}

/// What SPOC does for every container.
fn defaults(draft: &mut Draft, build: bool) {
    if !build {
        draft.assume(&["root", "writable"], "ephemeral", "SPOC throws away what a container wrote");
    }
    if !draft.has(&["stop", "signal"]) {
        draft.assume(&["stop", "signal"], "SIGINT", "SPOC's default");
    }
    draft.assume(&["stop", "timeout"], "30s", "as long as SPOC waits");
    if draft.has(&["ready", "command"]) {
        draft.assume(&["ready", "timeout"], "30s", "as long as SPOC waits");
    }
    let range = || Array::from_iter([Value::Array(Array::from_iter([0_i64, 100_000, 65_536]))]);
    for key in ["uid", "gid"] {
        draft.assume(
            &["idmap", key],
            Value::Array(range()),
            "SPOC's ids, which its layers and volumes belong to",
        );
    }
    draft.assume(
        &["security", "no_new_privileges"],
        false,
        "LXC lets programs gain privileges unless told otherwise",
    );
    draft.note("SPOC gave it an address on a bridge; ct makes no network devices: see network.mode");
}
