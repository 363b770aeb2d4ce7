// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resource limits: getrlimit(2), and how systemd.exec(5) writes them.

use std::fmt;

use super::{BadValue, Size, Timespan, bad, parse_number};

/// A resource limit of prlimit(2): soft is at most hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl Limit {
    /// `1024`, `1024:65536`, `infinity`; bytes take K, M, G, T, P, E, times the units of systemd.time(7), and `nice`
    /// also the nice level itself with a sign, as systemd.exec(5) has it.
    pub fn parse(resource: RlimitResource, text: &str) -> Result<Self, BadValue> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let limit = Self { soft: resource.parse_value(soft)?, hard: resource.parse_value(hard)? };
        if limit.soft > limit.hard {
            return Err(BadValue(format!("the soft limit {soft} is higher than the hard limit {hard}")));
        }
        match resource.least() {
            Some((least, shown)) if limit.soft < Size::Finite(least) => {
                Err(BadValue(format!("{soft} is too low to start any container; at least {shown} is needed")))
            }
            _ => Ok(limit),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.soft == self.hard {
            write!(f, "{}", self.soft)
        } else {
            write!(f, "{}:{}", self.soft, self.hard)
        }
    }
}

impl serde::Serialize for RlimitResource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl RlimitResource {
    /// In alphabetical order.
    pub const ALL: [Self; 16] = [
        Self::As,
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::Fsize,
        Self::Locks,
        Self::Memlock,
        Self::Msgqueue,
        Self::Nice,
        Self::Nofile,
        Self::Nproc,
        Self::Rss,
        Self::Rtprio,
        Self::Rttime,
        Self::Sigpending,
        Self::Stack,
    ];

    /// The key below `[limits]`.
    pub fn key(self) -> &'static str {
        self.names().0
    }

    /// The directive of systemd.exec(5).
    pub fn directive(self) -> &'static str {
        self.names().1
    }

    /// As getrlimit(2) and OCI's config.json call it: `RLIMIT_NOFILE`.
    pub fn rlimit_name(self) -> String {
        format!("RLIMIT_{}", self.key().to_ascii_uppercase())
    }

    /// Below this the helper, or systemd before it, dies without a word, as both live under the container's limits.
    /// Measured with a static helper, and rounded up; other resources do without or say what they lack.
    fn least(self) -> Option<(u64, &'static str)> {
        match self {
            Self::As => Some((8 << 20, "8M")),
            Self::Cpu => Some((1, "1s")),
            Self::Data => Some((1 << 20, "1M")),
            Self::Nofile => Some((4, "4")),
            Self::Stack => Some((128 << 10, "128K")),
            _ => None,
        }
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::As => ("as", "LimitAS"),
            Self::Core => ("core", "LimitCORE"),
            Self::Cpu => ("cpu", "LimitCPU"),
            Self::Data => ("data", "LimitDATA"),
            Self::Fsize => ("fsize", "LimitFSIZE"),
            Self::Locks => ("locks", "LimitLOCKS"),
            Self::Memlock => ("memlock", "LimitMEMLOCK"),
            Self::Msgqueue => ("msgqueue", "LimitMSGQUEUE"),
            Self::Nice => ("nice", "LimitNICE"),
            Self::Nofile => ("nofile", "LimitNOFILE"),
            Self::Nproc => ("nproc", "LimitNPROC"),
            Self::Rss => ("rss", "LimitRSS"),
            Self::Rtprio => ("rtprio", "LimitRTPRIO"),
            Self::Rttime => ("rttime", "LimitRTTIME"),
            Self::Sigpending => ("sigpending", "LimitSIGPENDING"),
            Self::Stack => ("stack", "LimitSTACK"),
        }
    }

    /// One side of a limit, in the unit of getrlimit(2).
    fn parse_value(self, text: &str) -> Result<Size, BadValue> {
        match self {
            Self::Cpu => Self::parse_time(text, 1_000_000),
            Self::Rttime => Self::parse_time(text, 1),
            Self::Nice => Self::parse_nice(text),
            Self::Locks | Self::Nproc | Self::Sigpending => Size::parse_count(text),
            // A count as well, but "64K" is how many write it.
            Self::Nofile => Size::parse(text).or_else(|_| Size::parse_count(text)),
            Self::Rtprio => match Size::parse_count(text)? {
                Size::Finite(100..) => bad(text, "a real-time priority from 0 to 99"),
                priority => Ok(priority),
            },
            _ => Size::parse(text),
        }
    }

    fn parse_time(text: &str, unit: u64) -> Result<Size, BadValue> {
        Ok(match Timespan::parse_with_default(text, unit)? {
            Timespan::Infinity => Size::Infinity,
            // Rounded up, as systemd does: a limit of 100ms of CPU is one second, not none.
            Timespan::Finite(us) => Size::Finite(us.div_ceil(unit)),
        })
    }

    fn parse_nice(text: &str) -> Result<Size, BadValue> {
        const WHAT: &str =
            "a raw limit from 1 to 40, a nice level from -20 to +19 with its sign, or \"infinity\"";
        // systemd ignores LimitNICE=infinity; 40 (nice level -20) is as far as it goes.
        if text == "infinity" {
            return Ok(Size::Finite(40));
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let raw = match (parse_number(digits), text.as_bytes().first()) {
            // getrlimit(2): the ceiling is 20 - limit.
            (Some(level @ ..=19), Some(b'+')) => 20 - level,
            (Some(level @ ..=20), Some(b'-')) => 20 + level,
            (Some(raw @ 1..=40), Some(b'0'..=b'9')) => raw,
            _ => return bad(text, WHAT),
        };
        Ok(Size::Finite(raw))
    }
}
