//! Sizes the parts of a long piece of work, one transaction each, so that a part takes only a
//! moment. The size follows from the time that the last part took.
//!
//! The cost of a row depends on the file: microseconds while its pages are in memory, milliseconds
//! if each has to be read from a disk. It deliberately measures the statements alone: the sync of a
//! commit takes its time however little is written.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::{clock::Clock, domain::Timestamp, journal::reply::CarriesClaims};

/// How long the statements of one part should take: a quarter of the 20 ms that other writes may be
/// kept waiting, since the syncs of the commit and of emptying the WAL come on top.
const AIM: Duration = Duration::from_millis(5);

/// The largest and the smallest part, in matches. In larger ones, writing and syncing the pages
/// takes longer than the statements; with smaller ones, work would arrive faster than it is done.
const MOST: usize = 50;
const LEAST: usize = 4;

/// The outcome of one part.
pub(super) struct Part {
    pub done: usize,
    /// Whether there is no more to do, or no more was asked for.
    pub is_last: bool,
}

impl CarriesClaims for Part {}

/// The size of the parts of one kind of work, as it is adapted.
pub(super) struct PartSize {
    ticks: Clock,
    size: AtomicUsize,
}

impl PartSize {
    pub(super) fn new(ticks: Clock) -> Self {
        Self { ticks, size: AtomicUsize::new(MOST) }
    }

    /// The most that the next part may do, and the time at which it begins.
    pub(super) fn begin(&self) -> (usize, Timestamp) {
        (self.size.load(Ordering::Relaxed), self.ticks.now())
    }

    /// Adapts the size to a part that did `done` since `began`.
    pub(super) fn end(&self, done: usize, began: Timestamp) {
        let size = next_size(done, self.ticks.now().since(began));
        // A part that ran out of work changes the size only if it was slow.
        if done >= self.size.load(Ordering::Relaxed) || size < done {
            self.size.store(size, Ordering::Relaxed);
        }
    }
}

/// At most twice what was done, so that one part that met warm pages isn't followed by a long one.
fn next_size(done: usize, took: Duration) -> usize {
    let in_time = done as u128 * AIM.as_micros() / took.as_micros().max(1);
    let in_time = usize::try_from(in_time).unwrap_or(usize::MAX);
    in_time.min(done.saturating_mul(2)).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_parts_follows_the_time_that_they_take() {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
        let parts = PartSize::new(clock);
        let part = |done: usize, millis: u64| {
            let (_, began) = parts.begin();
            hand.advance(Duration::from_millis(millis));
            parts.end(done, began);
            parts.begin().0
        };
        assert_eq!(part(50, 5), 50);
        assert_eq!(part(50, 50), 5, "a cold file");
        assert_eq!(part(5, 1000), LEAST);
        assert_eq!([part(4, 1), part(8, 1), part(16, 1)], [8, 16, 32], "the file is warm again");
        assert_eq!([part(32, 1), part(50, 1)], [MOST; 2]);
        assert_eq!(part(0, 0), MOST, "a part without work changes nothing");
        assert_eq!(part(20, 1), MOST, "a fast part that ran out of work changes nothing");
        assert_eq!(part(20, 20), 5, "a slow part that ran out of work counts");
    }
}
