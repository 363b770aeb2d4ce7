// SPDX-License-Identifier: MIT OR Apache-2.0
//! A typed client of systemd's manager, org.freedesktop.systemd1(5), as large as what ct uses of it.
//!
//! | module | what it is |
//! |---|---|
//! | [`connection`] | how systemd is reached: the system bus, its private socket, another machine |
//! | [`manager`] | the methods of the manager |
//! | [`job`] | a job queued and waited for, its result a type |
//! | [`mod@unit`] | what a unit is and does |
//! | [`json`] | any property in JSON |
//! | [`watch`] | what changes in a unit, as it changes |
//! | [`property`] | the settings of [`ct_config::settings`] as the properties of a transient unit |
//! | [`read`] | many properties of many units at once |
//! | [`transient`] | scopes and services that live as long as their processes |
//! | [`error`] | what can go wrong, in words for the one who asked |
//!
//! The settings are those that the generator renders into drop-ins: one mapping, two renderings.

pub mod connection;
pub mod error;
pub mod job;
pub mod json;
pub mod manager;
mod private;
pub mod property;
pub mod read;
mod ssh;
pub mod transient;
pub mod unit;
pub mod watch;

pub use connection::{Systemd, Target};
pub use error::Error;
