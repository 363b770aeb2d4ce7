// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manager's interface, see org.freedesktop.systemd1(5): the methods in use, by their own names.

use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// One line of `ListUnitsByPatterns()`.
#[derive(Debug, Clone, serde::Deserialize, zbus::zvariant::Type)]
pub struct ListedUnit {
    /// `ct@web.service`
    pub name: String,
    /// `Description=`
    pub description: String,
    /// loaded, not-found, bad-setting, error, masked
    pub load_state: String,
    /// active, reloading, inactive, failed, activating, deactivating
    pub active_state: String,
    /// Its own kind's state: running, exited, dead, ...
    pub sub_state: String,
    /// Another unit that this one follows; empty for none.
    pub following: String,
    /// Its object.
    pub path: OwnedObjectPath,
    /// The number of its job, 0 for none.
    pub job: u32,
    /// start, stop, ...; empty for none.
    pub job_type: String,
    /// The job's object.
    pub job_path: OwnedObjectPath,
}

/// An auxiliary unit of `StartTransientUnit()`: never used by ct.
pub type Auxiliary<'a> = (&'a str, &'a [(&'a str, Value<'a>)]);

pub use proxy::*;

#[expect(
    missing_docs,
    reason = "systemd's own methods, said in org.freedesktop.systemd1(5), and what zbus makes of them"
)]
mod proxy {
    use zbus::zvariant::{OwnedObjectPath, Value};

    use super::{Auxiliary, ListedUnit};

    #[zbus::proxy(
        interface = "org.freedesktop.systemd1.Manager",
        default_service = "org.freedesktop.systemd1",
        default_path = "/org/freedesktop/systemd1",
        gen_blocking = false
    )]
    pub trait Manager {
        fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
        fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
        fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
        fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> zbus::Result<()>;
        fn freeze_unit(&self, name: &str) -> zbus::Result<()>;
        fn thaw_unit(&self, name: &str) -> zbus::Result<()>;
        fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
        fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
        fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str])
        -> zbus::Result<Vec<ListedUnit>>;
        fn set_unit_properties(
            &self,
            name: &str,
            runtime: bool,
            properties: &[(&str, Value<'_>)],
        ) -> zbus::Result<()>;
        fn start_transient_unit(
            &self,
            name: &str,
            mode: &str,
            properties: &[(&str, Value<'_>)],
            auxiliary: &[Auxiliary<'_>],
        ) -> zbus::Result<OwnedObjectPath>;
        fn enable_unit_files(
            &self,
            files: &[&str],
            runtime: bool,
            force: bool,
        ) -> zbus::Result<(bool, Vec<(String, String, String)>)>;
        fn disable_unit_files(
            &self,
            files: &[&str],
            runtime: bool,
        ) -> zbus::Result<Vec<(String, String, String)>>;
        fn get_unit_file_state(&self, file: &str) -> zbus::Result<String>;
        fn reload(&self) -> zbus::Result<()>;
        fn subscribe(&self) -> zbus::Result<()>;

        #[zbus(signal)]
        fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: &str, result: &str) -> zbus::Result<()>;

        #[zbus(property(emits_changed_signal = "const"))]
        fn version(&self) -> zbus::Result<String>;
    }
}

/// Properties of a unit, all of one interface.
pub type Properties = std::collections::HashMap<String, OwnedValue>;
