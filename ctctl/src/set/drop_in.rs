// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `--persist` keeps: keys in a drop-in of the config, so that one place says what a container may use.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ct_config::name::ContainerName;
use ct_config::settings::Property;
use toml_edit::DocumentMut;

use super::assignment::Assignment;
use crate::config_file;
use crate::context::Context;
use crate::error::Error;

/// Late, and before what an administrator wants to be the last word.
const FILE: &str = "90-set.toml";
const HEAD: &str = "# Written by `ctctl set --persist`; may be edited.\n";
/// Where systemd keeps what SetUnitProperties() changed until the next boot, see systemd.unit(5).
const UNTIL_REBOOT: &str = "run/systemd/system.control";
/// What `systemctl set-property` keeps for good.
const FOR_GOOD: &str = "etc/systemd/system.control";

/// Writes the keys, and leaves those of earlier times in place.
pub(super) fn write(
    name: &ContainerName,
    assignments: &[Assignment],
    context: &Context,
) -> Result<(), Error> {
    if !context.tree().contains(name) {
        return Err(Error::failed(format!("{name} has no config that a drop-in could add to")));
    }
    let path = config_file::path_of(name).with_extension("toml.d").join(FILE);
    let file = context.on_disk(&path);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => HEAD.to_owned(),
        Err(error) => return Err(Error::system(format!("cannot read {}", path.display()), error)),
    };
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Error::failed(format!("{}: {}", path.display(), error.message()))
    })?;
    assignments.iter().try_for_each(|assignment| assignment.put(&mut document))?;
    config_file::replace(context, name, &path, &document.to_string())
}

/// Removes what systemd keeps of the same settings until the next boot: it would win over the config. What it keeps
/// for good stays, as somebody's own decision, and is told.
pub(super) fn forget_until_reboot(
    name: &ContainerName,
    properties: &[Property],
    root: &Path,
) -> Result<(), Error> {
    let unit = name.unit();
    for file in settings_in(&root.join(UNTIL_REBOOT).join(format!("{unit}.d")), properties) {
        fs::remove_file(&file)
            .map_err(|error| Error::system(format!("cannot remove {}", file.display()), error))?;
    }
    for file in settings_in(&root.join(FOR_GOOD).join(format!("{unit}.d")), properties) {
        eprintln!("ctctl: {} says otherwise, and wins (see systemctl revert)", file.display());
    }
    Ok(())
}

/// The drop-ins of a directory that have one of these settings; systemd writes one for each.
fn settings_in(directory: &Path, properties: &[Property]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let has_one = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut names = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
        names.any(|name| properties.iter().any(|property| property.name == name))
    };
    entries.flatten().map(|entry| entry.path()).filter(has_one).collect()
}
