//! Standbys: they keep the photos of matches that other replicas drive, until the photos aren't
//! needed any more.
//!
//! A match has a standby here if its caller has moved from another replica to this one, or if this
//! replica has lost its lease. While the replica that drives the match lives, the standby uploads
//! nothing. If that replica dies, the standby claims the match as soon as its lease has expired.
//! The journal reports which photos aren't needed any more. One statement, sent seldom, reads for
//! all standbys which matches can be claimed.

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

/// How often the store is asked which of the kept matches can be claimed. It is asked after every
/// change of the fleet as well; the interval covers notifications that were missed.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

/// How many standbys are woken at once, and the pause before the next ones: each claim takes a few
/// statements, and admissions wait for them.
const TAKE_PAGE: usize = 100;
const TAKE_PAUSE: Duration = Duration::from_millis(100);

/// The matches whose photos are kept here, oldest first, each with the handle of its standby.
pub type Kept = BTreeMap<MatchId, Arc<DriverHandle>>;

/// Keeps an entry in `Kept`, and removes it when dropped.
struct KeptEntry {
    engine: Arc<Engine>,
    match_id: MatchId,
    handle: Arc<DriverHandle>,
}

/// Keeps the photo of a match, and claims the match when it can be claimed. Returns the driver once
/// it has; `None` if the photo isn't needed any more, or if this replica drains.
pub async fn wait_for_claim(seat: Registration) -> Option<Driver> {
    let (engine, handle) = (seat.engine().clone(), seat.handle().clone());
    let _place = KeptEntry::take(&engine, seat.match_id(), Arc::clone(&handle));
    loop {
        tokio::select! {
            biased;
            () = handle.stop.cancelled() => return None,
            () = engine.draining.cancelled() => return None,
            () = handle.wake.notified() => {}
        }
        match engine.with.writer.take(seat.match_id(), true).await {
            Ok(Takeover::Now(m, claim)) if seat.set_claim(claim) => {
                return Some(engine.revive_registered(seat, m, claim));
            }
            // The standby was stopped meanwhile, for instance by a later claim of this replica.
            Ok(Takeover::Now(_, claim)) => {
                engine.release_soon(claim);
                return None;
            }
            Ok(Takeover::Past) => return None,
            Ok(Takeover::Held) => {}
            Err(failure) => {
                engine.store_failed(&failure, "match not claimed by its standby: will retry");
            }
        }
    }
}

/// Wakes the standbys of matches that can be claimed, until this replica drains.
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
        pause = match engine.wake_standbys().await {
            Ok(woken) if woken == TAKE_PAGE => TAKE_PAUSE,
            Ok(_) => ASK_INTERVAL,
            Err(failure) => {
                engine.store_failed(&failure, "claimable matches not read: standbys will retry");
                ASK_INTERVAL
            }
        };
    }
}

impl Engine {
    /// Wakes up to `TAKE_PAGE` standbys of matches that can be claimed. Returns the number woken.
    async fn wake_standbys(&self) -> Result<usize, journal::Error> {
        let kept: Vec<MatchId> = self.kept().keys().copied().collect();
        if kept.is_empty() {
            return Ok(0);
        }
        let free = self.with.writer.takeable(&kept).await?;
        let kept = self.kept();
        let handles = free.iter().filter_map(|id| kept.get(id)).take(TAKE_PAGE);
        Ok(handles.map(|handle| handle.wake.notify_one()).count())
    }

    /// Stops the standby of a match, if there is one here, and so drops its photo.
    pub(super) fn stop_standby(&self, id: MatchId) {
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
        // The entry of a later standby of the match stays.
        if kept.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            kept.remove(&self.match_id);
        }
    }
}
