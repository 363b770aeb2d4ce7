// SPDX-License-Identifier: MIT OR Apache-2.0
//! The container's config, read again at each start, and compared with what the generator saw.

use std::path::Path;

use ct_config::container::Container;
use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::sources::{CONTAINER_DIRS, Tree};

use crate::exit::{Error, Step};
use crate::journal::Journal;
use crate::message::Message;

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
    match std::env::var(DIGEST_VARIABLE) {
        // Without the generated settings the container would run without its limits.
        Err(_not_set) => Err(Error::NotLoaded(format!(
            "{} is not loaded; run `systemctl daemon-reload` and start again",
            container.files.first().map(|file| file.display().to_string()).unwrap_or_default()
        ))),
        Ok(digest) => {
            if digest != container.digest.0 {
                journal.warning(
                    Step::Config,
                    Message::ConfigChanged,
                    "the config changed since the last `systemctl daemon-reload`; the unit's settings are the old ones",
                );
            }
            Ok(container)
        }
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
