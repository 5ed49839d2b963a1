//! Keeps the photo of a match that somebody else drives, until it isn't needed any more.
//!
//! Its caller has moved from a replica to this one, or this one has lost its lease. The photo is
//! with the replica that drives the match, and nothing is uploaded twice; or that replica is dead,
//! and the match is this one's as soon as the lease has lapsed.

use std::time::Duration;

use crate::{
    journal::Taken,
    worker::{driver::Driver, seat::Seat},
};

/// How often the match is asked for. One statement, and the photo is at Oz within seconds as a
/// rule; sooner when the fleet changes.
const TAKE_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the photo in its place. The driver of the match, if it becomes this replica's.
pub async fn keep(seat: Seat) -> Option<Driver> {
    let (engine, handle) = (seat.engine().clone(), seat.handle().clone());
    let (writer, clock) = (&engine.with.writer, &engine.with.clock);
    let mut fleet = writer.fleet();
    loop {
        fleet.mark_unchanged();
        match writer.take(seat.match_id(), true).await {
            Ok(Taken::Now(m, claim)) if seat.hold(claim) => {
                return Some(engine.revive_at(seat, m, claim));
            }
            // Somebody here was faster, and lost the match by this.
            Ok(Taken::Now(_, claim)) => {
                engine.leave_behind(claim);
                return None;
            }
            Ok(Taken::Past) => return None,
            Ok(Taken::Held) => {}
            Err(failure) => {
                engine.store_failed(&failure, "a match that waits can't be claimed yet")
            }
        }
        tokio::select! {
            () = clock.sleep(TAKE_INTERVAL) => {}
            Ok(()) = fleet.changed() => {}
            () = handle.stop.cancelled() => return None,
            () = engine.draining.cancelled() => return None,
        }
    }
}
