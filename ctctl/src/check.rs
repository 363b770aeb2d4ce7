// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check`: what the generator would say, of the configs in place or as if others were. Nothing is written but into a
//! directory of our own, and systemd is not asked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::name::{ConfigName, ContainerName, PodName};
use ct_config::pod::Pods;
use ct_config::problem::Problem;
use ct_config::sources::Tree;
use ct_generator::{Severity, generate_from};
use serde_json::json;
use tempfile::TempDir;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::output::{print, print_json, safe};

/// Check configs as the generator does at boot and at each daemon-reload
///
/// Without arguments all of the machine's configs are checked: containers, pods, ct.toml and their drop-ins. A FILE is
/// checked as if it was in place under its own name, wherever it lies and whosever it is, with the drop-ins in FILE.d
/// and with the machine's own ct.toml, pods and other containers; a DIR, with all *.toml in it. Files in a directory
/// called pods are pods.
///
/// Each problem is one line, FILE:LINE:COLUMN: KEY: REASON (HINT); a warning has the word before its key. The exit code
/// is 1 if there are errors. What only a start can find out, such as a missing root file system, is not looked for.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  ctctl check
  ctctl check web.toml && install -m 644 web.toml /etc/ct/containers/
  ctctl --root image/ check       the configs of a system in a directory")]
pub struct CheckArguments {
    /// Configs, or directories of them, that need not be in place
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The files are pods
    #[arg(long)]
    pod: bool,
    /// Write the problems as a list in JSON
    #[arg(long)]
    json: bool,
}

/// `ctctl check`
pub fn check(arguments: &CheckArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("check")?;
    let mut given = Given::new(context.root());
    for path in &arguments.files {
        given.add(path, arguments.pod)?;
    }
    let all = arguments.files.is_empty();
    let survey = survey(context.root(), &given)?;
    let messages: Vec<&(Severity, Problem)> =
        survey.messages.iter().filter(|(_, problem)| all || given.is_about(&problem.file)).collect();
    let errors = messages.iter().filter(|(severity, _)| *severity == Severity::Error).count();
    if arguments.json {
        print_json(&messages.iter().map(|message| in_json(message)).collect::<Vec<_>>())?;
    } else {
        let lines: String = messages.iter().map(|message| format!("{}\n", line(message))).collect();
        print(&lines)?;
        let checked = if all { survey.count } else { given.count };
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        eprintln!("ctctl: {checked} config{} checked, {errors} error{}", plural(checked), plural(errors));
    }
    Ok(if errors == 0 { Status::Done } else { Status::Failed })
}

/// What the generator wrote, and said.
pub(crate) struct Survey {
    /// The unit tree; gone when this is dropped.
    pub(crate) units: TempDir,
    pub(crate) messages: Vec<(Severity, Problem)>,
    /// How many containers and pods there are.
    pub(crate) count: usize,
}

/// Runs the generator into a directory of its own, as if `given` was in place.
pub(crate) fn survey(root: &Path, given: &Given) -> Result<Survey, Error> {
    let units =
        tempfile::tempdir().map_err(|error| Error::system("cannot make a temporary directory", error))?;
    let (mut tree, mut pods) = (Tree::scan(root), Tree::<PodName>::scan(root));
    let put = |(name, path): (&ContainerName, &PathBuf)| tree.put(name.clone(), path.clone());
    given.containers.iter().for_each(put);
    given.pods.iter().for_each(|(name, path)| pods.put(name.clone(), path.clone()));
    let count = tree.names().count() + pods.names().count();
    let report = generate_from(root, &tree, || Pods::of(pods), units.path(), None);
    if let Some(failure) = report.failure() {
        return Err(Error::failed(failure.to_string()));
    }
    let mut messages = given.problems.clone();
    messages.extend_from_slice(report.messages());
    Ok(Survey { units, messages, count })
}

/// The files of the command line.
#[derive(Debug, Default)]
pub(crate) struct Given {
    root: PathBuf,
    /// Those that are to stand for what is in place.
    containers: BTreeMap<ContainerName, PathBuf>,
    pods: BTreeMap<PodName, PathBuf>,
    /// What is asked about, as problems call it.
    about: Vec<PathBuf>,
    /// Files whose names say that they are none.
    problems: Vec<(Severity, Problem)>,
    count: usize,
}

