// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals, as systemd names them.

use std::fmt;

use super::{BadValue, bad, parse_number};

/// A signal of signal(7), by number: 1..=64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub i32);

impl Signal {
    /// Whether a process that this signal killed has crashed, or was killed by force.
    pub fn is_sign_of_failure(self) -> bool {
        // ILL, TRAP, ABRT, BUS, FPE, KILL, SEGV, XCPU, XFSZ, SYS
        [4, 5, 6, 7, 8, 9, 11, 24, 25, 31].contains(&self.0)
    }

    /// SIGINT
    pub const INT: Self = Self(2);
    /// SIGTERM
    pub const TERM: Self = Self(15);
    /// SIGRTMIN+3: what a systemd takes as "halt".
    pub const RTMIN_PLUS_3: Self = Self(Self::RTMIN + 3);
    /// As glibc and systemd count: the first two real-time signals are the C library's own.
    const RTMIN: i32 = 34;
    const RTMAX: i32 = 64;
    /// The numbers of the architectures ct is built for; 16 is SIGSTKFLT.
    const NAMES: [(&str, i32); 31] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("STKFLT", 16),
        ("CHLD", 17),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("TTIN", 21),
        ("TTOU", 22),
        ("URG", 23),
        ("XCPU", 24),
        ("XFSZ", 25),
        ("VTALRM", 26),
        ("PROF", 27),
        ("WINCH", 28),
        ("IO", 29),
        ("PWR", 30),
        ("SYS", 31),
    ];

    /// `SIGQUIT`, `QUIT`, `SIGRTMIN+3`, `RTMAX-1`, `3`.
    pub fn parse(text: &str) -> Result<Self, BadValue> {
        const WHAT: &str = "a signal such as SIGTERM, SIGRTMIN+3 or 15";
        let name = text.strip_prefix("SIG").unwrap_or(text);
        if let Some((_, number)) = Self::NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*number));
        }
        let offset = |text: &str| parse_number(text).and_then(|n| i32::try_from(n).ok()).filter(|n| *n <= 30);
        let number = if name == "RTMIN" {
            Some(Self::RTMIN)
        } else if name == "RTMAX" {
            Some(Self::RTMAX)
        } else if let Some(plus) = name.strip_prefix("RTMIN+") {
            offset(plus).map(|n| Self::RTMIN + n)
        } else if let Some(minus) = name.strip_prefix("RTMAX-") {
            offset(minus).map(|n| Self::RTMAX - n)
        } else {
            // Of the whole text: "SIG9" is none.
            parse_number(text).and_then(|n| i32::try_from(n).ok())
        };
        match number {
            // 32 and 33 have no name that systemd would read back.
            Some(n) if (1..=31).contains(&n) || (Self::RTMIN..=Self::RTMAX).contains(&n) => Ok(Self(n)),
            _ => bad(text, WHAT),
        }
    }
}

impl fmt::Display for Signal {
    /// systemd's spelling: `SIGQUIT`, `SIGRTMIN+3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 == Self::RTMIN => f.write_str("SIGRTMIN"),
            None if self.0 > Self::RTMIN => write!(f, "SIGRTMIN+{}", self.0 - Self::RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

impl serde::Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
