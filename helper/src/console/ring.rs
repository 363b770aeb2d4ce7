// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last mebibyte that a container printed, in memory that outlives this process: a memfd that PID 1 holds, too.
//!
//! Nothing is lost and nothing comes twice, wherever a SIGKILL falls. Bytes never pass through this process: splice(2) moves
//! them from the source into a pipe, and from the pipe into the memory, and both are kept by PID 1. What the pipe holds, the
//! kernel counts (FIONREAD). Only one number says how much is there, and one write makes it true.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::ioctl_fionread;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use super::life::Life;

/// How much is kept, in bytes.
pub(super) const CAPACITY: u64 = 1 << 20;

/// The most that is moved at once, in bytes; less than a pipe holds.
pub(super) const MOST: usize = 16 * 1024;

/// Where the bytes begin in the memory; before them are the numbers below, and who it is.
const HEADER: u64 = 4096;
/// The layout. Another one has another word here.
const MAGIC: u64 = u64::from_le_bytes(*b"ctring01");

// Places of numbers, eight bytes each.
const MAGIC_AT: u64 = 0;
/// How many bytes there were, from the first of the container on.
const WRITTEN_AT: u64 = 8;
/// The same, with those that are on their way from the pipe.
const TARGET_AT: u64 = 16;
/// How many of them are in the journal.
const LOGGED_AT: u64 = 24;
/// How many lines are not, and will not be; behind the one before.
const LOST_AT: u64 = 32;
/// How long what is said of the container is, and the text.
const LIFE_LENGTH_AT: u64 = 40;
const LIFE_AT: u64 = 48;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Ring {
    memory: File,
    /// The pipe: where bytes come from, and where they go in.
    out: OwnedFd,
    into: OwnedFd,
    life: Life,
    written: u64,
}

/// What came of an attempt to move bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// So many.
    Bytes(usize),
    /// There are none now.
    Nothing,
    /// The other side of the source is closed.
    Closed,
}

impl Ring {
    /// An empty one.
    pub(super) fn new(life: Life) -> io::Result<Self> {
        let memory = File::from(memfd_create("ct-console", MemfdFlags::CLOEXEC)?);
        memory.set_len(HEADER + CAPACITY)?;
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let ring = Self { memory, out, into, life, written: 0 };
        ring.begin()?;
        Ok(ring)
    }

    /// One that was left behind, as it was; `None` if it is of another version.
    pub(super) fn reopen(memory: &OwnedFd, out: &OwnedFd, into: &OwnedFd) -> io::Result<Option<Self>> {
        let memory = File::from(memory.try_clone()?);
        if memory.metadata()?.len() != HEADER + CAPACITY || load(&memory, MAGIC_AT)? != MAGIC {
            return Ok(None);
        }
        let Some(life) = life_in(&memory)? else { return Ok(None) };
        let written = load(&memory, WRITTEN_AT)?;
        let (out, into) = (out.try_clone()?, into.try_clone()?);
        let mut ring = Self { memory, out, into, life, written };
        ring.empty_pipe()?;
        Ok(Some(ring))
    }

    /// An empty one in place of one of another version, or of a broken one, in the same memory: PID 1 holds that already.
    /// What is on its way in the pipe comes first.
    pub(super) fn renew(memory: OwnedFd, out: OwnedFd, into: OwnedFd, life: Life) -> io::Result<Self> {
        let memory = File::from(memory);
        memory.write_all_at(&0_u64.to_ne_bytes(), MAGIC_AT)?;
        memory.set_len(HEADER)?;
        memory.set_len(HEADER + CAPACITY)?;
        memory.write_all_at(&[0; 4 * size_of::<u64>()], WRITTEN_AT)?;
        let mut ring = Self { memory, out, into, life, written: 0 };
        ring.begin()?;
        ring.empty_pipe()?;
        Ok(ring)
    }

    /// Whose it was, if that can be read; every version has it at the same place.
    pub(super) fn last_life(memory: &OwnedFd) -> Option<Life> {
        let memory = File::from(memory.try_clone().ok()?);
        life_in(&memory).ok()?
    }

