// SPDX-License-Identifier: MIT OR Apache-2.0
//! Podman's Quadlet: `NAME.container`, podman-systemd.unit(5), with its drop-ins. It is a unit file, so that the rules of
//! systemd.syntax(7) hold: repeated keys, empty assignments that take back, specifiers.

mod container;
mod storage;
mod unit;

use super::draft::{Bad, Draft, Line};
use super::unit_syntax::parse;
use super::{Settings, Source};

/// One assignment that counts.
#[derive(Debug, Clone)]
struct Assignment {
    /// The number of its line.
    at: usize,
    section: String,
    key: String,
    /// Specifiers are put in.
    value: String,
}

/// All that count, in their order.
struct Assignments(Vec<Assignment>);

impl Assignments {
    /// The one of a key that has one value.
    fn find(&self, section: &str, key: &str) -> Option<&Assignment> {
        self.0.iter().rfind(|assignment| assignment.section == section && assignment.key == key)
    }

    fn container(&self, key: &str) -> Option<&Assignment> {
        self.find("Container", key)
    }
}

/// What rules may need besides the line at hand.
struct Rules<'a> {
    source: &'a Source,
    settings: &'a Settings<'a>,
    all: &'a Assignments,
}

/// The config, and what became of each line.
pub(super) fn translate(source: &Source, settings: &Settings<'_>) -> Result<Draft, Bad> {
    let mut lines = parse(&source.shown, &source.text)?;
    for (shown, text) in &source.drop_ins {
        lines.extend(parse(shown, text)?);
    }
    let mut draft = Draft::new(lines);
    let all = effective(source, &mut draft);
    let rules = Rules { source, settings, all: &all };
    for assignment in &all.0 {
        match assignment.section.as_str() {
            "Container" => {
                container::container(&mut draft, assignment, &rules);
                container::limits(&mut draft, assignment);
                container::isolation(&mut draft, assignment, &rules);
                container::health(&mut draft, assignment, &rules);
                container::unneeded(&mut draft, assignment);
                storage::storage(&mut draft, assignment, &rules);
            }
            "Unit" => unit::unit(&mut draft, assignment, &rules),
            "Service" => unit::service(&mut draft, assignment, &rules),
            "Install" => unit::install(&mut draft, assignment),
            _ => draft.refuse(
                assignment.at,
                format!("[{}] is no section of a .container file that ct knows", assignment.section),
            ),
        }
    }
    storage::root(&mut draft, &rules);
    container::defaults(&mut draft, &rules);
    draft.finish(|line| container::why_not(&line.section, &line.key));
    Ok(draft)
}

/// Takes out what a later line takes back or sets again, and puts specifiers in.
fn effective(source: &Source, draft: &mut Draft) -> Assignments {
    let mut all: Vec<Assignment> = Vec::new();
    for (at, line) in draft.lines().into_iter().enumerate() {
        let Line { file, section, key, value, number } = line;
        let is_list = is_list(&section, &key);
        if value.is_empty() || !is_list {
            let earlier = |known: &Assignment| known.section == section && known.key == key;
            for known in all.iter().filter(|known| earlier(known)) {
                draft.change(known.at, format!("taken back by {file}:{number}"));
            }
            all.retain(|known| !earlier(known));
        }
        if value.is_empty() {
            draft.change(at, "is empty: takes back what was set before");
            continue;
        }
        match specifiers(&value, source) {
            Ok((value, changes)) => {
                changes.into_iter().for_each(|change| draft.change(at, change));
                all.push(Assignment { at, section, key, value });
            }
            Err(why) => draft.refuse(at, why),
        }
    }
    Assignments(all)
}

/// Whether a repeated key adds, instead of setting again.
fn is_list(section: &str, key: &str) -> bool {
    match section {
        "Container" => {
            matches!(
                key,
                "AddCapability"
                    | "AddDevice"
                    | "AddHost"
                    | "Annotation"
                    | "ContainersConfModule"
                    | "DNS"
                    | "DNSOption"
                    | "DNSSearch"
                    | "DropCapability"
                    | "Environment"
                    | "EnvironmentFile"
                    | "ExposeHostPort"
                    | "GIDMap"
                    | "GlobalArgs"
                    | "GroupAdd"
                    | "Label"
                    | "LogOpt"
                    | "Mask"
                    | "Mount"
                    | "Network"
                    | "NetworkAlias"
                    | "PodmanArgs"
                    | "PublishPort"
                    | "Secret"
                    | "Sysctl"
                    | "Tmpfs"
                    | "UIDMap"
                    | "Ulimit"
                    | "Unmask"
                    | "Volume"
            )
        }
        "Unit" => !matches!(key, "Description" | "StartLimitBurst" | "StartLimitIntervalSec" | "SourcePath"),
        "Service" => {
            key.starts_with("Exec")
                || key.starts_with("Environment")
                || key.starts_with("Device")
                || key.starts_with("IO")
        }
        _ => true,
    }
}

/// systemd.unit(5): what is known of a system service without asking the machine.
fn specifiers(value: &str, source: &Source) -> Result<(String, Vec<String>), String> {
    let mut text = String::with_capacity(value.len());
    let mut changes = Vec::new();
    let mut rest = value.chars();
    // The unit was named after the file, whatever the container is called now.
    let unit = source.path.file_stem().unwrap_or_default().to_string_lossy();
    let (prefix, instance) =
        unit.split_once('@').map_or((&*unit, None), |(prefix, instance)| (prefix, Some(instance)));
    let instance = instance.filter(|instance| !instance.is_empty());
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let letter = rest.next();
        let put = match letter {
            Some('%') => {
                text.push('%');
                continue;
            }
            Some('n') => format!("{unit}.service"),
            Some('N') => unit.to_string(),
            Some('p') => prefix.to_owned(),
            Some('i') if instance.is_some() => instance.unwrap_or_default().to_owned(),
            // A dash in it would be a slash.
            Some('I') if instance.is_some_and(|instance| !instance.contains(['-', '\\'])) => {
                instance.unwrap_or_default().to_owned()
            }
            Some('h') => "/root".to_owned(),
            Some('u' | 'g') => "root".to_owned(),
            Some('U' | 'G') => "0".to_owned(),
            Some('t') => "/run".to_owned(),
            Some('S') => "/var/lib".to_owned(),
            Some('C') => "/var/cache".to_owned(),
            Some('L') => "/var/log".to_owned(),
            Some('E') => "/etc".to_owned(),
            Some('T') => "/tmp".to_owned(),
            Some('V') => "/var/tmp".to_owned(),
            Some('s') => "/bin/sh".to_owned(),
            Some(other) => {
                return Err(format!("%{other} depends on the machine or the unit: write what it stands for"));
            }
            None => return Err("a % stands at the end: write %%".to_owned()),
        };
        changes.push(format!("%{} is {put}", letter.unwrap_or_default()));
        text.push_str(&put);
    }
    Ok((text, changes))
}

/// systemd's words for yes and no.
fn boolean(draft: &mut Draft, assignment: &Assignment) -> Option<bool> {
    match assignment.value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => {
            draft.refuse(assignment.at, "neither yes nor no");
            None
        }
    }
}
