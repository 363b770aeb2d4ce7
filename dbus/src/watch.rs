// SPDX-License-Identifier: MIT OR Apache-2.0
//! The changes of one unit, as systemd sends them: of a service first what services have, then what all units have, so
//! that the exit status is there before the state that it belongs to.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use futures_lite::{FutureExt as _, StreamExt as _};
use zbus::block_on;
use zbus::fdo::{PropertiesChanged, PropertiesChangedStream};

use crate::connection::Systemd;
use crate::error::Error;
use crate::manager::Properties;
use crate::unit::Unit;

/// What changes in a unit from now on.
#[derive(Debug)]
pub struct Watch {
    unit: String,
    changed: PropertiesChangedStream,
}

impl Systemd {
    /// Listens to the changes of a unit.
    pub fn watch(&self, unit: &str) -> Result<Watch, Error> {
        let failed = |error| Error::of_call(format!("watch {unit}"), Some(unit), error);
        block_on(async {
            let object = self.properties_of(unit).await.map_err(failed)?;
            let changed = object.receive_properties_changed().await.map_err(failed)?;
            // systemd sends signals only while somebody has asked for them. A second time is refused, and no harm.
            let _ = self.manager.subscribe().await;
            Ok(Watch { unit: unit.to_owned(), changed })
        })
    }
}

impl Watch {
    /// The next properties that have changed, of one of the unit's interfaces; `None` at the deadline.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Unit>, Error> {
        block_on(self.next_or(late(deadline)))
    }

    /// The same; `None` also when there is something to read from `interrupt`, which becomes non-blocking.
    pub fn next_unless(
        &mut self,
        deadline: Option<Instant>,
        interrupt: BorrowedFd<'_>,
    ) -> Result<Option<Unit>, Error> {
        let watched = async_io::Async::new(interrupt)
            .map_err(|error| Error::of_call("watch for an interruption", None, error.into()))?;
        let interrupted = async {
            let _ = watched.readable().await;
        };
        block_on(self.next_or(late(deadline).or(interrupted)))
    }

    async fn next_or(&mut self, end: impl Future<Output = ()>) -> Result<Option<Unit>, Error> {
        let signalled = async { Some(self.changed.next().await) };
        let ended = async {
            end.await;
            None
        };
        match signalled.or(ended).await {
            Some(Some(signal)) => self.parse(&signal).map(Some),
            Some(None) => Err(Error::Lost { units: self.unit.clone() }),
            None => Ok(None),
        }
    }

    fn parse(&self, signal: &PropertiesChanged) -> Result<Unit, Error> {
        let failed = |error| Error::of_call(format!("watch {}", self.unit), Some(&self.unit), error);
        let signal = signal.args().map_err(failed)?;
        let mut properties = Properties::new();
        for (name, value) in signal.changed_properties() {
            let value = value.try_to_owned().map_err(|error| failed(error.into()))?;
            properties.insert((*name).to_owned(), value);
        }
        Ok(Unit::of(properties))
    }
}

async fn late(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => drop(async_io::Timer::at(deadline).await),
        None => std::future::pending().await,
    }
}
