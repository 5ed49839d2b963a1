//! A SQLite journal with faults and delays chosen by a test.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use facematch::{
    journal::{Chore, Error, Handles, Key, Reader, Start, sqlite::Sqlite},
    worker::Worker,
};
use tokio::sync::watch;

use crate::intercept::{Answer, Hook, Operation, Running, intercept};

/// The journal and its faults.
pub struct FaultyStore {
    pub journal: Handles,
    pub faults: Arc<Faults>,
}

/// The faults and delays that a test sets.
pub struct Faults {
    /// The number of next appends that are written but answered with an error.
    pub appends_reported_failed: AtomicUsize,
    /// The number of next reads of a match's events that fail.
    pub reads_failing: AtomicUsize,
    /// Where reads of a match's events wait after the read and before they return.
    pub events: Gate,
    /// Where pages of all events wait likewise, if their limit is `page_limit`.
    pub pages: Gate,
    pub page_limit: AtomicUsize,
    /// Whether every round of erasing reports a full page, as if there were more to erase.
    pub endlessly_expired: AtomicBool,
    /// Cancels each match as soon as its admission is durable.
    pub canceller: OnceLock<Worker>,
    /// Reads the journal without faults.
    reader: Arc<dyn Reader>,
}

/// A gate at which callers wait while it is shut.
pub struct Gate {
    is_shut: watch::Sender<bool>,
    arrivals: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { is_shut: watch::Sender::new(false), arrivals: watch::Sender::new(0) }
    }
}

impl Gate {
    pub fn shut(&self) {
        self.is_shut.send_replace(true);
    }

    pub fn open(&self) {
        self.is_shut.send_replace(false);
    }

    /// Waits until a caller waits at the gate.
    pub async fn arrival(&self) {
        self.arrivals.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }

    async fn pass(&self) {
        if !*self.is_shut.borrow() {
            return;
        }
        self.arrivals.send_modify(|count| *count += 1);
        self.is_shut.subscribe().wait_for(|shut| !shut).await.unwrap();
    }
}

impl FaultyStore {
    pub fn new(inner: &Sqlite) -> Self {
        let inner = inner.handles();
        let faults = Arc::new(Faults {
            appends_reported_failed: AtomicUsize::default(),
            reads_failing: AtomicUsize::default(),
            events: Gate::default(),
            pages: Gate::default(),
            page_limit: AtomicUsize::default(),
            endlessly_expired: AtomicBool::default(),
            canceller: OnceLock::default(),
            reader: Arc::clone(&inner.feed.reader),
        });
        Self { journal: intercept(inner, faults.clone()), faults }
    }
}

#[async_trait]
impl Hook for Faults {
    async fn around(&self, operation: Operation, running: Running<'_>) -> Result<Answer, Error> {
        match operation {
            Operation::Admit { match_id, spec } => {
                let admitted = running.await?;
                if let Some(worker) = self.canceller.get() {
                    worker.cancel(&spec.tenant, &Key::Match(match_id)).await?;
                }
                Ok(admitted)
            }
            Operation::Append(_) => {
                let appended = running.await;
                if is_due(&self.appends_reported_failed) { Err(failure()) } else { appended }
            }
            Operation::Tidy { chore: Chore::EraseExpired, limit } => {
                let erased = running.await?;
                let is_endless = self.endlessly_expired.load(Ordering::SeqCst);
                Ok(if is_endless { Answer::Tidied(limit) } else { erased })
            }
            Operation::Events => {
                if is_due(&self.reads_failing) {
                    return Err(failure());
                }
                let events = running.await;
                self.events.pass().await;
                events
            }
            Operation::Tail => {
                self.ask_the_store().await?;
                running.await
            }
            Operation::Page { limit } => {
                self.ask_the_store().await?;
                let page = running.await;
                if limit == self.page_limit.load(Ordering::SeqCst) {
                    self.pages.pass().await;
                }
                page
            }
            Operation::Cancel
            | Operation::Erase
            | Operation::Tidy { chore: Chore::Enlist, .. }
            | Operation::Claim
            | Operation::Take
            | Operation::Takeable
            | Operation::Confirm
            | Operation::Release
            | Operation::Leave
            | Operation::OwnedByOthers
            | Operation::Find
            | Operation::List
            | Operation::Cursor
            | Operation::CursorStatus
            | Operation::Ping => running.await,
        }
    }

    // Reads go to the store, where the faults are.
    fn hides_memory(&self) -> bool {
        true
    }
}

impl Faults {
    /// A trip to the store even for events in memory: tests that move the time from one wait to the
    /// next would otherwise outrun the events that they wait for.
    async fn ask_the_store(&self) -> Result<(), Error> {
        self.reader.cursor(Start::Floor).await.map(drop)
    }
}

/// Decrements a counter; `false` if it was zero.
fn is_due(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn failure() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("a fault injected by the test")))
}
