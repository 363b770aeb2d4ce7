// SPDX-License-Identifier: MIT OR Apache-2.0
//! One image of a source: its config, and the layers with the digests that they must have. See the image-spec's
//! image-layout.md, image-index.md and manifest.md, and `docker image save` for the other format.

use std::io;
use std::str::FromStr as _;

use oci_spec::image::{Arch, Descriptor, Digest, ImageConfiguration, ImageManifest, MediaType, Os};
use serde::Deserialize;
use serde_json::Value;

use super::bounded::Verified;
use super::layout;
use super::member::refused;
use super::source::Source;
use super::unpack::LayerData;
use crate::error::Error;

/// Manifests, indexes and configs are refused beyond this.
pub(super) const MAX_DOCUMENT: u64 = 8 << 20;

/// An image, none of whose layers was looked at yet.
pub(crate) struct Image {
    /// What it is called in the source.
    pub(super) reference: Option<String>,
    /// The digest of its config, which is the digest of all of it.
    pub(super) id: Option<Digest>,
    pub(super) configuration: ImageConfiguration,
    /// The same as it is written, for what the type above does not know.
    pub(super) raw: Value,
    /// Lowest first.
    pub(super) layers: Vec<LayerFile>,
}

/// A layer in the source.
pub(super) struct LayerFile {
    name: String,
    /// Digest and size as it lies there.
    blob: Option<(Digest, u64)>,
    /// Digest of the archive in it.
    pub(super) diff_id: Digest,
}

impl LayerFile {
    /// Opens it; its size as it lies there.
    pub(super) fn open(&self, source: &Source) -> Result<(LayerData, u64), Error> {
        let opened = source.blob(&self.name);
        let blob =
            opened.map_err(|error| Error::system(format!("cannot read the layer {}", self.name), error))?;
        let data = LayerData { reader: blob.reader, blob: self.blob.clone(), diff_id: self.diff_id.clone() };
        Ok((data, blob.size))
    }
}

/// What is asked of a source that has several images.
pub(super) struct Choice<'a> {
    pub(super) reference: Option<&'a str>,
    pub(super) os: Os,
    pub(super) architecture: Arch,
    pub(super) variant: Option<&'a str>,
}

impl Image {
    pub(super) fn read(source: &Source, choice: &Choice<'_>) -> Result<Self, Error> {
        let image = if source.has("oci-layout") || source.has("index.json") {
            layout::read(source, choice)?
        } else if source.has("manifest.json") {
            read_docker_archive(source, choice)?
        } else {
            return Err(unknown_format("as it has neither oci-layout nor manifest.json"));
        };
        image.check()
    }

    /// Of the manifest of an OCI image.
    pub(super) fn of_manifest(
        source: &Source,
        manifest: &ImageManifest,
        reference: Option<String>,
    ) -> Result<Self, Error> {
        let config = manifest.config();
        if !is_config(config.media_type()) || manifest.artifact_type().is_some() {
            return Err(Error::failed(format!(
                "this is no image of a container but an artifact of type {:?}",
                manifest.artifact_type().as_ref().unwrap_or(config.media_type()).to_string()
            )));
        }
        let bytes = read_blob(source, config)?;
        let layers = manifest.layers().iter().map(|layer| {
            let media_type = layer.media_type().to_string();
            if !media_type.contains("tar") || media_type.contains("encrypted") {
                return Err(Error::failed(format!("a layer of type {media_type:?} cannot be unpacked")));
            }
            Ok((blob_name(layer.digest()), Some((layer.digest().clone(), layer.size()))))
        });
        let layers = layers.collect::<Result<Vec<_>, Error>>()?;
        Self::new(reference, Some(config.digest().clone()), &bytes, layers)
    }

