// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the configs say, and whether systemd has heard it: each is compared with the drop-in that the generator made of
//! it at the last daemon-reload.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ct_config::container::{AccountName, Container};
use ct_config::host::Host;
use ct_config::name::{ConfigName as _, ContainerName};
use ct_config::pod::Pods;
use ct_config::problem::Problem;
use ct_generator::enabled::Links;
use ct_generator::output::DROP_IN;
use serde::Serialize;

use crate::context::Context;

/// Where the generator writes.
pub(crate) const GENERATED: &str = "/run/systemd/generator";

/// What is between the config of a container and the settings that systemd has of it, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// systemd has the settings of this very config.
    Ok,
    /// The container cannot start: its config, or those it depends on, say what they cannot mean.
    Invalid,
    /// Edited since the last daemon-reload.
    Changed,
    /// Written since the last daemon-reload: systemd does not know of it.
    New,
    /// Taken away; what runs goes on with the settings that it had.
    Removed,
    /// Hidden by a link to /dev/null.
    Masked,
    /// Not for this user's eyes.
    Unreadable,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Invalid => "invalid",
            Self::Changed => "changed",
            Self::New => "new",
            Self::Removed => "removed",
            Self::Masked => "masked",
            Self::Unreadable => "unreadable",
        }
    }

    /// The same for a sentence.
    pub fn explained(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Invalid => "invalid, it cannot be started",
            Self::Changed => "changed since the last `systemctl daemon-reload`",
            Self::New => "new, systemd does not know it before `systemctl daemon-reload`",
            Self::Removed => "removed",
            Self::Masked => "masked by a link to /dev/null",
            Self::Unreadable => "not readable for this user",
        }
    }
}

/// One container as it is configured.
#[derive(Debug)]
pub struct Config {
    /// Whether systemd has it.
    pub verdict: Verdict,
    /// The main file, as it is named on the host.
    pub file: Option<PathBuf>,
    /// What it means, if it means something.
    pub container: Option<Box<Container>>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// Whether boot starts it.
    pub autostart: Option<bool>,
}

impl Config {
    fn without_files(verdict: Verdict) -> Self {
        Self { verdict, file: None, container: None, problems: Vec::new(), autostart: None }
    }

    /// The runtime's name as configured.
    pub fn runtime(&self) -> Option<&str> {
        self.container.as_ref().map(|container| container.runtime.name.as_str())
    }

    /// The account that runs the runtime.
    pub fn account(&self) -> Option<String> {
        self.container.as_ref().map(|container| match &container.account {
            None => "root".to_owned(),
            Some(AccountName::Name(name)) => name.clone(),
            Some(AccountName::Uid(uid)) => uid.to_string(),
        })
    }

    /// The pod it belongs to.
    pub fn pod(&self) -> Option<&str> {
        let membership = self.container.as_ref()?.membership.as_ref()?;
        Some(membership.pod.as_str())
    }
}

/// All configs of this machine, with what is needed to judge them.
#[derive(Debug)]
pub struct Configs<'c> {
    context: &'c Context,
    host: Host,
    pods: Pods,
    links: Links,
    /// Whether a directory of configs is closed to this user: then nobody can say what is not there.
    closed: bool,
}

impl<'c> Configs<'c> {
    /// Reads what all of them share; each config is read when it is asked for.
    pub fn read(context: &'c Context) -> Self {
        let root = context.root();
        let denied = |dir: &&str| is_denied(fs::read_dir(root.join(dir.trim_start_matches('/'))));
        Self {
            context,
            host: Host::load(root).0,
            pods: Pods::scan(root),
            links: Links::read(root),
            closed: ContainerName::DIRS.iter().any(denied),
        }
    }

    /// All names that there are files for, masked ones too.
    pub fn names(&self) -> BTreeSet<ContainerName> {
        let tree = self.context.tree();
        tree.names().chain(tree.masked()).cloned().collect()
    }

    /// What is wrong with the directories themselves, or with names in them.
    pub fn problems(&self) -> &[Problem] {
        self.context.tree().problems()
    }

