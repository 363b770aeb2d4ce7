// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers that end where they must: an archive that was made to harm is large, or says so, or becomes large when it is
//! decompressed.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

use super::member::refused;

/// Headers of one entry, with its long names, extended attributes and map of holes, are refused beyond this: the tar
/// crate holds them in memory.
const MAX_HEADERS: u64 = 1 << 20;
/// What an entry takes on the disk at least; so millions of empty files are bounded, too.
const ENTRY: u64 = 4096;

/// How much an image may still become.
pub(super) struct Budget {
    left: Cell<u64>,
    max: u64,
}

impl Budget {
    pub(super) fn new(max: u64) -> Self {
        Self { left: Cell::new(max), max }
    }

    /// Takes bytes off, if there are so many.
    pub(super) fn spend(&self, bytes: u64) -> io::Result<()> {
        let left = self.left.get().checked_sub(bytes);
        let too_much = || refused(format!("the image is larger than {} bytes (--max-size)", self.max));
        self.left.set(left.ok_or_else(too_much)?);
        Ok(())
    }

    /// Takes off an entry, with the bytes of its holes.
    pub(super) fn spend_entry(&self, holes: u64) -> io::Result<()> {
        self.spend(ENTRY.saturating_add(holes))
    }
}

/// How many bytes may be read of an archive until its next entry is there.
#[derive(Clone, Default)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// From here to the next entry there are only headers.
    pub(super) fn for_headers(&self) {
        self.0.set(MAX_HEADERS);
    }

    /// A reader that keeps to it.
    pub(super) fn over<R>(&self, inner: R) -> Allowed<R> {
        Allowed { inner, allowance: self.clone() }
    }
}

/// See [`Allowance::over`].
pub(super) struct Allowed<R> {
    inner: R,
    allowance: Allowance,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.get();
        if left == 0 && !buffer.is_empty() {
            return Err(refused(format!("the headers of an entry are larger than {MAX_HEADERS} bytes")));
        }
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.inner.read(buffer.get_mut(..length).unwrap_or_default())?;
        self.allowance.0.set(left - count as u64);
        Ok(count)
    }
}

impl<R: Seek> Seek for Allowed<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// A reader that hashes what comes through, and knows what the hash must be.
pub(super) struct Verified<R> {
    inner: R,
    hasher: Hasher,
    digest: Digest,
    /// Bytes that may still come, and whether there must be as many.
    left: u64,
    exact: bool,
    too_large: bool,
}

impl<R: Read> Verified<R> {
    /// Of data that has exactly `size` bytes.
    pub(super) fn sized(inner: R, digest: &Digest, size: u64) -> io::Result<Self> {
        Ok(Self { left: size, exact: true, ..Self::new(inner, digest)? })
    }

    /// Of data of any size.
    pub(super) fn new(inner: R, digest: &Digest) -> io::Result<Self> {
        let hasher = match digest.algorithm() {
            DigestAlgorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => Hasher::Sha512(Sha512::new()),
            other => {
                return Err(refused(format!(
                    "digests of {other} cannot be verified, only sha256 and sha512"
                )));
            }
        };
        Ok(Self { inner, hasher, digest: digest.clone(), left: u64::MAX, exact: false, too_large: false })
    }

    /// Reads what is left and compares.
    pub(super) fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink())?;
        if self.exact && self.left > 0 {
            return Err(refused(format!("{} ends {} bytes too early", self.digest, self.left)));
        }
        let found = match self.hasher {
            Hasher::Sha256(hasher) => hex(&hasher.finalize()),
            Hasher::Sha512(hasher) => hex(&hasher.finalize()),
        };
        if found != self.digest.digest() {
            return Err(refused(format!("the data does not have the digest {}", self.digest)));
        }
        Ok(())
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // Also when it is asked again: a decompressor may have kept the first answer to itself.
        self.too_large |= count as u64 > self.left;
        if self.too_large {
            return Err(refused(format!("{} is larger than its descriptor says", self.digest)));
        }
        self.left -= count as u64;
        let bytes = buffer.get(..count).unwrap_or_default();
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
        Ok(count)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A reader that spends a budget.
pub(super) struct Spending<'b, R> {
    pub(super) inner: R,
    pub(super) budget: &'b Budget,
}

impl<R: Read> Read for Spending<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.budget.spend(count as u64)?;
        Ok(count)
    }
}