impl Given {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Takes one argument.
    fn add(&mut self, path: &Path, pod: bool) -> Result<(), Error> {
        let cannot = |error| Error::system(format!("cannot read {}", path.display()), error);
        if !fs::metadata(path).map_err(cannot)?.is_dir() {
            return self.add_file(path, pod);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(cannot)? {
            let file = entry.map_err(cannot)?.path();
            let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !hidden && file.extension() == Some(OsStr::new("toml")) {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(Error::Usage(format!("there is no *.toml in {}", path.display())));
        }
        files.sort();
        files.iter().try_for_each(|file| self.add_file(file, pod))
    }

    /// Takes one file.
    pub(crate) fn add_file(&mut self, path: &Path, pod: bool) -> Result<(), Error> {
        let dir = std::path::absolute(path)
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_default();
        let dir_name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let usage = |why: &str| Err(Error::Usage(format!("{}: {why}", path.display())));
        if dir_name.ends_with(".toml.d") {
            return usage("a drop-in is checked with its main file");
        }
        if path.file_name() == Some(OsStr::new("ct.toml")) {
            return usage("ct.toml is checked in place (use check without files, or with --root)");
        }
        let Some(stem) = path.extension().filter(|end| *end == "toml").and(path.file_stem()) else {
            return usage("the name of a config ends in .toml");
        };
        let stem = stem.to_string_lossy().into_owned();
        self.count += 1;
        let name = if pod || dir_name == "pods" {
            put(PodName::check(&stem), path, &self.root, (&mut self.pods, &mut self.about))
        } else {
            put(ContainerName::check(&stem), path, &self.root, (&mut self.containers, &mut self.about))
        };
        match name {
            Ok(true) => Ok(()),
            Ok(false) => usage("another file of this name is given as well"),
            Err(reason) => {
                let file = path.to_owned();
                let problem = Problem { file: file.clone(), position: None, key: None, reason, hint: None };
                self.problems.push((Severity::Error, problem));
                self.about.push(file);
                Ok(())
            }
        }
    }

    /// Whether a problem in `file` is one of what was given, or of the host's settings, which shape all containers.
    fn is_about(&self, file: &Path) -> bool {
        let of = |about: &PathBuf| file == about || file.parent() == Some(&drop_ins(about));
        file.starts_with("/etc/ct/ct.toml")
            || file.starts_with("/etc/ct/ct.toml.d")
            || self.about.iter().any(of)
    }

    /// The only container, or pod, of which there is a file.
    pub(crate) fn only(&self) -> Option<(&str, bool)> {
        let container = self.containers.keys().next().map(|name| (name.as_str(), false));
        container.or_else(|| self.pods.keys().next().map(|name| (name.as_str(), true)))
    }

    /// Where they are.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.containers.values().chain(self.pods.values())
    }

    /// What is wrong with its name, if that is what is wrong.
    pub(crate) fn misnamed(&self) -> Option<&Problem> {
        self.problems.first().map(|(_, problem)| problem)
    }
}

/// `FILE.d`
pub(crate) fn drop_ins(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".d");
    name.into()
}

/// Notes a file under its name: false if there is another of this name. One that is in place, and counts, stays as the
/// machine has it, with the drop-ins of all directories.
fn put<N: ConfigName>(
    name: Result<N, ct_config::name::BadName>,
    path: &Path,
    root: &Path,
    (files, about): (&mut BTreeMap<N, PathBuf>, &mut Vec<PathBuf>),
) -> Result<bool, String> {
    let name = name.map_err(|error| error.to_string())?;
    let in_place = Tree::only(root, &name).main_file(&name);
    let same = |place: &PathBuf| {
        let below = root.join(place.strip_prefix("/").unwrap_or(place));
        fs::canonicalize(below).ok().zip(fs::canonicalize(path).ok()).is_some_and(|(a, b)| a == b)
    };
    if let Some(place) = in_place.filter(same) {
        let drop_ins = N::DIRS.map(|dir| Path::new(dir).join(format!("{name}.toml")));
        about.extend(drop_ins.into_iter().filter(|file| *file != place));
        about.push(place);
        return Ok(!files.contains_key(&name));
    }
    about.push(path.to_owned());
    Ok(files.insert(name, path.to_owned()).is_none())
}

/// `FILE:LINE:COLUMN: warning: KEY: REASON (HINT)`, an error without the word.
pub(crate) fn line((severity, problem): &(Severity, Problem)) -> String {
    let text = problem.to_string();
    if *severity == Severity::Error {
        return safe(&text).into_owned();
    }
    let place = ct_config::pod::Place { file: problem.file.clone(), position: problem.position }.to_string();
    let rest = text.strip_prefix(&place).unwrap_or(&text);
    safe(&format!("{place}: warning{rest}")).into_owned()
}

fn in_json((severity, problem): &(Severity, Problem)) -> serde_json::Value {
    json!({
        "severity": match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "file": problem.file.to_string_lossy(),
        "line": problem.position.map(|(line, _)| line),
        "column": problem.position.map(|(_, column)| column),
        "key": problem.key,
        "reason": problem.reason,
        "hint": problem.hint,
    })
}
