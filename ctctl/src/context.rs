// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every verb needs: the configs, as they are on disk, and systemd. Each is read, or connected to, when it is first
//! asked for: `check` needs no systemd, and `-H` no configs.

use std::cell::OnceCell;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use ct_config::sources::Tree;
use ct_dbus::{Systemd, Target};

use crate::cli::Options;
use crate::error::Error;

/// One run of ctctl.
#[derive(Debug)]
pub struct Context {
    root: PathBuf,
    host: Option<String>,
    tree: OnceCell<Tree>,
    systemd: OnceCell<Systemd>,
}

impl Context {
    /// Reads and connects to nothing yet.
    pub fn new(options: &Options) -> Self {
        Self {
            root: options.root.clone(),
            host: options.host.clone(),
            tree: OnceCell::new(),
            systemd: OnceCell::new(),
        }
    }

    /// The folder that stands for `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of this machine is on the disk: below the folder that stands for `/`.
    pub fn on_disk(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The other machine, if one is meant: its configs are not ours to read.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// For verbs that need more of the machine than its systemd.
    pub fn only_here(&self, verb: &str) -> Result<(), Error> {
        let Some(host) = &self.host else { return Ok(()) };
        Err(Error::Usage(format!("{verb} does not work with --host (try: ssh {host} ctctl {verb} ...)")))
    }

    /// The container configs of this machine, by name.
    pub fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| Tree::scan(&self.root))
    }

    /// The machine's systemd.
    pub fn systemd(&self) -> Result<&Systemd, Error> {
        if let Some(systemd) = self.systemd.get() {
            return Ok(systemd);
        }
        let systemd = connect(self.host())?;
        Ok(self.systemd.get_or_init(|| systemd))
    }
}

/// A connection to the systemd of this machine, or of that host. Where somebody sits before it, polkit may ask.
pub fn connect(host: Option<&str>) -> Result<Systemd, Error> {
    let target = host.map_or(Target::Local, |host| Target::Remote(host.to_owned()));
    let mut systemd = Systemd::connect(&target)?;
    if std::io::stdin().is_terminal() {
        systemd.allow_questions();
    }
    Ok(systemd)
}