    fn new(
        reference: Option<String>,
        id: Option<Digest>,
        config: &[u8],
        layers: Vec<(String, Option<(Digest, u64)>)>,
    ) -> Result<Self, Error> {
        let no_config = |error: serde_json::Error| Error::system("cannot read the image's config", error);
        let raw: Value = serde_json::from_slice(config).map_err(no_config)?;
        let configuration = ImageConfiguration::deserialize(&raw).map_err(no_config)?;
        let diff_ids = configuration.rootfs().diff_ids();
        if diff_ids.len() != layers.len() {
            return Err(Error::failed(format!(
                "the image's config has the digests of {} layers, and the image has {}",
                diff_ids.len(),
                layers.len()
            )));
        }
        let layers = diff_ids.iter().zip(layers).map(|(diff_id, (name, blob))| {
            let diff_id = Digest::from_str(diff_id)
                .map_err(|error| Error::failed(format!("{diff_id:?} is no digest: {error}")))?;
            Ok(LayerFile { name, blob, diff_id })
        });
        let layers = layers.collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { reference, id, configuration, raw, layers })
    }

    fn check(self) -> Result<Self, Error> {
        if *self.configuration.os() != Os::Linux {
            return Err(Error::failed(format!(
                "the image is for {}, not for Linux",
                self.configuration.os()
            )));
        }
        Ok(self)
    }
}

fn unknown_format(why: &str) -> Error {
    Error::failed(format!(
        "this is neither an OCI image layout nor a docker-archive, {why}; skopeo(1) makes one: skopeo copy SOURCE oci:DIR"
    ))
}

fn is_config(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageConfig)
        || media_type.to_string() == "application/vnd.docker.container.image.v1+json"
}

/// Where an image layout has a blob. What a digest is made of has been checked where it was parsed.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

/// Reads a document, whose digest and size must be the descriptor's.
pub(super) fn read_blob(source: &Source, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let read = || -> io::Result<Vec<u8>> {
        if descriptor.size() > MAX_DOCUMENT {
            return Err(refused(format!("larger than {MAX_DOCUMENT} bytes")));
        }
        let blob = source.blob(&blob_name(descriptor.digest()))?;
        let mut verified = Verified::sized(blob.reader, descriptor.digest(), descriptor.size())?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut verified, &mut bytes)?;
        verified.finish()?;
        Ok(bytes)
    };
    read().map_err(|error| Error::system(format!("cannot read {}", descriptor.digest()), error))
}

/// One image of a manifest.json.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The layers have no digests but those in the config, and the config has none but its name.
fn read_docker_archive(source: &Source, choice: &Choice<'_>) -> Result<Image, Error> {
    let cannot = |what: &str, error: io::Error| Error::system(format!("cannot read {what}"), error);
    let manifest =
        source.read("manifest.json", MAX_DOCUMENT).map_err(|error| cannot("manifest.json", error))?;
    let mut images: Vec<DockerImage> = match serde_json::from_slice(&manifest) {
        Ok(Value::Object(_)) => return Err(unknown_format("but one manifest alone, as skopeo's dir: has")),
        Ok(list) => serde_json::from_value(list),
        Err(error) => Err(error),
    }
    .map_err(|error| cannot("manifest.json", error.into()))?;
    let tags: Vec<String> =
        images.iter().flat_map(|image| image.repo_tags.clone().unwrap_or_default()).collect();
    if let Some(wanted) = choice.reference {
        images.retain(|image| image.repo_tags.iter().flatten().any(|tag| tag == wanted));
    }
    let one = images.len() == 1;
    let Some(image) = images.pop().filter(|_| one) else { return Err(choice.not_one(&tags)) };
    let bytes = source.read(&image.config, MAX_DOCUMENT).map_err(|error| cannot(&image.config, error))?;
    let stem = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    let id = Digest::from_str(&format!("sha256:{stem}")).ok();
    if let Some(id) = &id {
        Verified::new(bytes.as_slice(), id)
            .and_then(Verified::finish)
            .map_err(|error| cannot(&image.config, error))?;
    }
    let reference = choice
        .reference
        .map(str::to_owned)
        .or_else(|| image.repo_tags.and_then(|tags| tags.into_iter().next()));
    let layers = image.layers.into_iter().map(|name| (name, None)).collect();
    Image::new(reference, id, &bytes, layers)
}

impl Choice<'_> {
    /// There is none of what was asked for, or more than one.
    pub(super) fn not_one(&self, references: &[String]) -> Error {
        let list = match references {
            [] => "images without names".to_owned(),
            references => references.join(", "),
        };
        match self.reference {
            Some(wanted) => Error::failed(format!("there is no image {wanted:?}, but {list}")),
            None if references.is_empty() => {
                Error::failed("there is no image, or more than one without a name")
            }
            None => Error::failed(format!("which image is meant is to be said with --ref: {list}")),
        }
    }
}
