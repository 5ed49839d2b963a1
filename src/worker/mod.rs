//! The left half of the service: moves matches forward, from acceptance to their end.
//!
//! It decides nothing about a match (the core does) and shows nothing to callers (watchers read the
//! journal). Its own work: admission, the photos in memory, one task for each match that this
//! replica holds, and an orderly shutdown.

mod admit;
mod driver;
mod limiter;
pub mod photo_memory;
mod registry;
mod standby;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

pub use crate::{journal::CancelledAs, oz::Jitter};
pub use admit::Refused;
pub use limiter::OzLimits;

use crate::{
    clock::Clock,
    domain::{
        CallerId, Digest, Match, MatchId, Policy, Progress, RequestId, Timestamp, VolatileState,
    },
    journal::{self, Claim, Erased, Key, MatchChange, Reader, Writer},
    outage::{self, Outage},
    oz::Oz,
    worker::{driver::Driver, limiter::Limiter, photo_memory::PhotoMemory, registry::Registration},
};

/// Matches per claim: a page that is folded in a few milliseconds.
const CLAIM_PAGE: usize = 1_000;
/// Matches per erasure. A store in which other writes wait for it erases them in several commits.
const ERASE_PAGE: usize = 500;
/// Matches of an older version that are entered into the indexes of lists at once: as many as are
/// erased.
const ENLIST_PAGE: usize = 500;
/// How often housekeeping looks for expired and for unclaimed matches. Expired matches are promised
/// to be gone within a minute.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(20);
/// The pause before the next claim after a failure, or while there is a backlog.
const CLAIMING_PAUSE: Duration = Duration::from_secs(1);
/// How long a match has no driver after its driver has panicked: a match that makes every driver
/// panic must not cause a tight loop.
const PANIC_PAUSE: Duration = Duration::from_secs(60);
/// How often the claims of drivers that have ended are released during a drain.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);
/// The share of the drain timeout in which the photos in memory may reach Oz; the rest is for
/// giving up the claims and the lease.
const DRAIN_SHARE_FOR_PHOTOS: f64 = 0.8;

/// The worker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How matches are driven.
    pub policy: Policy,
    /// How many unfinished matches this replica may hold.
    pub unfinished_max: usize,
    /// Limits on requests to Oz, for all replicas together.
    pub oz: OzLimits,
    /// How many bytes of photos may be in memory.
    pub photo_bytes_max: usize,
}

/// Receives the progress of a match between its events.
pub type ProgressSink = Arc<dyn Fn(MatchId, Progress) + Send + Sync>;

/// What the worker is built from.
pub struct Collaborators {
    /// Writes events, and claims matches.
    pub writer: Arc<dyn Writer>,
    /// Finds matches, and reads their events.
    pub reader: Arc<dyn Reader>,
    /// Sends requests to Oz.
    pub oz: Arc<dyn Oz>,
    /// Tells the time, and waits for it.
    pub clock: Clock,
    /// Receives progress, which is not stored.
    pub progress: ProgressSink,
    /// Draws jitter, from 0 to 1.
    pub chance: Jitter,
    /// Outages of the store, shared by all components that use it.
    pub store: Outage,
}

/// The handle of the worker: admits, cancels, erases, drains. Cheap to clone.
#[derive(Clone)]
pub struct Worker(Arc<Engine>);

/// State that all drivers share.
struct Engine {
    config: Config,
    with: Collaborators,
    photo_memory: PhotoMemory,
    limiter: Limiter,
    ids: Mutex<uuid::ContextV7>,
    drivers: Mutex<HashMap<MatchId, Arc<registry::DriverHandle>>>,
    /// Claims whose drivers here have ended, each with the time from which it may be released.
    released: Mutex<Vec<(Claim, Timestamp)>>,
    has_released: Notify,
    /// Standbys: matches that other replicas drive and whose photos are here.
    kept: Mutex<standby::Kept>,
    /// Claiming stopped at the limit of unfinished matches. Unclaimed matches come before new ones.
    has_backlog: AtomicBool,
    unfinished: Arc<AtomicUsize>,
    /// All tasks of the worker: a drain waits for the last of them.
    tasks: TaskTracker,
    /// Cancelled when a drain begins: new matches are refused, and a driver stops unless it holds a
    /// photo that isn't at Oz yet.
    draining: CancellationToken,
    /// Cancelled when the drain's time for photos is over: drivers stop wherever they are.
    stopping: CancellationToken,
}

