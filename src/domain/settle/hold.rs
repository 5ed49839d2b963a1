//! Settles requests that were held back. They weren't sent, so nothing failed and no answer was
//! lost.

use crate::domain::{
    ask::{Ask, AskKind},
    circuit_breaker::{Deferred, RequestTraits},
    settle::{Moment, Settled, Settling, trouble::is_quality_poll},
    state::Match,
    time::Timestamp,
    volatile::{Policy, VolatileState},
};

/// The traits of a request, for the limiter of requests to Oz. The last look after a deadline is
/// never charged to the retry budget: there is one for each match, and it may find a verdict that
/// was paid for.
pub fn request_traits(
    m: &Match,
    volatile: &VolatileState,
    ask: &Ask,
    now: Timestamp,
) -> RequestTraits {
    let is_last_look = now >= m.deadline();
    let has_failed = volatile.health(is_quality_poll(m, ask)).failures() > 0;
    RequestTraits {
        retries: has_failed && !is_last_look,
        changes_oz: ask.kind().changes_oz(),
        is_last_look,
    }
}

/// Settles a request that must not be sent now. Watchers are told the cause, as they are for a
/// failure. A last look that is held back counts as taken, so the match times out.
pub fn held_back(
    m: &Match,
    volatile: &mut VolatileState,
    ask: &Ask,
    hold: &Deferred,
    now: Timestamp,
    policy: &Policy,
) -> Settled {
    let deadline = m.deadline();
    volatile.last_look |= now >= deadline;
    volatile.look_first |= hold.look_first;
    let until = hold.until.min(deadline.max(now));
    let of_quality = is_quality_poll(m, ask);
    match ask.kind() {
        AskKind::ReadAnalysis if of_quality => volatile.quality.due = until,
        AskKind::ReadAnalysis => volatile.biometry.due = until,
        AskKind::ReadFolder
        | AskKind::UploadPhoto
        | AskKind::StartAnalyses
        | AskKind::ReadReference => volatile.not_before = until,
    }
    if ask.kind() == AskKind::UploadPhoto {
        volatile.reference = None;
    }
    let Some(failure) = &hold.why else {
        return Settled { event: None, duplicates: 0 };
    };
    let news = volatile.held_back(of_quality, ask.kind(), failure);
    let moment = Moment { asked: now, now, chance: 0.0 };
    let settling = Settling { m, volatile, moment, policy, duplicates: 0 };
    Settled { event: settling.trouble_event(news.then_some(failure), until), duplicates: 0 }
}