    /// Writes whose it is, and then that it is one.
    fn begin(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.life)?;
        if text.len() as u64 > HEADER - LIFE_AT {
            return Err(io::Error::other("what is said of the container is too long"));
        }
        self.memory.write_all_at(&text, LIFE_AT)?;
        self.store(LIFE_LENGTH_AT, text.len() as u64)?;
        // Without this it is none.
        self.store(MAGIC_AT, MAGIC)
    }

    /// Whose it is.
    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// What PID 1 has to hold: the memory, and the two ends of the pipe.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.memory.as_fd(), self.out.as_fd(), self.into.as_fd()]
    }

    /// How many bytes there were, from the first of the container on.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The first byte that is still there.
    pub(super) fn oldest(&self) -> u64 {
        self.written.saturating_sub(CAPACITY)
    }

    /// Up to where everything is in the journal, or will never be.
    pub(super) fn logged(&self) -> io::Result<u64> {
        load(&self.memory, LOGGED_AT)
    }

    /// Says both, at once: a service that is killed in between would leave lines out that nobody has counted.
    pub(super) fn set_logged(&self, logged: u64, lost: u64) -> io::Result<()> {
        let both = [logged.to_ne_bytes(), lost.to_ne_bytes()];
        self.memory.write_all_at(both.as_flattened(), LOGGED_AT)
    }

    /// How many lines were left out of the journal, and nobody has been told.
    pub(super) fn lost(&self) -> io::Result<u64> {
        load(&self.memory, LOST_AT)
    }

    /// Moves what the source has now, at most [`MOST`] bytes. It must be one that does not block.
    pub(super) fn fill(&mut self, source: BorrowedFd<'_>) -> io::Result<Filled> {
        loop {
            match splice(source, None, &self.into, None, MOST, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(rustix::io::Errno::IO) => return Ok(Filled::Closed),
                Ok(count) => {
                    self.empty_pipe()?;
                    return Ok(Filled::Bytes(count));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Filled::Nothing),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Moves what is in the pipe to its place. Begun by a process that was killed, it is ended by the next: how much of
    /// what was to be moved is still in the pipe tells where.
    fn empty_pipe(&mut self) -> io::Result<()> {
        let waiting = ioctl_fionread(&self.out)?;
        let mut target = load(&self.memory, TARGET_AT)?;
        if target == self.written {
            target += waiting;
            self.store(TARGET_AT, target)?;
        }
        let mut at = target.saturating_sub(waiting);
        while at < target {
            let place = at % CAPACITY;
            let room = (CAPACITY - place).min(target - at);
            let mut place = HEADER + place;
            let room = usize::try_from(room).map_err(io::Error::other)?;
            match splice(&self.out, None, &self.memory, Some(&mut place), room, SpliceFlags::empty()) {
                Ok(count) => at += count as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.store(WRITTEN_AT, target)?;
        self.written = target;
        Ok(())
    }

    /// Copies bytes from `offset` on, as many as there are and as fit. None where they are no longer or not yet there.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        if offset < self.oldest() {
            return Ok(0);
        }
        let count = self.written.saturating_sub(offset).min(bytes.len() as u64);
        let (mut at, mut rest) = (offset, bytes.get_mut(..usize::try_from(count).unwrap_or(0)));
        while let Some(part) = rest.take_if(|rest| !rest.is_empty()) {
            let place = at % CAPACITY;
            let until_end = usize::try_from(CAPACITY - place).map_err(io::Error::other)?;
            let (first, more) = part.split_at_mut(part.len().min(until_end));
            self.memory.read_exact_at(first, HEADER + place)?;
            at += first.len() as u64;
            rest = Some(more);
        }
        usize::try_from(count).map_err(io::Error::other)
    }

    fn store(&self, place: u64, number: u64) -> io::Result<()> {
        self.memory.write_all_at(&number.to_ne_bytes(), place)
    }
}

fn life_in(memory: &File) -> io::Result<Option<Life>> {
    let length = load(memory, LIFE_LENGTH_AT)?.min(HEADER - LIFE_AT);
    let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    memory.read_exact_at(&mut text, LIFE_AT)?;
    Ok(serde_json::from_slice(&text).ok())
}

fn load(memory: &File, place: u64) -> io::Result<u64> {
    let mut number = [0; 8];
    memory.read_exact_at(&mut number, place)?;
    Ok(u64::from_ne_bytes(number))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn ring() -> Ring {
        Ring::new(Life::of("0123456789abcdef", 1)).unwrap()
    }

    /// The ring as the next process finds it.
    fn reopened(ring: &Ring) -> Ring {
        let [memory, out, into] = ring.descriptors().map(|fd| fd.try_clone_to_owned().unwrap());
        Ring::reopen(&memory, &out, &into).unwrap().unwrap()
    }

    /// Bytes of which each tells where it is.
    fn pattern(from: u64, count: usize) -> Vec<u8> {
        (from..).take(count).map(|at| u8::try_from((at * 7 + at / 251) % 256).unwrap()).collect()
    }

    fn all(ring: &Ring) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(ring.written() - ring.oldest()).unwrap()];
        assert_eq!(ring.read(ring.oldest(), &mut bytes).unwrap(), bytes.len());
        bytes
    }

    #[test]
    fn what_is_no_longer_there_is_not_read() {
        let mut ring = ring();
        let (reader, mut writer) = io::pipe().unwrap();
        let total = CAPACITY + 100_000;
        let mut at = 0;
        while at < total {
            writer.write_all(&pattern(at, 10_000)).unwrap();
            assert_eq!(ring.fill(reader.as_fd()).unwrap(), Filled::Bytes(10_000));
            at += 10_000;
        }
        assert_eq!((ring.written(), ring.oldest()), (at, at - CAPACITY));
        assert!(all(&ring) == pattern(ring.oldest(), usize::try_from(CAPACITY).unwrap()));
        assert_eq!(ring.read(ring.oldest() - 1, &mut [0; 9]).unwrap(), 0);
        assert_eq!(ring.read(at, &mut [0; 9]).unwrap(), 0);
        assert_eq!(ring.fill(reader.as_fd()).unwrap(), Filled::Nothing);
        drop(writer);
        assert_eq!(ring.fill(reader.as_fd()).unwrap(), Filled::Closed);
    }

    #[test]
    fn one_of_another_version_is_none_and_is_begun_anew() {
        let mut ring = ring();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"before").unwrap();
        ring.fill(reader.as_fd()).unwrap();
        writer.write_all(b"on its way").unwrap();
        splice(&reader, None, &ring.into, None, MOST, SpliceFlags::NONBLOCK).unwrap();
        ring.store(MAGIC_AT, MAGIC + 1).unwrap();
        let [memory, out, into] = ring.descriptors().map(|fd| fd.try_clone_to_owned().unwrap());
        assert!(Ring::reopen(&memory, &out, &into).unwrap().is_none());
        assert_eq!(Ring::last_life(&memory).unwrap(), *ring.life());
        let anew = Ring::renew(memory, out, into, ring.life().clone()).unwrap();
        assert_eq!(all(&anew), b"on its way");
        assert_eq!(all(&reopened(&anew)), b"on its way");
    }

    /// Where a process is killed that moves bytes.
    #[derive(Debug, Clone, Copy)]
    enum Killed {
        Not,
        /// They are in the pipe.
        InPipe,
        /// And it is said that they will be moved.
        Announced,
        /// And so many of them are.
        Moved(usize),
        /// All of them are; that is not said.
        Unsaid,
    }

    fn killed() -> impl Strategy<Value = Killed> {
        prop_oneof![
            Just(Killed::Not),
            Just(Killed::InPipe),
            Just(Killed::Announced),
            (1_usize..5_000).prop_map(Killed::Moved),
            Just(Killed::Unsaid)
        ]
    }

    /// As [`Ring::fill`], up to there.
    fn fill_until(ring: &mut Ring, source: BorrowedFd<'_>, killed: Killed) {
        if matches!(killed, Killed::Not) {
            ring.fill(source).unwrap();
            return;
        }
        splice(source, None, &ring.into, None, MOST, SpliceFlags::NONBLOCK).unwrap();
        if matches!(killed, Killed::InPipe) {
            return;
        }
        let waiting = ioctl_fionread(&ring.out).unwrap();
        ring.store(TARGET_AT, ring.written() + waiting).unwrap();
        let mut left = match killed {
            Killed::Moved(count) => count.min(usize::try_from(waiting).unwrap()),
            Killed::Unsaid => usize::try_from(waiting).unwrap(),
            _ => 0,
        };
        let mut at = ring.written();
        while left > 0 {
            let room = usize::try_from(CAPACITY - at % CAPACITY).unwrap().min(left);
            let mut place = HEADER + at % CAPACITY;
            let moved = splice(&ring.out, None, &ring.memory, Some(&mut place), room, SpliceFlags::empty());
            let moved = moved.unwrap();
            (at, left) = (at + moved as u64, left - moved);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn wherever_it_is_killed_no_byte_is_lost_and_none_comes_twice(
            steps in prop::collection::vec((1_usize..20_000, killed()), 1..120),
        ) {
            let mut ring = ring();
            let (reader, mut writer) = io::pipe().unwrap();
            let (mut sent, mut moved) = (0_u64, 0_u64);
            for (count, killed) in steps {
                writer.write_all(&pattern(sent, count)).unwrap();
                sent += count as u64;
                while moved < sent {
                    fill_until(&mut ring, reader.as_fd(), killed);
                    moved += (sent - moved).min(MOST as u64);
                    ring = reopened(&ring);
                    prop_assert_eq!(ring.written(), moved);
                }
            }
            let kept = usize::try_from(ring.written() - ring.oldest()).unwrap();
            prop_assert!(all(&ring) == pattern(ring.oldest(), kept));
        }
    }
}
