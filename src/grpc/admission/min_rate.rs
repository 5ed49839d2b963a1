//! The minimum data rate of a request that may bring a photo.
//!
//! A time for the whole body would let a sender that stops keep its memory until that is over; with
//! the rate, a stalled upload is ended after a third of `--receive-timeout` at its default.

use std::time::Duration;

use crate::domain::Timestamp;

/// In each such time a body has to bring [`MIN_RATE_BYTES`], or its rest.
pub const MIN_RATE_PERIOD: Duration = Duration::from_secs(20);
/// 100 kbit/s: slower than any back end's line. A photo that is to be whole within 60 s comes
/// faster, once it is over 750 KB.
const MIN_RATE_BYTES: usize = 256 * 1024;

/// Watches that a body keeps coming.
#[derive(Debug)]
pub struct MinRate {
    since: Timestamp,
    bytes: usize,
}

impl MinRate {
    /// Begins to watch.
    pub const fn new(now: Timestamp) -> Self {
        Self { since: now, bytes: 0 }
    }

    /// So many bytes have come.
    pub const fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// When it has to be asked next.
    pub fn due(&self) -> Timestamp {
        self.since.after(MIN_RATE_PERIOD)
    }

    /// Whether too little came in the time that is over. Otherwise the next one begins.
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
    fn each_period_has_to_bring_its_bytes() {
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
