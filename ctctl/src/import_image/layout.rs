// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way from an image layout's index.json to one manifest: by name, by platform, and through indexes in indexes.

use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, OciLayout};
use serde_json::Value;

use super::image::{Choice, Image, MAX_DOCUMENT, read_blob};
use super::source::Source;
use crate::error::Error;

/// How deep indexes may lie in each other, and how many documents may be read on the way.
const MAX_DEPTH: usize = 4;
const MAX_DOCUMENTS: usize = 100;

/// What names a manifest in an index: skopeo's word for it, and containerd's.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
/// What says that a manifest is about another and no image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// A manifest that may be meant.
struct Candidate {
    reference: Option<String>,
    /// As the innermost index that names it says.
    descriptor: Descriptor,
    manifest: ImageManifest,
}

pub(super) fn read(source: &Source, choice: &Choice<'_>) -> Result<Image, Error> {
    let document = |name: &str| {
        source.read(name, MAX_DOCUMENT).map_err(|error| Error::system(format!("cannot read {name}"), error))
    };
    let malformed =
        |name: &str, error: serde_json::Error| Error::system(format!("cannot read {name}"), error);
    let layout: OciLayout =
        serde_json::from_slice(&document("oci-layout")?).map_err(|error| malformed("oci-layout", error))?;
    if !layout.image_layout_version().starts_with("1.") {
        let version = layout.image_layout_version();
        return Err(Error::failed(format!("image layouts of version {version:?} are not known, only 1.x")));
    }
    let index: ImageIndex =
        serde_json::from_slice(&document("index.json")?).map_err(|error| malformed("index.json", error))?;

    let references: Vec<String> = index.manifests().iter().filter_map(reference).collect();
    let meant = index.manifests().iter().filter(|entry| {
        let names = || NAMES.iter().filter_map(|name| annotation(entry, name));
        choice
            .reference
            .is_none_or(|wanted| names().any(|name| name == wanted) || entry.digest().as_ref() == wanted)
    });
    let mut reader = Reader { source, documents: 0, found: Vec::new() };
    for entry in meant.filter(|entry| is_image(entry)) {
        reader.follow(entry, reference(entry), choice, 0)?;
    }
    let mut found = reader.found;
    // The same image may have several names.
    found.dedup_by(|a, b| a.descriptor.digest() == b.descriptor.digest());
    let platforms = found.len();
    found.retain(|candidate| suits(&candidate.descriptor, choice));
    let one = found.len() == 1;
    match found.pop() {
        Some(Candidate { reference, manifest, .. }) if one => {
            Image::of_manifest(source, &manifest, reference)
        }
        None if platforms > 0 => {
            let Choice { os, architecture, .. } = choice;
            Err(Error::failed(format!(
                "the image is not there for {os}/{architecture}, but for {platforms} others"
            )))
        }
        _ => Err(choice.not_one(&references)),
    }
}

/// Reads indexes and manifests, not without end.
struct Reader<'s> {
    source: &'s Source,
    documents: usize,
    found: Vec<Candidate>,
}

impl Reader<'_> {
    fn follow(
        &mut self,
        descriptor: &Descriptor,
        reference: Option<String>,
        choice: &Choice<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        self.documents += 1;
        if depth > MAX_DEPTH || self.documents > MAX_DOCUMENTS {
            return Err(Error::failed(
                "the image's indexes have too many manifests, or lie too deep in each other",
            ));
        }
        let bytes = read_blob(self.source, descriptor)?;
        let malformed =
            |error: serde_json::Error| Error::system(format!("cannot read {}", descriptor.digest()), error);
        let value: Value = serde_json::from_slice(&bytes).map_err(malformed)?;
        match (value.get("manifests").is_some(), value.get("layers").is_some()) {
            (true, false) => {
                let index: ImageIndex = serde_json::from_value(value).map_err(malformed)?;
                for entry in index.manifests().iter().filter(|entry| is_image(entry) && suits(entry, choice))
                {
                    self.follow(entry, reference.clone(), choice, depth + 1)?;
                }
                Ok(())
            }
            (false, true) => {
                let manifest = serde_json::from_value(value).map_err(malformed)?;
                self.found.push(Candidate { reference, descriptor: descriptor.clone(), manifest });
                Ok(())
            }
            // What is both could be read as one by whoever checked it, and as the other by us.
            _ => Err(Error::failed(format!("{} is neither an index nor a manifest", descriptor.digest()))),
        }
    }
}

fn annotation<'d>(descriptor: &'d Descriptor, name: &str) -> Option<&'d str> {
    descriptor.annotations().as_ref()?.get(name).map(String::as_str)
}

fn reference(descriptor: &Descriptor) -> Option<String> {
    NAMES.iter().rev().find_map(|name| annotation(descriptor, name)).map(str::to_owned)
}

/// Whether it is not about another: attestations and signatures lie beside images.
fn is_image(descriptor: &Descriptor) -> bool {
    annotation(descriptor, REFERENCE_TYPE).is_none() && descriptor.artifact_type().is_none()
}

/// Whether what the index says of it does not speak against this platform.
fn suits(descriptor: &Descriptor, choice: &Choice<'_>) -> bool {
    let Some(platform) = descriptor.platform() else { return true };
    let variant = match (choice.variant, platform.variant().as_deref()) {
        (Some(wanted), Some(variant)) => wanted == variant,
        // An index without variants has one image for all.
        (Some(_), None) => true,
        (None, variant) => {
            choice.architecture != Arch::ARM64 || variant.is_none_or(|variant| variant == "v8")
        }
    };
    *platform.os() == choice.os && *platform.architecture() == choice.architecture && variant
}