    /// One container. For a name without files it is one whose file was removed.
    pub fn of(&self, name: &ContainerName) -> Config {
        let tree = self.context.tree();
        if tree.masked().binary_search(name).is_ok() {
            return Config::without_files(Verdict::Masked);
        }
        if !tree.contains(name) {
            return Config::without_files(if self.closed { Verdict::Unreadable } else { Verdict::Removed });
        }
        let file = tree.main_file(name);
        let (container, problems, wants_boot) = match ct_config::load(tree, &self.host, name) {
            Ok(container) => {
                let problems = self.pods.join(&container).err().unwrap_or_default();
                let wants_boot = container.autostart.enabled;
                (Some(Box::new(container)), problems, wants_boot)
            }
            Err(broken) => (None, broken.problems, broken.autostart),
        };
        let unreadable = problems.iter().any(|problem| self.is_unreadable(problem));
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let verdict = match &container {
            _ if unreadable => Verdict::Unreadable,
            Some(container) if problems.is_empty() => {
                let (verdict, reasons) = self.compare(container);
                problems = reasons;
                verdict
            }
            _ => Verdict::Invalid,
        };
        let autostart = (!unreadable).then(|| self.links.of(name, wants_boot).at_boot());
        Config { verdict, file, container, problems, autostart }
    }

    /// A valid config beside the drop-in.
    fn compare(&self, container: &Container) -> (Verdict, Vec<String>) {
        let path = self.drop_in_path(&container.name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Verdict::New, Vec::new()),
            Err(_) => return (Verdict::Unreadable, Vec::new()),
        };
        match Generated::parse(&text, &container.name) {
            Generated::Settings(digest) if digest == container.digest.0 => (Verdict::Ok, Vec::new()),
            Generated::Settings(_) | Generated::Broken(None) => (Verdict::Changed, Vec::new()),
            // Such as a cycle of dependencies: its own file does not show it.
            Generated::Broken(Some(reasons)) => (Verdict::Invalid, reasons),
        }
    }

    fn drop_in_path(&self, name: &ContainerName) -> PathBuf {
        let drop_in = format!("{GENERATED}/{}.d/{DROP_IN}", name.unit());
        self.context.on_disk(Path::new(&drop_in))
    }

    /// Whether a problem is that the file is not this user's to read.
    fn is_unreadable(&self, problem: &Problem) -> bool {
        let below = problem.file.strip_prefix("/").unwrap_or(&problem.file);
        problem.position.is_none() && is_denied(File::open(self.context.root().join(below)))
    }
}

fn is_denied<T>(opened: io::Result<T>) -> bool {
    opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// What a drop-in says of the config that it was made of.
#[derive(Debug, PartialEq, Eq)]
enum Generated<'t> {
    /// It had this digest.
    Settings(&'t str),
    /// It was broken; with reasons if those are in none of its files.
    Broken(Option<Vec<String>>),
}

impl<'t> Generated<'t> {
    fn parse(text: &'t str, name: &ContainerName) -> Self {
        let digest = text.lines().find_map(|line| {
            let value = line.strip_prefix("Environment=")?.trim_matches('"');
            value.strip_prefix("CT_CONFIG_DIGEST=")
        });
        if let Some(digest) = digest {
            return Self::Settings(digest);
        }
        let handed_over = format!("ct-helper broken {name} ");
        let told = text.lines().any(|line| line.starts_with("ExecStart=") && line.contains(&handed_over));
        let file = format!("{name}.toml");
        let comments = text.lines().filter_map(|line| line.strip_prefix("# "));
        // The first line is the generator's own.
        let reasons = comments.skip(1).filter(|line| line.contains(&file)).map(str::to_owned);
        Self::Broken(told.then(|| reasons.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_in_tells_of_the_config_that_it_was_made_of() {
        let name = ContainerName::parse("db").unwrap();
        let golden = |case: &str| {
            let folder = format!("{}/../generator/tests/golden", env!("CARGO_MANIFEST_DIR"));
            fs::read_to_string(format!("{folder}/{case}/want/ct@db.service.d/50-ct.conf")).unwrap()
        };
        let reason = "/etc/ct/containers/db.toml:6:13: depends.requires: cache -> web -> db -> cache \
                      is a cycle of requires, none of them can start";
        let cycle = golden("15-cycle-of-requires");
        assert_eq!(Generated::parse(&cycle, &name), Generated::Broken(Some(vec![reason.to_owned()])));
        let good = golden("12-depends");
        assert!(matches!(Generated::parse(&good, &name), Generated::Settings(digest) if digest.len() == 64));
        let own = "# a\n[Service]\nExecStart=/usr/libexec/ct/ct-helper broken db\n";
        assert_eq!(Generated::parse(own, &name), Generated::Broken(None));
    }
}
