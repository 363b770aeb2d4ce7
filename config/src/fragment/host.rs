// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys of `/etc/ct/ct.toml`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::value::{Scalar, table};
use super::{Spanned, Text};

/// `/etc/ct/ct.toml`, without `[defaults]`, which is a [`super::Fragment`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostFragment {
    /// How containers are started at boot.
    #[serde(default, deserialize_with = "table")]
    pub autostart: Option<HostAutostart>,
    /// Runtimes by name.
    pub runtimes: Option<BTreeMap<Text, Spanned<HostRuntime>>>,
}

/// `[autostart]` of ct.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostAutostart {
    /// How many may be starting at once: a number, 0 for no bound, or "auto".
    pub parallel: Option<Spanned<Scalar>>,
}

/// One of `[runtimes]`: a table, or its path alone.
#[derive(Debug)]
pub struct HostRuntime {
    /// The program.
    pub path: Option<String>,
    /// Arguments to put before the sub-command.
    pub arguments: Vec<String>,
}

impl<'de> Deserialize<'de> for HostRuntime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, expecting = "a path or a table")]
        struct Table {
            path: Option<String>,
            #[serde(default)]
            arguments: Vec<String>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = HostRuntime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HostRuntime, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(HostRuntime { path: table.path, arguments: table.arguments })
            }

            fn visit_str<E>(self, path: &str) -> Result<HostRuntime, E> {
                Ok(HostRuntime { path: Some(path.to_owned()), arguments: Vec::new() })
            }
        }
        deserializer.deserialize_any(Either)
    }
}
