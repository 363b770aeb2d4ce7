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
//! A pod ([`pod`]) goes through the same stages. A run ([`run`]) is a container that has another command.
//!
//! Nothing here writes, and nothing but [`sources`] touches the disk.

pub mod container;
pub mod document;
pub mod fragment;
pub mod host;
pub mod name;
pub mod pod;
pub mod problem;
pub mod resource_control;
pub mod run;
#[cfg(feature = "schema")]
pub mod schema;
pub mod settings;
pub mod sources;
pub mod validate;
pub mod value;
pub mod word;

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use container::{Container, Digest};
use document::SourceMap;
use name::ContainerName;
use problem::Problem;
use sources::{SourceFiles, Tree};

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

/// Reads, merges and checks one container of `tree`. All that is wrong with it is reported at once.
pub fn load(tree: &Tree, host: &host::Host, name: &ContainerName) -> Result<Container, Box<Broken>> {
    check(tree.read(name, tree.entry(name)), host, name)
}

/// As [`load`], as if the file `path` had `text`: its main file, or a drop-in, that is there or would be. Nothing is
/// written: whoever writes it then knows that the container can be used.
pub fn load_as_if(
    tree: &Tree,
    host: &host::Host,
    name: &ContainerName,
    path: &Path,
    text: String,
) -> Result<Container, Box<Broken>> {
    let mut read = tree.read(name, tree.entry(name));
    read.replace(path, text);
    check(read, host, name)
}

/// As [`load`], for every container of `tree`, sorted by name.
pub fn load_all(tree: &Tree, host: &host::Host) -> impl Iterator<Item = Result<Container, Box<Broken>>> {
    tree.entries().map(move |(name, entry)| check(tree.read(name, entry), host, name))
}

fn check(read: SourceFiles, host: &host::Host, name: &ContainerName) -> Result<Container, Box<Broken>> {
    let SourceFiles { files, mut problems, hooks } = read;
    let hooks = hooks.over(&host.hooks);
    let complete = problems.is_empty();
    let map = SourceMap { files: &files, host: &host.files, host_table: "defaults" };
    let mut hasher = host.hasher.clone();
    files.iter().for_each(|file| hash_file(&mut hasher, file));
    hooks.bytes().for_each(|path| hash_bytes(&mut hasher, path));
    let digest = hasher.finalize();
    let paths = || files.iter().map(|file| file.path.clone()).collect();

    problems.extend(host.fatal.iter().cloned());
    let before = problems.len();
    let table = merged(&map, host, &mut problems);
    let syntax = problems.len();
    let garbled: Vec<PathBuf> = problems.iter().skip(before).map(|problem| problem.file.clone()).collect();
    document::check_text(&table, &map, &mut problems);
    let autostart = wants_autostart(&table);
    let rebuild = || merged(&map, host, &mut Vec::new());
    let fragment: fragment::Fragment = document::deserialize(table, rebuild, &map, &mut problems);
    let identity = validate::Identity { name: name.clone(), files: paths(), hooks, digest: hex(&digest) };
    if let Some(container) = validate::container(fragment, identity, host, map, &mut problems) {
        return Ok(container);
    }
    drop_echoes(&mut problems, syntax, garbled.iter().chain(&host.garbled));
    map.sort(&mut problems);
    let digest = complete.then(|| hex(&digest));
    Err(Box::new(Broken { name: name.clone(), files: paths(), problems, autostart, digest }))
}

/// The host's defaults, then the main file, then the drop-ins.
fn merged<'t>(map: &SourceMap<'t>, host: &'t host::Host, problems: &mut Vec<Problem>) -> DeTable<'t> {
    let mut table = host.defaults();
    for (index, file) in map.files.iter().enumerate() {
        let later = document::parse(file, SourceMap::base(index), map, problems);
        if table.is_empty() {
            table = later;
        } else {
            document::merge_container(&mut table, later);
        }
    }
    table
}

/// What can still be read of a file after a syntax error gives rise to problems that are none: those past the first
/// `syntax` in such files. Only the last word, that there are too many, stays.
pub(crate) fn drop_echoes<'a>(
    problems: &mut Vec<Problem>,
    syntax: usize,
    garbled: impl Iterator<Item = &'a PathBuf> + Clone,
) {
    let mut index = 0;
    problems.retain(|problem| {
        index += 1;
        index <= syntax || problem.position.is_none() || !garbled.clone().any(|file| *file == problem.file)
    });
}

/// `[autostart] enabled = true`, also in what does not fit otherwise.
fn wants_autostart(table: &DeTable<'_>) -> bool {
    let enabled = table.get("autostart").and_then(|value| value.get_ref().as_table()?.get("enabled"));
    enabled.and_then(|value| value.get_ref().as_bool()).unwrap_or(false)
}

/// Path, length, bytes: no two lists of files are the same sequence.
pub(crate) fn hash_file(hasher: &mut Sha256, file: &sources::SourceFile) {
    use std::os::unix::ffi::OsStrExt;
    let path = file.path.as_os_str().as_bytes();
    [path, file.text.as_bytes()].into_iter().for_each(|bytes| hash_bytes(hasher, bytes));
}

fn hash_bytes(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn hex(bytes: &[u8]) -> Digest {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    Digest(text)
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
