// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manager's interface, see org.freedesktop.systemd1(5): the methods in use, by their own names. Those that anybody
//! may call are a proxy; the others go through `Systemd::authorised`.

use zbus::proxy::MethodFlags;
use zbus::zvariant::{DynamicDeserialize, DynamicType, OwnedObjectPath, OwnedValue, Value};

use crate::connection::Systemd;

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
    use zbus::zvariant::OwnedObjectPath;

    use super::ListedUnit;

    #[zbus::proxy(
        interface = "org.freedesktop.systemd1.Manager",
        default_service = "org.freedesktop.systemd1",
        default_path = "/org/freedesktop/systemd1",
        gen_blocking = false
    )]
    pub trait Manager {
        fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
        fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str])
        -> zbus::Result<Vec<ListedUnit>>;
        fn get_unit_file_state(&self, file: &str) -> zbus::Result<String>;
        fn subscribe(&self) -> zbus::Result<()>;

        #[zbus(signal)]
        fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: &str, result: &str) -> zbus::Result<()>;

        #[zbus(property(emits_changed_signal = "const"))]
        fn version(&self) -> zbus::Result<String>;
    }
}

/// Properties of a unit, all of one interface.
pub type Properties = std::collections::HashMap<String, OwnedValue>;

impl Systemd {
    /// Calls a method for which systemd asks polkit, which may ask the user, if it is allowed to.
    pub(crate) async fn authorised<B, R>(&self, method: &str, body: &B) -> zbus::Result<R>
    where
        B: serde::Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let flags = self.questions.then_some(MethodFlags::AllowInteractiveAuth);
        let reply = self.manager.inner().call_with_flags(method, flags.into_iter().collect(), body).await?;
        reply.ok_or(zbus::Error::InvalidReply)
    }
}
