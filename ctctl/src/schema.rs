// SPDX-License-Identifier: MIT OR Apache-2.0
//! `schema`: the JSON Schema of the configs, for editors.

use clap::Args;
use ct_config::schema::{Kind, schema as made};

use crate::error::Error;
use crate::exit::Status;
use crate::output::print_json;

/// Write the JSON Schema of the configs, for editors that complete and check TOML
///
/// For Even Better TOML and taplo(1), save it and name it in the first line of a config:
///
///   #:schema /usr/local/share/ct/container.schema.json
#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// Of a pod's config
    #[arg(long, conflicts_with = "host_settings")]
    pod: bool,
    /// Of ct.toml, the settings of the host
    #[arg(long = "settings", id = "host_settings")]
    settings: bool,
}

/// `ctctl schema`
pub fn schema(arguments: &SchemaArguments) -> Result<Status, Error> {
    let kind = match arguments {
        SchemaArguments { pod: true, .. } => Kind::Pod,
        SchemaArguments { settings: true, .. } => Kind::Host,
        _ => Kind::Container,
    };
    print_json(&made(kind))?;
    Ok(Status::Done)
}