/// The outcome of [`Worker::delete`].
#[derive(Debug)]
pub enum Deleted {
    /// The match as it was before, and when it was erased.
    Now(Box<Match>, Timestamp),
    /// The match has not ended. Nothing was erased.
    Running(MatchId),
    /// The caller has no such match.
    Absent,
}

/// Counts one unfinished match for as long as it is held.
struct UnfinishedSlot(Arc<AtomicUsize>);

impl Worker {
    /// A worker that has claimed nothing yet.
    pub fn new(config: Config, with: Collaborators) -> Self {
        let gate = Limiter::new(config.oz, with.clock.clone(), Arc::clone(&with.chance));
        let engine = Arc::new(Engine {
            limiter: gate,
            config,
            with,
            photo_memory: PhotoMemory::new(config.photo_bytes_max),
            ids: Mutex::new(uuid::ContextV7::new()),
            drivers: Mutex::default(),
            released: Mutex::default(),
            has_released: Notify::new(),
            kept: Mutex::default(),
            has_backlog: AtomicBool::new(false),
            unfinished: Arc::default(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
        });
        engine.subscribe_to_endings();
        Self(engine)
    }

    /// Claims unclaimed matches and drives them. Starts the tasks that go on claiming, that erase
    /// expired matches, and that wake standbys. Returns once the first claims are scheduled.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn start(&self) -> Result<(), journal::Error> {
        self.0.claim_unheld().await?;
        self.0.tasks.spawn(Arc::clone(&self.0).supervise(Engine::erase_loop));
        self.0.tasks.spawn(Arc::clone(&self.0).supervise(Engine::claim_loop));
        self.0.tasks.spawn(Arc::clone(&self.0).supervise(standby::wake_all));
        Ok(())
    }

    /// The memory of photos, those still being received included.
    pub fn photo_memory(&self) -> &PhotoMemory {
        &self.0.photo_memory
    }

    /// The digest of a photo, keyed with the store's own key.
    pub fn digest(&self, photo: &[u8]) -> Digest {
        let key = &self.0.with.writer.keys().digest;
        Digest(*blake3::keyed_hash(key, photo).as_bytes())
    }

    /// How many matches are under way on this replica.
    pub fn unfinished(&self) -> usize {
        self.0.unfinished()
    }

