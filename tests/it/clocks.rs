//! The service under wrong clocks: a year ahead, a year behind, stepped while it runs, and the
//! clocks of a machine that was suspended.
//!
//! The service is a real process whose clocks a preloaded library shifts. These tests deliberately
//! assert no durations: they compare timestamps with clocks that are a year apart.

#[cfg(feature = "postgres-tests")]
mod replicas;
mod shift;
mod sqlite;

use facematch::{clock::Clock, pb::Match};

/// A year, in seconds.
const YEAR: i64 = 365 * 86_400;

/// An hour, in seconds.
const HOUR: i64 = 3_600;

/// The maximum error of a timestamp, in seconds: far less than the shifts of the clocks, and far
/// more than any test takes.
const TOLERANCE: i64 = HOUR / 2;

/// Checks that a match was created just now, by a clock that is `ahead` seconds ahead.
#[track_caller]
fn check_created(m: &Match, ahead: i64) {
    let now = Clock::system().now().as_micros() / 1_000_000;
    let created = m.create_time.as_ref().expect("a time").seconds;
    let off = created - now - ahead;
    assert!(off.abs() < TOLERANCE, "the creation time is off by {off} s: {m:?}");
}
