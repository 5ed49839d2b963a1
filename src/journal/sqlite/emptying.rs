//! Schedules the checkpoints that empty the WAL of erased data, and holds back the replies that
//! wait for them.
//!
//! A reader with an old snapshot, such as a backup, blocks a checkpoint for as long as it stays
//! open. So no try waits for a reader (except at close), tries back off while they fail, and only
//! callers that erased something wait for them. It deliberately runs no statement: the writer does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{Error, sqlite::operation::Job},
    outage::Outage,
};

/// The pause after the first failed try: most readers are done by then.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest pause; each one is twice as long as the one before. Once it is reached, callers that
/// erase wait for no further try: the reader in the way is a long one.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the parts of one long erasure are gathered before a try, at most: each try syncs the
/// disk twice.
const GATHERING: Duration = Duration::from_millis(100);

/// How many tries may be blocked by a reader before the log says so: some ten seconds of them.
const SILENT_TRIES_MAX: u64 = 16;

/// The state of the WAL, and the erasures that wait for it to be emptied.
pub(super) struct Emptying {
    /// Measures pauses.
    ticks: Clock,
    /// Whether the WAL may still hold erased data.
    is_due: bool,
    next_try: Timestamp,
    pause: Duration,
    /// Since the last success.
    tries_failed: u64,
    tries: Arc<AtomicU64>,
    outage: Outage,
    /// Committed erasures whose callers haven't been answered yet.
    waiting: Vec<Box<dyn Job>>,
}

impl Emptying {
    /// A first try is due at once: the process before may have died and left erased data in the
    /// WAL.
    pub(super) fn new(clock: Clock, ticks: Clock) -> Self {
        Self {
            is_due: true,
            next_try: ticks.now(),
            ticks,
            pause: PAUSE_MIN,
            tries_failed: 0,
            tries: Arc::default(),
            outage: Outage::new("emptying the WAL of erased data", clock),
            waiting: Vec::new(),
        }
    }

    /// The counter of tries.
    #[cfg(test)]
    pub(super) fn tries(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.tries)
    }

    /// Notes a committed erasure, whose caller waits for the WAL to be emptied.
    pub(super) fn erased(&mut self, job: Box<dyn Job>) {
        self.is_due = true;
        if self.tries_failed == 0 {
            self.next_try = self.ticks.now();
        }
        self.waiting.push(job);
    }

    /// Notes a committed part of an erasure; the next part follows at once.
    pub(super) fn erased_in_part(&mut self) {
        if !self.is_due {
            (self.is_due, self.next_try) = (true, self.ticks.now().after(GATHERING));
        }
    }

    /// When the next try is due; `None` while the WAL holds nothing erased.
    pub(super) fn next_try(&self) -> Option<Timestamp> {
        self.is_due.then_some(self.next_try)
    }

    /// Whether to try now.
    pub(super) fn is_due(&self) -> bool {
        self.is_due && self.ticks.now() >= self.next_try
    }

    /// Notes the result of a try: whether the WAL is empty now.
    pub(super) fn tried(&mut self, is_empty: Result<bool, Error>) {
        self.tries.fetch_add(1, Ordering::Relaxed);
        if matches!(is_empty, Ok(true)) {
            (self.is_due, self.pause, self.tries_failed) = (false, PAUSE_MIN, 0);
            self.outage.worked();
            return;
        }
        self.next_try = self.ticks.now().after(self.pause);
        self.pause = PAUSE_MAX.min(self.pause * 2);
        self.tries_failed += 1;
        match is_empty {
            Err(error) => self.outage.failed(&error),
            Ok(_) if self.tries_failed > SILENT_TRIES_MAX => {
                self.outage
                    .failed_because(|| "a reader of the file blocks the checkpoint".to_owned());
            }
            Ok(_) => {}
        }
    }

    /// Answers the waiting callers if the WAL is empty, or if they have waited long enough.
    pub(super) fn answer(&mut self) {
        if !self.is_due || self.pause == PAUSE_MAX {
            self.answer_all();
        }
    }

    /// Answers all waiting callers.
    pub(super) fn answer_all(&mut self) {
        for job in self.waiting.drain(..) {
            job.answer(Ok(()));
        }
    }
}
