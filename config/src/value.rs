// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values with units, parsed as systemd parses them, but with an error where systemd would warn and go on without.
//!
//! `Display` gives back systemd's syntax, in one canonical form for each value.

mod rlimit;
mod signal;

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use rlimit::{Limit, RlimitResource};
pub use signal::Signal;

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

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Finite(number) => serializer.serialize_u64(*number),
            Self::Infinity => serializer.serialize_str("infinity"),
        }
    }
}

impl Serialize for Timespan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Finite(microseconds) => serializer.serialize_u64(*microseconds),
            Self::Infinity => serializer.serialize_str("infinity"),
        }
    }
}

/// Why a text is not the value it should be, in small letters, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue(pub(crate) String);

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadValue {}

/// The words every reason here is made of.
pub(crate) fn bad<T>(text: &str, why: &str) -> Result<T, BadValue> {
    Err(BadValue(format!("{text:?} is not {why}")))
}

/// One number with a fraction and a unit, off the front of `text`: how both sizes and time spans are written.
struct Quantity<'a> {
    whole: u64,
    /// The digits after the point, possibly none.
    fraction: &'a str,
    /// Whether there was a point without them.
    bare_point: bool,
    /// What follows the number and the white space after it.
    rest: &'a str,
}

impl<'a> Quantity<'a> {
    /// `None` where there is no number, or one past 64 bits.
    fn parse(text: &'a str) -> Option<Self> {
        let (whole, rest) = split_digits(text);
        let whole = whole.parse().ok()?;
        let (fraction, rest, point) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (fraction, rest) = split_digits(rest);
                (fraction, rest, true)
            }
            None => ("", rest, false),
        };
        // Finer than any unit can express; more digits would only overflow the arithmetic.
        if fraction.len() > 18 {
            return None;
        }
        Some(Self {
            whole,
            fraction,
            bare_point: point && fraction.is_empty(),
            rest: rest.trim_start_matches(is_blank),
        })
    }

    /// The number times `unit`, rounded down; `None` past 64 bits.
    fn times(&self, unit: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(unit)?;
        if self.fraction.is_empty() {
            return Some(whole);
        }
        let digits = u32::try_from(self.fraction.len()).ok()?;
        let part = self.fraction.parse::<u128>().ok()? * u128::from(unit) / 10_u128.pow(digits);
        whole.checked_add(u64::try_from(part).ok()?)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

impl Size {
    /// The highest first; a position is also the exponent, counted from the end.
    const UNITS: [&str; 8] = ["E", "P", "T", "G", "M", "K", "B", ""];

    /// Bytes: `512M`, `1.5G`, `1G 512M`, `4096`, `infinity`. To the base 1024, as systemd does it for memory and limits.
    pub fn parse(text: &str) -> Result<Self, BadValue> {
        Self::parse_base(text, 1024)
    }

    /// As [`Size::parse`] with the base 1000, as systemd does it for bandwidths.
    pub fn parse_decimal(text: &str) -> Result<Self, BadValue> {
        Self::parse_base(text, 1000)
    }

    fn parse_base(text: &str, base: u64) -> Result<Self, BadValue> {
        const WHAT: &str = "a size such as 512M, 1.5G, 4096 or infinity";
        if text == "infinity" {
            return Ok(Self::Infinity);
        }
        let (mut sum, mut rest, mut first_unit) = (0_u64, text, 0);
        loop {
            let Some(quantity) = Quantity::parse(rest.trim_start_matches(is_blank)) else {
                return bad(text, WHAT);
            };
            // Units only get smaller: "1G 512M", never "512M 1G".
            let mut units = (0_u32..).zip(Self::UNITS).skip(first_unit);
            let Some((at, name)) = units.find(|(_, name)| quantity.rest.starts_with(name)) else {
                return bad(text, WHAT);
            };
            let Some(total) =
                quantity.times(base.pow(6_u32.saturating_sub(at))).and_then(|n| n.checked_add(sum))
            else {
                return bad(text, "a size below 16E");
            };
            sum = total;
            first_unit = at as usize + 1;
            rest = quantity.rest.strip_prefix(name).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
        // systemd keeps the highest number for infinity.
        if sum == u64::MAX { bad(text, "a size below 16E") } else { Ok(Self::Finite(sum)) }
    }

    /// A plain count: `512`, `infinity`.
    pub fn parse_count(text: &str) -> Result<Self, BadValue> {
        if text == "infinity" {
            return Ok(Self::Infinity);
        }
        match parse_number(text) {
            Some(number) if number < u64::MAX => Ok(Self::Finite(number)),
            _ => bad(text, "a number or infinity"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite(number) => write!(f, "{number}"),
            Self::Infinity => f.write_str("infinity"),
        }
    }
}

/// Decimal digits and nothing else: no sign, no blanks, no leading zero that systemd would read as octal.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl Timespan {
    /// The span, `None` for infinity.
    pub fn finite(self) -> Option<Duration> {
        match self {
            Self::Finite(microseconds) => Some(Duration::from_micros(microseconds)),
            Self::Infinity => None,
        }
    }

    /// The units of systemd.time(7), in microseconds.
    const UNITS: [(&str, u64); 31] = [
        ("us", 1),
        ("usec", 1),
        ("µs", 1),
        ("μs", 1),
        ("ms", 1_000),
        ("msec", 1_000),
        ("s", 1_000_000),
        ("sec", 1_000_000),
        ("second", 1_000_000),
        ("seconds", 1_000_000),
        ("m", 60_000_000),
        ("min", 60_000_000),
        ("minute", 60_000_000),
        ("minutes", 60_000_000),
        ("h", 3_600_000_000),
        ("hr", 3_600_000_000),
        ("hour", 3_600_000_000),
        ("hours", 3_600_000_000),
        ("d", 86_400_000_000),
        ("day", 86_400_000_000),
        ("days", 86_400_000_000),
        ("w", 604_800_000_000),
        ("week", 604_800_000_000),
        ("weeks", 604_800_000_000),
        ("M", 2_629_800_000_000),
        ("month", 2_629_800_000_000),
        ("months", 2_629_800_000_000),
        ("y", 31_557_600_000_000),
        ("year", 31_557_600_000_000),
        ("years", 31_557_600_000_000),
        ("", 1_000_000),
    ];

    /// `5s`, `1min 30s`, `250ms`, `1.5h`, `infinity`; a number without a unit is in seconds.
    pub fn parse(text: &str) -> Result<Self, BadValue> {
        Self::parse_with_default(text, 1_000_000)
    }

    /// As [`Timespan::parse`], with the unit of a plain number in microseconds.
    fn parse_with_default(text: &str, default: u64) -> Result<Self, BadValue> {
        const WHAT: &str = "a time span such as 5s, 1min 30s, 250ms or infinity";
        let body = text.trim_matches(is_blank);
        if body == "infinity" {
            return Ok(Self::Infinity);
        }
        let (mut sum, mut rest) = (0_u64, body);
        loop {
            // A point needs digits here, though not in sizes.
            let Some(quantity) = Quantity::parse(rest).filter(|q| !q.bare_point) else {
                return bad(text, WHAT);
            };
            let end = quantity.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(quantity.rest.len());
            let (name, after) = quantity.rest.split_at(end);
            // "1 30s" would be one second to some readers and one minute to others: a bare number stands alone.
            let alone = rest.len() == body.len() && after.is_empty();
            let unit = match Self::UNITS.iter().find(|(unit, _)| *unit == name) {
                Some(("", _)) if !alone => return bad(text, WHAT),
                Some(("", _)) => default,
                Some((_, unit)) => *unit,
                None => return bad(text, WHAT),
            };
            let Some(total) = quantity.times(unit).and_then(|n| n.checked_add(sum)) else {
                return bad(text, "a time span that fits");
            };
            sum = total;
            rest = after.trim_start_matches(is_blank);
            if rest.is_empty() {
                break;
            }
        }
        // systemd keeps the highest number for infinity.
        if sum == u64::MAX { bad(text, "a time span that fits") } else { Ok(Self::Finite(sum)) }
    }
}

impl fmt::Display for Timespan {
    /// The shortest exact form in one unit: `90s`, `250ms`, `1us`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Infinity => f.write_str("infinity"),
            Self::Finite(us) if us % 1_000_000 == 0 => write!(f, "{}s", us / 1_000_000),
            Self::Finite(us) if us % 1_000 == 0 => write!(f, "{}ms", us / 1_000),
            Self::Finite(us) => write!(f, "{us}us"),
        }
    }
}