    /// Ends a match as cancelled, whichever replica drives it. Nothing more is sent to Oz for it.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn cancel(
        &self,
        caller: &CallerId,
        key: &Key,
    ) -> Result<CancelledAs, journal::Error> {
        let keep = self.0.config.policy.retention;
        let outcome = self.0.with.writer.cancel(caller, key, keep).await?;
        if let CancelledAs::Now(m) = &outcome {
            let request_id = m.spec.request_id.as_ref().map(RequestId::as_str);
            info!(match.id = %m.id, request.id = request_id, "match cancelled");
        }
        // Also on a repeat: if the answer to the first cancel was lost, it has not stopped the
        // driver.
        if let CancelledAs::Now(m) | CancelledAs::Already(m) = &outcome
            && let Some(handle) = self.0.handle(m.id)
        {
            handle.stop();
        }
        Ok(outcome)
    }

    /// Erases a match that has ended. A request id is resolved once, before the erasure: a match
    /// that gets the id a moment later is not erased.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn delete(&self, caller: &CallerId, key: &Key) -> Result<Deleted, journal::Error> {
        let Some(m) = self.0.with.reader.find(caller, key).await? else {
            return Ok(Deleted::Absent);
        };
        // A match that ends after this read is refused all the same: its final state was not read.
        if !m.has_ended() {
            return Ok(Deleted::Running(m.id));
        }
        match self.0.with.writer.erase(caller, m.id).await? {
            Erased::Done => {
                let request_id = m.spec.request_id.as_ref().map(RequestId::as_str);
                info!(match.id = %m.id, request.id = request_id, "match erased");
                let time = self.0.with.clock.now().max(m.update_time);
                Ok(Deleted::Now(Box::new(m), time))
            }
            Erased::Running => Ok(Deleted::Running(m.id)),
            Erased::Absent => Ok(Deleted::Absent),
        }
    }

    /// Cancelled when a drain begins: new matches are refused from then on.
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Refuses new matches, brings the photos in memory to Oz as far as the timeout allows, and
    /// stops. Unfinished matches stay in the journal, for other replicas or the next start.
    pub async fn drain(&self, timeout: Duration) {
        self.0.draining.cancel();
        self.0.tasks.close();
        let until = self.0.with.clock.now().after(timeout.mul_f64(DRAIN_SHARE_FOR_PHOTOS));
        if self.0.with.clock.before(until, self.0.wait_until_idle()).await.is_none() {
            warn!(
                photos = self.0.photo_memory.photos(),
                "drain: photos dropped that did not reach Oz in time"
            );
        }
        self.0.stopping.cancel();
        self.0.tasks.wait().await;
        self.0.with.writer.leave().await;
    }
}

impl Engine {
    fn drivers(&self) -> MutexGuard<'_, HashMap<MatchId, Arc<registry::DriverHandle>>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the journal tell of matches that have ended elsewhere: their drivers here stop at once,
    /// and their photos are dropped.
    fn subscribe_to_endings(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.with.writer.listen(Arc::new(move |heard| {
            let Some(engine) = engine.upgrade() else { return };
            match heard {
                MatchChange::Gone(id) => engine.stop(id),
                MatchChange::PhotoDone(id) => engine.stop_standby(id),
            }
        }));
    }

    fn stop(&self, id: MatchId) {
        if let Some(handle) = self.handle(id) {
            handle.stop();
        }
    }

    /// The handle of a match's driver or standby, if it is here.
    fn handle(&self, id: MatchId) -> Option<Arc<registry::DriverHandle>> {
        self.drivers().get(&id).cloned()
    }

    /// Counts a background failure of the store as part of its outage, which is logged once.
    fn store_failed(&self, failure: &journal::Error, what: &str) {
        debug!(error = outage::causes(failure), "{what}");
        self.with.store.failed(failure);
    }

    fn slot(&self) -> UnfinishedSlot {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        UnfinishedSlot(Arc::clone(&self.unfinished))
    }

    /// A slot for a new match. `None` at the limit of unfinished matches, or while older matches
    /// wait unclaimed.
    fn free_slot(&self) -> Option<UnfinishedSlot> {
        if self.has_backlog.load(Ordering::Relaxed) {
            return None;
        }
        let max = self.config.unfinished_max;
        let more = |unfinished| (unfinished < max).then_some(unfinished + 1);
        self.unfinished.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(UnfinishedSlot(Arc::clone(&self.unfinished)))
    }

    /// A driver for a match that another driver had before. Cancels and photos of the match reach
    /// it from now on, and it gets the photo that a standby has kept here. `None` if this replica
    /// has made a later claim since.
    fn revive(self: &Arc<Self>, m: Match, claim: Claim) -> Option<Driver> {
        Registration::take_over(self, claim).map(|seat| self.revive_registered(seat, m, claim))
    }

