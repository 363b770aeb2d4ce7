// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image that the tests import: three layers, made here byte by byte, as a layout and as docker's archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use ct_tests::Machine;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// How many layers it has.
pub(crate) const LAYERS: usize = 3;

/// `security.capability` of a file with cap_net_raw, and with a line break in it.
pub(crate) const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0];

const SCRIPT: &str = r#"{
echo "hidden file: $([ -e /hidden ] && echo there || echo gone)"
echo "opaque directory: $(ls /opaque)"
echo "replaced directory: $(ls /replaced)"
echo "user: $(id -u):$(id -g)"
echo "cwd: $(pwd)"
echo "variable: $VARIABLE"
echo "arguments: $*"
echo "modes: $(stat -c '%a %h %u:%g' /setuid) $(stat -c '%a %u:%g' /owned)"
} >/out/witness
trap 'exit 0' QUIT TERM
: >/out/done
sleep 1000 & wait"#;

/// Files by name: of a layout, or of docker's archive.
type Files = BTreeMap<String, Vec<u8>>;

/// Puts the image into the machine in four forms, another layout with several, and the name of the last layer's blob.
pub(crate) fn make_image(machine: &Machine) {
    let layers = [base(), changes(), attributes()];
    let packed = [gzip(&layers[0]), zstd(&layers[1]), layers[2].clone()];
    let types = ["tar+gzip", "tar+zstd", "tar"];

    let mut layout = Files::from([("oci-layout".to_owned(), b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec())]);
    let descriptors: Vec<Value> = packed
        .iter()
        .zip(types)
        .map(|(blob, kind)| add(&mut layout, blob, &format!("application/vnd.oci.image.layer.v1.{kind}")))
        .collect();
    let mut several = layout.clone();
    let manifest = add_manifest(&mut layout, &config(&layers, architecture(), "1"), &descriptors);
    layout.insert("index.json".to_owned(), index(&[named(&manifest, "v1")]));
    add_several(&mut several, &layers, &descriptors);

    install(machine, "/srv/oci", &archive(&layout, &[]));
    install(machine, "/srv/several", &archive(&several, &[]));
    install(machine, "/srv/docker", &docker_archive(&layers));
    machine.write_file("/srv/last-layer", 0o644, hex(&packed[2]));
}

/// Both the archive and what is in it.
fn install(machine: &Machine, path: &str, archive: &[u8]) {
    machine.write_file(format!("{path}.tar"), 0o644, archive);
    machine.shell(&format!("mkdir -p {path} && tar -xf {path}.tar -C {path}")).succeeds();
}

/// A root file system of busybox, hard links and all, and what later layers hide.
fn base() -> Vec<u8> {
    let busybox = Command::new("which").arg("busybox").output().unwrap().stdout;
    let busybox = std::fs::read(String::from_utf8(busybox).unwrap().trim()).unwrap();
    let mut layer = Layer::new();
    for name in ["bin/", "etc/", "dev/", "proc/", "sys/", "opaque/", "replaced/"] {
        layer.add(EntryType::Directory, name, 0o755, b"");
    }
    layer.add(EntryType::Directory, "out/", 0o1777, b"");
    layer.add(EntryType::Regular, "bin/busybox", 0o755, &busybox);
    for name in ["sh", "ls", "id", "stat", "sleep", "pwd"] {
        layer.link(EntryType::Link, &format!("bin/{name}"), "bin/busybox");
    }
    layer.add(
        EntryType::Regular,
        "etc/passwd",
        0o644,
        b"root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/false\n",
    );
    layer.add(EntryType::Regular, "etc/group", 0o644, b"root:x:0:\nwww-data:x:33:\n");
    layer.add(EntryType::Regular, "hidden", 0o644, b"");
    layer.add(EntryType::Regular, "opaque/old", 0o644, b"");
    layer.add(EntryType::Regular, "replaced/old", 0o644, b"");
    layer.finish()
}

fn changes() -> Vec<u8> {
    let mut layer = Layer::new();
    layer.add(EntryType::Regular, ".wh.hidden", 0, b"");
    layer.add(EntryType::Regular, "opaque/new", 0o644, b"");
    layer.add(EntryType::Regular, "opaque/.wh..wh..opq", 0, b"");
    layer.add(EntryType::Regular, ".wh.replaced", 0, b"");
    layer.add(EntryType::Directory, "replaced/", 0o755, b"");
    layer.add(EntryType::Regular, "replaced/only", 0o644, b"");
    layer.finish()
}

