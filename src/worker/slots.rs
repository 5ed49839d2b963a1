//! The limit of unfinished matches on this replica. It decides whether a match may be driven here,
//! and knows nothing about the match.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tracing::warn;

/// The slots of unfinished matches.
pub struct Slots {
    max: usize,
    taken: Arc<AtomicUsize>,
    /// Claiming stopped at the limit. Unclaimed matches come before new ones.
    has_backlog: AtomicBool,
}

/// Counts one unfinished match for as long as it is held.
pub struct UnfinishedSlot(Arc<AtomicUsize>);

impl Slots {
    /// This many slots, all of them free.
    pub fn new(max: usize) -> Self {
        Self { max, taken: Arc::default(), has_backlog: AtomicBool::new(false) }
    }

    /// How many slots are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many slots are free.
    pub fn free(&self) -> usize {
        self.max.saturating_sub(self.taken())
    }

    /// A slot for a match that this replica has claimed, also beyond the limit.
    pub fn take(&self) -> UnfinishedSlot {
        self.taken.fetch_add(1, Ordering::Relaxed);
        UnfinishedSlot(Arc::clone(&self.taken))
    }

    /// A slot for a new match. `None` at the limit, or while older matches wait unclaimed.
    pub fn take_free(&self) -> Option<UnfinishedSlot> {
        if self.has_backlog() {
            return None;
        }
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(UnfinishedSlot(Arc::clone(&self.taken)))
    }

    /// Whether there may be unclaimed matches beyond the limit.
    pub fn has_backlog(&self) -> bool {
        self.has_backlog.load(Ordering::Relaxed)
    }

    /// Notes whether there may be unclaimed matches beyond the limit.
    pub fn note_backlog(&self, has_backlog: bool) {
        let had_backlog = self.has_backlog.swap(has_backlog, Ordering::Relaxed);
        if has_backlog && !had_backlog {
            warn!(
                unfinished = self.max,
                "claiming paused at --max-unfinished: new matches are refused while unclaimed ones wait"
            );
        }
    }
}

impl Drop for UnfinishedSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
