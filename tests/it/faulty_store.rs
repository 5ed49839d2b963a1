//! A decorator of the SQLite journal that injects faults and delays chosen by a test.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use facematch::{
    domain::{
        AnalysisId, CallerId, Cursor, Event, Match, MatchId, Position, Recorded, Sequence, Spec,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, CursorStatus, Erased, Error,
        EventPage, Feed, Filter, Handles, Key, Listener, Listing, Origin, Reader, Start, Takeover,
        Writer, sqlite::Sqlite,
    },
    worker::Worker,
};
use tokio::sync::watch;

/// The journal and its faults. Clones share both.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Sqlite,
    pub faults: Arc<Faults>,
}

/// The faults and delays that a test sets.
#[derive(Default)]
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
    pub fn new(inner: Sqlite) -> Self {
        Self { inner, faults: Arc::default() }
    }

    /// The journal with its faults, for its users.
    pub fn handles(&self) -> Handles {
        let handles = self.inner.handles();
        let feed = Feed { reader: Arc::new(self.clone()), ..handles.feed };
        Handles { writer: Arc::new(self.clone()), feed, ..handles }
    }
}

/// Decrements a counter; `false` if it was zero.
fn is_due(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn failure() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("a fault injected by the test")))
}

#[async_trait]
impl Writer for FaultyStore {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let caller = spec.caller.clone();
        let admitted = self.inner.admit(match_id, spec).await?;
        if let Some(worker) = self.faults.canceller.get() {
            worker.cancel(&caller, &Key::Match(match_id)).await?;
        }
        Ok(admitted)
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let appended = self.inner.append(claim, after, event).await;
        if is_due(&self.faults.appends_reported_failed) { Err(failure()) } else { appended }
    }

    async fn cancel(
        &self,
        caller: &CallerId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        self.inner.cancel(caller, key, keep).await
    }

    async fn erase(&self, caller: &CallerId, match_id: MatchId) -> Result<Erased, Error> {
        self.inner.erase(caller, match_id).await
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        let done = self.inner.tidy(chore, limit).await?;
        let is_endless = self.faults.endlessly_expired.load(Ordering::SeqCst);
        Ok(if is_endless && chore == Chore::EraseExpired { limit } else { done })
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        self.inner.claim(limit).await
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        self.inner.take(match_id, has_photo).await
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.inner.takeable(matches).await
    }

    fn listen(&self, ear: Listener) {
        self.inner.listen(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        self.inner.confirm(claim).await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.inner.release(claims).await
    }

    async fn leave(&self) {
        self.inner.leave().await;
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.inner.owned_by_others(match_id, analyses).await
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        self.inner.claim_status(claim)
    }
}

#[async_trait]
impl Reader for FaultyStore {
    async fn find(&self, caller: &CallerId, key: &Key) -> Result<Option<Match>, Error> {
        self.inner.find(caller, key).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        if is_due(&self.faults.reads_failing) {
            return Err(failure());
        }
        let events = self.inner.events(match_id).await;
        self.faults.events.pass().await;
        events
    }

    /// Returns `None`, so that reads go to the store, where the faults are.
    fn recent(&self, _: MatchId) -> Option<Vec<Recorded>> {
        None
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        // A trip to the store even for events in memory: tests that move the time from one wait
        // to the next would otherwise outrun the events that they wait for.
        self.inner.cursor(Start::Floor).await?;
        self.inner.tail(after, limit).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        self.inner.cursor(Start::Floor).await?;
        let page = self.inner.page(after, limit).await;
        if limit == self.faults.page_limit.load(Ordering::SeqCst) {
            self.faults.pages.pass().await;
        }
        page
    }

    async fn list(
        &self,
        caller: &CallerId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.inner.list(caller, filter, before, limit).await
    }

    async fn cursor(&self, start: Start) -> Result<Cursor, Error> {
        self.inner.cursor(start).await
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        self.inner.cursor_status(origin, position).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }
}
