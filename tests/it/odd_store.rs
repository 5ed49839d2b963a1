//! A store around a store: it does the same, at moments and with outcomes that a test chooses.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use facematch::{
    domain::{AnalysisId, CallerId, Event, Match, MatchId, Position, Recorded, Sequence, Spec},
    journal::{
        Admitted, Appended, CancelledAs, Claim, ClaimStatus, CursorStatus, Ear, Erased, Error,
        EventPage, Filter, Fleet, Key, Keys, Listing, Origin, Reader, Takeover, Writer,
        sqlite::Sqlite,
    },
    worker::Worker,
};
use tokio::sync::watch;

/// The journal, and what goes wrong with it. Clones are the same one.
#[derive(Clone)]
pub struct OddStore {
    inner: Sqlite,
    pub cues: Arc<Cues>,
}

/// What goes wrong.
#[derive(Default)]
pub struct Cues {
    /// So many appends are written, and answered as if they weren't.
    pub appends_unheard: AtomicUsize,
    /// So many reads of a match's events fail.
    pub reads_failing: AtomicUsize,
    /// Reads of a match's events have their answer, and wait here before they give it.
    pub events: Gate,
    /// Pages of all events of this size, likewise.
    pub pages: Gate,
    pub page_limit: AtomicUsize,
    /// There is always more to erase.
    pub endlessly_expired: AtomicBool,
    /// Cancels each match at the moment it is durable.
    pub canceller: OnceLock<Worker>,
}

/// A place where one who comes waits, if it is shut.
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

    /// Waits until somebody waits.
    pub async fn somebody(&self) {
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

impl OddStore {
    pub fn new(inner: Sqlite) -> Self {
        Self { inner, cues: Arc::default() }
    }
}

/// Takes one of what is left.
fn is_due(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn failure() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("as the test wants it")))
}

#[async_trait]
impl Writer for OddStore {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let caller = spec.caller.clone();
        let admitted = self.inner.admit(match_id, spec).await?;
        if let Some(worker) = self.cues.canceller.get() {
            worker.cancel(&caller, &Key::Match(match_id)).await?;
        }
        Ok(admitted)
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let appended = self.inner.append(claim, after, event).await;
        if is_due(&self.cues.appends_unheard) { Err(failure()) } else { appended }
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

    async fn erase_expired(&self, limit: usize) -> Result<usize, Error> {
        let erased = self.inner.erase_expired(limit).await?;
        Ok(if self.cues.endlessly_expired.load(Ordering::SeqCst) { limit } else { erased })
    }

    async fn enlist(&self, limit: usize) -> Result<usize, Error> {
        self.inner.enlist(limit).await
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

    fn hear(&self, ear: Ear) {
        self.inner.hear(ear);
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

    fn may_act(&self) -> bool {
        self.inner.may_act()
    }

    fn tenure(&self, claim: Claim) -> ClaimStatus {
        self.inner.tenure(claim)
    }

    fn fleet(&self) -> watch::Receiver<Fleet> {
        self.inner.fleet()
    }

    fn keys(&self) -> &Keys {
        Writer::keys(&self.inner)
    }
}

#[async_trait]
impl Reader for OddStore {
    async fn find(&self, caller: &CallerId, key: &Key) -> Result<Option<Match>, Error> {
        self.inner.find(caller, key).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        if is_due(&self.cues.reads_failing) {
            return Err(failure());
        }
        let events = self.inner.events(match_id).await;
        self.cues.events.pass().await;
        events
    }

    /// Always asks the store, where the cues are.
    fn recent(&self, _: MatchId) -> Option<Vec<Recorded>> {
        None
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        // A trip to the store even for what memory has: tests that move the time from one wait to
        // the next would else outrun what they wait for.
        self.inner.floor().await?;
        self.inner.tail(after, limit).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        self.inner.floor().await?;
        let page = self.inner.page(after, limit).await;
        if limit == self.cues.page_limit.load(Ordering::SeqCst) {
            self.cues.pages.pass().await;
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

    async fn head(&self) -> Result<Position, Error> {
        self.inner.head().await
    }

    async fn earliest(&self) -> Result<Position, Error> {
        self.inner.earliest().await
    }

    async fn floor(&self) -> Result<Position, Error> {
        self.inner.floor().await
    }

    async fn standing(&self, origin: Origin, position: Position) -> Result<CursorStatus, Error> {
        self.inner.standing(origin, position).await
    }

    fn origin(&self) -> Origin {
        self.inner.origin()
    }

    fn origin_of(&self, incarnation: u64) -> Origin {
        self.inner.origin_of(incarnation)
    }

    async fn incarnation_at(&self, position: Position) -> Result<u64, Error> {
        self.inner.incarnation_at(position).await
    }

    fn keys(&self) -> &Keys {
        Reader::keys(&self.inner)
    }

    fn wake(&self) -> watch::Receiver<()> {
        self.inner.wake()
    }

    fn take_erased(&self) -> Vec<MatchId> {
        self.inner.take_erased()
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }
}
