//! How much of a long piece of work goes into one transaction: as much as takes a moment, by the
//! time that the last part took.
//!
//! What a row costs depends on the file: microseconds while its pages are in memory, milliseconds
//! where each has to be read from a disk. It deliberately measures the statements alone: the sync
//! of a commit takes its time however little is written.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::{clock::Clock, domain::Timestamp, journal::reply::CarriesClaims};

/// How long the statements of one part are to take: a quarter of the 20 ms that others may be kept
/// waiting, since the syncs of the commit and of emptying the WAL come on top.
const AIM: Duration = Duration::from_millis(5);

/// The most and the least that one part may be. Of more, writing and syncing the pages takes longer
/// than the statements do; with less, work would come in faster than it is done.
const MOST: usize = 50;
const LEAST: usize = 4;

/// What became of one part.
pub(super) struct Part {
    pub done: usize,
    /// Whether there is no more to do, or no more was asked for.
    pub is_last: bool,
}

impl CarriesClaims for Part {}

/// The size of parts of one kind of work.
pub(super) struct PartSize {
    ticks: Clock,
    size: AtomicUsize,
}

impl PartSize {
    pub(super) fn new(ticks: Clock) -> Self {
        Self { ticks, size: AtomicUsize::new(MOST) }
    }

    /// How much the next part is at most, and when it began.
    pub(super) fn begin(&self) -> (usize, Timestamp) {
        (self.size.load(Ordering::Relaxed), self.ticks.now())
    }

    /// A part is written that began then: so much was done in it.
    pub(super) fn end(&self, done: usize, began: Timestamp) {
        let size = next_size(done, self.ticks.now().since(began));
        // The end of the work says nothing of a part.
        if done >= self.size.load(Ordering::Relaxed) || size < done {
            self.size.store(size, Ordering::Relaxed);
        }
    }
}

/// At most twice as much as was done, so that one part that met warm pages makes no long one.
fn next_size(done: usize, took: Duration) -> usize {
    let in_time = done as u128 * AIM.as_micros() / took.as_micros().max(1);
    let in_time = usize::try_from(in_time).unwrap_or(usize::MAX);
    in_time.min(done.saturating_mul(2)).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_large_as_takes_a_moment() {
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
        assert_eq!([part(4, 1), part(8, 1), part(16, 1)], [8, 16, 32], "it has become warm");
        assert_eq!([part(32, 1), part(50, 1)], [MOST; 2]);
        assert_eq!(part(0, 0), MOST, "there was nothing to do");
        assert_eq!(part(20, 1), MOST, "there was no more to do");
        assert_eq!(part(20, 20), 5, "the little that there was to do took long");
    }
}
