// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes boot start a container: its config, or a link in `ct.target.wants/` as `systemctl enable` makes it.
//!
//! Both count alike, for lanes and priorities too. A link to /dev/null switches a container off that a file further down
//! the load path, or its config, switches on; see systemd.unit(5) on `.wants/` directories.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use ct_config::name::{ContainerName, UnitName};

/// Where links are looked for, first one wins; and whether it comes before the links that we write.
const LOAD_PATH: [(&str, bool); 4] = [
    ("/etc/systemd/system", true),
    ("/run/systemd/system", true),
    ("/usr/local/lib/systemd/system", false),
    ("/usr/lib/systemd/system", false),
];

/// What makes boot start one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enabled {
    /// `[autostart] enabled = true`
    pub config: bool,
    link: Option<Link>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    path: PathBuf,
    is_mask: bool,
    before_ours: bool,
}

impl Enabled {
    /// Whether boot starts it.
    pub fn at_boot(&self) -> bool {
        match &self.link {
            Some(link) if link.is_mask => self.config && !link.before_ours,
            Some(_) => true,
            None => self.config,
        }
    }

    /// Why boot starts it: nothing if it does not.
    pub fn reasons(&self) -> impl Iterator<Item = String> {
        let boot = self.at_boot();
        let config = (boot && self.config).then(|| "[autostart] enabled = true".to_owned());
        let link = self.link.as_ref().filter(|link| boot && !link.is_mask);
        config.into_iter().chain(link.map(|link| format!("systemctl enable, {}", link.path.display())))
    }

    /// The link to /dev/null that keeps boot from starting it, although its config says so.
    pub fn mask(&self) -> Option<&Path> {
        let link = self.link.as_ref().filter(|_| self.config && !self.at_boot());
        link.map(|link| link.path.as_path())
    }
}

/// The links of all containers.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<String, Link>);

impl Links {
    /// Looks below `root`. What cannot be read, systemd cannot read either.
    pub fn read(root: &Path) -> Self {
        let mut links = BTreeMap::new();
        for (folder, before_ours) in LOAD_PATH {
            let folder = Path::new(folder).join("ct.target.wants");
            let Ok(entries) = fs::read_dir(root.join(folder.strip_prefix("/").unwrap_or(&folder))) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let unit = name.to_str().and_then(|name| UnitName::parse(name).ok());
                let Some(name) = unit.and_then(|unit| unit.container()) else { continue };
                if let Entry::Vacant(vacant) = links.entry(name.as_str().to_owned()) {
                    let is_mask = fs::read_link(entry.path()).is_ok_and(|to| to == Path::new("/dev/null"));
                    vacant.insert(Link { path: folder.join(entry.file_name()), is_mask, before_ours });
                }
            }
        }
        Self(links)
    }

    /// What makes boot start this container, whose config says `config`.
    pub fn of(&self, name: &ContainerName, config: bool) -> Enabled {
        Enabled { config, link: self.0.get(name.as_str()).cloned() }
    }
}
