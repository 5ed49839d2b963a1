//! Housekeeping: the tasks that claim the matches that no replica holds, erase expired matches, and
//! wake standbys. They end when the server drains.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future};
use tracing::{error, info};

use crate::{
    domain::Match,
    journal::{self, Chore, Claim},
    worker::{
        context::Context, driver::Driver, registry::PendingClaim, slots::UnfinishedSlot,
        supervisor::Supervisor,
    },
};

/// Matches per claim: a page that is folded in a few milliseconds.
pub const CLAIM_PAGE: usize = 1_000;
/// Matches per erasure. A store in which other writes wait for it erases them in several commits.
const ERASE_PAGE: usize = 500;
/// Matches of an older version that are entered into the indexes of lists at once: as many as are
/// erased.
const ENLIST_PAGE: usize = 500;
/// How often housekeeping looks for expired and for unclaimed matches. Expired matches are promised
/// to be gone within a minute.
pub const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(20);
/// The pause before the next claim after a failure, or while there is a backlog.
pub const CLAIMING_PAUSE: Duration = Duration::from_secs(1);

/// Claims unclaimed matches once, and starts the tasks of housekeeping.
///
/// # Errors
/// Those of the journal.
pub async fn start(supervisor: &Arc<Supervisor>) -> Result<(), journal::Error> {
    let context = &supervisor.context;
    // Before the first driver runs: a replica that joins a fleet must not use the limits of all.
    context.limiter.share_among(context.fleet.borrow().alive);
    claim_unheld(supervisor).await?;
    let tasks = &supervisor.tasks;
    tasks.spawn(restart_on_panic(Arc::clone(supervisor), erase_loop));
    tasks.spawn(restart_on_panic(Arc::clone(supervisor), claim_loop));
    tasks.spawn(restart_on_panic(Arc::clone(supervisor), wake_loop));
    Ok(())
}

/// Runs a housekeeping task until the drain, and restarts it after a panic: without it no match
/// would be claimed or erased any more.
async fn restart_on_panic<F: Future<Output = ()>>(
    supervisor: Arc<Supervisor>,
    task: fn(Arc<Supervisor>) -> F,
) {
    let context = &supervisor.context;
    while AssertUnwindSafe(task(Arc::clone(&supervisor))).catch_unwind().await.is_err() {
        error!("housekeeping panicked: its task will be restarted");
        tokio::select! {
            biased;
            () = context.draining.cancelled() => return,
            () = context.clock.sleep(HOUSEKEEPING_INTERVAL) => {}
        }
    }
}

// Claiming.

/// Claims the matches that no replica holds, until the drain.
async fn claim_loop(supervisor: Arc<Supervisor>) {
    let context = &supervisor.context;
    let mut fleet = context.fleet.clone();
    context.limiter.share_among(fleet.borrow_and_update().alive);
    // The first round comes soon: matches may have been released since the claims at the start.
    let mut pause = CLAIMING_PAUSE;
    loop {
        tokio::select! {
            biased;
            () = context.draining.cancelled() => return,
            () = supervisor.release_queued.notified() => {}
            Ok(()) = fleet.changed() => {}
            () = context.clock.sleep(pause) => {}
        }
        supervisor.flush_releases().await;
        context.limiter.share_among(fleet.borrow_and_update().alive);
        pause = match claim_unheld(&supervisor).await {
            Ok(()) if supervisor.slots.has_backlog() => CLAIMING_PAUSE,
            Ok(()) => HOUSEKEEPING_INTERVAL,
            Err(failure) => {
                context.store_failed(&failure, "unclaimed matches not claimed: will retry");
                CLAIMING_PAUSE
            }
        };
    }
}

/// A page of claimed matches, and the announcement of their claims.
struct ClaimedPage<'a> {
    matches: Vec<(Match, Claim)>,
    _announced: PendingClaim<'a>,
}

/// The drivers of claimed matches, by pages.
type Drivers = Vec<Vec<(Driver, UnfinishedSlot)>>;

