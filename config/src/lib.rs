// SPDX-License-Identifier: MIT OR Apache-2.0
//! The container model that every program of ct shares, as one pipeline:
//!
//! | stage | module | what it is |
//! |---|---|---|
//! | files | [`sources`] | which files make up one container, read without trusting them |
//! | document | [`document`] | their merged TOML, each value still knowing its file, line and column |
//! | fragment | [`fragment`] | the keys that exist, every one optional |
//! | container | [`container`] | validated, all defaults in one place |
//! | settings | [`settings`] | the unit settings it maps to, typed, rendered later as a drop-in or as D-Bus properties |
//!
//! Nothing here writes, and nothing but [`sources`] touches the disk.

pub mod container;
pub mod document;
pub mod fragment;
pub mod host;
pub mod name;
pub mod problem;
pub mod settings;
pub mod sources;
pub mod validate;
pub mod value;
