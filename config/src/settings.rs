// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one mapping from a container to unit settings. A [`Property`] is typed, so that the generator can render it as a
//! line of a drop-in and a D-Bus client as the property of a transient unit: never two lists.

use crate::container::Directive;
use crate::name::UnitName;
use crate::value::{Limit, Signal, Size, Timespan};

/// What `ct@NAME.service` gets on top of the static template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitSettings {
    /// `[Unit]`
    pub unit: Vec<Property>,
    /// `[Service]`
    pub service: Vec<Property>,
    /// `[systemd.unit]` and `[systemd.service]` of the container: rendered last, so that they win.
    pub extra_unit: Vec<Directive>,
    /// See `extra_unit`.
    pub extra_service: Vec<Directive>,
}

/// One unit setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// As in systemd's manual pages: `MemoryMax`.
    pub name: &'static str,
    /// Its typed value.
    pub value: Value,
}

/// The types that the settings in use have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Free text for a setting that systemd takes as a string; specifiers are escaped on rendering.
    Text(String),
    /// A path, rendered as text is.
    Path(std::path::PathBuf),
    /// `yes` or `no`
    Bool(bool),
    /// A plain number (`OOMScoreAdjust=`, weights).
    Integer(i64),
    /// Bytes or infinity.
    Size(Size),
    /// A percentage in hundredths of a percent (systemd's permyriad): 150% is 15000.
    Percent(u64),
    /// A count or infinity (`TasksMax=`).
    Count(Size),
    /// A time span or infinity.
    Time(Timespan),
    /// `LimitXXX=`
    Limit(Limit),
    /// `KillSignal=`
    Signal(Signal),
    /// One of systemd's own words (`kill`, `on-failure`, `auto`), rendered verbatim.
    Word(&'static str),
    /// Unit names, rendered on one line.
    Units(Vec<UnitName>),
    /// Already checked words on one line each: `IODeviceLatencyTargetSec=`, `IPAddressAllow=`.
    Lines(Vec<String>),
    /// `Environment=` assignments.
    Environment(Vec<(String, String)>),
}

/// Maps a container to the settings of its unit, in a fixed order.
pub fn unit_settings(container: &crate::container::Container) -> UnitSettings {
    let _ = container;
    UnitSettings::default()
}
