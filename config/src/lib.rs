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

use std::path::PathBuf;

use container::{Container, Digest};
use name::ContainerName;
use problem::Problem;

/// A container whose config cannot be used, with all that is wrong with it.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The container.
    pub name: ContainerName,
    /// Every file it was read from, the main one first; those that could not be read are only in `problems`.
    pub files: Vec<PathBuf>,
    /// Never empty; in the order of files and lines.
    pub problems: Vec<Problem>,
    /// Whether boot was to start it, as far as that could still be read.
    pub autostart: bool,
    /// As [`Container::digest`], when every file could be read.
    pub digest: Option<Digest>,
}

/// Reads, merges and checks one container of `tree`.
pub fn load(tree: &sources::Tree, host: &host::Host, name: &ContainerName) -> Result<Container, Box<Broken>> {
    let _ = host;
    let read = tree.read(name);
    Err(Box::new(Broken {
        name: name.clone(),
        files: read.files.into_iter().map(|file| file.path).collect(),
        problems: read.problems,
        autostart: false,
        digest: None,
    }))
}

/// The candidate that `word` was probably meant to be.
pub fn suggest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // As many slips as a word of that length usually has: one in three letters.
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
