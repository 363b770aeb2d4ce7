// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's settings: `/etc/ct/ct.toml` and `/etc/ct/ct.toml.d/*.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::Sha256;
use toml::de::{DeTable, DeValue};

use crate::document::{self, SourceMap};
use crate::fragment::{Fragment, HostFragment, HostRuntime, Scalar, Spanned};
use crate::problem::Problem;
use crate::sources::{self, HookFiles, SourceFile};
use crate::validate::parse_path;
use crate::value::parse_number;

/// `[autostart] parallel`: how many containers may be starting at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parallel {
    /// As suits the machine.
    #[default]
    Auto,
    /// No bound, written as 0.
    Unlimited,
    /// At most so many, at least 1.
    AtMost(u32),
}

/// A runtime by a name of the host's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRuntime {
    /// The program, absolute.
    pub path: PathBuf,
    /// Arguments before the sub-command.
    pub arguments: Vec<String>,
}

/// The host's settings.
#[derive(Debug, Default)]
pub struct Host {
    /// `[autostart] parallel`
    pub parallel: Parallel,
    /// `[runtimes]`
    pub runtimes: BTreeMap<String, NamedRuntime>,
    /// What was read, in the order of merging.
    pub(crate) files: Vec<SourceFile>,
    /// The digest of those files, which each container's goes on from.
    pub(crate) hasher: Sha256,
    /// Hooks that all containers have.
    pub(crate) hooks: HookFiles,
    /// Why no container can be trusted to be what its config says: `[defaults]` may be what limits it.
    pub(crate) fatal: Vec<Problem>,
    /// Files with syntax errors, which are among `fatal`.
    pub(crate) garbled: Vec<PathBuf>,
    /// Whether any file has `[defaults]`.
    has_defaults: bool,
}

impl Host {
    /// Reads the settings below `root`. All of them may be missing. The problems are those of the files themselves;
    /// a container that they make unusable has them too, when it is loaded.
    pub fn load(root: &Path) -> (Self, Vec<Problem>) {
        let read = sources::read_host(root);
        let mut hasher = Sha256::default();
        read.files.iter().for_each(|file| crate::hash_file(&mut hasher, file));
        let mut host = Self {
            parallel: Parallel::Auto,
            runtimes: BTreeMap::new(),
            files: read.files,
            hasher,
            hooks: read.hooks,
            fatal: read.problems,
            garbled: Vec::new(),
            has_defaults: false,
        };
        let problems = host.read_settings();
        (host, problems)
    }

    /// Fills in all but the files; gives all problems there are.
    fn read_settings(&mut self) -> Vec<Problem> {
        let map = SourceMap { files: &[], host: &self.files, host_table: "" };
        let mut syntax = Vec::new();
        let mut table = self.settings(&mut syntax);
        let garbled: Vec<PathBuf> = syntax.iter().map(|problem| problem.file.clone()).collect();
        let mut problems = Vec::new();
        let defaults = take_defaults(&mut table, &map, &mut problems);
        document::check_text(&table, &map, &mut problems);
        let rebuild = || {
            let mut table = self.settings(&mut Vec::new());
            table.remove("defaults");
            table
        };
        let fragment: HostFragment = document::deserialize(table, rebuild, &map, &mut problems);
        crate::drop_echoes(&mut problems, 0, garbled.iter());
        // A table that is not known may have been meant to be [defaults].
        syntax.extend(problems.iter().filter(|p| p.key.is_none()).cloned());
        problems.retain(|problem| problem.key.is_some());
        let parallel = fragment.autostart.and_then(|autostart| autostart.parallel);
        let parallel = parallel.map(|text| parse_parallel(&text, &map, &mut problems)).unwrap_or_default();
        let mut runtimes = BTreeMap::new();
        for (name, runtime) in fragment.runtimes.unwrap_or_default() {
            if let Some(runtime) = parse_runtime(&name, runtime, &map, &mut problems) {
                runtimes.insert(name.into_inner(), runtime);
            }
        }
        let has_defaults = defaults.is_some();
        if let Some(defaults) = defaults {
            let map = SourceMap { host_table: "defaults", ..map };
            let _: Fragment = document::deserialize(defaults, || self.read_defaults(), &map, &mut problems);
        }
        crate::drop_echoes(&mut problems, 0, garbled.iter());
        self.fatal.extend(syntax);
        let map = SourceMap { files: &[], host: &self.files, host_table: "" };
        problems.extend(self.fatal.iter().cloned());
        map.sort(&mut problems);
        (self.parallel, self.runtimes, self.has_defaults) = (parallel, runtimes, has_defaults);
        self.garbled = garbled;
        problems
    }

    /// All files merged; no container's rules for merging apply except within `[defaults]`, which [`Host::defaults`]
    /// merges.
    fn settings(&self, problems: &mut Vec<Problem>) -> DeTable<'_> {
        let map = SourceMap { files: &[], host: &self.files, host_table: "" };
        let mut merged = DeTable::new();
        for (index, file) in self.files.iter().enumerate() {
            document::merge_host(
                &mut merged,
                document::parse(file, SourceMap::host_base(index), &map, problems),
            );
        }
        merged
    }

    /// `[defaults]`, to be merged below a container's files.
    pub(crate) fn defaults(&self) -> DeTable<'_> {
        if self.has_defaults { self.read_defaults() } else { DeTable::new() }
    }

    fn read_defaults(&self) -> DeTable<'_> {
        match self.settings(&mut Vec::new()).remove("defaults").map(toml::Spanned::into_inner) {
            Some(DeValue::Table(defaults)) => defaults,
            _ => DeTable::new(),
        }
    }
}

fn take_defaults<'t>(
    table: &mut DeTable<'t>,
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) -> Option<DeTable<'t>> {
    let value = table.remove("defaults")?;
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(defaults) => Some(defaults),
        _ => {
            map.report(problems, &span, "", "[defaults] must be a table", None);
            None
        }
    }
}

fn parse_parallel(text: &Spanned<Scalar>, map: &SourceMap<'_>, problems: &mut Vec<Problem>) -> Parallel {
    let value = text.get_ref().0.as_str();
    match (value, parse_number(value).and_then(|n| u32::try_from(n).ok())) {
        ("auto", _) => Parallel::Auto,
        (_, Some(0)) => Parallel::Unlimited,
        (_, Some(number)) => Parallel::AtMost(number),
        (_, None) => {
            let reason = format!("{value:?} is neither a number nor \"auto\"");
            map.report(problems, &text.span(), "autostart.parallel", &reason, None);
            Parallel::Auto
        }
    }
}

fn parse_runtime(
    name: &Spanned<String>,
    runtime: Spanned<HostRuntime>,
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) -> Option<NamedRuntime> {
    let span = runtime.span();
    let HostRuntime { path, arguments } = runtime.into_inner();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.get_ref().is_empty() || !name.get_ref().bytes().all(plain) {
        let reason = format!("{:?} is not a name for a runtime", name.get_ref());
        map.report(problems, &name.span(), "runtimes", &reason, None);
        return None;
    }
    let path = path.ok_or_else(|| "path is missing".to_owned()).and_then(|path| parse_path(&path));
    match path {
        Ok(path) => Some(NamedRuntime { path, arguments }),
        Err(reason) => {
            map.report(problems, &span, &format!("runtimes.{}", name.get_ref()), &reason, None);
            None
        }
    }
}
