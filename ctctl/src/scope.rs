// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transient scopes: a process of ours, put into a unit of its own in the container's slice, so that systemd shows it,
//! accounts for it and stops it.
//!
//! The process is our child, waits until the scope is there and is not waited for before: so its number cannot come to
//! mean another one, and it does nothing outside of the scope.

use ct_config::name::ContainerName;
use ct_config::run::RunId;
use ct_dbus::Systemd;
use ct_dbus::job::JobResult;
use ct_dbus::property::BusProperty;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::Error;
use crate::session::Session;

/// How long its processes have to end when it is stopped, in microseconds. What stops it is mostly the container's own
/// stop, which waits for it.
const STOP_TIMEOUT: u64 = 5_000_000;

/// An id for what a container's name alone does not tell from others.
pub(crate) fn random_id() -> Result<RunId, Error> {
    let mut id = [0; 4];
    getrandom(&mut id, GetRandomFlags::empty()).map_err(|e| Error::system("getrandom", e))?;
    Ok(RunId::new(u32::from_ne_bytes(id)))
}

/// A scope to be.
#[derive(Debug)]
pub struct Scope {
    name: String,
    settings: Vec<BusProperty>,
}

impl Scope {
    /// `ct-KIND-NAME-ID.scope`, with an id that no other has. The longest container's name leaves room enough.
    pub fn new(kind: &str, container: &ContainerName, description: &str, slice: &str) -> Result<Self, Error> {
        let id = random_id()?;
        let settings = vec![
            ("Description".to_owned(), description.to_owned().into()),
            ("Slice".to_owned(), slice.to_owned().into()),
            ("TimeoutStopUSec".to_owned(), STOP_TIMEOUT.into()),
        ];
        Ok(Self { name: format!("ct-{kind}-{container}-{}.scope", id.as_str()), settings })
    }

    /// Its unit's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has it started only while `unit` is active, and stopped before `unit` is.
    ///
    /// Not BindsTo=: that would start a container which has stopped in the meantime. One that ends by itself takes the
    /// processes inside along, and the scope is gone with the last of its own.
    #[must_use]
    pub fn within(mut self, unit: &str) -> Self {
        for dependency in ["Requisite", "After"] {
            self.settings.push((dependency.to_owned(), vec![unit.to_owned()].into()));
        }
        self
    }

    /// Further properties.
    #[must_use]
    pub fn with(mut self, settings: Vec<BusProperty>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// Starts it with the helper of the session, which waits for that.
    pub(crate) fn start(self, systemd: &Systemd, session: &Session) -> Result<JobResult, Error> {
        session.enter(systemd, &self.name, self.settings)
    }
}
