// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shapes of values that may be written in more than one way.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::fragment::{HostRuntime, IdRanges, Scalar, Setting, Table};
use crate::resource_control::{Shape, TABLE};

macro_rules! shape {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

shape!(Scalar, "Scalar", json_schema!({ "type": ["string", "integer"] }));
shape!(
    Setting,
    "Setting",
    json_schema!({ "type": ["string", "integer", "boolean", "array"], "items": { "type": "string" } })
);
shape!(
    IdRanges,
    "IdRanges",
    json_schema!({ "anyOf": [
        { "const": "auto" },
        { "type": "array", "minItems": 1, "maxItems": 340, "items": {
            "type": "array", "minItems": 3, "maxItems": 3, "items": { "type": "integer", "minimum": 0 }
        } }
    ] })
);
shape!(
    HostRuntime,
    "HostRuntime",
    json_schema!({ "anyOf": [
        { "type": "string", "pattern": "^/", "description": "The program" },
        {
            "type": "object",
            "properties": {
                "path": { "type": "string", "pattern": "^/", "description": "The program" },
                "arguments": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "Arguments to put before the sub-command"
                }
            },
            "required": ["path"],
            "additionalProperties": false
        }
    ] })
);

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// `[resources]`: the settings of [`TABLE`].
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let properties: Map<String, Value> = TABLE
        .iter()
        .map(|row| {
            let mut schema = match row.shape() {
                Shape::Bool => json!({ "type": ["boolean", "string"], "enum": [true, false, "yes", "no", "on", "off"] }),
                Shape::Word(words) => json!({ "type": "string", "enum": words }),
                Shape::Weight => json!({ "type": ["integer", "string"], "minimum": 1, "maximum": 10000 }),
                Shape::Single => json!({ "type": ["integer", "string"], "minimum": 0 }),
                Shape::Lines => {
                    json!({ "type": ["integer", "string", "array"], "items": { "type": "string" }, "minItems": 1 })
                }
            };
            let since = if row.since > 252 { format!(", since systemd {}", row.since) } else { String::new() };
            let description = format!("{}= of systemd.resource-control(5){since}", row.directive);
            if let Some(table) = schema.as_object_mut() {
                table.insert("description".to_owned(), json!(description));
            }
            (row.key.to_owned(), schema)
        })
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// `[systemd.unit]` and `[systemd.service]`: any directive, but those that ct relies on.
fn directives(forbidden: &[(&str, &str)]) -> Schema {
    let names: Vec<&str> = forbidden.iter().map(|(name, _)| *name).collect();
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^(X-)?[A-Z][A-Za-z0-9]*$", "not": { "enum": names } },
        "additionalProperties": {
            "type": ["string", "integer", "boolean", "array"],
            "items": { "type": "string" }
        }
    })
}

pub(crate) fn unit_directives(_: &mut SchemaGenerator) -> Schema {
    directives(&crate::validate::FORBIDDEN_UNIT)
}

pub(crate) fn service_directives(_: &mut SchemaGenerator) -> Schema {
    directives(&crate::validate::FORBIDDEN_SERVICE)
}