/// Claims all pages before it starts the first driver: the polls of drivers would delay the claims.
/// If a page fails or panics, the matches claimed before it are driven all the same.
async fn claim_unheld(supervisor: &Arc<Supervisor>) -> Result<(), journal::Error> {
    let mut claimed = Drivers::new();
    let outcome = AssertUnwindSafe(claim_pages(supervisor, &mut claimed)).catch_unwind().await;
    let matches: usize = claimed.iter().map(Vec::len).sum();
    if matches > 0 {
        info!(matches, "unclaimed matches claimed: this replica drives them now");
    }
    for (driver, slot) in claimed.into_iter().flatten() {
        supervisor.spawn(driver, slot);
    }
    outcome.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Claims pages up to the limit of unfinished matches: other replicas may have room for the rest.
/// While the drivers of a page are made, the journal reads the next one; if that panics, the drivers
/// are made all the same.
async fn claim_pages(supervisor: &Supervisor, claimed: &mut Drivers) -> Result<(), journal::Error> {
    let mut page = claim_page(supervisor, 0).await?;
    while let Some(current) = page {
        let next = AssertUnwindSafe(claim_page(supervisor, current.matches.len())).catch_unwind();
        let making = async { claimed.push(drivers(supervisor, current)) };
        let (next, ()) = future::join(next, making).await;
        page = next.unwrap_or_else(|panic| panic::resume_unwind(panic))?;
    }
    Ok(())
}

/// Claims a page, while so many claimed matches have no slot yet. `None` if there is no room for
/// more, or no match that no replica holds.
async fn claim_page(
    supervisor: &Supervisor,
    without_slot: usize,
) -> Result<Option<ClaimedPage<'_>>, journal::Error> {
    let room = supervisor.slots.free().saturating_sub(without_slot);
    if room == 0 {
        return Ok(None);
    }
    let announced = supervisor.registry.expect_claim();
    let matches = supervisor.context.writer.claim(room.min(CLAIM_PAGE)).await?;
    supervisor.slots.note_backlog(matches.len() == room);
    let page = ClaimedPage { matches, _announced: announced };
    Ok(Some(page).filter(|page| !page.matches.is_empty()))
}

/// The drivers of a page's matches.
fn drivers(supervisor: &Supervisor, page: ClaimedPage<'_>) -> Vec<(Driver, UnfinishedSlot)> {
    let revived = page.matches.into_iter().filter_map(|(m, claim)| supervisor.revive(m, claim));
    let with_slot = |driver: Driver| {
        let slot = supervisor.slots.take(driver.tenant());
        (driver, slot)
    };
    revived.map(with_slot).collect()
}

// Erasing.

/// Erases expired matches, enters the matches that replicas of an older version wrote into the
/// indexes of lists, and drops buffers that no photo uses any more, until the drain. A task of its
/// own, so that its backlog doesn't delay claims.
async fn erase_loop(supervisor: Arc<Supervisor>) {
    let context = &supervisor.context;
    loop {
        if let Err(failure) = erase_expired(context).await {
            context.store_failed(&failure, "expired matches not erased: will retry");
        }
        if let Err(failure) = enlist(context).await {
            context.store_failed(&failure, "matches of an older version not indexed: will retry");
        }
        context.photo_memory.drop_unused_buffers();
        tokio::select! {
            biased;
            () = context.draining.cancelled() => return,
            () = context.clock.sleep(HOUSEKEEPING_INTERVAL) => {}
        }
    }
}

/// A drain stops it; the next round of another replica, or the next start, erases the rest.
async fn erase_expired(context: &Context) -> Result<(), journal::Error> {
    while !context.draining.is_cancelled() {
        match context.writer.tidy(Chore::EraseExpired, ERASE_PAGE).await? {
            0 => break,
            matches => {
                context.metrics.erased.inc_by(matches as u64);
                info!(matches, "matches erased at the end of their retention");
            }
        }
    }
    Ok(())
}

/// Matches that replicas of an older version write meanwhile are entered by the next round.
async fn enlist(context: &Context) -> Result<(), journal::Error> {
    let mut entered = 0;
    while !context.draining.is_cancelled() {
        match context.writer.tidy(Chore::Enlist, ENLIST_PAGE).await? {
            0 => break,
            matches => entered += matches,
        }
    }
    if entered > 0 {
        info!(matches = entered, "matches of an older version were indexed");
    }
    Ok(())
}

// Standbys.

async fn wake_loop(supervisor: Arc<Supervisor>) {
    supervisor.wake_standbys().await;
}
