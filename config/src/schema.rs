// SPDX-License-Identifier: MIT OR Apache-2.0
//! What editors know of the keys: a JSON Schema (draft-07, which they all read) made from the fragments themselves, so
//! that it has every key that the parser has and no other. Descriptions are the fragments' doc comments.
//!
//! The schema is for files one edits. What a value may be beyond its shape is for [`crate::validate`] to say, and so is
//! that a root file system is missing: a drop-in, or the host's defaults, may have it.

mod refinements;
mod types;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::fragment::{Fragment, HostFragment, PodFragment};
use refinements::{CONTAINER, HOST, POD, Refinement};
pub(crate) use types::{resources, service_directives, unit_directives};

/// Which files a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `/etc/ct/containers/*.toml` and their drop-ins.
    Container,
    /// `/etc/ct/pods/*.toml` and their drop-ins.
    Pod,
    /// `/etc/ct/ct.toml` and its drop-ins.
    Host,
}

/// The schema of one kind of files.
pub fn schema(kind: Kind) -> Value {
    let mut value = match kind {
        Kind::Container => made::<Fragment>(CONTAINER),
        Kind::Pod => made::<PodFragment>(POD),
        Kind::Host => made::<HostFragment>(HOST),
    };
    if kind == Kind::Host
        && let Some(properties) = value.pointer_mut("/properties").and_then(Value::as_object_mut)
    {
        let mut defaults = made::<Fragment>(CONTAINER);
        if let Some(table) = defaults.as_object_mut() {
            table.remove("$schema");
            table.insert("description".to_owned(), json!("Any key of a container, for all of them"));
        }
        properties.insert("defaults".to_owned(), defaults);
    }
    let (title, description) = match kind {
        Kind::Container => ("Container of ct", "/etc/ct/containers/NAME.toml, see ct.toml(5)"),
        Kind::Pod => ("Pod of ct", "/etc/ct/pods/NAME.toml, see ct-pod.toml(5)"),
        Kind::Host => ("Settings of ct", "/etc/ct/ct.toml, see ct.toml(5)"),
    };
    if let Some(table) = value.as_object_mut() {
        table.insert("title".to_owned(), json!(title));
        table.insert("description".to_owned(), json!(description));
    }
    value
}

fn made<T: JsonSchema>(refinements: &[Refinement]) -> Value {
    // Without references: editors show what is there, and the refinements find it by its path.
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(without_null).transform(&mut schema);
    let mut value = schema.to_value();
    for refinement in refinements {
        refine(&mut value, refinement);
    }
    value
}

/// Optional keys are left out, TOML has no null.
fn without_null(schema: &mut Schema) {
    let Some(table) = schema.as_object_mut() else { return };
    // What the derive says of Rust's types, and of keys that are left out.
    table.remove("format");
    table.remove("title");
    if table.get("default").is_some_and(Value::is_null) {
        table.remove("default");
    }
    if let Some(Value::Array(types)) = table.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            table.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = table.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(kinds)) = table.get_mut("anyOf") {
        kinds.retain(|kind| kind.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = kinds.as_slice() {
            let only = only.clone();
            table.remove("anyOf");
            for (key, value) in only {
                table.entry(key).or_insert(value);
            }
        }
    }
}

/// Adds what the types do not tell. The path is the dotted key, `[]` for the items of a list.
fn refine(schema: &mut Value, (path, json): &Refinement) {
    let more: Map<String, Value> = serde_json::from_str(json).expect("refinements are JSON objects");
    let place = find(schema, path).unwrap_or_else(|| panic!("a refinement is of the unknown key {path}"));
    place.extend(more);
}

fn find<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Map<String, Value>> {
    let mut place = schema;
    for word in path.split('.').filter(|word| !word.is_empty()) {
        place = match word {
            "[]" => place.get_mut("items")?,
            "*" => place.get_mut("additionalProperties")?,
            key => place.get_mut("properties")?.get_mut(key)?,
        };
    }
    place.as_object_mut()
}
