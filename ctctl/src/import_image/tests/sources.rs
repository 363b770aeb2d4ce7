// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layouts and docker's archives that lie, lead out, or have not what they say.

use std::fs;
use std::path::Path;

use oci_spec::image::{Arch, Os};
use serde_json::{Value, json};

use super::super::image::{Choice, Image};
use super::super::source::Source;
use super::archive::Archive;
use super::{Scratch, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The image there; why there is none.
fn read(path: &Path, reference: Option<&str>) -> Result<Image, String> {
    let choice = Choice { reference, os: Os::Linux, architecture: Arch::Amd64, variant: None };
    Source::open(path).and_then(|source| Image::read(&source, &choice)).map_err(|error| error.story())
}

#[track_caller]
fn refused(path: &Path, reason: &str) {
    match read(path, None) {
        Ok(_) => panic!("should be refused: {reason}"),
        Err(story) => assert!(story.contains(reason), "{story}"),
    }
}

/// A layout in the making, in the scratch directory's layer.
struct Layout(Scratch);

impl Layout {
    fn new(name: &str) -> Self {
        let layout = Self(Scratch::new(name));
        fs::create_dir_all(layout.0.layer().join("blobs/sha256")).unwrap();
        layout.write("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }));
        layout
    }

    fn write(&self, name: &str, value: &Value) {
        fs::write(self.0.layer().join(name), value.to_string()).unwrap();
    }

    fn add(&self, value: &Value, media_type: &str) -> Value {
        let text = value.to_string();
        let digest = digest(text.as_bytes());
        fs::write(self.0.layer().join("blobs/sha256").join(digest.digest()), &text).unwrap();
        json!({ "mediaType": media_type, "digest": digest.as_ref(), "size": text.len() })
    }

    fn config(&self, os: &str, layers: usize) -> Value {
        let diff_ids = vec![format!("sha256:{}", "0".repeat(64)); layers];
        let config = json!({ "architecture": "amd64", "os": os, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        self.add(&config, CONFIG)
    }

    /// With one layer, which is not there.
    fn manifest(&self, config: &Value) -> Value {
        let layer = json!({ "mediaType": LAYER, "digest": format!("sha256:{}", "1".repeat(64)), "size": 1 });
        self.add(&json!({ "schemaVersion": 2, "config": config, "layers": [layer] }), MANIFEST)
    }

    fn index(&self, manifests: &[&Value]) {
        self.write("index.json", &json!({ "schemaVersion": 2, "manifests": manifests }));
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.layer()
    }
}

#[test]
fn a_layout_with_one_image() {
    let layout = Layout::new("layout-good");
    let manifest = layout.manifest(&layout.config("linux", 1));
    layout.index(&[&manifest]);
    let image = read(&layout.path(), None).unwrap();
    assert_eq!(image.layers.len(), 1);
    let by_digest = manifest["digest"].as_str();
    assert!(read(&layout.path(), by_digest).is_ok());
    layout.index(&[]);
    refused(&layout.path(), "there is no image, or more than one without a name");
    let other = layout.manifest(&layout.add(
        &json!({ "architecture": "amd64", "os": "linux", "author": "other",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", "2".repeat(64))] } }),
        CONFIG,
    ));
    layout.index(&[&manifest, &other]);
    refused(&layout.path(), "there is no image, or more than one without a name");
}

#[test]
fn what_is_no_image_of_ours() {
    let layout = Layout::new("layout-no-image");
    let manifest = layout.manifest(&layout.config("windows", 1));
    layout.index(&[&manifest]);
    refused(&layout.path(), "the image is for windows, not for Linux");
    layout.index(&[&layout.manifest(&layout.config("linux", 2))]);
    refused(&layout.path(), "digests of 2 layers, and the image has 1");
    let empty = layout.add(&json!({}), "application/vnd.oci.empty.v1+json");
    layout.index(&[&layout.manifest(&empty)]);
    refused(&layout.path(), "no image of a container but an artifact");
    let encrypted = json!({ "mediaType": format!("{LAYER}+gzip+encrypted"), "digest": format!("sha256:{}", "1".repeat(64)), "size": 1 });
    let manifest = json!({ "schemaVersion": 2, "config": layout.config("linux", 1), "layers": [encrypted] });
    layout.index(&[&layout.add(&manifest, MANIFEST)]);
    refused(&layout.path(), "cannot be unpacked");
    layout.write("oci-layout", &json!({ "imageLayoutVersion": "2.0.0" }));
    refused(&layout.path(), "image layouts of version \"2.0.0\" are not known");
}

#[test]
fn documents_that_lie() {
    let layout = Layout::new("layout-lies");
    let config = layout.config("linux", 1);
    let manifest = layout.manifest(&config);
    let with = |key: &str, value: Value| {
        let mut other = manifest.clone();
        other[key] = value;
        other
    };
    layout.index(&[&with("size", json!(7))]);
    refused(&layout.path(), "larger than its descriptor says");
    layout.index(&[&with("size", json!(1_u64 << 40))]);
    refused(&layout.path(), "larger than 8388608 bytes");
    layout.index(&[&with("digest", json!(format!("sha256:{}", "3".repeat(64))))]);
    refused(&layout.path(), "No such file or directory");
    for bad in ["sha256:../../../outside/file", "sha256:abc", "md5", "sha256:", "../x:00"] {
        layout.index(&[&with("digest", json!(bad))]);
        refused(&layout.path(), "cannot read index.json");
    }
    // An algorithm that is not known is a name like any other to the parser.
    layout.index(&[&with("digest", json!("blake3:00"))]);
    refused(&layout.path(), "No such file");
    let both = json!({ "schemaVersion": 2, "config": config, "layers": [], "manifests": [] });
    layout.index(&[&layout.add(&both, MANIFEST)]);
    refused(&layout.path(), "neither an index nor a manifest");
    let blob = layout
        .path()
        .join("blobs/sha256")
        .join(manifest["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    let text = fs::read_to_string(&blob).unwrap();
    fs::write(&blob, text.replace("\"schemaVersion\":2", "\"schemaVersion\":3")).unwrap();
    layout.index(&[&manifest]);
    refused(&layout.path(), "does not have the digest");
    fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink(layout.0.outside().join("file"), &blob).unwrap();
    refused(&layout.path(), "cannot read sha256:");
    fs::remove_file(&blob).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &blob, 0o600.into()).unwrap();
    refused(&layout.path(), "not a regular file");
}

#[test]
fn indexes_in_indexes_end() {
    let layout = Layout::new("layout-deep");
    let mut entry = layout.manifest(&layout.config("linux", 1));
    for depth in 0..6 {
        layout.index(&[&entry]);
        match read(&layout.path(), None) {
            Ok(_) => assert!(depth <= 4, "{depth}"),
            Err(story) => assert!(depth > 4 && story.contains("too deep"), "{depth}: {story}"),
        }
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        entry = layout.add(&index, "application/vnd.oci.image.index.v1+json");
    }
}

#[test]
fn docker_archives_that_lead_out() {
    let scratch = Scratch::new("docker-out");
    let write =
        |manifest: Value| fs::write(scratch.layer().join("manifest.json"), manifest.to_string()).unwrap();
    let link = scratch.layer().join("link");
    std::os::unix::fs::symlink(scratch.outside(), &link).unwrap();
    for config in ["../outside/file", "link/file", "/etc/passwd"] {
        write(json!([{ "Config": config, "Layers": [] }]));
        refused(&scratch.layer(), &format!("cannot read {config}"));
    }
    write(
        json!([{ "Config": "c.json", "RepoTags": ["a:1", "b:1"], "Layers": [] }, { "Config": "d.json", "Layers": [] }]),
    );
    refused(&scratch.layer(), "--ref: a:1, b:1");
    let wrong = format!("{}.json", "0".repeat(64));
    fs::write(scratch.layer().join(&wrong), "{}").unwrap();
    write(json!([{ "Config": wrong, "Layers": [] }]));
    refused(&scratch.layer(), "does not have the digest");
    // In an archive, names are of the archive.
    let tar = scratch.0.join("docker.tar");
    let manifest = json!([{ "Config": "loop", "Layers": [] }]).to_string();
    let archive = || Archive::new().file("./manifest.json", &manifest);
    fs::write(&tar, archive().symlink("loop", "loop2").symlink("loop2", "./loop").finish()).unwrap();
    refused(&tar, "too many links");
    fs::write(&tar, archive().symlink("loop", "../../etc/passwd").finish()).unwrap();
    refused(&tar, "cannot read loop");
    fs::write(&tar, archive().file("../loop", "{}").finish()).unwrap();
    refused(&tar, "\"..\" in its name");
    fs::write(&tar, super::gzip(&archive().finish())).unwrap();
    refused(&tar, "not a tar archive");
    fs::write(&tar, "").unwrap();
    refused(&tar, "neither an OCI image layout");
}
