//! Injects faults into a process. Its plug counts every operation at the store and at Oz, and
//! crashes or pauses the process at the n-th one.
//!
//! A task that reaches the crash point never continues, as if the process had died there.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use crate::{
    domain::{
        AnalysisId, CallerId, Cursor, Event, Match, MatchId, Position, Recorded, Sequence, Spec,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, CursorStatus, Erased, Error,
        EventPage, Feed, Filter, Handles, Key, Listener, Listing, Origin, Reader, Start, Takeover,
        Writer,
    },
    sync::lock,
};

/// Where in an operation the process crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// Before the request leaves, or before the commit.
    Before,
    /// After Oz has acted, before its answer is read.
    Acted,
    /// After the answer and before its event is written; or after the commit and before its outcome
    /// is delivered.
    After,
}

pub const POINTS: [Point; 3] = [Point::Before, Point::Acted, Point::After];

/// Counts operations, and crashes the process, pauses it, or cuts it off from the store.
#[derive(Default)]
pub struct CrashInjector {
    count: Arc<Count>,
    /// Operations at the store in progress: the store may run threads of its own.
    at_store: AtomicUsize,
    is_pulled: AtomicBool,
    pulled: Notify,
    /// Whether the process can't reach its store.
    is_cut: AtomicBool,
    /// Whether the process is paused at a point.
    is_halted: AtomicBool,
    resumed: Notify,
}

/// The operations of all processes of a history, and the points at which a process crashes or
/// pauses.
#[derive(Default)]
struct Count {
    operations: AtomicUsize,
    pulled_at: Mutex<Option<(usize, Point)>>,
    halted_at: Mutex<Option<(usize, Point)>>,
}

impl CrashInjector {
    /// The plug of another process of the same history.
    pub fn for_other_process(&self) -> Self {
        Self { count: Arc::clone(&self.count), ..Self::default() }
    }

    /// The process that reaches this point of the n-th operation, counted from 0, crashes there.
    pub fn crash_at(&self, n: usize, point: Point) {
        *self.pulled_at() = Some((n, point));
    }

    /// The process that reaches this point of the n-th operation pauses there.
    pub fn pause_at(&self, n: usize, point: Point) {
        *self.halted_at() = Some((n, point));
    }

    /// Whether the process is paused at a point.
    pub fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Relaxed)
    }

    /// Resumes a paused process.
    pub fn resume(&self) {
        self.is_halted.store(false, Ordering::Relaxed);
        self.resumed.notify_waiters();
    }

    fn halted_at(&self) -> MutexGuard<'_, Option<(usize, Point)>> {
        lock(&self.count.halted_at)
    }

    fn pulled_at(&self) -> MutexGuard<'_, Option<(usize, Point)>> {
        lock(&self.count.pulled_at)
    }

    /// Cuts the process off from the store, or reconnects it.
    pub fn set_cut_off(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Whether the store can't be reached.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Crashes the process now.
    pub fn crash(&self) {
        self.is_pulled.store(true, Ordering::Relaxed);
        self.pulled.notify_one();
    }

    /// Resets the plug for a new process.
    pub fn reset(&self) {
        self.is_pulled.store(false, Ordering::Relaxed);
        *self.pulled_at() = None;
    }

    /// How many operations there have been, in all processes.
    pub fn operations(&self) -> usize {
        self.count.operations.load(Ordering::Relaxed)
    }

    /// Whether an operation at the store is in progress.
    pub fn is_store_busy(&self) -> bool {
        self.at_store.load(Ordering::Relaxed) > 0
    }

    /// Resolves when the process has crashed.
    pub async fn crashed(&self) {
        while !self.is_pulled.load(Ordering::Relaxed) {
            self.pulled.notified().await;
        }
    }

    /// Begins an operation, and passes its first point. Returns its number.
    pub async fn begin(&self, point: Point) -> usize {
        let n = self.count.operations.fetch_add(1, Ordering::Relaxed);
        self.pass(n, point).await;
        n
    }

    /// Passes a point of an operation. Waits while the process is paused; never returns once it has
    /// crashed.
    pub async fn pass(&self, n: usize, point: Point) {
        let here = Some((n, point));
        if *self.pulled_at() == here {
            self.crash();
        }
        if self.halted_at().take_if(|at| Some(*at) == here).is_some() {
            self.is_halted.store(true, Ordering::Relaxed);
        }
        while self.is_halted() {
            self.resumed.notified().await;
        }
        if self.is_pulled.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}

/// The writer of a process that may crash. Writes may fail, before the commit or after it.
pub struct FaultyWriter {
    pub inner: Arc<dyn Writer>,
    pub plug: Arc<CrashInjector>,
    trouble: Option<Mutex<(StdRng, f64)>>,
}

/// The outcome that is drawn for a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    NotWritten,
    ReplyLost,
}

impl FaultyWriter {
    /// Wraps a writer; each write fails with this probability.
    pub fn new(inner: Arc<dyn Writer>, plug: Arc<CrashInjector>, seed: u64, chance: f64) -> Self {
        let random = (StdRng::seed_from_u64(seed), chance);
        Self { inner, plug, trouble: (chance > 0.0).then(|| Mutex::new(random)) }
    }

