//! Keeps the photos of matches that other replicas drive, until they aren't needed any more.
//!
//! A caller has moved from another replica to this one, or this one has lost its lease. The photo is
//! also with the replica that drives the match, and nothing is uploaded twice; or that replica is
//! dead, and the match is this one's as soon as the lease has lapsed. Whether a photo is still
//! needed is heard of by the journal; the store is asked for all of them at once, and seldom.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    domain::MatchId,
    journal::{self, Takeover},
    worker::{
        Engine,
        driver::Driver,
        registry::{DriverHandle, Registration},
    },
};

/// How often the store is asked which matches of all that are kept here can be taken, beside every
/// change of the fleet: for what was not heard.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

/// How many matches are taken at once, and the pause before the next: each takes a few statements,
/// and admissions wait for them.
const TAKE_PAGE: usize = 100;
const TAKE_PAUSE: Duration = Duration::from_millis(100);

/// The matches whose photos are kept here, oldest first, each with how its keeper is reached.
pub type Kept = BTreeMap<MatchId, Arc<DriverHandle>>;

/// One of them, for as long as this lives.
struct KeptEntry {
    engine: Arc<Engine>,
    match_id: MatchId,
    handle: Arc<DriverHandle>,
}

/// Keeps the photo in its place. The driver of the match, if it becomes this replica's.
pub async fn wait_for_claim(seat: Registration) -> Option<Driver> {
    let (engine, handle) = (seat.engine().clone(), seat.handle().clone());
    let _place = KeptEntry::take(&engine, seat.match_id(), Arc::clone(&handle));
    loop {
        tokio::select! {
            biased;
            () = handle.stop.cancelled() => return None,
            () = engine.draining.cancelled() => return None,
            () = handle.poke.notified() => {}
        }
        match engine.with.writer.take(seat.match_id(), true).await {
            Ok(Takeover::Now(m, claim)) if seat.hold(claim) => {
                return Some(engine.revive_at(seat, m, claim));
            }
            // A later claim of this replica was faster, and the match was lost by this one.
            Ok(Takeover::Now(_, claim)) => {
                engine.release_soon(claim);
                return None;
            }
            Ok(Takeover::Past) => return None,
            Ok(Takeover::Held) => {}
            Err(failure) => {
                engine.store_failed(&failure, "a match that waits can't be claimed yet");
            }
        }
    }
}

/// Wakes the keepers of matches that can be taken, for as long as the server runs.
pub async fn wake_all(engine: Arc<Engine>) {
    let mut fleet = engine.with.writer.fleet();
    let mut pause = ASK_INTERVAL;
    loop {
        tokio::select! {
            biased;
            () = engine.draining.cancelled() => return,
            Ok(()) = fleet.changed() => {}
            () = engine.with.clock.sleep(pause) => {}
        }
        fleet.mark_unchanged();
        pause = match engine.wake_keepers().await {
            Ok(woken) if woken == TAKE_PAGE => TAKE_PAUSE,
            Ok(_) => ASK_INTERVAL,
            Err(failure) => {
                engine.store_failed(&failure, "what can be taken can't be read yet");
                ASK_INTERVAL
            }
        };
    }
}

impl Engine {
    /// Wakes the keepers of some matches that can be taken. How many.
    async fn wake_keepers(&self) -> Result<usize, journal::Error> {
        let kept: Vec<MatchId> = self.kept().keys().copied().collect();
        if kept.is_empty() {
            return Ok(0);
        }
        let free = self.with.writer.takeable(&kept).await?;
        let kept = self.kept();
        let handles = free.iter().filter_map(|id| kept.get(id)).take(TAKE_PAGE);
        Ok(handles.map(|handle| handle.poke.notify_one()).count())
    }

    /// Lets go of the photo of a match, if it is kept here for another replica's driver.
    pub(super) fn stop_keeping(&self, id: MatchId) {
        if let Some(handle) = self.kept().get(&id) {
            handle.stop();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptEntry {
    fn take(engine: &Arc<Engine>, match_id: MatchId, handle: Arc<DriverHandle>) -> Self {
        engine.kept().insert(match_id, Arc::clone(&handle));
        Self { engine: Arc::clone(engine), match_id, handle }
    }
}

impl Drop for KeptEntry {
    fn drop(&mut self) {
        let mut kept = self.engine.kept();
        // A later keeper of the match keeps its place.
        if kept.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            kept.remove(&self.match_id);
        }
    }
}
