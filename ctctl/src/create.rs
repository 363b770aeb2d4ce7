// SPDX-License-Identifier: MIT OR Apache-2.0
//! `create`: a new container from a root file system, layers, an OCI bundle or an image. It writes the config and tells
//! systemd.

use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::validate::LAYERS;

use crate::config_file;
use crate::container_toml::ContainerToml;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::import_image::{ImageOptions, import};
use crate::output::print;

/// Make a new container from a root file system, from layers, from an OCI bundle or from an image
///
/// Writes /etc/ct/containers/NAME.toml, which is checked first and is written whole or not at all, and has systemd read it.
/// Nothing is copied: the container uses the files where they are. Only an image is unpacked, see import-image.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CreateArguments {
    /// Name of the new container
    #[arg(value_parser = parse_name)]
    name: ContainerName,
    #[command(flatten)]
    source: Source,
    /// Which of several images is meant: its name there, or its digest
    #[arg(long = "ref", value_name = "NAME", conflicts_with_all = ["rootfs", "layer", "bundle"])]
    reference: Option<String>,
    #[command(flatten)]
    keys: KeyArguments,
    #[command(flatten)]
    placing: PlacingArguments,
}

const EXAMPLES: &str = "\
Examples:
  ctctl create web --rootfs /srv/web -- /usr/sbin/nginx -g 'daemon off;'
  ctctl create db --layer debian-12 --layer postgres --memory-max 2G --set process.user=postgres
  ctctl create old --bundle /srv/old --runtime runc --autostart
  ctctl create shop --image /srv/images/shop.tar --network host";

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Directory with its root file system
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Layer of its root file system, a directory or a name below /var/lib/ct/layers; once for each, the lowest first
    #[arg(long, value_name = "LAYER")]
    layer: Vec<String>,
    /// OCI bundle, a directory with a config.json
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Image that skopeo(1) or another tool has put on the disk, a directory or an archive
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,
}

