// SPDX-License-Identifier: MIT OR Apache-2.0
//! The config of a container or pod, read again at each start, and compared with what the generator saw.

use std::path::{Path, PathBuf};

use ct_config::container::{Container, Digest};
use ct_config::host::Host;
use ct_config::name::{ContainerName, PodName};
use ct_config::pod::{Pod, Pods};
use ct_config::run::Request;
use ct_config::settings::Property;
use ct_config::sources::{CONTAINER_DIRS, Tree};

use crate::exit::{Error, Step};
use crate::journal::Journal;
use crate::message::Message;
use crate::systemd::{self, TooNew};

/// The variable in which the generator leaves the digest of the config that the unit's settings came from.
const DIGEST_VARIABLE: &str = "CT_CONFIG_DIGEST";

/// Reads and validates the config of `name`.
pub(crate) fn config(name: &str, journal: Journal) -> Result<Container, Error> {
    let name = ContainerName::parse(name).map_err(|e| Error::ConfigText(e.to_string()))?;
    let root = Path::new("/");
    let tree = Tree::only(root, &name);
    if !tree.contains(&name) {
        return Err(unknown(&name));
    }
    let (host, problems) = Host::load(root);
    for problem in problems {
        journal.warning(Step::Config, Message::HostSettingIgnored, &format!("{problem}, ignoring"));
    }
    ct_config::load(&tree, &host, &name).map_err(|broken| Error::Config(broken.problems))
}

/// The same for a start: also compared with what the unit's settings were made of.
pub(crate) fn container(name: &str, journal: Journal) -> Result<Container, Error> {
    let container = config(name, journal)?;
    can_join(&container)?;
    warn_of_too_new(&container.resources, Message::SettingTooNew, journal);
    if loaded(&container.files, &container.digest)? == Loaded::Older {
        journal.warning(Step::Config, Message::ConfigChanged, CHANGED);
    }
    Ok(container)
}

/// The config of `name` with another command.
pub(crate) fn run(name: &str, request: &Request, journal: Journal) -> Result<Container, Error> {
    let container = config(name, journal)?;
    can_join(&container)?;
    if container.digest.0 != request.digest {
        return Err(Error::NotLoaded(format!("the config of {name} was changed meanwhile; run it again")));
    }
    warn_of_too_new(&container.resources, Message::SettingTooNew, journal);
    ct_config::run::container(container, request).map_err(Error::Usage)
}

/// PID 1 has ignored them; what they were to limit is not limited.
fn warn_of_too_new(resources: &[Property], message: Message, journal: Journal) {
    for TooNew { row, running } in systemd::too_new(resources) {
        let line = format!(
            "resources.{} has no effect: systemd knows it from {} on, and this is {running}",
            row.key, row.since
        );
        journal.warning(Step::Config, message, &line);
    }
}

/// Whether a container and its pod, if it has one, agree.
fn can_join(container: &Container) -> Result<(), Error> {
    let Some(membership) = &container.membership else { return Ok(()) };
    let mut pods = Pods::only(Path::new("/"), &membership.pod);
    if pods.find(&membership.pod).is_none() {
        // Which other one may have been meant.
        pods = Pods::scan(Path::new("/"));
    }
    pods.join(container).map(|_pod| ()).map_err(Error::Config)
}

/// Reads and validates the config of the pod `name`.
pub(crate) fn pod(name: &str, journal: Journal) -> Result<Pod, Error> {
    let name = PodName::parse(name).map_err(|e| Error::ConfigText(e.to_string()))?;
    let pods = Pods::only(Path::new("/"), &name);
    match pods.find(&name) {
        Some(Ok(pod)) => {
            warn_of_too_new(&pod.resources, Message::PodSettingTooNew, journal);
            if loaded(&pod.files, &pod.digest)? == Loaded::Older {
                journal.warning(Step::Config, Message::PodConfigChanged, CHANGED);
            }
            Ok(pod.clone())
        }
        Some(Err(broken)) => Err(Error::Config(broken.problems.clone())),
        None => {
            let (reason, hint) = Pods::scan(Path::new("/")).unknown(&name);
            let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            Err(Error::ConfigText(format!("{reason}{hint}")))
        }
    }
}

/// Which settings PID 1 has of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    /// Those that the generator made of it as it is.
    Same,
    /// Those of an older one.
    Older,
}

const CHANGED: &str =
    "the config changed since the last `systemctl daemon-reload`; the unit's settings are the old ones";

fn loaded(files: &[PathBuf], digest: &Digest) -> Result<Loaded, Error> {
    match std::env::var(DIGEST_VARIABLE) {
        // Without the generated settings the container would run without its limits.
        Err(_not_set) => Err(Error::NotLoaded(format!(
            "{} is not loaded; run `systemctl daemon-reload` and start again",
            files.first().map(|file| file.display().to_string()).unwrap_or_default()
        ))),
        Ok(of_unit) => Ok(if of_unit == digest.0 { Loaded::Same } else { Loaded::Older }),
    }
}

/// `systemctl start ct@typo`
fn unknown(name: &ContainerName) -> Error {
    for directory in CONTAINER_DIRS {
        let path = Path::new(directory).join(format!("{name}.toml"));
        if std::fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null")) {
            return Error::Masked(format!(
                "the container {name} is masked: {} is a link to /dev/null",
                path.display()
            ));
        }
    }
    let tree = Tree::scan(Path::new("/"));
    let near = ct_config::suggest(name.as_str(), tree.names().map(ContainerName::as_str));
    let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
    Error::Unknown(format!("no container is called {name}: there is no /etc/ct/containers/{name}.toml{hint}"))
}

/// `ct-helper broken NAME [REASON...]`: what the unit of a config runs that the generator could not use.
pub(crate) fn broken(name: &str, reasons: &[String], journal: Journal) -> Error {
    if !reasons.is_empty() {
        return Error::Unstartable(reasons.join("\n"));
    }
    match container(name, journal) {
        Err(error) => error,
        Ok(_) => Error::NotLoaded(
            "the config was broken at the last `systemctl daemon-reload` and is right now; reload and start again"
                .to_owned(),
        ),
    }
}
