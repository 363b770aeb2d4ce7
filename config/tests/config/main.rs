// SPDX-License-Identifier: MIT OR Apache-2.0
//! Containers from files to unit settings, on folders that stand for `/`. One question per file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long and read easily")]

mod any_input;
mod fake_root;
mod files;
mod host;
mod pods;
mod resources;
mod rules;
mod runtimes;
#[cfg(feature = "schema")]
mod schema;
mod settings;
mod trust;
mod values;
