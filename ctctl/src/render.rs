// SPDX-License-Identifier: MIT OR Apache-2.0
//! `render`: what ct-generator(8) writes for one container or pod, made by the generator itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::name::{ConfigName as _, PodName};
use ct_config::sources::{CONTAINER_DIRS, Tree};
use ct_generator::Severity;
use serde_json::json;

use crate::check::{Given, drop_ins, line, survey};
use crate::configs::GENERATED;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::names::resolve_configured;
use crate::output::{print, print_json, safe};

/// Show what ct-generator makes of a config: drop-ins and links
///
/// This is what the next daemon-reload would write for this container. Units that order several containers, such as
/// ct.target and ct-priority@.target, are left out. A config that cannot be used is shown as the unit that fails with
/// the reasons, and the exit code is then 1.
#[derive(Debug, Args)]
pub struct RenderArguments {
    /// A container, or the config file of one, which need not be in place
    #[arg(value_name = "NAME")]
    name: String,
    /// NAME is a pod
    #[arg(long)]
    pod: bool,
    /// Write files and links in JSON
    #[arg(long)]
    json: bool,
}

/// `ctctl render`
pub fn render(arguments: &RenderArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("render")?;
    let mut given = Given::new(context.root());
    let (name, pod) = subject(arguments, context, &mut given)?;
    let survey = survey(context.root(), &given)?;
    let (files, links) = units_of(survey.units.path(), &name, pod)
        .map_err(|error| Error::system("cannot read what the generator wrote", error))?;
    let terminal = std::io::stdout().is_terminal();
    if arguments.json {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let files: BTreeMap<_, _> = files.iter().map(|(path, content)| (text(path), content)).collect();
        let links: BTreeMap<_, _> = links.iter().map(|(path, target)| (text(path), text(target))).collect();
        print_json(&json!({ "files": files, "links": links }))?;
    } else {
        for (path, content) in &files {
            print(&format!("# {}\n", path.display()))?;
            // To a file or pipe go the very bytes.
            let shown: String = content.lines().map(|line| format!("{}\n", safe(line))).collect();
            print(if terminal { &shown } else { content })?;
            print("\n")?;
        }
        for (path, target) in &links {
            print(&format!("# {} -> {}\n", path.display(), target.display()))?;
        }
    }
    let sources = sources(&name, pod, &given);
    let about = |file: &Path| sources.iter().any(|own| file == own || file.parent() == Some(&drop_ins(own)));
    let mut status = Status::Done;
    for message in survey.messages.iter().filter(|(_, problem)| about(&problem.file)) {
        eprintln!("ctctl: {}", line(message));
        if message.0 == Severity::Error {
            status = Status::Failed;
        }
    }
    if files.is_empty() && status == Status::Done {
        return Err(Error::failed(format!("the generator writes nothing for {name}")));
    }
    Ok(status)
}

/// Whom it is about: its name, and whether it is a pod.
fn subject(
    arguments: &RenderArguments,
    context: &Context,
    given: &mut Given,
) -> Result<(String, bool), Error> {
    let text = arguments.name.as_str();
    if text.contains('/') || text.ends_with(".toml") {
        let path = Path::new(text);
        if let Err(error) = fs::metadata(path) {
            return Err(Error::system(format!("cannot read {text}"), error));
        }
        given.add_file(path, arguments.pod)?;
        if let Some(problem) = given.misnamed() {
            return Err(Error::failed(problem.to_string()));
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // One that is in place is not among those that were put there.
        let in_pods = path.parent().is_some_and(|dir| dir.ends_with("pods"));
        return Ok(given
            .only()
            .map_or((stem, arguments.pod || in_pods), |(name, pod)| (name.to_owned(), pod)));
    }
    if !arguments.pod {
        return Ok((resolve_configured(text, context)?.to_string(), false));
    }
    let pods = Tree::<PodName>::scan(context.root());
    match PodName::parse(text).ok().filter(|name| pods.contains(name)) {
        Some(name) => Ok((name.to_string(), true)),
        None => Err(Error::failed(format!("there is no pod {text:?}"))),
    }
}

/// The main files whose problems matter.
fn sources(name: &str, pod: bool, given: &Given) -> Vec<PathBuf> {
    let dirs = if pod { PodName::DIRS } else { CONTAINER_DIRS };
    let in_place = dirs.iter().map(|dir| Path::new(dir).join(format!("{name}.toml")));
    in_place.chain(given.files().cloned()).collect()
}

type Files = BTreeMap<PathBuf, String>;
type Links = BTreeMap<PathBuf, PathBuf>;

/// What of a unit tree belongs to one container or pod.
fn units_of(tree: &Path, name: &str, pod: bool) -> std::io::Result<(Files, Links)> {
    let own = if pod {
        vec![format!("ct-pod@{name}.service"), format!("ct-{name}.slice")]
    } else {
        vec![format!("ct@{name}.service"), format!("ct-delay@{name}.service")]
    };
    let (mut files, mut links) = (Files::new(), Links::new());
    for unit in &own {
        let drop_in = format!("{unit}.d/{}", ct_generator::output::DROP_IN);
        match fs::read_to_string(tree.join(&drop_in)) {
            Ok(text) => drop(files.insert(Path::new(GENERATED).join(drop_in), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let link = format!("ct.target.wants/{unit}");
        if let Ok(target) = fs::read_link(tree.join(&link)) {
            links.insert(Path::new(GENERATED).join(link), target);
        }
    }
    Ok((files, links))
}
