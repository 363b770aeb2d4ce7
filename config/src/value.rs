// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values with units, parsed as systemd parses them, but with an error where systemd would warn and go on without.

/// Bytes, or a count, or infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// A number.
    Finite(u64),
    /// No bound.
    Infinity,
}

/// A time span of systemd.time(7), in microseconds, or infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timespan {
    /// Microseconds.
    Finite(u64),
    /// No bound.
    Infinity,
}

/// A resource limit of prlimit(2): soft is at most hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What the process gets.
    pub soft: Size,
    /// Up to where it may raise it.
    pub hard: Size,
}

/// The 16 resources of getrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the kernel's own words")]
pub enum RlimitResource {
    As, Core, Cpu, Data, Fsize, Locks, Memlock, Msgqueue, Nice, Nofile, Nproc, Rss, Rtprio, Rttime, Sigpending, Stack,
}

/// A signal of signal(7), by number: 1..=64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub i32);
