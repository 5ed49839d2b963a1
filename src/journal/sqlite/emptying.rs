//! Emptying the WAL of what was erased: when it is tried, and which answers wait for it.
//!
//! A reader with an old snapshot, such as a backup, stands in the way for as long as it likes. So a
//! try never waits for a reader, tries become rare while one fails after another, and only callers
//! that erased something wait for them. It deliberately runs no statement: the writer does.

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

/// How soon a try follows a failed one: most readers are done by then.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(10);

/// How soon at last, each pause being twice as long as the one before. Callers that erase wait for
/// no further try: the reader that is in the way then is a long one.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the parts of one long erasure are gathered, at most: each try syncs the disk twice.
const GATHERING: Duration = Duration::from_millis(100);

/// How many tries fail before the log says so: some ten seconds of them.
const UNTOLD: u64 = 16;

/// What the writer knows of its WAL.
pub(super) struct Emptying {
    /// Measures pauses.
    ticks: Clock,
    /// Whether the WAL may still hold what was erased.
    is_due: bool,
    next_try: Timestamp,
    pause: Duration,
    /// Since the last success.
    tries_failed: u64,
    tries: Arc<AtomicU64>,
    outage: Outage,
    /// Callers whose erasures are committed.
    waiting: Vec<Box<dyn Job>>,
}

impl Emptying {
    /// A first try is due: the process before may have died with such a WAL.
    pub(super) fn new(clock: Clock, ticks: Clock) -> Self {
        Self {
            is_due: true,
            next_try: ticks.now(),
            ticks,
            pause: PAUSE_MIN,
            tries_failed: 0,
            tries: Arc::default(),
            outage: Outage::new("emptying the WAL of what was erased", clock),
            waiting: Vec::new(),
        }
    }

    /// How often it was tried.
    #[cfg(test)]
    pub(super) fn tries(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.tries)
    }

    /// Something is erased, and its caller is answered in time.
    pub(super) fn erased(&mut self, job: Box<dyn Job>) {
        self.is_due = true;
        if self.tries_failed == 0 {
            self.next_try = self.ticks.now();
        }
        self.waiting.push(job);
    }

    /// A part is erased, and the next one is on its way.
    pub(super) fn erased_in_part(&mut self) {
        if !self.is_due {
            (self.is_due, self.next_try) = (true, self.ticks.now().after(GATHERING));
        }
    }

    /// When the next try is due, if one is.
    pub(super) fn next_try(&self) -> Option<Timestamp> {
        self.is_due.then_some(self.next_try)
    }

    /// Whether to try now.
    pub(super) fn is_due(&self) -> bool {
        self.is_due && self.ticks.now() >= self.next_try
    }

    /// A try is over: whether the WAL is empty.
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
            Ok(_) if self.tries_failed > UNTOLD => {
                self.outage.failed_because(|| "a reader of the file stands in the way".to_owned());
            }
            Ok(_) => {}
        }
    }

    /// Answers the callers that need not wait any longer.
    pub(super) fn answer(&mut self) {
        if !self.is_due || self.pause == PAUSE_MAX {
            self.answer_all();
        }
    }

    /// Answers all callers.
    pub(super) fn answer_all(&mut self) {
        for job in self.waiting.drain(..) {
            job.answer(Ok(()));
        }
    }
}
