//! Where matches live: an append-only list of facts for each, and their order among all.
//!
//! The journal is the truth; what a store keeps beside it (state, times, ids) is a cache for
//! finding matches. It deliberately knows nothing of Oz, of photos, or of who watches: it is told
//! facts, keeps them in order, and says "look" when there are new ones.

mod listing;
#[cfg(test)]
pub mod memory;
pub mod postgres;
mod recent;
mod reply;
pub mod sqlite;
mod stored;
#[cfg(test)]
pub mod suite;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::listing::Listing;
use crate::domain::{
    AnalysisId, CallerId, Event, FolderId, Match, MatchId, Position, Recorded, RequestId, Sequence,
    Spec, State, Timestamp,
};

/// How many reads of those who follow all matches run at once: one near the head, one further back
/// (see `watch/pages.rs`).
const FOLLOWERS: u32 = 2;

/// A replica's hold on one match. Writes with a claim that somebody has taken over are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Which match.
    pub match_id: MatchId,
    /// Grows with every take-over.
    pub epoch: u64,
}

impl Claim {
    /// What whoever admitted a match holds, for as long as nobody has taken it over.
    const fn of_new(match_id: MatchId) -> Self {
        Self { match_id, epoch: 1 }
    }
}

/// Which match is meant. Another caller's is never found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// By our id.
    Match(MatchId),
    /// By the caller's own id.
    Request(RequestId),
}

/// The answer to [`Writer::admit`].
#[derive(Clone, PartialEq, Debug)]
pub enum Admitted {
    /// The match is new: this is its first event, and the caller of `admit` holds it.
    New(Recorded, Claim),
    /// The caller's request id names this match already. Nothing was written; whether it is the
    /// same request is for the caller of `admit` to judge.
    Known(Match),
}

/// The answer to [`Writer::append`].
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lost appends are rare, and a box for each done one isn't"
)]
pub enum Appended {
    /// The event is durable.
    Done(Recorded),
    /// It is not: the claim is another's by now, the match has gone on, or it is erased.
    Lost,
    /// It is not: an analysis that it names belongs to another match. The claim holds.
    Taken,
}

/// The answer to [`Writer::cancel`].
#[derive(Clone, PartialEq, Debug)]
pub enum CancelledAs {
    /// It ended with this call.
    Now(Match),
    /// It had been cancelled before.
    Already(Match),
    /// It had ended otherwise.
    Ended(Match),
    /// There is no such match.
    Absent,
}

/// The answer to [`Writer::erase`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Erased {
    /// It is gone.
    Done,
    /// It has not ended.
    Running,
    /// There is no such match.
    Absent,
}

/// The answer to [`Writer::take`].
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most takes take, and the others are asked once a second"
)]
pub enum Takeover {
    /// The match, and the hold on it.
    Now(Match, Claim),
    /// Somebody else holds it.
    Held,
    /// It needs nobody who takes it: it has ended or is gone, or somebody holds it who has its
    /// photo at Oz by now.
    Past,
}

/// What a claim is worth at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClaimStatus {
    /// The match is this replica's.
    Held,
    /// It is, until somebody comes who has its photo. Nothing may be uploaded for it.
    Lent,
    /// This replica couldn't renew its lease in time: the match may become another's any moment,
    /// and nothing may be done for it until that is known.
    Unsure,
    /// It is another's, or no replica's.
    Lost,
}

/// What a replica hears of a match, whichever replica wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A caller ended it, it was erased, or a later version wrote to it: no replica of this version
    /// drives it any more.
    Gone(MatchId),
    /// Its photo is at Oz, or it has ended: no photo of it is needed any more.
    PhotoDone(MatchId),
}

/// Takes what is heard. It is called within the journal's tasks, so it must not block.
pub type Ear = Arc<dyn Fn(Heard) + Send + Sync>;

/// The replicas at a store, as far as this one knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// How many are alive, this one included.
    pub alive: usize,
}

/// Which matches of a caller to list: all conditions hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// Of this folder.
    pub folder_id: Option<FolderId>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// In one of these states; empty: any.
    pub states: Vec<State>,
    /// Accepted at this time or later.
    pub created_after: Option<Timestamp>,
    /// Accepted before this time.
    pub created_before: Option<Timestamp>,
}

/// Where tokens come from: the store, and the incarnation of the writer that was at work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The store, for as long as it lives, through backups and restores.
    pub store: u64,
    /// One run of one writer; drawn at random at each start.
    pub incarnation: u64,
}

/// What a store says of a place in the journal that a token names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorStatus {
    /// Everything after it is still there.
    Retained,
    /// Retention has erased something after it.
    Expired,
    /// This store has never been there: another store's, or from a future that a restore undid.
    Foreign,
}

/// Keys of a store's own, made with it. Worthless anywhere else; never logged.
#[derive(Clone)]
pub struct Keys {
    /// For digests of photos.
    pub digest: [u8; 32],
    /// For the seals of tokens.
    pub token: [u8; 32],
}

/// A page of all events, with what came before them.
#[derive(Clone, PartialEq, Debug)]
pub struct EventPage {
    /// In the journal's order: what came before in the matches of the page, from their first events
    /// on, and then the page itself.
    pub events: Vec<Recorded>,
    /// The position after which everything was retained when the store was read; none if the page
    /// is from memory, where nothing is missing.
    pub floor: Option<Position>,
}