/// Keys of the config that have options of their own.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Keys of the config")]
pub struct KeyArguments {
    /// Runtime: crun, runc, youki, runsc, lxc, a name that ct.toml gives one, or a path
    #[arg(long)]
    runtime: Option<String>,
    /// Account of this machine that runs the runtime
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
    /// What it is, in words
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Host name inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// What happens to what it writes
    #[arg(long, value_parser = ["persistent", "ephemeral", "no"])]
    writable: Option<String>,
    /// Variable of its environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Network: host, none, or ns: and the path of a namespace
    #[arg(long, value_name = "MODE")]
    network: Option<String>,
    /// Start it at boot
    #[arg(long)]
    autostart: bool,
    /// Most memory that it may use, as in 512M
    #[arg(long, value_name = "SIZE")]
    memory_max: Option<String>,
    /// Most processes and threads that it may have
    #[arg(long, value_name = "NUMBER")]
    tasks_max: Option<String>,
    /// Any key, as in resources.cpu_quota=150%; the value is a string, unless TOML has it as something else
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Command to run, in place of /sbin/init or of what the bundle or the image has
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What is done with the config.
#[derive(Debug, Args, Default)]
pub struct PlacingArguments {
    /// Replace the config of a container of this name
    #[arg(long)]
    pub force: bool,
    /// Leave it to a later daemon-reload that systemd reads it
    #[arg(long)]
    no_reload: bool,
}

/// A container's name on the command line.
pub(crate) fn parse_name(text: &str) -> Result<ContainerName, String> {
    ContainerName::parse(text).map_err(|error| error.to_string())
}

/// `ctctl create`
pub fn create(arguments: &CreateArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("create")?;
    let name = &arguments.name;
    if let Some(path) = &arguments.source.image {
        let options = ImageOptions::of(arguments.reference.clone());
        return import(path, &options, |_| Ok(name.clone()), (&arguments.keys, &arguments.placing), context);
    }
    if !arguments.placing.force {
        config_file::refuse_existing(context, name)?;
    }
    let mut toml = ContainerToml::new(&["Made by ctctl create, see ct.toml(5).".to_owned()]);
    arguments.source.write_to(&mut toml, context)?;
    arguments.keys.write_to(&mut toml)?;
    arguments.placing.place(name, toml, context)
}

impl Source {
    /// Writes `[root]`, when what it names is there.
    fn write_to(&self, toml: &mut ContainerToml, context: &Context) -> Result<(), Error> {
        if let Some(rootfs) = &self.rootfs {
            return toml.set(&["root", "path"], directory(rootfs, context)?);
        }
        if let Some(bundle) = &self.bundle {
            let bundle = directory(bundle, context)?;
            let config = context.on_disk(&Path::new(&bundle).join("config.json"));
            std::fs::metadata(&config)
                .map_err(|source| Error::system(format!("{bundle} is no OCI bundle: config.json"), source))?;
            return toml.set(&["root", "bundle"], bundle);
        }
        let layers = self.layer.iter().map(|layer| match layer.contains('/') {
            true => directory(Path::new(layer), context),
            false => directory(&Path::new(LAYERS).join(layer), context).map(|_| layer.clone()),
        });
        toml.set_list(&["root", "layers"], &layers.collect::<Result<Vec<String>, Error>>()?)
    }
}

/// The absolute path of a directory that is there.
fn directory(path: &Path, context: &Context) -> Result<String, Error> {
    let cannot = |source| Error::system(format!("cannot use {}", path.display()), source);
    let absolute = std::path::absolute(path).map_err(cannot)?;
    if !std::fs::metadata(context.on_disk(&absolute)).map_err(cannot)?.is_dir() {
        return Err(cannot(std::io::ErrorKind::NotADirectory.into()));
    }
    let not_text = |_| Error::Usage(format!("{} is not UTF-8, as a config must be", path.display()));
    absolute.into_os_string().into_string().map_err(not_text)
}

impl KeyArguments {
    /// Writes the keys that were given, over those that are there.
    pub fn write_to(&self, toml: &mut ContainerToml) -> Result<(), Error> {
        let texts: [(&[&str], &Option<String>); 7] = [
            (&["description"], &self.description),
            (&["runtime"], &self.runtime),
            (&["user"], &self.user),
            (&["hostname"], &self.hostname),
            (&["root", "writable"], &self.writable),
            (&["network", "mode"], &self.network),
            (&["resources", "memory_max"], &self.memory_max),
        ];
        for (path, value) in texts {
            if let Some(value) = value {
                toml.set(path, value.as_str())?;
            }
        }
        if let Some(tasks_max) = &self.tasks_max {
            toml.set(&["resources", "tasks_max"], tasks_max.as_str())?;
        }
        if self.autostart {
            toml.set(&["autostart", "enabled"], true)?;
        }
        if !self.command.is_empty() {
            toml.set_list(&["process", "command"], &self.command)?;
        }
        for variable in &self.env {
            let malformed = || Error::Usage(format!("--env {variable:?} is not NAME=VALUE"));
            let (name, value) = variable.split_once('=').ok_or_else(malformed)?;
            toml.set(&["process", "env", name], value)?;
        }
        self.set.iter().try_for_each(|assignment| toml.assign(assignment))
    }
}

impl PlacingArguments {
    /// Writes the config, and has systemd read it.
    pub fn place(
        &self,
        name: &ContainerName,
        toml: ContainerToml,
        context: &Context,
    ) -> Result<Status, Error> {
        let path = config_file::write_new(context, name, &toml.render(), self.force)?;
        print(&format!("{}\n", path.display()))?;
        self.reload(&path, context)?;
        Ok(Status::Done)
    }

    /// Has systemd read what was written.
    pub(crate) fn reload(&self, path: &Path, context: &Context) -> Result<(), Error> {
        // A folder that stands for / is not what systemd reads.
        if self.no_reload || context.root() != Path::new("/") {
            return Ok(());
        }
        context.systemd().and_then(|systemd| Ok(systemd.reload()?)).map_err(|error| Error::Failed {
            reason: format!(
                "{} is written, but systemd does not read it now ({}): run systemctl daemon-reload",
                path.display(),
                error.story()
            ),
            status: error.status(),
        })
    }
}
