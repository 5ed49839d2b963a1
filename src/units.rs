//! Durations and sizes as people write them: `30d`, `128MiB`.
//!
//! Settings and the callers file share the notation. It deliberately knows no limits: each value
//! has its own, and its module checks them.

use std::time::Duration;

const KIB: u64 = 1 << 10;
const KB: u64 = 1_000;

/// The units of sizes. `B` comes last, because every other unit ends with it too.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("KiB", KIB),
    ("MiB", KIB * KIB),
    ("GiB", KIB * KIB * KIB),
    ("TiB", KIB * KIB * KIB * KIB),
    ("kB", KB),
    ("KB", KB),
    ("MB", KB * KB),
    ("GB", KB * KB * KB),
    ("B", 1),
];

/// A duration with its unit, such as `1s`, `500ms`, `20m` or `30d`.
pub fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// A duration with its unit, as text.
pub fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A number of bytes, with or without a unit.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = SIZE_UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))
        .unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A number of bytes as text, in the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    let whole = |unit: &&(&str, u64)| bytes >= unit.1 && bytes.is_multiple_of(unit.1);
    let (unit, factor) = SIZE_UNITS[..4].iter().rev().find(whole).unwrap_or(&("", 1));
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1KiB", 1024), ("128 MiB", 128 << 20)] {
            assert_eq!(size(text), Some(bytes), "{text}");
            assert_eq!(size(&size_text(bytes)), Some(bytes), "{text}");
        }
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!(duration(" 7d"), Some(week));
        assert_eq!(duration(&duration_text(week)), Some(week));
    }

    #[test]
    fn numbers_without_a_unit_are_no_durations_and_too_large_sizes_none() {
        for text in ["", "7", "d", "-1s", "1 parsec"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
        for text in ["", "B", "-1", "1.5MiB", "18446744073709551616", "17179869184GiB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }
}
