// SPDX-License-Identifier: MIT OR Apache-2.0
//! The schema against the parser: the same keys, and no file that the parser takes is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ct_config::fragment::{Fragment, HostFragment, PodFragment};
use ct_config::resource_control;
use ct_config::schema::{Kind, schema};
use serde_json::Value;

use crate::fake_root::{EVERYTHING, FakeRoot, MINIMAL};

const KINDS: [Kind; 3] = [Kind::Container, Kind::Pod, Kind::Host];

/// The keys that the parser knows of in one table, from its own words about one that it does not know.
fn parser_keys(kind: Kind, table: &str) -> Option<BTreeSet<String>> {
    let text = match table {
        "mount" => "[[mount]]\nno-such-key = 1\n".to_owned(),
        "" => "no-such-key = 1\n".to_owned(),
        table => format!("[{table}]\nno-such-key = 1\n"),
    };
    let error = match kind {
        Kind::Container => toml::from_str::<Fragment>(&text).err()?,
        Kind::Pod => toml::from_str::<PodFragment>(&text).err()?,
        Kind::Host => toml::from_str::<HostFragment>(&text).err()?,
    };
    let message = error.message().to_owned();
    let keys =
        message.strip_prefix("unknown field `no-such-key`, expected ").unwrap_or_else(|| panic!("{message}"));
    Some(keys.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Every table of a schema that has fixed keys, by its dotted path, and its keys.
fn tables(schema: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    let schema = schema.get("items").filter(|_| schema["type"] == "array").unwrap_or(schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} must refuse unknown keys");
    found.push((path.to_owned(), properties.keys().cloned().collect()));
    for (key, value) in properties {
        tables(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
    }
}

#[test]
fn the_schema_has_every_key_of_the_parser_and_no_other() {
    let settings: BTreeSet<String> = resource_control::TABLE.iter().map(|row| row.key.to_owned()).collect();
    let mut count = 0;
    for kind in KINDS {
        let mut found = Vec::new();
        tables(&schema(kind), "", &mut found);
        for (path, keys) in found {
            let (of, inner) = match (kind, path.strip_prefix("defaults")) {
                (Kind::Host, Some(inner)) => (Kind::Container, inner.trim_start_matches('.')),
                _ => (kind, path.as_str()),
            };
            let mut want = if inner == "resources" {
                settings.clone()
            } else {
                parser_keys(of, inner)
                    .unwrap_or_else(|| panic!("{kind:?}: the parser takes any key in {path}"))
            };
            if (kind, path.as_str()) == (Kind::Host, "") {
                want.insert("defaults".to_owned());
            }
            assert_eq!(keys, want, "{kind:?}: [{path}]");
            count += keys.len();
        }
    }
    assert!(count > 350, "only {count} keys were compared");
}

/// What a validator says of a TOML text.
fn validate(kind: Kind, text: &str) -> Result<(), String> {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("ct.json", schema(kind)).unwrap();
    let index = compiler.compile("ct.json", &mut schemas).unwrap();
    let value: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let value = serde_json::to_value(value).unwrap();
    schemas.validate(&value, index).map_err(|error| format!("{error:#}"))
}

/// Every `*.toml` below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_that_the_parser_takes_is_refused() {
    validate(Kind::Container, MINIMAL).unwrap();
    validate(Kind::Container, EVERYTHING).unwrap();
    let root = FakeRoot::new("schema");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../generator/tests/golden");
    let mut found = Vec::new();
    files(&golden, &mut found);
    let (mut taken, mut refused) = (0, Vec::new());
    for path in found {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.to_string_lossy();
        let kind = match () {
            () if name.contains("/ct.toml") => Kind::Host,
            () if name.contains("/pods/") => Kind::Pod,
            () => Kind::Container,
        };
        // As a container's own file: a drop-in alone lacks its root.
        let alone = text.contains("[root]") && kind == Kind::Container && !name.contains(".toml.d/");
        let valid = validate(kind, &text);
        if alone && root.only(&text).is_ok() {
            valid.unwrap_or_else(|error| panic!("{name}: {error}"));
            taken += 1;
        } else if let (Kind::Container, Err(error)) = (kind, valid) {
            refused.push(format!("{name}: {error}"));
        } else {
            taken += 1;
        }
    }
    assert!(taken > 100, "only {taken} files were tried");
    // A schema that takes everything would have passed so far.
    assert!(refused.len() >= 7, "{refused:#?}");
    assert!(refused.iter().any(|line| line.contains("18-misspelt-key")), "{refused:#?}");
}

#[test]
fn shapes_that_the_parser_refuses_are_refused() {
    for text in [
        "descripton = \"x\"",
        "[root]\npath = \"srv\"",
        "[root]\npath = \"/a\"\nbundle = \"/b\"",
        "[root]\nwritable = \"yes\"",
        "[process]\ncommand = []",
        "[process]\ncommand = \"sh\"",
        "[[mount]]\nsource = \"/a\"",
        "[oom]\nscore_adjust = 1001",
        "[autostart]\nenabled = 1",
        "[idmap]\nuid = [[0, 1]]\ngid = \"auto\"",
        "[idmap]\nuid = \"auto\"",
        "[limits]\nnofiles = 1",
        "[resources]\nmemory = 1",
        "[resources]\nio_weight = 0",
        "[resources]\nmanaged_oom_swap = \"no\"",
        "[network]\nmode = \"bridge:ct0\"",
        "[systemd.service]\nExecStart = \"/bin/x\"",
        "[systemd.service]\nexec_start = \"/bin/x\"",
    ] {
        let root = FakeRoot::new("shapes");
        let complete = if text.contains("[root]") { text.to_owned() } else { format!("{text}\n{MINIMAL}") };
        assert!(root.only(&complete).is_err() || text.contains("[process]"), "the parser takes {text:?}");
        assert!(validate(Kind::Container, text).is_err(), "the schema takes {text:?}");
    }
    assert!(validate(Kind::Pod, "share = [\"pid\"]").is_err());
    assert!(validate(Kind::Host, "[defaults]\nnofile = 1").is_err());
    validate(Kind::Host, "[runtimes]\na = \"/usr/bin/crun\"\nb = { path = \"/x\", arguments = [\"-v\"] }")
        .unwrap();
}

#[test]
fn every_key_has_a_description_and_every_default_is_taken() {
    fn walk(schema: &Value, path: &str, check: &mut dyn FnMut(&str, &Value)) {
        let schema = schema.get("items").filter(|_| schema["type"] == "array").unwrap_or(schema);
        for (key, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            check(&path, value);
            walk(value, &path, check);
        }
    }
    let root = FakeRoot::new("defaults");
    let mut defaults = 0;
    walk(&schema(Kind::Container), "", &mut |path, value| {
        assert!(
            value["description"].as_str().is_some_and(|text| text.len() > 4),
            "{path} has no description"
        );
        let Some(default) = value.get("default") else { return };
        defaults += 1;
        let line = format!("{path} = {default}\n");
        let text = if path.starts_with("process") {
            format!("{line}[root]\npath = \"/srv/web\"\n")
        } else {
            format!("{line}root.{}\n", "path = \"/srv/web\"")
        };
        // A mapped root needs ids, an interval nothing: false and the like stand alone.
        root.only(&text).unwrap_or_else(|reasons| panic!("{line}: {reasons:#?}"));
    });
    assert!(defaults > 20, "only {defaults} defaults");
    for kind in [Kind::Pod, Kind::Host] {
        walk(&schema(kind), "", &mut |path, value| {
            assert!(value["description"].is_string(), "{kind:?}: {path} has no description");
        });
    }
}
