// SPDX-License-Identifier: MIT OR Apache-2.0
//! `inspect`: everything that is known of a container, in JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::container::Container;
use ct_config::name::ContainerName;
use ct_generator::output::DROP_IN;
use serde::Serialize;
use serde_json::Value;

use crate::check::{Given, survey};
use crate::configs::{Configs, Verdict};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve_all;
use crate::output::print_json;
use crate::state::State;

/// Show everything that is known of containers, in JSON
///
/// An array of objects: config is the config with all defaults; settings is the drop-in that the next daemon-reload would
/// write; drop_ins are those that systemd has, as they are on disk; properties are systemd's own, see
/// org.freedesktop.systemd1(5); state is that of the OCI runtime specification.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// One container; the order is that of the JSON.
#[derive(Debug, Serialize)]
struct Inspected {
    name: String,
    unit: String,
    verdict: Verdict,
    problems: Vec<String>,
    files: Vec<PathBuf>,
    autostart: Option<bool>,
    config: Option<Box<Container>>,
    settings: Option<String>,
    drop_ins: Vec<DropIn>,
    state: State,
    properties: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize)]
struct DropIn {
    path: String,
    /// Null for one that this user cannot read.
    text: Option<String>,
}

/// `ctctl inspect`
pub fn inspect(arguments: &InspectArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("inspect")?;
    let names = resolve_all(&arguments.names, context)?;
    let configs = Configs::read(context);
    let rendered = survey(context.root(), &Given::new(context.root()))?;
    let settings = |name: &ContainerName| {
        fs::read_to_string(rendered.units.path().join(format!("{}.d/{DROP_IN}", name.unit()))).ok()
    };
    let mut inspected = Vec::with_capacity(names.len());
    for name in &names {
        let unit = context.systemd()?.unit(&name.unit().to_string())?;
        let config = configs.of(name);
        let drop_ins = unit.texts("DropInPaths");
        let files = match &config.container {
            Some(container) => container.files.clone(),
            None => config.file.iter().cloned().collect(),
        };
        inspected.push(Inspected {
            name: name.to_string(),
            unit: name.unit().to_string(),
            verdict: config.verdict,
            problems: config.problems,
            files,
            autostart: config.autostart,
            settings: settings(name),
            drop_ins: drop_ins.into_iter().map(DropIn::read).collect(),
            state: State::of(name, &unit, config.container.as_deref()),
            properties: unit
                .iter()
                .map(|(name, value)| (name.to_owned(), ct_dbus::json::of(value)))
                .collect(),
            config: config.container,
        });
    }
    print_json(&inspected)?;
    Ok(Status::Done)
}

impl DropIn {
    fn read(path: String) -> Self {
        Self { text: fs::read_to_string(Path::new(&path)).ok(), path }
    }
}