    fn fate(&self) -> Fate {
        let Some(trouble) = &self.trouble else { return Fate::Fine };
        let mut trouble = lock(trouble);
        let (random, chance) = &mut *trouble;
        match (random.random_bool(*chance), random.random_bool(0.5)) {
            (false, _) => Fate::Fine,
            (true, false) => Fate::NotWritten,
            (true, true) => Fate::ReplyLost,
        }
    }

    async fn write<T>(&self, writing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let n = self.plug.begin(Point::Before).await;
        let fate = self.fate();
        if fate == Fate::NotWritten || self.plug.is_cut() {
            return Err(unavailable());
        }
        if fate == Fate::ReplyLost {
            // The write is started and may be committed, but its caller gets an error.
            let _ = writing.now_or_never();
            return Err(unavailable());
        }
        let written = self.plug.run_counted(writing).await;
        self.plug.pass(n, Point::After).await;
        written
    }

    /// Runs an operation that changes claims. Unlike a write, it fails only while the process is
    /// cut off.
    async fn change_claims<T>(
        &self,
        changing: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let n = self.plug.begin(Point::Before).await;
        let changed = self.plug.run_unless_cut_off(changing).await;
        self.plug.pass(n, Point::After).await;
        changed
    }
}

/// The reader of a process. Counts the reads in progress; reads fail while the process is cut off.
pub struct FaultyReader {
    pub inner: Arc<dyn Reader>,
    pub plug: Arc<CrashInjector>,
}

impl CrashInjector {
    /// Runs an operation at the store, unless the process is cut off from it.
    async fn run_unless_cut_off<T>(
        &self,
        working: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.is_cut() {
            true => Err(unavailable()),
            false => self.run_counted(working).await,
        }
    }

    async fn run_counted<T>(&self, working: impl Future<Output = T>) -> T {
        self.at_store.fetch_add(1, Ordering::Relaxed);
        let _done = BusyGuard(&self.at_store);
        working.await
    }
}

/// A guard that counts an operation at the store as in progress. It is dropped with the operation,
/// even if that is cancelled.
struct BusyGuard<'a>(&'a AtomicUsize);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The journal of a process that may crash. Each write fails with a probability.
pub fn faulty(journal: Handles, plug: &Arc<CrashInjector>, seed: u64, chance: f64) -> Handles {
    let writer = FaultyWriter::new(journal.writer, Arc::clone(plug), seed, chance);
    let reader = FaultyReader { inner: journal.feed.reader, plug: Arc::clone(plug) };
    let feed = Feed { reader: Arc::new(reader), ..journal.feed };
    Handles { writer: Arc::new(writer), feed, fleet: journal.fleet }
}

fn unavailable() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("an injected failure of the store")))
}

#[async_trait]
impl Writer for FaultyWriter {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        self.write(self.inner.admit(match_id, spec)).await
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        self.write(self.inner.append(claim, after, event)).await
    }

    async fn cancel(
        &self,
        caller: &CallerId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        self.write(self.inner.cancel(caller, key, keep)).await
    }

    async fn erase(&self, caller: &CallerId, match_id: MatchId) -> Result<Erased, Error> {
        self.plug.run_unless_cut_off(self.inner.erase(caller, match_id)).await
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        match chore {
            Chore::EraseExpired => {
                self.plug.run_unless_cut_off(self.inner.tidy(chore, limit)).await
            }
            // In a history no match was written by an older version.
            Chore::Enlist => self.inner.tidy(chore, limit).await,
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        self.plug.run_unless_cut_off(self.inner.claim(limit)).await
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        self.change_claims(self.inner.take(match_id, has_photo)).await
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.inner.takeable(matches).await
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        self.change_claims(self.inner.confirm(claim)).await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.change_claims(self.inner.release(claims)).await
    }

    async fn leave(&self) {
        // Without the store, the process can't give up its lease: others wait until it expires.
        if !self.plug.is_cut() {
            self.inner.leave().await;
        }
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.plug.run_unless_cut_off(self.inner.owned_by_others(match_id, analyses)).await
    }

    fn listen(&self, ear: Listener) {
        self.inner.listen(ear);
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        self.inner.claim_status(claim)
    }
}

#[async_trait]
impl Reader for FaultyReader {
    async fn find(&self, caller: &CallerId, key: &Key) -> Result<Option<Match>, Error> {
        self.plug.run_unless_cut_off(self.inner.find(caller, key)).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        self.plug.run_unless_cut_off(self.inner.events(match_id)).await
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        self.inner.recent(match_id)
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        self.plug.run_unless_cut_off(self.inner.tail(after, limit)).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        self.plug.run_unless_cut_off(self.inner.page(after, limit)).await
    }

    async fn list(
        &self,
        caller: &CallerId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.plug.run_unless_cut_off(self.inner.list(caller, filter, before, limit)).await
    }

    async fn cursor(&self, start: Start) -> Result<Cursor, Error> {
        self.plug.run_unless_cut_off(self.inner.cursor(start)).await
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        self.plug.run_unless_cut_off(self.inner.cursor_status(origin, position)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.plug.run_unless_cut_off(self.inner.ping()).await
    }
}
