// SPDX-License-Identifier: MIT OR Apache-2.0
//! /var/lib/ct/layers/, where each layer is a directory named after the digest of its archive, so that images share them.
//! A layer is unpacked under a name that no config can have, and gets its own when it is complete and on the disk: one
//! that is there is whole, whatever was killed before.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ct_config::validate::LAYERS;
use oci_spec::image::Digest;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, syncfs};
use rustix::io::Errno;

use crate::context::Context;
use crate::error::Error;

/// What is not complete.
const PREFIX: &str = ".import-";

/// The layers, held by one import at a time.
pub(super) struct LayerStore {
    path: PathBuf,
    directory: File,
    /// What this import added; taken away again unless it succeeds.
    added: Vec<String>,
}

/// `sha256-` and the digits.
pub(super) fn layer_name(diff_id: &Digest) -> String {
    diff_id.as_ref().replace(':', "-")
}

impl LayerStore {
    /// Makes the directory if need be, waits for an import that is under way, and clears away what a killed one left.
    pub(super) fn open(context: &Context) -> Result<Self, Error> {
        let path = context.on_disk(Path::new(LAYERS));
        let cannot = |error| Error::system(format!("cannot use {LAYERS}"), error);
        make_private(&path).map_err(cannot)?;
        let directory = File::open(&path).map_err(cannot)?;
        if flock(&directory, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            eprintln!("ctctl: waiting for another import to end");
            flock(&directory, FlockOperation::LockExclusive).map_err(|error| cannot(error.into()))?;
        }
        if directory.metadata().map_err(cannot)?.mode() & 0o007 != 0 {
            eprintln!(
                "ctctl: {LAYERS} is open to every user of this machine, who can run what is setuid in a layer (chmod 700)"
            );
        }
        let store = Self { path, directory, added: Vec::new() };
        store.remove_stale().map_err(cannot)?;
        Ok(store)
    }

    /// Whether the layer is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.path.join(name).is_dir()
    }

    /// Where the layer is, or will be.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes an empty directory to unpack a layer into.
    pub(super) fn begin(&self, name: &str) -> Result<OwnedFd, Error> {
        let path = self.unfinished(name);
        let cannot = |error| Error::system(format!("cannot make {}", path.display()), error);
        DirBuilder::new().mode(0o755).create(&path).map_err(cannot)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(cannot)?;
        Ok(File::open(&path).map_err(cannot)?.into())
    }

    /// Takes what is in that directory for the layer.
    pub(super) fn complete(&mut self, name: &str) -> Result<(), Error> {
        let cannot = |error: io::Error| Error::system(format!("cannot keep the layer {name}"), error);
        // One call for all of its files. An error of writing that the kernel put off is told here.
        syncfs(&self.directory).map_err(|error| cannot(error.into()))?;
        let (from, to) = (self.unfinished(name), self.path.join(name));
        renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE).map_err(|error| cannot(error.into()))?;
        self.added.push(name.to_owned());
        self.directory.sync_all().map_err(cannot)
    }

    /// Keeps what this import added.
    pub(super) fn keep(mut self) {
        self.added.clear();
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.path.join(format!("{PREFIX}{name}"))
    }

    fn remove_stale(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for LayerStore {
    fn drop(&mut self) {
        // As far as possible: what cannot be removed now is stale for the next import.
        for name in self.added.drain(..) {
            let (from, to) = (self.path.join(&name), self.path.join(format!("{PREFIX}{name}")));
            fs::rename(from, to).ok();
        }
        self.remove_stale().ok();
    }
}

/// Layers have programs that are setuid root and of any age: nobody else gets at them.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
