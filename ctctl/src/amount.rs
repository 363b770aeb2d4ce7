// SPDX-License-Identifier: MIT OR Apache-2.0
//! Amounts as people read them: bytes to the base 1024, spans of time, moments. JSON has the plain numbers.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `12.3M`, as systemctl(1) writes it; below 1024 plain bytes.
pub fn bytes(number: u64) -> String {
    const UNITS: [(u64, char); 6] =
        [(1 << 60, 'E'), (1 << 50, 'P'), (1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    let Some((size, unit)) = UNITS.into_iter().find(|(size, _)| number >= *size) else {
        return format!("{number}B");
    };
    let whole = number / size;
    let tenth = u128::from(number % size) * 10 / u128::from(size);
    if tenth == 0 { format!("{whole}{unit}") } else { format!("{whole}.{tenth}{unit}") }
}

/// The two largest units of a span in microseconds, in one word: `2h5min`, `3d`, `40s`, `250ms`.
pub fn span(microseconds: u64) -> String {
    const UNITS: [(u64, &str); 7] = [
        (31_557_600_000_000, "y"),
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "min"),
        (1_000_000, "s"),
        (1_000, "ms"),
        (1, "us"),
    ];
    let mut largest = UNITS.into_iter().skip_while(|(size, _)| microseconds < *size);
    let Some((size, unit)) = largest.next() else { return "0s".to_owned() };
    let first = format!("{}{unit}", microseconds / size);
    // A fraction of a second, beside whole ones, is nobody's concern.
    let next = largest.next().filter(|(size, _)| *size >= 1_000_000);
    match next.map(|(next, unit)| (microseconds % size / next, unit)) {
        Some((count @ 1.., unit)) => format!("{first}{count}{unit}"),
        _ => first,
    }
}

/// Microseconds since the epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// How long ago this was, as [`span`].
pub fn age(microseconds: u64) -> String {
    span(now().saturating_sub(microseconds))
}

/// `Sun 2026-11-22 07:23:08 UTC`, in the time zone of the one who asks.
pub fn moment(microseconds: u64) -> String {
    let zoned = i64::try_from(microseconds)
        .ok()
        .and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok())
        .map(|timestamp| timestamp.to_zoned(TimeZone::system()));
    zoned.map_or_else(|| "?".to_owned(), |zoned| zoned.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_digit_after_the_point() {
        let texts = [0, 1023, 1024, 1536, 12 << 20, (12 << 20) + (1 << 19), u64::MAX].map(bytes);
        assert_eq!(texts, ["0B", "1023B", "1K", "1.5K", "12M", "12.5M", "15.9E"]);
    }

    #[test]
    fn spans_are_one_word() {
        let seconds = 1_000_000;
        let texts = [0, 250_000, 40 * seconds, 7_500 * seconds, 3_600 * seconds, 200_000 * seconds].map(span);
        assert_eq!(texts, ["0s", "250ms", "40s", "2h5min", "1h", "2d7h"]);
        assert_eq!(span(1_250_000), "1s");
    }

    #[test]
    fn moments_have_a_zone() {
        assert!(moment(0).contains("19"), "{}", moment(0));
        assert_eq!(moment(u64::MAX), "?");
    }
}
