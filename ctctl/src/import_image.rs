// SPDX-License-Identifier: MIT OR Apache-2.0
//! `import-image`: an image that skopeo(1) or another tool has put on the disk becomes layers, and a config that runs them.
//!
//! | module | what it is |
//! |---|---|
//! | `source` | the files of the image: a directory, or an archive of it |
//! | `image`, `layout` | which of the images there is meant, its config and its layers |
//! | `carried` | the image's config as keys of a container's |
//! | `layer_store` | the layers there are; each whole, or not there |
//! | `unpack` | a layer's archive, entry by entry |
//! | `tar_stream` | the entries of an archive, and the data of each |
//! | `member` | what an entry says, checked |
//! | `layer_root` | the directory that it goes to, and never out of it |
//! | `bounded` | digests verified and sizes bounded while data passes by |

mod bounded;
mod carried;
mod image;
mod layer_root;
mod layer_store;
mod layout;
mod member;
mod source;
mod tar_stream;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::validate::MAX_LAYERS;
use ct_config::value::Size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oci_spec::image::{Arch, Os};

use crate::config_file;
use crate::container_toml::ContainerToml;
use crate::context::Context;
use crate::create::{KeyArguments, PlacingArguments, parse_name};
use crate::error::Error;
use crate::exit::Status;
use crate::output::{print, safe};
use bounded::Budget;
use image::{Choice, Image};
use layer_store::{LayerStore, layer_name};
use source::Source;
use unpack::{LeftOut, unpack};

/// Unpack an image into layers, and make a container that runs it
///
/// PATH is an OCI image layout or a docker-archive, as a directory or as a tar archive: what skopeo copy writes to oci:, to
/// oci-archive: and to docker-archive:. Each layer becomes a directory in /var/lib/ct/layers, named after the digest of its
/// archive; images share those that they have in common, and one that is there is not unpacked again. All digests are
/// verified. Nothing is fetched from anywhere.
///
/// What the image's config has and a container of ct does not is said, and is a comment in the config that is written.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ImportImageArguments {
    /// Directory or archive that has the image
    path: PathBuf,
    #[command(flatten)]
    options: ImageOptions,
    /// Name of the container; what the image or its file is called, if not given
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<ContainerName>,
    /// Only unpack the layers and print their names, the lowest first
    #[arg(long, conflicts_with_all = ["name", "force"])]
    no_create: bool,
    #[command(flatten)]
    keys: KeyArguments,
    #[command(flatten)]
    placing: PlacingArguments,
}

const EXAMPLES: &str = "\
Examples:
  skopeo copy docker://REGISTRY/nginx:1.27 oci:/srv/images/nginx:1.27
  ctctl import-image /srv/images/nginx --network host
  ctctl import-image backup.tar --ref shop/db:7 --name db --user ct-db --set root.idmap=true";

/// Which image, and how it is unpacked.
#[derive(Debug, Args)]
pub struct ImageOptions {
    /// Which of several images: its name there, or its digest
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// For which system, in place of this machine's: linux/arm64, linux/arm/v7
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Refuse an image that is larger than this when unpacked
    #[arg(long, value_name = "SIZE", default_value = "32G", value_parser = parse_size)]
    max_size: u64,
    /// Show no progress, and say nothing of what was not carried over
    #[arg(short, long)]
    quiet: bool,
}

fn parse_size(text: &str) -> Result<u64, String> {
    match Size::parse(text).map_err(|error| error.to_string())? {
        Size::Finite(bytes) => Ok(bytes),
        Size::Infinity => Err("a size in bytes is needed, as 500M or 64G".to_owned()),
    }
}

/// `ctctl import-image`
pub fn import_image(arguments: &ImportImageArguments, context: &Context) -> Result<Status, Error> {
    context.only_here("import-image")?;
    let ImportImageArguments { path, options, name, keys, placing, .. } = arguments;
    if arguments.no_create {
        only_root(context)?;
        let (source, image) = options.read(path)?;
        let names = options.unpack(&source, &image, context)?;
        print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        return Ok(Status::Done);
    }
    let name_of = |image: &Image| name.clone().map_or_else(|| name_of(image, path), Ok);
    import(path, options, name_of, (keys, placing), context)
}

/// Unpacks the image and writes a config; that this can be written is known before.
pub(crate) fn import(
    path: &Path,
    options: &ImageOptions,
    name_of: impl Fn(&Image) -> Result<ContainerName, Error>,
    (keys, placing): (&KeyArguments, &PlacingArguments),
    context: &Context,
) -> Result<Status, Error> {
    only_root(context)?;
    let (source, image) = options.read(path)?;
    let name = &name_of(&image)?;
    if !placing.force {
        config_file::refuse_existing(context, name)?;
    }
    let toml_of = |layers: &[String]| {
        let mut toml = ContainerToml::new(&about(&image, path));
        toml.set_list(&["root", "layers"], layers)?;
        let left_out = carried::write_to(&mut toml, &image.configuration, &image.raw)?;
        keys.write_to(&mut toml)?;
        if !left_out.is_empty() {
            toml.remark("What the image says and this config does not have:");
            left_out.iter().for_each(|line| toml.remark(format!("  {line}")));
        }
        Ok::<_, Error>((toml, left_out))
    };
    let (toml, left_out) = toml_of(&stack(&image))?;
    config_file::check(context, name, &config_file::path_of(name), &toml.render())?;
    if !options.quiet {
        left_out.iter().for_each(|line| eprintln!("ctctl: not carried over: {}", safe(line)));
    }
    let layers = options.unpack(&source, &image, context)?;
    let (toml, _) = toml_of(&layers)?;
    placing.place(name, toml, context)
}