fn attributes() -> Vec<u8> {
    let mut layer = Layer::new();
    layer.add(EntryType::Directory, "srv/work/", 0o755, b"");
    layer.add(EntryType::Regular, "setuid", 0o4755, b"setuid");
    layer.link(EntryType::Link, "the-same", "setuid");
    layer.pax("SCHILY.xattr.security.capability", &CAPABILITY);
    layer.owned("owned", 0o640, 1000, 1001);
    layer.pax("SCHILY.xattr.user.name", b"value");
    layer.add(EntryType::Regular, "attribute", 0o644, &[b'x'; 5000]);
    layer.finish()
}

/// What is in an image's config.
fn config(layers: &[Vec<u8>], architecture: &str, version: &str) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {
            "User": "www-data", "WorkingDir": "/srv/work", "StopSignal": "SIGQUIT",
            "Env": ["PATH=/bin", "VARIABLE=a b", format!("VERSION={version}")],
            "Entrypoint": ["/bin/sh", "-c", SCRIPT, "sh"], "Cmd": ["from-cmd"],
            "ExposedPorts": { "80/tcp": {} }, "Volumes": null
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids }
    });
    serde_json::to_vec(&config).unwrap()
}

/// The blob, under its digest, and what describes it.
fn add(layout: &mut Files, blob: &[u8], media_type: &str) -> Value {
    layout.insert(format!("blobs/sha256/{}", hex(blob)), blob.to_vec());
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", hex(blob)), "size": blob.len() })
}

fn add_manifest(layout: &mut Files, config: &[u8], layers: &[Value]) -> Value {
    let config = add(layout, config, "application/vnd.oci.image.config.v1+json");
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
    add(layout, &serde_json::to_vec(&manifest).unwrap(), "application/vnd.oci.image.manifest.v1+json")
}

/// `v1` for two machines, with an attestation, and `v2`.
fn add_several(layout: &mut Files, layers: &[Vec<u8>], descriptors: &[Value]) {
    let mut other = add_manifest(layout, &config(layers, "riscv64", "other"), descriptors);
    other["platform"] = json!({ "architecture": "riscv64", "os": "linux" });
    let mut own = add_manifest(layout, &config(layers, architecture(), "1"), descriptors);
    own["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    let mut attestation = add(layout, b"{}", "application/vnd.oci.image.manifest.v1+json");
    attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let inner = index(&[other, own, attestation]);
    let v1 = add(layout, &inner, "application/vnd.oci.image.index.v1+json");
    let v2 = add_manifest(layout, &config(layers, architecture(), "2"), descriptors);
    layout.insert("index.json".to_owned(), index(&[named(&v1, "v1"), named(&v2, "v2")]));
}

fn index(manifests: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": manifests })).unwrap()
}

fn named(descriptor: &Value, name: &str) -> Value {
    let mut named = descriptor.clone();
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    named
}

/// As docker's archives are: layers not compressed, one of them behind a link as in old ones.
fn docker_archive(layers: &[Vec<u8>]) -> Vec<u8> {
    let config = config(layers, architecture(), "1");
    let mut names: Vec<String> = layers.iter().map(|layer| format!("{}.tar", hex(layer))).collect();
    let mut files: Files = names.iter().cloned().zip(layers.iter().cloned()).collect();
    let links = [("old/layer.tar".to_owned(), format!("../{}", names[1]))];
    names[1] = "old/layer.tar".to_owned();
    let manifest = json!([{
        "Config": format!("{}.json", hex(&config)), "RepoTags": ["shop.example/library/witness:1.0"], "Layers": names
    }]);
    files.insert(format!("{}.json", hex(&config)), config);
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    archive(&files, &links)
}

fn archive(files: &Files, links: &[(String, String)]) -> Vec<u8> {
    let mut archive = Layer::new();
    files.iter().for_each(|(name, bytes)| archive.add(EntryType::Regular, name, 0o644, bytes));
    links.iter().for_each(|(name, target)| archive.link(EntryType::Symlink, name, target));
    archive.finish()
}

/// An archive of root's files.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn add(&mut self, kind: EntryType, name: &str, mode: u32, data: &[u8]) {
        let mut header = header(kind, mode, data.len());
        self.0.append_data(&mut header, name, data).unwrap();
    }

    fn owned(&mut self, name: &str, mode: u32, uid: u64, gid: u64) {
        let mut header = header(EntryType::Regular, mode, 0);
        header.set_uid(uid);
        header.set_gid(gid);
        self.0.append_data(&mut header, name, &b""[..]).unwrap();
    }

    fn link(&mut self, kind: EntryType, name: &str, target: &str) {
        self.0.append_link(&mut header(kind, 0o777, 0), name, target).unwrap();
    }

    fn pax(&mut self, key: &str, value: &[u8]) {
        self.0.append_pax_extensions([(key, value)]).unwrap();
    }
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size as u64);
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// As Go calls this machine's.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