/// A percentage in hundredths of a percent: `150%` is 15000. At most two decimals, as systemd.
pub fn parse_percent(text: &str) -> Result<u64, BadValue> {
    const WHAT: &str = "a percentage such as 50% or 12.5%";
    let Some(body) = text.strip_suffix('%') else { return bad(text, WHAT) };
    let (whole, fraction) =
        body.split_once('.').map_or((body, None), |(whole, fraction)| (whole, Some(fraction)));
    let hundredths = match fraction.map(str::as_bytes) {
        None => Some(0),
        Some([a]) if a.is_ascii_digit() => Some(u64::from(a - b'0') * 10),
        Some([a, b]) if a.is_ascii_digit() && b.is_ascii_digit() => {
            Some(u64::from(a - b'0') * 10 + u64::from(b - b'0'))
        }
        Some(_) => None,
    };
    // systemd computes in 32 bits.
    let number = parse_number(whole).filter(|n| *n <= 20_000_000);
    match (number, hundredths) {
        (Some(number), Some(hundredths)) => Ok(number * 100 + hundredths),
        _ => bad(text, WHAT),
    }
}

/// The reverse of [`parse_percent`]: `150%`, `12.5%`.
pub fn render_percent(hundredths: u64) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}%", part / 10),
        (whole, part) => format!("{whole}.{part:02}%"),
    }
}
