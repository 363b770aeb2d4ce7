// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of the unit: `[limits]`, `[resources]`, `[oom]`, `[depends]`, `[autostart]` and the verbatim
//! directives.

use std::collections::BTreeMap;

use super::Check;
use crate::container::{Autostart, Dependency, Depends, Directive, Oom};
use crate::fragment::{self, Setting, Settings, Text};
use crate::name::{ContainerName, UnitName};
use crate::resource_control;
use crate::settings::Property;
use crate::suggest;
use crate::value::{Limit, RlimitResource, Timespan};

/// Longer lists are refused.
const MAX_DEPENDENCIES: usize = 1000;

/// Directives of `[Service]` that would break what ct promises of a container's unit, and why.
pub(crate) const FORBIDDEN_SERVICE: [(&str, &str); 14] = [
    ("BusName", "the unit is of Type=notify"),
    ("Delegate", "ct delegates the container's part of the unit by itself"),
    ("DynamicUser", "the helper needs root; the account is set by `user` at the top"),
    ("ExecStart", "the helper starts the container; its command is `process.command`"),
    ("Group", "the helper needs root; the account is set by `user` at the top"),
    ("GuessMainPID", "the helper says which process is the main one"),
    ("NotifyAccess", "with another access the container could speak for its unit"),
    ("PIDFile", "the helper says which process is the main one"),
    ("PrivateMounts", "without it a container's mounts would stay behind"),
    ("RemainAfterExit", "a container that has ended is not active"),
    ("RootDirectory", "the helper needs the host's files; the container's are set in [root]"),
    ("RootImage", "the helper needs the host's files; the container's are set in [root]"),
    ("Type", "the unit is of Type=notify"),
    ("User", "the helper needs root; the account is set by `user` at the top"),
];
/// The same of `[Unit]`.
pub(crate) const FORBIDDEN_UNIT: [(&str, &str); 1] = [("SourcePath", "it is the container's file")];

