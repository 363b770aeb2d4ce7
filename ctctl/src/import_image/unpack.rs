// SPDX-License-Identifier: MIT OR Apache-2.0
//! A layer's archive into a directory: entry by entry, each checked by [`super::member`] and made by [`super::layer_root`].
//! Both digests are verified while the data passes by; until then nobody takes the directory for a layer.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;

use flate2::bufread::MultiGzDecoder;
use oci_spec::image::Digest;
use rustix::fs::FileType;

use super::bounded::{Budget, Spending, Verified};
use super::layer_root::{LayerRoot, Sparse};
use super::member::{Kind, Member};
use super::tar_stream::{Entry, TarStream};
use crate::error::Error;
use crate::output::safe_bytes;

/// What was not carried over, and how often.
pub(super) type LeftOut = BTreeMap<String, u64>;

/// What a layer is read from.
pub(super) struct LayerData {
    /// As it lies in the image, perhaps compressed.
    pub(super) reader: Box<dyn Read>,
    /// Digest and size of that, where the image has them.
    pub(super) blob: Option<(Digest, u64)>,
    /// Digest of the archive.
    pub(super) diff_id: Digest,
}

/// Fills the directory.
pub(super) fn unpack(
    data: LayerData,
    directory: OwnedFd,
    budget: &Budget,
    left_out: &mut LeftOut,
) -> Result<(), Error> {
    let LayerData { reader, blob, diff_id } = data;
    let cannot = |error| Error::system(format!("cannot unpack the layer {diff_id}"), error);
    let Some((digest, size)) = blob else {
        return unpack_archive(reader, &diff_id, LayerRoot::new(directory), budget, left_out);
    };
    let mut verified = Verified::sized(reader, &digest, size).map_err(cannot)?;
    let unpacked = unpack_archive(&mut verified, &diff_id, LayerRoot::new(directory), budget, left_out);
    match &unpacked {
        // Damage shows in many ways; what is to be told then is that it is damage.
        Err(error) if error.is_of_data() => verified.finish().map_err(cannot)?,
        Err(_) => {}
        Ok(()) => verified.finish().map_err(cannot)?,
    }
    unpacked
}

fn unpack_archive(
    compressed: impl Read,
    diff_id: &Digest,
    root: LayerRoot,
    budget: &Budget,
    left_out: &mut LeftOut,
) -> Result<(), Error> {
    let cannot = |error| Error::system(format!("cannot unpack the layer {diff_id}"), error);
    let plain = decompressed(compressed).map_err(cannot)?;
    let mut verified = Verified::new(Spending { inner: plain, budget }, diff_id).map_err(cannot)?;
    let unpacked = unpack_entries(&mut verified, diff_id, root, budget, left_out);
    match &unpacked {
        Err(error) if error.is_of_data() => verified.finish().map_err(cannot)?,
        Err(_) => {}
        Ok(()) => verified.finish().map_err(cannot)?,
    }
    unpacked
}

/// By its first bytes: media types are not always right, and docker's archives have none.
fn decompressed<'r>(reader: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let beginning = io::BufRead::fill_buf(&mut reader)?;
    Ok(match beginning {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(reader)),
        // A frame, or one to be skipped, as zstd:chunked begins with.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(reader)?)
        }
        _ => Box::new(reader),
    })
}

fn unpack_entries(
    plain: impl Read,
    diff_id: &Digest,
    mut root: LayerRoot,
    budget: &Budget,
    left_out: &mut LeftOut,
) -> Result<(), Error> {
    let cannot = |error| Error::system(format!("cannot unpack the layer {diff_id}"), error);
    let mut archive = TarStream::new(plain);
    while let Some(entry) = archive.next().map_err(cannot)? {
        let name = safe_bytes(&entry.path);
        unpack_entry(&entry, &mut archive, &mut root, budget, left_out).map_err(|error| {
            Error::system(format!("cannot unpack \"{name}\" of the layer {diff_id}"), error)
        })?;
    }
    root.finish().map_err(cannot)
}

fn unpack_entry(
    entry: &Entry,
    data: &mut dyn Read,
    root: &mut LayerRoot,
    budget: &Budget,
    left_out: &mut LeftOut,
) -> io::Result<()> {
    let member = Member::parse(entry)?;
    let Member { path, owner, mtime, .. } = &member;
    // The holes of a sparse file are not in the archive.
    budget.spend_entry(if entry.pieces.is_some() { entry.size } else { 0 })?;
    match &member.kind {
        Kind::Directory => root.directory(path, *owner, *mtime)?,
        Kind::File => {
            let sparse = entry.pieces.as_deref().map(|pieces| Sparse { pieces, size: entry.size });
            root.file(path, *owner, data, sparse)?;
        }
        Kind::HardLink(target) => return root.hard_link(path, target),
        Kind::Symlink(target) => root.symlink(path, *owner, target)?,
        Kind::Fifo => root.node(path, *owner, FileType::Fifo, 0)?,
        Kind::CharacterDevice(device) => root.node(path, *owner, FileType::CharacterDevice, *device)?,
        Kind::BlockDevice(device) => root.node(path, *owner, FileType::BlockDevice, *device)?,
        Kind::Whiteout => return root.whiteout(path),
        Kind::Opaque => return root.opaque(path),
        Kind::Nothing => return Ok(()),
    }
    for name in &member.left_out {
        *left_out.entry(format!("extended attribute {name}")).or_default() += 1;
    }
    for (name, value) in &member.xattrs {
        match root.xattr(path, name, value) {
            // Only files and directories have them, and not on every file system. Capabilities are what a program needs.
            Err(error) if cannot_have(&error) && name != "security.capability" => {
                *left_out.entry(format!("extended attribute {name}, which cannot be set")).or_default() += 1;
            }
            other => other?,
        }
    }
    if matches!(member.kind, Kind::Directory) {
        return Ok(());
    }
    root.mtime(path, *mtime)
}

fn cannot_have(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}
