//! The minimum data rate of a request that may hold a photo.
//!
//! With only a timeout for the whole body, a stalled upload would hold its memory until that
//! timeout. With the rate, it ends after a third of the default `--receive-timeout`.

use std::time::Duration;

use crate::domain::Timestamp;

/// The period in which at least [`MIN_RATE_BYTES`], or the rest of the body, have to arrive.
pub const MIN_RATE_PERIOD: Duration = Duration::from_secs(20);
/// 100 kbit/s: slower than the line of any back end. Above 750 KB, a photo that arrives within 60 s
/// is faster than that in any case.
const MIN_RATE_BYTES: usize = 256 * 1024;

/// Checks the data rate of one body.
#[derive(Debug)]
pub struct MinRate {
    since: Timestamp,
    bytes: usize,
}

impl MinRate {
    /// Begins the first period.
    pub const fn new(now: Timestamp) -> Self {
        Self { since: now, bytes: 0 }
    }

    /// Counts bytes that have arrived.
    pub const fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The end of the current period, when [`MinRate::is_missed`] has to be called.
    pub fn due(&self) -> Timestamp {
        self.since.after(MIN_RATE_PERIOD)
    }

    /// Whether the period has ended with too few bytes. If it ended with enough, the next one
    /// begins.
    pub fn is_missed(&mut self, now: Timestamp) -> bool {
        let is_over = self.due() <= now;
        if is_over && self.bytes >= MIN_RATE_BYTES {
            *self = Self::new(now);
            return false;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_period_needs_its_bytes() {
        let start = Timestamp::default();
        let mut rate = MinRate::new(start);
        rate.add(MIN_RATE_BYTES);
        assert!(!rate.is_missed(start.after(MIN_RATE_PERIOD - Duration::from_micros(1))));
        let second = start.after(MIN_RATE_PERIOD);
        assert!(!rate.is_missed(second));
        rate.add(MIN_RATE_BYTES - 1);
        assert_eq!(rate.due(), second.after(MIN_RATE_PERIOD));
        assert!(rate.is_missed(rate.due()));
    }
}
