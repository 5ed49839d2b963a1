//! The left half of the house: moves matches forward, from acceptance to their end.
//!
//! It decides nothing about a match (the core does) and shows nothing to anybody (watchers read
//! the journal). What is its own: admission, the photos in memory, one task for each match that
//! this replica holds, and going down in order.

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
    journal::{self, Claim, Erased, Heard, Key, Reader, Writer},
    outage::{self, Outage},
    oz::Oz,
    worker::{driver::Driver, limiter::Limiter, photo_memory::PhotoMemory, registry::Registration},
};

/// How many matches are claimed at once: a page that is folded in some milliseconds.
const CLAIM_PAGE: usize = 1_000;
/// How many matches are erased at once; a store in which others wait for that does it in parts.
const ERASE_PAGE: usize = 500;
/// How many matches of an older version are entered into the indexes of lists at once: as many as
/// are erased.
const ENLIST_PAGE: usize = 500;
/// How often matches are looked for that have been kept long enough, or that nobody drives. The
/// former are promised to be gone within a minute.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(20);
/// When claiming is tried again that has failed.
const CLAIMING_PAUSE: Duration = Duration::from_secs(1);
/// How long a match stays unclaimed whose driver has panicked: if it always does so, its next driver
/// is not the end of this one's.
const PANIC_PAUSE: Duration = Duration::from_secs(60);
/// How often what is left behind is let go of while the server goes down.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);
/// The share of the drain time that the photos in memory get; the rest is for the goodbyes.
const DRAIN_SHARE_FOR_PHOTOS: f64 = 0.8;

/// The worker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How matches are driven.
    pub policy: Policy,
    /// How many matches may be under way.
    pub unfinished_max: usize,
    /// What all replicas together may ask of Oz.
    pub oz: OzLimits,
    /// How many bytes of photos may be in memory.
    pub photo_bytes_max: usize,
}

/// Is told how far a match is, at moments that aren't facts.
pub type ProgressSink = Arc<dyn Fn(MatchId, Progress) + Send + Sync>;

/// What the worker works with.
pub struct Collaborators {
    /// Where facts are written.
    pub writer: Arc<dyn Writer>,
    /// Where matches are found.
    pub reader: Arc<dyn Reader>,
    /// Who does the work.
    pub oz: Arc<dyn Oz>,
    /// What time it is.
    pub clock: Clock,
    /// Who is told of progress.
    pub progress: ProgressSink,
    /// Where jitter comes from.
    pub chance: Jitter,
    /// Of the store: told of by all who use it.
    pub store: Outage,
}

/// The handle of the worker: admits, cancels, erases, drains. Cheap to clone.
#[derive(Clone)]
pub struct Worker(Arc<Engine>);

/// What every driver shares.
struct Engine {
    config: Config,
    with: Collaborators,
    photo_memory: PhotoMemory,
    gate: Limiter,
    ids: Mutex<uuid::ContextV7>,
    drivers: Mutex<HashMap<MatchId, Arc<registry::DriverHandle>>>,
    /// Claims that no driver here holds any more, each with the time from when on it is released.
    released: Mutex<Vec<(Claim, Timestamp)>>,
    has_released: Notify,
    /// The matches of other replicas whose photos are here.
    kept: Mutex<standby::Kept>,
    /// Claiming stopped at the limit of unfinished matches: what is still unclaimed comes before
    /// new matches.
    has_backlog: AtomicBool,
    unfinished: Arc<AtomicUsize>,
    tasks: TaskTracker,
    /// New matches are refused, and drivers stop once nothing hangs on their photo.
    draining: CancellationToken,
    /// Drivers stop wherever they are.
    stopping: CancellationToken,
}

/// What became of a wish to erase a match.
#[derive(Debug)]
pub enum Deleted {
    /// It was erased at this time; so it was before.
    Now(Box<Match>, Timestamp),
    /// It runs.
    Running(MatchId),
    /// There is none.
    Absent,
}

/// Counts one unfinished match for as long as it is held.
struct UnfinishedSlot(Arc<AtomicUsize>);

