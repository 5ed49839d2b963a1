//! The journal: an append-only list of events for each match, and one order of all events.
//!
//! The journal is the truth; the columns that a store keeps beside it (state, times, ids) are a
//! cache of its fold, for finding, fencing and erasing matches, written in the same commit as the
//! event. It deliberately knows nothing of Oz, of photos or of watchers: it records facts, keeps
//! them in order, and signals when there are new ones.

mod answers;
mod batch;
mod listing;
#[cfg(test)]
pub mod memory;
pub mod postgres;
mod preview;
mod recent;
mod reply;
pub mod sqlite;
mod stored;
#[cfg(test)]
pub mod suite;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{
    answers::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, CursorStatus, Erased, Erasures,
        EventPage, Feed, Filter, Fleet, Handles, Identity, Key, Keys, Listener, MatchChange,
        Origin, Start, Takeover,
    },
    listing::Listing,
    preview::Preview,
};
use crate::domain::{
    AnalysisId, Cursor, Event, Match, MatchId, Position, Recorded, Sequence, Spec, TenantId,
};

/// How many reads of [`Reader::page`], for `WatchMatches` streams, run at once: one near the head,
/// one further back (see `watch/pages.rs`).
const FOLLOWERS: u32 = 2;

/// Why a call to the journal failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store can't be reached or doesn't work. A write may or may not have taken place.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store rejects the value permanently: a retry would fail in the same way. Nothing was
    /// written.
    #[error("the store can never hold this")]
    Refused(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store's contents can't be read.
    #[error("the journal can't be read: {0}")]
    Corrupt(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let is_permanent = postgres::is_permanent(&error) || sqlite::is_permanent(&error);
        match is_permanent {
            true => Self::Refused(Arc::new(error)),
            false => Self::Unavailable(Arc::new(error)),
        }
    }
}

/// The side of the journal that writes.
///
/// - **Atomic and durable.** A write takes effect as a whole or not at all, and is durable when its
///   method returns `Ok`. Only [`Writer::tidy`] may use several commits. Writes that are pending at
///   the same time share a commit.
/// - **Unknown outcomes.** If a call's future is dropped, or returns an error other than
///   [`Error::Refused`], its write may have taken place. If the caller has not received the result,
///   the claims in it are released by the next write.
/// - **Fenced.** A write under a claim that is lost has no effect.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Writes the first event of a match and claims the match; or finds the match that the caller's
    /// request id, or the match id, names already. Idempotent for one request id or match id.
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error>;

    /// Writes an event, if the claim still holds, the last event of the match is `after`, and no
    /// analysis that the event names belongs to another match.
    ///
    /// The journal stamps the event with its time, which is never before that of the previous
    /// event. A repeat of a call that has taken effect is [`Appended::Lost`], so after an unknown
    /// outcome the caller reads the match's events.
    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error>;

    /// Cancels a match, whichever replica holds it, and ends the claim on it. The match is kept for
    /// `keep` from then on. Idempotent.
    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error>;

    /// Erases a match that has ended: all of its rows. SQLite overwrites their bytes at once,
    /// PostgreSQL when it reuses their space. Writes no event; other replicas learn of the erasure
    /// by [`Feed::erased`]. Safe to repeat: the repeat finds no match.
    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error>;

    /// Does a chore for up to `limit` matches, and returns for how many it did it. Safe to repeat:
    /// zero means that nothing is left to do, or that nothing may be done yet. A store whose
    /// commits wait for each other may split this into several, so that other writes come in
    /// between.
    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error>;

    /// Claims up to `limit` unfinished matches that no live replica holds, oldest first. Where
    /// several replicas claim at the same time, each gets a share. Claims on matches that wait for
    /// their photo are [lent](ClaimStatus::Lent). A repeat claims further matches.
    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error>;

    /// Claims a match that no live replica holds. A replica that has the photo (`has_photo`) also
    /// takes over a claim that is [lent](ClaimStatus::Lent). A repeat of a call that has claimed the
    /// match claims nothing.
    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error>;

    /// Returns those of the given matches for which [`Writer::take`] with a photo would not return
    /// [`Takeover::Held`], in any order. It claims nothing, and is one statement, however many
    /// matches there are.
    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error>;

    /// Registers the callback for changes of matches that any replica commits from now on. It is
    /// called after the commit. There is only one callback: a second registration has no effect.
    fn listen(&self, ear: Listener);

    /// Turns a lent claim into a held one, now that this replica has the photo. Returns the new
    /// claim, or `None` if the lent claim is lost. Idempotent.
    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error>;

    /// Releases claims, so that any replica can take these matches over at once. Claims that are
    /// lost already are ignored, so it is safe to repeat.
    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error>;

    /// Gives up this replica's lease and with it all of its claims, so that other replicas needn't
    /// wait for the lease to expire. From then on this replica can claim nothing; cancellations
    /// are still written. Safe to repeat.
    async fn leave(&self);

    /// Returns those of the given analyses that belong to other matches than this one, of any
    /// caller, in the order given. It writes nothing: only [`Writer::append`] makes an analysis a
    /// match's own, and checks again.
    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error>;

    /// What a claim allows at this moment, as far as this replica's lease tells: the store isn't
    /// asked. Drivers check it before each request to Oz.
    fn claim_status(&self, claim: Claim) -> ClaimStatus;
}

/// The side of the journal that reads.
///
/// Reads are consistent: a later call never contradicts an earlier one. Events are immutable, and
/// vanish only together with their match, when it is erased.
#[async_trait]
pub trait Reader: Send + Sync {
    /// The match as of its last event: never older than an event that was shown to a caller. It
    /// always asks the store and never a cache, so an erased match is gone at once.
    async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error>;

    /// All events of a match of any caller, from the first on, in the order of their sequences;
    /// empty if there is no such match. It asks the store.
    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error>;

    /// The same from memory, at once and without asking the store: the first watcher of a new match
    /// costs no statement. `None` if memory lacks the first event. Events that are being committed
    /// at this moment may be missing at the end; [`Feed::wake`] signals them next.
    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>>;

    /// Up to `limit` events after a position, in the journal's order. No position becomes visible
    /// before a smaller one, so a reader that continues after the last event misses none.
    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error>;

    /// The events of [`Reader::tail`], with the earlier events of their matches, so that each event
    /// can be shown with its match. It is at most one statement, over connections that neither
    /// look-ups nor lists use. Erased matches are left out as a whole.
    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error>;

    /// Up to `limit` matches of a caller, newest first (by id), older than `before` if given. The
    /// work is bounded, so there may be fewer matches, or none, before the end:
    /// [`Listing::reached`] tells whether there may be more. Dropping the future stops the work.
    /// Look-ups and health checks never wait for lists.
    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error>;

    /// The cursor of a start: its position, and the incarnation that wrote the newest event up to
    /// it, for the cursor's token. It asks the store.
    async fn cursor(&self, start: Start) -> Result<Cursor, Error>;

    /// Whether a watcher can resume at a position that a token from this origin names. It asks the
    /// store. What is [retained](CursorStatus::Retained) at this moment may expire before the
    /// watcher has read it: pages carry the floor.
    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error>;

    /// Whether the store answers, and this replica may act: the health check.
    async fn ping(&self) -> Result<(), Error>;
}
