// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys of a pod's file.

use serde::Deserialize;

use super::value::table;
use super::{IdMap, List, Network, Scalar, Settings, Spanned, Text};

/// One pod file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodFragment {
    /// `Description=` of the pod's unit.
    pub description: Option<Text>,
    /// The host account that runs the runtimes of the members, to which the namespaces belong; default root.
    pub user: Option<Spanned<Scalar>>,
    /// The user namespace of all members.
    #[serde(default, deserialize_with = "table")]
    pub idmap: Option<IdMap>,
    /// The host name of all members; default the pod's name.
    pub hostname: Option<Text>,
    /// Which of net, ipc and uts the members share; default all three.
    pub share: Option<List>,
    /// The shared network namespace.
    #[serde(default, deserialize_with = "table")]
    pub network: Option<Network>,
    /// systemd.resource-control(5) in snake case, for all members together.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::resources"))]
    pub resources: Option<Settings>,
}
