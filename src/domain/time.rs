//! Points in time as plain values. Nothing here reads a clock.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01 UTC.
#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest point in time: "never".
    pub const MAX: Self = Self(i64::MAX);

    /// The point this many microseconds after 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01 UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The point this much later, at most [`Self::MAX`].
    pub fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// The point this much earlier, at most back to the earliest point.
    pub fn before(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// The time that has passed since `earlier`; zero if `earlier` is later than this point.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_point_is_kept_and_shown_to_the_microsecond() {
        let time = Timestamp::from_micros(1_764_000_000_512_345);
        assert_eq!(time.as_micros(), 1_764_000_000_512_345);
        assert_eq!(format!("{time:?}"), "1764000000512345us");
    }

    #[test]
    fn a_moved_point_lies_exactly_the_duration_away() {
        let time = Timestamp::from_micros(5_000_000);
        assert_eq!(time.after(SECOND).since(time), SECOND);
        assert_eq!(time.since(time.before(SECOND)), SECOND);
        assert_eq!(time.before(SECOND).since(time), Duration::ZERO, "the other point is later");
    }

    #[test]
    fn moving_past_either_end_of_time_saturates() {
        let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::MAX);
        assert_eq!([last.after(SECOND), last.after(Duration::MAX)], [last; 2]);
        assert_eq!(first.before(SECOND), first);
        assert_eq!(last.since(first), Duration::from_micros(i64::MAX as u64));
    }
}
