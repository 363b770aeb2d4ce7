// SPDX-License-Identifier: MIT OR Apache-2.0
//! From settings to the text of drop-ins. Pure: what is written, and where, is [`crate::generate`]'s.
//!
//! The static `ct@.service` holds everything that is the same for all containers; a drop-in only what one of them sets.

use std::path::{Path, PathBuf};

use ct_config::container::Directive;
use ct_config::name::{ContainerName, UnitName};
use ct_config::problem::Problem;
use ct_config::settings::{HELPER, Property, UnitSettings, Value};

use crate::enabled::Enabled;
use crate::plan::Place;
use crate::unit_file::{UnitFile, Unwritable};

/// The template that every container is an instance of.
pub const TEMPLATE: &str = "/usr/lib/systemd/system/ct@.service";
/// More reasons than this are counted only: the helper prints all of them.
const MAX_REASONS: usize = 20;

/// The drop-in of a good container without its order, which is not its own affair alone.
#[derive(Debug)]
pub struct Draft {
    name: ContainerName,
    text: Box<str>,
    /// Where in the text the order belongs: the end of `[Unit]`, before what the container sets verbatim.
    order_at: usize,
    after: Vec<UnitName>,
    before: Vec<UnitName>,
}

impl Draft {
    /// Renders what does not depend on other containers. `buffer` is scratch space.
    pub fn new(buffer: &mut String, head: &Head<'_>, settings: UnitSettings) -> Result<Self, Unwritable> {
        let (mut after, mut before) = (Vec::new(), Vec::new());
        let mut file = UnitFile::new(buffer);
        head.write(&mut file);
        file.section("Unit");
        for property in settings.unit {
            match property {
                Property { name: "After", value: Value::Units(units) } => after = units,
                Property { name: "Before", value: Value::Units(units) } => before = units,
                other => file.property(&other),
            }
        }
        let order_at = file.length();
        verbatim(&mut file, &settings.extra_unit);
        file.section("Service");
        settings.service.iter().for_each(|property| file.property(property));
        verbatim(&mut file, &settings.extra_service);
        file.finish()?;
        Ok(Self { name: head.name.clone(), text: buffer.as_str().into(), order_at, after, before })
    }

    /// The whole drop-in. `name_of` gives the names for the numbers in `place`.
    pub fn complete<'a>(
        &self,
        text: &mut String,
        place: &Place,
        name_of: impl Fn(usize) -> Option<&'a ContainerName>,
    ) {
        let (head, tail) = self.text.split_at(self.order_at);
        text.clear();
        text.push_str(head);
        let mut file = UnitFile::resume(text);
        file.units("After", without(&self.after, &place.not_after));
        file.units("Before", without(&self.before, &place.not_before));
        if place.turn.waits {
            file.parts("Wants", &["ct-now@", self.name.as_str(), ".target"]);
            file.parts("After", &["ct-turn@", self.name.as_str(), ".target"]);
        }
        before_turns(&mut file, place, name_of);
        text.push_str(tail);
    }
}

/// A container that cannot be used.
#[derive(Debug)]
pub struct Failing {
    /// Its name.
    pub name: ContainerName,
    /// Its main file.
    pub source: PathBuf,
    /// Why.
    pub reasons: Vec<Problem>,
    /// The reasons are in none of its files, such as a cycle through other containers.
    pub only_known_here: bool,
    /// What makes boot start it, to fail.
    pub enabled: Enabled,
}

/// The drop-in of a container that cannot be used: starting it fails at once with the reasons.
///
/// The helper reads the config again, so that what it prints is never older than the file. What no file tells is
/// handed to it. Nothing is tried again: another start would fail in the same way.
pub fn render_failing(text: &mut String, failing: &Failing) -> Result<(), Unwritable> {
    let Failing { name, source, reasons, only_known_here, enabled } = failing;
    let mut file = UnitFile::new(text);
    Head { name, source, enabled }.write(&mut file);
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.iter().take(MAX_REASONS).for_each(|reason| file.comment(reason));
    if reasons.len() > MAX_REASONS {
        file.comment(&format!("... and {} more", reasons.len() - MAX_REASONS));
    }
    // As in the settings of a good one: systemd itself then tells when the config has been edited since.
    file.section("Unit");
    file.path("SourcePath", source);
    file.section("Service");
    let handed_over = if *only_known_here { reasons.as_slice() } else { &[] };
    let argv = [HELPER, "broken", name.as_str()];
    file.command("ExecStart", argv.into_iter().chain(handed_over.iter().map(String::as_str)));
    file.plain("Restart", "no");
    file.finish()
}

/// What the comments at the top of a drop-in tell.
#[derive(Debug)]
pub struct Head<'a> {
    /// The container.
    pub name: &'a ContainerName,
    /// Its main file.
    pub source: &'a Path,
    /// What makes boot start it.
    pub enabled: &'a Enabled,
}

impl Head<'_> {
    fn write(&self, file: &mut UnitFile<'_>) {
        first_line(file, self.source);
        self.enabled.reasons().for_each(|reason| file.comment(&["Boot starts it: ", &reason, "."].concat()));
        if let Some(mask) = self.enabled.mask() {
            file.comment(&["Boot does not start it: masked by ", &mask.to_string_lossy(), "."].concat());
        }
    }
}

pub(crate) fn first_line(file: &mut UnitFile<'_>, source: &Path) {
    let source = source.to_string_lossy();
    file.comment(&["Generated by ct-generator from ", &source, "; do not edit."].concat());
}

/// Whose turn comes after a container: the next of its lane, and the next priority.
pub(crate) fn before_turns<'a>(
    file: &mut UnitFile<'_>,
    place: &Place,
    name_of: impl Fn(usize) -> Option<&'a ContainerName>,
) {
    if let Some(name) = place.turn.before.and_then(name_of) {
        file.parts("Before", &["ct-turn@", name.as_str(), ".target"]);
    }
    if let Some(priority) = place.turn.before_priority {
        file.parts("Before", &["ct-priority@", &priority.to_string(), ".target"]);
    }
}

fn without<'a>(units: &'a [UnitName], dropped: &'a [UnitName]) -> impl Iterator<Item = &'a UnitName> {
    units.iter().filter(|unit| !dropped.contains(unit))
}

fn verbatim(file: &mut UnitFile<'_>, directives: &[Directive]) {
    directives.iter().for_each(|directive| file.verbatim(directive));
}
