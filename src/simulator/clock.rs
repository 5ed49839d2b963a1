//! The simulator's own time: milliseconds that never go back, and the epoch seconds Oz prints.
//!
//! It reads the system clock once, at the start.
//! After that, time comes from the monotonic clock, plus the time that a tester skipped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A moment in milliseconds since the Unix epoch, by the simulator's clock.
pub type Millis = u64;

/// The simulator's clock. It never goes back, and a tester may move it forward.
#[derive(Debug)]
pub struct SimulatorClock {
    epoch_ms: Millis,
    started: Instant,
    skipped_ms: AtomicU64,
}

impl SimulatorClock {
    /// Starts at the system's present time.
    #[expect(clippy::disallowed_methods, reason = "this is the simulator's own clock")]
    pub fn start() -> SimulatorClock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SimulatorClock {
            epoch_ms: since_epoch.as_millis() as Millis,
            started: Instant::now(),
            skipped_ms: AtomicU64::new(0),
        }
    }

    /// Milliseconds since this clock started, skipped time included.
    pub fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + self.skipped_ms.load(Ordering::Relaxed)
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        self.epoch_ms + self.elapsed_ms()
    }

    /// Moves the clock forward: sessions expire and analyses finish without waiting.
    pub fn skip(&self, duration: Duration) {
        let duration_ms = duration.as_millis().min(MAX_SKIP_MS) as u64;
        self.skipped_ms.fetch_add(duration_ms, Ordering::Relaxed);
    }
}

/// One skip is at most a hundred years, so that sums of moments stay far from overflowing.
const MAX_SKIP_MS: u128 = 100 * 365 * 24 * 3_600 * 1_000;

/// A moment as Oz prints it: epoch seconds with a fraction.
pub fn seconds(moment: Millis) -> f64 {
    moment as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_skip_moves_time_forward_at_once() {
        let clock = SimulatorClock::start();
        let before = clock.now();
        clock.skip(Duration::from_secs(900));
        assert!(clock.now() >= before + 900_000);
    }
}