/// Ids, devices and trusted attributes are root's to set.
fn only_root(context: &Context) -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let reason =
        format!("only root can unpack layers into {}", context.on_disk(Path::new("/var/lib/ct")).display());
    Err(Error::Failed { reason, status: Status::NotPermitted })
}

/// Names of the layers, each once. The same layer below itself has no effect: the upper one has the last word on each of
/// its names, and on directories both say the same.
fn stack(image: &Image) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut names: Vec<String> = image
        .layers
        .iter()
        .rev()
        .map(|layer| layer_name(&layer.diff_id))
        .filter(|name| seen.insert(name.clone()))
        .collect();
    names.reverse();
    names
}

/// The comment at the top.
fn about(image: &Image, path: &Path) -> Vec<String> {
    let mut lines = vec![
        "Made by ctctl import-image, see ct.toml(5).".to_owned(),
        format!("Image: {} from {}", image.reference.as_deref().unwrap_or("without a name"), path.display()),
    ];
    lines.extend(image.id.as_ref().map(|id| format!("Config: {id}")));
    lines
}

/// `nginx` of `shop.example/library/nginx:1.27@sha256:...`, and of the file `nginx.tar` with an image `1.27`.
fn name_of(image: &Image, path: &Path) -> Result<ContainerName, Error> {
    let of_reference = image.reference.as_deref().and_then(|reference| {
        let last = reference.split('@').next()?.rsplit('/').next()?;
        // skopeo gives images of a layout a tag alone for a name: that is none of theirs.
        let (name, _) = last.split_once(':').or(reference.contains('/').then_some((last, "")))?;
        ContainerName::parse(name).ok()
    });
    let of_file = || {
        let path = std::path::absolute(path).ok()?;
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        ContainerName::parse(stem.and_then(OsStr::to_str)?).ok()
    };
    of_reference.or_else(of_file).ok_or_else(|| {
        Error::Usage(
            "neither the image nor its file is called what a container can be; use --name".to_owned(),
        )
    })
}

impl ImageOptions {
    /// All as it is by itself.
    pub(crate) fn of(reference: Option<String>) -> Self {
        Self { reference, platform: None, max_size: 32 << 30, quiet: false }
    }

    fn read(&self, path: &Path) -> Result<(Source, Image), Error> {
        let source = Source::open(path)?;
        let platform = self.platform.as_deref().unwrap_or_default();
        let mut parts = platform.splitn(3, '/').filter(|part| !part.is_empty());
        let choice = Choice {
            reference: self.reference.as_deref(),
            os: parts.next().map_or_else(Os::default, Os::from),
            architecture: parts.next().map_or_else(Arch::default, Arch::from),
            variant: parts.next(),
        };
        let image = Image::read(&source, &choice)?;
        let architecture = image.configuration.architecture();
        if *architecture != choice.architecture {
            let mismatch =
                format!("the image is for linux/{architecture}, not for linux/{}", choice.architecture);
            if self.platform.is_some() {
                return Err(Error::failed(mismatch));
            }
            eprintln!("ctctl: {}", safe(&mismatch));
        }
        let count = stack(&image).len();
        if count == 0 || count > MAX_LAYERS {
            return Err(Error::failed(format!("the image has {count} layers, not 1 to {MAX_LAYERS}")));
        }
        Ok((source, image))
    }

    /// Unpacks the layers that are not there; what a config has to list of them.
    fn unpack(&self, source: &Source, image: &Image, context: &Context) -> Result<Vec<String>, Error> {
        let mut store = LayerStore::open(context)?;
        let mut names = stack(image);
        let mut missing = Vec::new();
        for name in names.iter().filter(|name| !store.has(name)) {
            let layer = image.layers.iter().find(|layer| layer_name(&layer.diff_id) == *name);
            missing.extend(
                layer.map(|layer| layer.open(source)).transpose()?.map(|(data, size)| (name, data, size)),
            );
        }
        let bar = self.progress_bar(missing.iter().map(|(_, _, size)| size).sum());
        let budget = Budget::new(self.max_size);
        let mut left_out = LeftOut::new();
        for (name, mut data, _) in missing {
            data.reader = Box::new(bar.wrap_read(data.reader)) as Box<dyn Read>;
            unpack(data, store.begin(name)?, &budget, &mut left_out)?;
            store.complete(name)?;
        }
        bar.finish_and_clear();
        if !self.quiet {
            left_out.iter().for_each(|(what, times)| {
                eprintln!("ctctl: not carried over: {} ({times} times)", safe(what))
            });
        }
        let top = names.iter().rposition(|name| layer_root::hides_all_below(&store.path_of(name)));
        names.drain(..top.unwrap_or(0));
        store.keep();
        Ok(names)
    }

    fn progress_bar(&self, bytes: u64) -> ProgressBar {
        // indicatif itself shows nothing where stderr is no terminal.
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("unpacking [{wide_bar}] {bytes}/{total_bytes} {eta}");
        let style = style.expect("the template is well-formed").progress_chars("=> ");
        ProgressBar::with_draw_target(Some(bytes), target).with_style(style)
    }
}
