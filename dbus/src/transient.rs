// SPDX-License-Identifier: MIT OR Apache-2.0
//! Units that live as long as their processes: a scope takes processes that there are, a service is started.
//! Both are gone, and leave nothing, when they are done; a service that failed too (CollectMode=).

use std::os::fd::OwnedFd;
use std::time::Duration;

use zbus::block_on;
use zbus::zvariant::{self, OwnedObjectPath, Value};

use crate::connection::Systemd;
use crate::error::Error;
use crate::job::{JobResult, Jobs};
use crate::manager::Auxiliary;
use crate::property::BusProperty;

/// What a transient unit runs.
#[derive(Debug)]
pub enum Runs<'a> {
    /// A scope for processes that run already, each held by a pidfd, so that no other process can be meant.
    Processes(&'a [OwnedFd]),
    /// The same by their numbers, for systemd 252 and older kernels: the caller keeps them from being waited for.
    Pids(&'a [u32]),
    /// A service with this argument vector, the first of which is the program.
    Command(&'a [&'a str]),
}

impl Systemd {
    /// Starts a transient unit, and waits until it is up. One that failed is forgotten at once, unless `settings` has
    /// another `CollectMode=`.
    pub fn start_transient(
        &self,
        unit: &str,
        runs: &Runs<'_>,
        settings: Vec<BusProperty>,
        timeout: Option<Duration>,
    ) -> Result<JobResult, Error> {
        self.wait_for_job(unit, timeout, self.call_transient(unit, &all_properties(runs, settings)?))
    }

    async fn call_transient(&self, unit: &str, properties: &[BusProperty]) -> Result<OwnedObjectPath, Error> {
        let borrowed: Vec<(&str, Value<'_>)> = properties
            .iter()
            .map(|(name, value)| Ok((name.as_str(), value.try_clone()?)))
            .collect::<Result<_, zvariant::Error>>()
            .map_err(|error| Error::of_call("copy a property", None, error.into()))?;
        let auxiliary: &[Auxiliary<'_>] = &[];
        let called = self.authorised("StartTransientUnit", &(unit, "fail", &borrowed, auxiliary)).await;
        // A unit that there is not is one that this one needs.
        called.map_err(|error| Error::of_call(format!("start {unit}"), None, error))
    }

    /// Changes settings of a unit that is loaded, at once; until the next boot, or for good.
    pub fn set_properties(
        &self,
        unit: &str,
        until_reboot: bool,
        settings: &[BusProperty],
    ) -> Result<(), Error> {
        let borrowed: Vec<(&str, Value<'_>)> = settings
            .iter()
            .map(|(name, value)| Ok((name.as_str(), value.try_clone()?)))
            .collect::<Result<_, zvariant::Error>>()
            .map_err(|error| Error::of_call("copy a property", None, error.into()))?;
        block_on(self.authorised("SetUnitProperties", &(unit, until_reboot, &borrowed)))
            .map_err(|error| Error::of_call(format!("set properties of {unit}"), Some(unit), error))
    }
}

impl Jobs<'_> {
    /// As [`Systemd::start_transient`], and does not wait for it.
    pub fn start_transient(
        &mut self,
        unit: &str,
        runs: &Runs<'_>,
        settings: Vec<BusProperty>,
    ) -> Result<(), Error> {
        let systemd = self.systemd;
        self.add(unit, systemd.call_transient(unit, &all_properties(runs, settings)?))
    }
}

fn all_properties(runs: &Runs<'_>, settings: Vec<BusProperty>) -> Result<Vec<BusProperty>, Error> {
    let mut properties = settings;
    if !properties.iter().any(|(name, _)| name == "CollectMode") {
        properties.push(("CollectMode".to_owned(), "inactive-or-failed".to_owned().into()));
    }
    properties.push(runs_property(runs)?);
    Ok(properties)
}

/// The standard input of a service.
pub fn standard_input(fd: OwnedFd) -> BusProperty {
    let fd = zvariant::Fd::from(fd);
    ("StandardInputFileDescriptor".to_owned(), Value::from(fd))
}

fn runs_property(runs: &Runs<'_>) -> Result<BusProperty, Error> {
    Ok(match runs {
        Runs::Processes(pidfds) => {
            let copies = pidfds.iter().map(|fd| fd.try_clone().map(zvariant::OwnedFd::from));
            let copies: Vec<Value<'static>> = copies
                .map(|copy| copy.map(|fd| Value::from(zvariant::Fd::from(OwnedFd::from(fd)))))
                .collect::<std::io::Result<_>>()
                .map_err(|error| Error::of_call("copy a pidfd", None, error.into()))?;
            let mut array = zvariant::Array::new(&zvariant::Signature::Fd);
            for copy in copies {
                array.append(copy).map_err(|error| Error::of_call("copy a pidfd", None, error.into()))?;
            }
            ("PIDFDs".to_owned(), Value::Array(array))
        }
        Runs::Pids(pids) => ("PIDs".to_owned(), pids.to_vec().into()),
        Runs::Command(argv) => {
            let argv: Vec<String> = argv.iter().map(|argument| (*argument).to_owned()).collect();
            let program = argv.first().cloned().unwrap_or_default();
            ("ExecStart".to_owned(), vec![(program, argv, false)].into())
        }
    })
}
