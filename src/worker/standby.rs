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
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::{
    domain::{Match, MatchId},
    journal::{self, Claim, Takeover},
    sync::lock,
    worker::{
        context::Context,
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

/// How a standby ends.
pub enum Exit {
    /// The photo isn't needed any more, or the server drains.
    Ended,
    /// The standby was stopped while it claimed the match: the claim is not driven.
    Release(Claim),
    /// This replica has claimed the match: it is to be driven.
    Claimed(Box<Match>, Claim, Registration),
}

/// The standbys of this replica: matches whose photos are kept here, oldest first.
#[derive(Default)]
pub struct Standbys(Mutex<BTreeMap<MatchId, Arc<DriverHandle>>>);

/// An entry of [`Standbys`], which is removed when this is dropped.
struct StandbyEntry<'a> {
    standbys: &'a Standbys,
    match_id: MatchId,
    handle: Arc<DriverHandle>,
}

/// Keeps the photo of a match until this replica has claimed the match, or the photo isn't needed
/// any more, or the replica drains.
pub async fn wait_for_claim(
    context: &Context,
    standbys: &Standbys,
    registration: Registration,
) -> Exit {
    let (match_id, handle) = (registration.match_id(), Arc::clone(registration.handle()));
    let _entry = standbys.enter(match_id, Arc::clone(&handle));
    loop {
        tokio::select! {
            biased;
            () = handle.stop.cancelled() => return Exit::Ended,
            () = context.draining.cancelled() => return Exit::Ended,
            () = handle.wake.notified() => {}
        }
        match context.writer.take(match_id, true).await {
            Ok(Takeover::Now(m, claim)) if registration.set_claim(claim) => {
                return Exit::Claimed(Box::new(m), claim, registration);
            }
            // The standby was stopped meanwhile, for instance by a later claim of this replica.
            Ok(Takeover::Now(_, claim)) => return Exit::Release(claim),
            Ok(Takeover::Past) => return Exit::Ended,
            Ok(Takeover::Held) => {}
            Err(failure) => {
                context.store_failed(&failure, "match not claimed by its standby: will retry");
            }
        }
    }
}

/// Wakes the standbys of matches that can be claimed, until this replica drains.
pub async fn wake_all(context: &Context, standbys: &Standbys) {
    let mut fleet = context.fleet.clone();
    fleet.mark_unchanged();
    let mut pause = ASK_INTERVAL;
    loop {
        tokio::select! {
            biased;
            () = context.draining.cancelled() => return,
            Ok(()) = fleet.changed() => {}
            () = context.clock.sleep(pause) => {}
        }
        fleet.mark_unchanged();
        pause = match wake_page(context, standbys).await {
            Ok(woken) if woken == TAKE_PAGE => TAKE_PAUSE,
            Ok(_) => ASK_INTERVAL,
            Err(failure) => {
                context.store_failed(&failure, "claimable matches not read: standbys will retry");
                ASK_INTERVAL
            }
        };
    }
}

/// Wakes up to `TAKE_PAGE` standbys of matches that can be claimed. Returns how many.
async fn wake_page(context: &Context, standbys: &Standbys) -> Result<usize, journal::Error> {
    let kept: Vec<MatchId> = standbys.handles().keys().copied().collect();
    if kept.is_empty() {
        return Ok(0);
    }
    let free = context.writer.takeable(&kept).await?;
    let handles = standbys.handles();
    let claimable = free.iter().filter_map(|id| handles.get(id)).take(TAKE_PAGE);
    Ok(claimable.map(|handle| handle.wake.notify_one()).count())
}

impl Standbys {
    /// Stops the standby of a match, if there is one here, and so drops its photo.
    pub fn stop(&self, match_id: MatchId) {
        if let Some(handle) = self.handles().get(&match_id) {
            handle.stop();
        }
    }

    fn enter(&self, match_id: MatchId, handle: Arc<DriverHandle>) -> StandbyEntry<'_> {
        self.handles().insert(match_id, Arc::clone(&handle));
        StandbyEntry { standbys: self, match_id, handle }
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<MatchId, Arc<DriverHandle>>> {
        lock(&self.0)
    }
}

impl Drop for StandbyEntry<'_> {
    fn drop(&mut self) {
        let mut handles = self.standbys.handles();
        // A later standby of the match keeps its entry.
        if handles.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            handles.remove(&self.match_id);
        }
    }
}