/// Why the journal didn't do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store can't be reached or doesn't work. Whether a write took place is not known.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store refuses the value for good: the same write fails the same way for ever. Nothing
    /// was written.
    #[error("the store can never hold this")]
    Refused(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// What the store holds can't be read.
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

/// Writes facts. All writes that wait at the same time are committed together.
///
/// Every method is atomic, and durable when it returns Ok. Dropping a call's future may or may
/// not stop the write, and so may a failure; the claims of a write that nobody heard of are free
/// again by the next one.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Writes the first event of a match and claims it; or finds the match that the caller's
    /// request id names already. Safe to repeat with a request id.
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error>;

    /// Writes the event after `after`, if the claim still holds and the match stands there, and
    /// if no analysis that it names belongs to another match.
    /// The journal stamps its time: never before the previous event's.
    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error>;

    /// Ends a match as cancelled whoever holds it, and takes it from them. Safe to repeat.
    async fn cancel(
        &self,
        caller: &CallerId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error>;

    /// Erases a match that has ended, its events and its traces in the store's files.
    async fn erase(&self, caller: &CallerId, match_id: MatchId) -> Result<Erased, Error>;

    /// Erases up to `limit` matches whose time has come, and says how many it erased. A store whose
    /// commits wait for each other may do so in several, with those of others in between.
    async fn erase_expired(&self, limit: usize) -> Result<usize, Error>;

    /// Enters up to `limit` matches that an older version wrote into the indexes that lists walk,
    /// and says how many it entered, in one commit or several. Until then lists find them by an
    /// index of their own.
    async fn enlist(&self, limit: usize) -> Result<usize, Error>;

    /// Claims up to `limit` unfinished matches that nobody holds, oldest first. Where several
    /// replicas do so, each gets its share. Those that wait for their photo are only lent.
    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error>;

    /// Claims a match that nobody holds; `has_photo`: also one that is lent, since this replica
    /// has what it waits for.
    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error>;

    /// Those of these matches that [`Writer::take`] by a replica with their photos would not find
    /// held. One statement, however many there are.
    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error>;

    /// Has this ear hear of matches from now on, by commits of this replica and of others. There is
    /// one.
    fn hear(&self, ear: Ear);

    /// Makes a hold that is lent a whole one, since this replica has the photo by now. None if the
    /// match is somebody else's.
    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error>;

    /// Lets go of matches, so that others go on with them at once. Those that were lost already
    /// stay whose they are.
    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error>;

    /// Lets go of everything, so that others needn't wait for the end of a lease. Nothing can be
    /// claimed any more. Ends that callers ask for are still written.
    async fn leave(&self);

    /// Which of these analyses belong to other matches than this one.
    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error>;

    /// Whether this replica may claim anything, and act on what it has claimed.
    fn may_act(&self) -> bool;

    /// What a claim is worth. Asked before each request to Oz.
    fn tenure(&self, claim: Claim) -> ClaimStatus;

    /// Tells when the fleet changes, and whenever there may be matches that nobody holds.
    fn fleet(&self) -> watch::Receiver<Fleet>;

    /// The store's keys.
    fn keys(&self) -> &Keys;
}

/// Reads facts. What one call has returned, a later one never contradicts.
#[async_trait]
pub trait Reader: Send + Sync {
    /// The match as of its last event, never behind an event that anybody was told of.
    async fn find(&self, caller: &CallerId, key: &Key) -> Result<Option<Match>, Error>;

    /// The events of a match from its first on; empty if it doesn't exist.
    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error>;

    /// The same from memory, without asking the store: none if they aren't known from the first
    /// on. Those may be missing that are being committed at this moment, and of which
    /// [`Reader::wake`] tells next.
    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>>;

    /// Up to `limit` events after a position, in the journal's order. No position becomes visible
    /// before a smaller one, so a reader that goes on after the last misses none.
    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error>;

    /// The same, and what came before these events in their matches, so that each can be shown with
    /// its match: one statement at most, over connections that neither look-ups nor lists use. A
    /// match that was erased is left out as a whole.
    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error>;

    /// Up to `limit` matches of a caller, newest first (by id), older than `before` if given. Its
    /// work is bounded, so there may be fewer, or none, although there are more: whether there
    /// are is told by [`Listing::reached`]. Dropping the future ends the work.
    async fn list(
        &self,
        caller: &CallerId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error>;

    /// The position of the newest event, zero if there is none.
    async fn head(&self) -> Result<Position, Error>;

    /// The position right before the oldest event that is retained; the head if there is none.
    async fn earliest(&self) -> Result<Position, Error>;

    /// The position after which everything is retained.
    async fn floor(&self) -> Result<Position, Error>;

    /// What is to be said of a position that a token from this origin names.
    async fn standing(&self, origin: Origin, position: Position) -> Result<CursorStatus, Error>;

    /// What new tokens name as their origin, where the store has one writer at a time.
    fn origin(&self) -> Origin;

    /// What tokens name that stand for a place with this incarnation.
    fn origin_of(&self, incarnation: u64) -> Origin;

    /// The incarnation that is to be named with a position that was not read from an event.
    async fn incarnation_at(&self, position: Position) -> Result<u64, Error>;

    /// The store's keys.
    fn keys(&self) -> &Keys;

    /// Changes whenever there may be something new. A hint: it says "look", never what.
    fn wake(&self) -> watch::Receiver<()>;

    /// What other replicas have erased since this was last asked, for the one who shows it;
    /// [`Reader::wake`] tells of it.
    fn take_erased(&self) -> Vec<MatchId>;

    /// Whether the store answers, and this replica is one to come to.
    async fn ping(&self) -> Result<(), Error>;
}