    fn revive_registered(&self, seat: Registration, m: Match, claim: Claim) -> Driver {
        let chance = (self.with.chance)();
        let drive = VolatileState::revived(&m, self.with.clock.now(), &self.config.policy, chance);
        Driver::new(m, claim, drive, seat)
    }

    fn spawn(&self, driver: Driver, slot: UnfinishedSlot) {
        self.tasks.spawn(async move {
            drive(driver).await;
            drop(slot);
        });
    }

    /// Spawns a standby, which keeps the photo of a match that another replica drives.
    fn spawn_standby(self: &Arc<Self>, seat: Registration) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Some(driver) = standby::wait_for_claim(seat).await {
                engine.spawn(driver, engine.slot());
            }
        });
    }

    /// Queues the release of a claim whose driver has ended before its match.
    fn release_soon(&self, claim: Claim) {
        self.released().push((claim, self.with.clock.now()));
        self.has_released.notify_one();
    }

    /// Queues the release of a claim whose driver has panicked: after a pause the match resumes,
    /// here or on another replica.
    fn release_after_panic(&self, claim: Claim) {
        let pause_ms = PANIC_PAUSE.as_millis() as u64;
        error!(match.id = %claim.match_id, pause_ms, "driver panicked: its claim will be released");
        self.released().push((claim, self.with.clock.now().after(PANIC_PAUSE)));
    }

    fn released(&self) -> MutexGuard<'_, Vec<(Claim, Timestamp)>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all tasks have ended, and releases the claims of ended drivers meanwhile.
    async fn wait_until_idle(&self) {
        loop {
            let is_empty = tokio::select! {
                biased;
                () = self.tasks.wait() => true,
                () = self.with.clock.sleep(RELEASE_INTERVAL) => false,
            };
            self.flush_releases().await;
            if is_empty {
                return;
            }
        }
    }

    /// Releases the claims that are due; during a drain, all of them.
    async fn flush_releases(&self) {
        let (now, is_last) = (self.with.clock.now(), self.draining.is_cancelled());
        // A replica that is alone releases nothing: its claims are free once it has left.
        if is_last && self.with.writer.fleet().borrow().alive == 1 {
            return;
        }
        let due: Vec<_> =
            self.released().extract_if(.., |(_, time)| is_last || *time <= now).collect();
        if due.is_empty() {
            return;
        }
        let claims = due.iter().map(|(claim, _)| *claim).collect();
        if let Err(failure) = self.with.writer.release(claims).await {
            self.store_failed(&failure, "claims not released: will retry");
            self.released().extend(due);
        }
    }

    /// Runs a housekeeping task until the drain, and restarts it after a panic: without it no match
    /// would be claimed or erased any more.
    async fn supervise<F: Future<Output = ()>>(self: Arc<Self>, task: fn(Arc<Self>) -> F) {
        while AssertUnwindSafe(task(Arc::clone(&self))).catch_unwind().await.is_err() {
            error!("housekeeping panicked: its task will be restarted");
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                () = self.with.clock.sleep(HOUSEKEEPING_INTERVAL) => {}
            }
        }
    }

    /// Claims the matches that no replica holds, until the drain.
    async fn claim_loop(self: Arc<Self>) {
        let mut fleet = self.with.writer.fleet();
        self.limiter.share_among(fleet.borrow_and_update().alive);
        // The first round comes soon: matches may have been released since the claims at the start.
        let mut pause = CLAIMING_PAUSE;
        loop {
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                () = self.has_released.notified() => {}
                Ok(()) = fleet.changed() => {}
                () = self.with.clock.sleep(pause) => {}
            }
            self.flush_releases().await;
            self.limiter.share_among(fleet.borrow_and_update().alive);
            pause = match self.claim_unheld().await {
                Ok(()) if self.has_backlog.load(Ordering::Relaxed) => CLAIMING_PAUSE,
                Ok(()) => HOUSEKEEPING_INTERVAL,
                Err(failure) => {
                    self.store_failed(&failure, "unclaimed matches not claimed: will retry");
                    CLAIMING_PAUSE
                }
            };
        }
    }

    /// Erases expired matches, and enters the matches that replicas of an older version wrote into
    /// the indexes of lists, until the drain. A task of its own, so that its backlog doesn't delay
    /// claims.
    async fn erase_loop(self: Arc<Self>) {
        loop {
            if let Err(failure) = self.erase_expired().await {
                self.store_failed(&failure, "expired matches not erased: will retry");
            }
            if let Err(failure) = self.enlist().await {
                self.store_failed(&failure, "matches of an older version not indexed: will retry");
            }
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                () = self.with.clock.sleep(HOUSEKEEPING_INTERVAL) => {}
            }
        }
    }

    /// A drain stops it; the next round of another replica, or the next start, erases the rest.
    async fn erase_expired(&self) -> Result<(), journal::Error> {
        while !self.draining.is_cancelled() {
            match self.with.writer.erase_expired(ERASE_PAGE).await? {
                0 => break,
                matches => info!(matches, "matches erased at the end of their retention"),
            }
        }
        Ok(())
    }

    /// Matches that replicas of an older version write meanwhile are entered by the next round.
    async fn enlist(&self) -> Result<(), journal::Error> {
        let mut entered = 0;
        while !self.draining.is_cancelled() {
            match self.with.writer.enlist(ENLIST_PAGE).await? {
                0 => break,
                matches => entered += matches,
            }
        }
        if entered > 0 {
            info!(matches = entered, "matches of an older version were indexed");
        }
        Ok(())
    }

    /// Claims all pages before it starts the first driver: the polls of drivers would delay the
    /// claims.
    async fn claim_unheld(self: &Arc<Self>) -> Result<(), journal::Error> {
        let mut claimed = Vec::new();
        let outcome = self.claim_pages(&mut claimed).await;
        if !claimed.is_empty() {
            info!(
                matches = claimed.len(),
                "unclaimed matches claimed: this replica drives them now"
            );
        }
        for (driver, slot) in claimed {
            self.spawn(driver, slot);
        }
        outcome
    }

    /// Claims pages up to the limit of unfinished matches: other replicas may have room for the
    /// rest. If a page fails, the matches claimed before it are driven all the same.
    async fn claim_pages(
        self: &Arc<Self>,
        claimed: &mut Vec<(Driver, UnfinishedSlot)>,
    ) -> Result<(), journal::Error> {
        loop {
            let room = self.config.unfinished_max.saturating_sub(self.unfinished());
            if room == 0 {
                return Ok(());
            }
            let limit = room.min(CLAIM_PAGE);
            let page = self.with.writer.claim(limit).await?;
            self.note_backlog(page.len() == room);
            if page.is_empty() {
                return Ok(());
            }
            let drivers = page.into_iter().filter_map(|(m, claim)| self.revive(m, claim));
            claimed.extend(drivers.map(|driver| (driver, self.slot())));
        }
    }
}

impl Engine {
    fn unfinished(&self) -> usize {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// Notes whether there may be unclaimed matches beyond the limit.
    fn note_backlog(&self, has_backlog: bool) {
        let had_backlog = self.has_backlog.swap(has_backlog, Ordering::Relaxed);
        if has_backlog && !had_backlog {
            warn!(
                unfinished = self.config.unfinished_max,
                "claiming paused at --max-unfinished: new matches are refused while unclaimed ones wait"
            );
        }
    }
}

/// Drives a match, and stands by with its photo while another replica drives it.
async fn drive(driver: Driver) {
    let mut next = Some(driver);
    while let Some(driver) = next {
        next = match driver.run().await {
            Some(seat) => {
                // The claim may be lent by now, so the standby tries to take the match back at
                // once.
                seat.handle().wake.notify_one();
                Box::pin(standby::wait_for_claim(seat)).await
            }
            None => None,
        };
    }
}

impl Drop for UnfinishedSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