impl Check<'_> {
    pub(super) fn limits(&mut self, limits: fragment::Limits) -> BTreeMap<RlimitResource, Limit> {
        use RlimitResource as R;
        let given = [
            (R::As, limits.r#as),
            (R::Core, limits.core),
            (R::Cpu, limits.cpu),
            (R::Data, limits.data),
            (R::Fsize, limits.fsize),
            (R::Locks, limits.locks),
            (R::Memlock, limits.memlock),
            (R::Msgqueue, limits.msgqueue),
            (R::Nice, limits.nice),
            (R::Nofile, limits.nofile),
            (R::Nproc, limits.nproc),
            (R::Rss, limits.rss),
            (R::Rtprio, limits.rtprio),
            (R::Rttime, limits.rttime),
            (R::Sigpending, limits.sigpending),
            (R::Stack, limits.stack),
        ];
        let mut made = BTreeMap::new();
        for (resource, text) in given {
            let Some(text) = text else { continue };
            match Limit::parse(resource, &text.get_ref().0) {
                Ok(limit) => drop(made.insert(resource, limit)),
                Err(error) => self.problem(&text, &format!("limits.{}", resource.key()), &error.to_string()),
            }
        }
        made
    }

    pub(super) fn resources(&mut self, settings: Settings) -> Vec<Property> {
        let mut made = Vec::with_capacity(settings.len());
        for (key, value) in &settings {
            let name = key.get_ref().as_str();
            let Some(at) = resource_control::TABLE.iter().position(|row| row.key == name) else {
                if self.is_full() {
                    break;
                }
                let hint = resource_control::instead_of(name).map(str::to_owned).or_else(|| {
                    let known = resource_control::TABLE.iter().map(|row| row.key);
                    suggest(name, known).map(|word| format!("did you mean `{word}`?"))
                });
                self.hint(key, "resources", &format!("unknown key `{name}`"), hint);
                continue;
            };
            let Some(row) = resource_control::TABLE.get(at) else { continue };
            match row.parse(value.get_ref()) {
                Ok(parsed) => made.push((at, Property { name: row.directive, value: parsed })),
                Err(error) => self.problem(value, &format!("resources.{name}"), &error.to_string()),
            }
        }
        made.sort_by_key(|(at, _)| *at);
        made.into_iter().map(|(_, property)| property).collect()
    }

    pub(super) fn oom(&mut self, oom: fragment::Oom) -> Oom {
        let score_adjust = oom.score_adjust.and_then(|score| match i16::try_from(*score.get_ref()) {
            Ok(adjust @ -1000..=1000) => Some(adjust),
            _ => {
                let reason = format!("{} is not from -1000 to 1000", score.get_ref());
                self.problem(&score, "oom.score_adjust", &reason);
                None
            }
        });
        Oom { score_adjust, policy: oom.policy }
    }

    pub(super) fn depends(&mut self, depends: fragment::Depends, name: &ContainerName) -> Depends {
        let mut list =
            |texts: Option<Vec<Text>>, key| self.dependencies(&texts.unwrap_or_default(), key, name);
        Depends {
            requires: list(depends.requires, "depends.requires"),
            wants: list(depends.wants, "depends.wants"),
            after: list(depends.after, "depends.after"),
            before: list(depends.before, "depends.before"),
        }
    }

    fn dependencies(&mut self, texts: &[Text], key: &str, name: &ContainerName) -> Vec<Dependency> {
        if let Some(beyond) = texts.get(MAX_DEPENDENCIES) {
            self.problem(beyond, key, &format!("more than {MAX_DEPENDENCIES} entries"));
            return Vec::new();
        }
        let mut made: Vec<Dependency> = Vec::with_capacity(texts.len());
        for text in texts {
            let Some(unit) = self.parsed(text, key, parse_dependency(text.get_ref())) else { continue };
            if unit.container().as_ref() == Some(name) {
                self.problem(text, key, "a container cannot depend on itself");
            } else if !made.iter().any(|known| known.unit == unit) {
                made.push(Dependency { unit, place: self.map.place(&text.span()) });
            }
        }
        made
    }

    pub(super) fn autostart(&mut self, autostart: fragment::Autostart) -> Autostart {
        let priority = autostart.priority.and_then(|priority| match i32::try_from(*priority.get_ref()) {
            Ok(number) => Some(number),
            Err(_) => {
                self.problem(&priority, "autostart.priority", "is not from -2147483648 to 2147483647");
                None
            }
        });
        let delay = autostart.delay.and_then(|delay| self.finite(&delay, "autostart.delay"));
        Autostart {
            enabled: autostart.enabled.unwrap_or(false),
            priority: priority.unwrap_or(Autostart::DEFAULT_PRIORITY),
            delay: delay.unwrap_or(Timespan::Finite(0)),
        }
    }

    pub(super) fn systemd(&mut self, systemd: fragment::Systemd) -> (Vec<Directive>, Vec<Directive>) {
        let unit = self.directives(systemd.unit.unwrap_or_default(), "systemd.unit", &FORBIDDEN_UNIT);
        let service =
            self.directives(systemd.service.unwrap_or_default(), "systemd.service", &FORBIDDEN_SERVICE);
        (unit, service)
    }

    fn directives(
        &mut self,
        settings: Settings,
        section: &str,
        forbidden: &[(&str, &str)],
    ) -> Vec<Directive> {
        let mut made = Vec::with_capacity(settings.len());
        for (key, value) in settings {
            let name = key.get_ref();
            if !is_directive(name) {
                let reason = format!("`{name}` is not a directive such as `LogLevelMax`");
                self.problem(&key, section, &reason);
            } else if let Some((_, why)) = forbidden.iter().find(|(word, _)| word == name) {
                self.hint(&key, section, &format!("`{name}` cannot be set here"), Some((*why).to_owned()));
            }
            let values: Vec<String> = match value.get_ref() {
                Setting::Text(text) => vec![text.clone()],
                Setting::Bool(value) => vec![if *value { "yes" } else { "no" }.to_owned()],
                Setting::List(list) => list.iter().map(|text| text.get_ref().clone()).collect(),
            };
            if values.iter().any(|text| text.trim_end().ends_with('\\')) {
                self.problem(
                    &value,
                    &format!("{section}.{name}"),
                    "ends in a backslash, which would join the next line",
                );
            }
            made.push(Directive { name: key.into_inner(), values });
        }
        made
    }
}

/// `LogLevelMax`, `X-Anything`
fn is_directive(name: &str) -> bool {
    let name = name.strip_prefix("X-").unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A container by its name, or a unit by its full name.
fn parse_dependency(text: &str) -> Result<UnitName, String> {
    match UnitName::parse(text) {
        // A template is not a unit.
        Ok(unit) if !text.contains("@.") => Ok(unit),
        Ok(_) => Err(format!("{text:?} is a template, not a unit")),
        Err(_) => match ContainerName::parse(text) {
            Ok(name) => Ok(name.unit()),
            Err(_) => Err(format!("{text:?} is neither a container's name nor the full name of a unit")),
        },
    }
}
