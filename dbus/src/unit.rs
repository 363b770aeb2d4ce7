// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a unit is and does: its properties, and what can be asked of it besides jobs.

use std::collections::BTreeMap;

use ct_config::value::RlimitResource;
use zbus::block_on;
use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use crate::connection::Systemd;
use crate::error::Error;
use crate::manager::{ListedUnit, Properties};

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The main process: of a container its init.
    Main,
    /// Every process of the unit.
    All,
}

/// A link made or taken away: what, its path, where it leads.
type Change = (String, String, String);

/// The properties of one unit, by their names.
#[derive(Debug, Default)]
pub struct Unit {
    properties: Properties,
}

impl Unit {
    /// One of these properties.
    pub(crate) fn of(properties: Properties) -> Self {
        Self { properties }
    }

    /// A text, empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.properties.get(name).and_then(|value| value.downcast_ref().ok()).unwrap_or_default()
    }

    /// A number, of whichever width systemd gives it; `None` where there is none, or it is infinity or "not set".
    pub fn number(&self, name: &str) -> Option<u64> {
        let value: &OwnedValue = self.properties.get(name)?;
        let wide = value.downcast_ref::<u64>().ok().filter(|number| *number != u64::MAX);
        let narrow = || value.downcast_ref::<u32>().ok().filter(|number| *number != u32::MAX).map(u64::from);
        let signed = || value.downcast_ref::<i32>().ok().and_then(|number| u64::try_from(number).ok());
        wide.or_else(narrow).or_else(signed)
    }

    /// A number that may be below zero.
    pub fn signed(&self, name: &str) -> Option<i64> {
        self.properties.get(name)?.downcast_ref::<i32>().ok().map(i64::from)
    }

    /// Whether it is so; false where nothing is said.
    pub fn flag(&self, name: &str) -> bool {
        self.properties.get(name).and_then(|value| value.downcast_ref().ok()).unwrap_or(false)
    }

    /// `InvocationID`, as journal fields have it: 32 hexadecimal digits; empty for a unit that was never started.
    pub fn invocation(&self) -> String {
        let bytes: Vec<u8> = self
            .value("InvocationID")
            .and_then(|value| value.try_clone().ok()?.try_into().ok())
            .unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `Job`: the number of the unit's job and its object, if it has one.
    pub fn job(&self) -> Option<(u32, OwnedObjectPath)> {
        let value = self.value("Job")?.try_clone().ok()?;
        let (number, path): (u32, OwnedObjectPath) = value.try_into().ok()?;
        (number != 0).then_some((number, path))
    }

    /// A list of texts; empty where there is none.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.value(name).and_then(|value| value.try_clone().ok()?.try_into().ok()).unwrap_or_default()
    }

    /// Names and values of all that are there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OwnedValue)> {
        self.properties.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Any property as it came.
    pub fn value(&self, name: &str) -> Option<&OwnedValue> {
        self.properties.get(name)
    }
}

impl Systemd {
    /// The units whose names match one of the patterns (glob(7)), loaded ones only.
    pub fn list(&self, patterns: &[&str]) -> Result<Vec<ListedUnit>, Error> {
        block_on(self.manager.list_units_by_patterns(&[], patterns))
            .map_err(|error| Error::of_call("list units", None, error))
    }

