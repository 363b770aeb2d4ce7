// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives made here, hostile ones too, unpacked by an ordinary user or by root: nothing is touched outside.

mod archive;
mod hostile;
mod meaning;
mod sources;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use oci_spec::image::Digest;
use sha2::{Digest as _, Sha256};

use super::bounded::Budget;
use super::unpack::{LayerData, LeftOut, unpack};
use archive::Archive;

const MEBIBYTE: u64 = 1 << 20;

/// A directory of a test's own with a layer in it, and things that no layer may touch.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ct-image-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("layer")).unwrap();
        fs::create_dir_all(path.join("outside/below")).unwrap();
        fs::write(path.join("outside/file"), "untouched").unwrap();
        Self(path)
    }

    fn layer(&self) -> PathBuf {
        self.0.join("layer")
    }

    fn outside(&self) -> PathBuf {
        self.0.join("outside")
    }

    /// Unpacks, with right digests; the reason if it was refused.
    fn unpack(&self, archive: Archive) -> Result<LeftOut, String> {
        let bytes = archive.finish();
        self.unpack_bytes(&bytes, &bytes, MEBIBYTE)
    }

    /// Unpacks `blob`, which `plain` is the archive of.
    fn unpack_bytes(&self, blob: &[u8], plain: &[u8], max_size: u64) -> Result<LeftOut, String> {
        self.unpack_data(blob, (digest(blob), blob.len() as u64), digest(plain), max_size)
    }

    fn unpack_data(
        &self,
        blob: &[u8],
        descriptor: (Digest, u64),
        diff_id: Digest,
        max_size: u64,
    ) -> Result<LeftOut, String> {
        let reader = Box::new(std::io::Cursor::new(blob.to_vec()));
        let data = LayerData { reader, blob: Some(descriptor), diff_id };
        let directory = File::open(self.layer()).unwrap().into();
        let mut left_out = LeftOut::new();
        let unpacked = unpack(data, directory, &Budget::new(max_size), &mut left_out);
        assert_eq!(fs::read_to_string(self.outside().join("file")).unwrap(), "untouched");
        assert_eq!(names(&self.outside()), ["below", "file"]);
        unpacked.map(|()| left_out).map_err(|error| error.story())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.layer().join(name)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Everything below a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            names.extend(names_below(&name, &entry.path()));
        }
        names.push(name);
    }
    names.sort();
    names
}

fn names_below(name: &str, path: &Path) -> Vec<String> {
    names(path).into_iter().map(|below| format!("{name}/{below}")).collect()
}

fn digest(bytes: &[u8]) -> Digest {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::from_str(&format!("sha256:{hex}")).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}