impl Worker {
    /// A worker that has claimed nothing yet.
    pub fn new(config: Config, with: Collaborators) -> Self {
        let gate = Limiter::new(config.oz, with.clock.clone(), Arc::clone(&with.chance));
        let engine = Arc::new(Engine {
            gate,
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
        engine.hear();
        Self(engine)
    }

    /// Claims the unfinished matches that nobody holds and drives them on; goes on to do so, and to
    /// erase what has been kept long enough. Returns once all are scheduled.
    ///
    /// # Errors
    /// The journal's.
    pub async fn start(&self) -> Result<(), journal::Error> {
        self.0.claim_unheld().await?;
        self.0.tasks.spawn(Arc::clone(&self.0).supervise(Engine::erase_loop));
        self.0.tasks.spawn(Arc::clone(&self.0).supervise(Engine::claim_loop));
        self.0.tasks.spawn(Arc::clone(&self.0).supervise(standby::wake_all));
        Ok(())
    }

    /// Where photos are kept, also while they are being received.
    pub fn photo_memory(&self) -> &PhotoMemory {
        &self.0.photo_memory
    }

    /// The digest of a photo, by the store's own key.
    pub fn digest(&self, photo: &[u8]) -> Digest {
        let key = &self.0.with.writer.keys().digest;
        Digest(*blake3::keyed_hash(key, photo).as_bytes())
    }

    /// How many matches are under way here.
    pub fn unfinished(&self) -> usize {
        self.0.unfinished()
    }

    /// Ends a match as cancelled, whoever drives it. Nothing more is sent to Oz for it.
    ///
    /// # Errors
    /// The journal's.
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
        // A first cancel whose answer was lost stopped nobody.
        if let CancelledAs::Now(m) | CancelledAs::Already(m) = &outcome
            && let Some(handle) = self.0.handle(m.id)
        {
            handle.stop();
        }
        Ok(outcome)
    }

    /// Erases a match that has ended. By a request id it erases the match that this names when it
    /// is looked up: not another one that gets the id a moment later.
    ///
    /// # Errors
    /// The journal's.
    pub async fn delete(&self, caller: &CallerId, key: &Key) -> Result<Deleted, journal::Error> {
        let Some(m) = self.0.with.reader.find(caller, key).await? else {
            return Ok(Deleted::Absent);
        };
        // One that ends after the look is refused all the same: what it had was not yet known.
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

    /// Cancelled once new matches are refused because the server goes down.
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Refuses new matches, brings the photos in memory to Oz as far as the time allows, and
    /// stops. What is under way stays in the journal for whoever comes next.
    pub async fn drain(&self, timeout: Duration) {
        self.0.draining.cancel();
        self.0.tasks.close();
        let until = self.0.with.clock.now().after(timeout.mul_f64(DRAIN_SHARE_FOR_PHOTOS));
        if self.0.with.clock.before(until, self.0.empty()).await.is_none() {
            warn!(
                photos = self.0.photo_memory.photos(),
                "drain: photos in memory are dropped, their time is up"
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

    /// Hears of matches that were ended elsewhere, for as long as it lives: their drivers here stop
    /// at once, and no photo is kept for them.
    fn hear(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.with.writer.hear(Arc::new(move |heard| {
            let Some(engine) = engine.upgrade() else { return };
            match heard {
                Heard::Gone(id) => engine.stop(id),
                Heard::PhotoDone(id) => engine.stop_keeping(id),
            }
        }));
    }

    fn stop(&self, id: MatchId) {
        if let Some(handle) = self.handle(id) {
            handle.stop();
        }
    }

    /// How the driver of a match is reached, if it is here.
    fn handle(&self, id: MatchId) -> Option<Arc<registry::DriverHandle>> {
        self.drivers().get(&id).cloned()
    }

    /// The store has failed in the background: counted as its outage, which the log tells of once.
    fn store_failed(&self, failure: &journal::Error, what: &str) {
        debug!(error = outage::causes(failure), "{what}");
        self.with.store.failed(failure);
    }

    fn slot(&self) -> UnfinishedSlot {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        UnfinishedSlot(Arc::clone(&self.unfinished))
    }

    /// A slot for a new match, if there are fewer than the settings allow, and no older one waits
    /// for a slot.
    fn free_slot(&self) -> Option<UnfinishedSlot> {
        if self.has_backlog.load(Ordering::Relaxed) {
            return None;
        }
        let max = self.config.unfinished_max;
        let more = |unfinished| (unfinished < max).then_some(unfinished + 1);
        self.unfinished.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(UnfinishedSlot(Arc::clone(&self.unfinished)))
    }

    /// The driver of a match that somebody else drove before: whoever cancels the match, or brings
    /// its photo, reaches it from now on. If the photo was kept here, it goes along. None if the
    /// match has been claimed again here since.
    fn revive(self: &Arc<Self>, m: Match, claim: Claim) -> Option<Driver> {
        Registration::take_over(self, claim).map(|seat| self.revive_at(seat, m, claim))
    }

    fn revive_at(&self, seat: Registration, m: Match, claim: Claim) -> Driver {
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

    /// Keeps the photo of a match that somebody else drives.
    fn spawn_keeper(self: &Arc<Self>, seat: Registration) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Some(driver) = standby::wait_for_claim(seat).await {
                engine.spawn(driver, engine.slot());
            }
        });
    }

    /// A driver has gone before its match has ended.
    fn release_soon(&self, claim: Claim) {
        self.left().push((claim, self.with.clock.now()));
        self.has_released.notify_one();
    }

    /// A driver has panicked: its match goes on, here or elsewhere, after a pause.
    fn release_after_panic(&self, claim: Claim) {
        let pause_ms = PANIC_PAUSE.as_millis() as u64;
        error!(match.id = %claim.match_id, pause_ms, "driver panicked: its claim will be released");
        self.left().push((claim, self.with.clock.now().after(PANIC_PAUSE)));
    }

    fn left(&self) -> MutexGuard<'_, Vec<(Claim, Timestamp)>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once all drivers have gone. What they leave is let go of meanwhile.
    async fn empty(&self) {
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

    /// Releases the claims that no driver here holds any more, once it is time to; all of them if
    /// the server goes down.
    async fn flush_releases(&self) {
        let (now, is_last) = (self.with.clock.now(), self.draining.is_cancelled());
        // What a replica that is alone leaves is free by its going.
        if is_last && self.with.writer.fleet().borrow().alive == 1 {
            return;
        }
        let due: Vec<_> = self.left().extract_if(.., |(_, time)| is_last || *time <= now).collect();
        if due.is_empty() {
            return;
        }
        let claims = due.iter().map(|(claim, _)| *claim).collect();
        if let Err(failure) = self.with.writer.release(claims).await {
            self.store_failed(&failure, "claims can't be released yet");
            self.left().extend(due);
        }
    }

    /// Runs a task of housekeeping for as long as the server runs, begun anew if it panics: without
    /// it no match would be claimed, or erased, ever again.
    async fn supervise<F: Future<Output = ()>>(self: Arc<Self>, task: fn(Arc<Self>) -> F) {
        while AssertUnwindSafe(task(Arc::clone(&self))).catch_unwind().await.is_err() {
            error!("housekeeping panicked: it begins anew");
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                () = self.with.clock.sleep(HOUSEKEEPING_INTERVAL) => {}
            }
        }
    }

    /// Sees to it, for as long as the server runs, that no match is left lying.
    async fn claim_loop(self: Arc<Self>) {
        let mut fleet = self.with.writer.fleet();
        self.gate.share_among(fleet.borrow_and_update().alive);
        // Whatever came free since all was claimed first.
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
            self.gate.share_among(fleet.borrow_and_update().alive);
            pause = match self.claim_unheld().await {
                Ok(()) if self.has_backlog.load(Ordering::Relaxed) => CLAIMING_PAUSE,
                Ok(()) => HOUSEKEEPING_INTERVAL,
                Err(failure) => {
                    self.store_failed(&failure, "matches can't be claimed yet");
                    CLAIMING_PAUSE
                }
            };
        }
    }

    /// Erases what has been kept long enough, and enters what replicas of an older version wrote
    /// into the indexes of lists, for as long as the server runs. Apart from what comes free, which
    /// must not wait for a backlog of this.
    async fn erase_loop(self: Arc<Self>) {
        loop {
            if let Err(failure) = self.erase_expired().await {
                self.store_failed(&failure, "expired matches can't be erased yet");
            }
            if let Err(failure) = self.enlist().await {
                self.store_failed(&failure, "matches of an older version can't be indexed yet");
            }
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                () = self.with.clock.sleep(HOUSEKEEPING_INTERVAL) => {}
            }
        }
    }

    /// What a server that goes leaves, the next start erases.
    async fn erase_expired(&self) -> Result<(), journal::Error> {
        while !self.draining.is_cancelled() {
            match self.with.writer.erase_expired(ERASE_PAGE).await? {
                0 => break,
                matches => info!(matches, "matches erased at the end of their retention"),
            }
        }
        Ok(())
    }

    /// What replicas of an older version go on to write, the next round enters.
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

    /// Claims all before the first of them moves: their polls would take the time that claiming
    /// the others needs.
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
    /// rest. Whatever was claimed is driven, also if what follows can't be.
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

/// Drives a match, and keeps its photo while it is in other hands.
async fn drive(driver: Driver) {
    let mut next = Some(driver);
    while let Some(driver) = next {
        next = match driver.run().await {
            Some(seat) => {
                // It may be lent by now, so that this replica can take it back at once.
                seat.handle().poke.notify_one();
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