    /// What one unit's properties are asked of.
    pub(crate) async fn properties_of(&self, unit: &str) -> zbus::Result<PropertiesProxy<'static>> {
        let path = self.manager.load_unit(unit).await?;
        PropertiesProxy::builder(&self.connection).destination(self.destination)?.path(path)?.build().await
    }

    /// The properties of one unit: those that all units have and those of its own kind, `Service` or `Slice`.
    pub fn unit(&self, name: &str) -> Result<Unit, Error> {
        let failed = |error| Error::of_call(format!("look at {name}"), Some(name), error);
        block_on(async {
            let object = self.properties_of(name).await.map_err(failed)?;
            let kind = name.rsplit('.').next().unwrap_or_default();
            let mut properties = Properties::new();
            for interface in ["Unit".to_owned(), capitalised(kind)] {
                let interface = format!("org.freedesktop.systemd1.{interface}");
                let interface = InterfaceName::try_from(interface).map_err(|e| failed(e.into()))?;
                let all = object.get_all(interface).await.map_err(|e| failed(e.into()))?;
                properties.extend(all);
            }
            Ok(Unit { properties })
        })
    }

    /// The limits that a service gets if it has none of its own: soft and hard, by the directives of systemd.exec(5), with
    /// `u64::MAX` for infinity.
    pub fn default_limits(&self) -> Result<BTreeMap<String, (u64, u64)>, Error> {
        let failed = |error| Error::of_call("ask for the default limits", None, error);
        let properties = block_on(async {
            let object = PropertiesProxy::builder(&self.connection)
                .destination("org.freedesktop.systemd1")
                .and_then(|builder| builder.path("/org/freedesktop/systemd1"))
                .map_err(failed)?
                .build()
                .await
                .map_err(failed)?;
            let interface = InterfaceName::from_static_str_unchecked("org.freedesktop.systemd1.Manager");
            object.get_all(interface).await.map_err(|e| failed(e.into()))
        })?;
        let number = |name: &str| properties.get(name)?.downcast_ref::<u64>().ok();
        let limit = |directive: &str| {
            let (soft, hard) = (format!("Default{directive}Soft"), format!("Default{directive}"));
            Some((directive.to_owned(), (number(&soft)?, number(&hard)?)))
        };
        Ok(RlimitResource::ALL.iter().filter_map(|resource| limit(resource.directive())).collect())
    }

    /// Sends a signal.
    pub fn kill(&self, unit: &str, whom: Whom, signal: i32) -> Result<(), Error> {
        let whom = match whom {
            Whom::Main => "main",
            Whom::All => "all",
        };
        block_on(self.authorised("KillUnit", &(unit, whom, signal)))
            .map_err(|error| Error::of_call(format!("send signal {signal} to {unit}"), Some(unit), error))
    }

    /// Stops every process where it is.
    pub fn freeze(&self, unit: &str) -> Result<(), Error> {
        block_on(self.authorised("FreezeUnit", &unit))
            .map_err(|error| Error::of_call(format!("freeze {unit}"), Some(unit), error))
    }

    /// Lets them go on.
    pub fn thaw(&self, unit: &str) -> Result<(), Error> {
        block_on(self.authorised("ThawUnit", &unit))
            .map_err(|error| Error::of_call(format!("thaw {unit}"), Some(unit), error))
    }

    /// Has a failed unit be an inactive one.
    pub fn reset_failed(&self, unit: &str) -> Result<(), Error> {
        block_on(self.authorised("ResetFailedUnit", &unit))
            .map_err(|error| Error::of_call(format!("reset {unit}"), Some(unit), error))
    }

    /// Links a unit into the targets that its `[Install]` names, and loads that.
    pub fn enable(&self, unit: &str) -> Result<(), Error> {
        let failed = |error| Error::of_call(format!("enable {unit}"), Some(unit), error);
        block_on(async {
            let _: (bool, Vec<Change>) = self
                .authorised("EnableUnitFiles", &([unit].as_slice(), false, false))
                .await
                .map_err(failed)?;
            self.authorised("Reload", &()).await.map_err(failed)
        })
    }

    /// Takes the links away, and loads that.
    pub fn disable(&self, unit: &str) -> Result<(), Error> {
        let failed = |error| Error::of_call(format!("disable {unit}"), Some(unit), error);
        block_on(async {
            let _: Vec<Change> =
                self.authorised("DisableUnitFiles", &([unit].as_slice(), false)).await.map_err(failed)?;
            self.authorised("Reload", &()).await.map_err(failed)
        })
    }

    /// Whether a unit is enabled, in the words of `systemctl is-enabled`.
    pub fn unit_file_state(&self, unit: &str) -> Result<String, Error> {
        block_on(self.manager.get_unit_file_state(unit))
            .map_err(|error| Error::of_call(format!("look at {unit}"), Some(unit), error))
    }

    /// `systemctl daemon-reload`
    pub fn reload(&self) -> Result<(), Error> {
        block_on(self.authorised("Reload", &())).map_err(|error| Error::of_call("reload", None, error))
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
