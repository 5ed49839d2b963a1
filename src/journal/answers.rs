//! What callers ask the journal for, its answers, and what an opened journal hands out.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use crate::{
    domain::{
        DigestKey, FolderId, Match, MatchId, Position, Recorded, RequestId, State, Timestamp,
    },
    journal::{Reader, Writer},
    sync::lock,
};

/// A replica's exclusive right to write to one match. The epoch is a fencing token: a write under a
/// claim that another replica has taken over has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The match that is claimed.
    pub match_id: MatchId,
    /// Grows with every takeover. Opaque: engines pack their own fields into it.
    pub epoch: u64,
}

impl Claim {
    /// The claim of the replica that admitted the match, until another replica takes it over.
    pub(super) const fn of_new(match_id: MatchId) -> Self {
        Self { match_id, epoch: 1 }
    }
}

/// How a caller names a match. A key never finds another tenant's match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// By the id that the service drew.
    Match(MatchId),
    /// By the id that the caller chose.
    Request(RequestId),
}

/// The answer to [`Writer::admit`].
#[derive(Clone, PartialEq, Debug)]
pub enum Admitted {
    /// The match is new: its first event, and the claim that this replica now holds on it.
    New(Recorded, Claim),
    /// The request id, or the match id, names this match already. Nothing was written. The caller
    /// of `admit` has to compare the two requests.
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
    /// Nothing was written: the claim is lost, the match is at another sequence or has ended, or it
    /// was erased.
    Lost,
    /// Nothing was written: an analysis that the event names belongs to another match. The claim
    /// still holds.
    Taken,
}

/// The answer to [`Writer::cancel`].
#[derive(Clone, PartialEq, Debug)]
pub enum CancelledAs {
    /// This call has cancelled the match.
    Now(Match),
    /// The match was cancelled before this call.
    Already(Match),
    /// The match had ended in another state.
    Ended(Match),
    /// There is no such match.
    Absent,
}

/// The answer to [`Writer::erase`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Erased {
    /// The match is erased.
    Done,
    /// The match has not ended, and is left as it is.
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
    /// The claim succeeded: the match, and the claim on it.
    Now(Match, Claim),
    /// A live replica, which may be this one, holds the match.
    Held,
    /// There is nothing to take over: the match has ended, is erased, or holds events of a later
    /// version; or this replica offers a photo that is at Oz already, and the match has a driver.
    Past,
}

/// A part of [`Writer::tidy`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chore {
    /// Erases matches whose expiry time has passed, the longest due first.
    EraseExpired,
    /// Adds matches that an older version wrote to the indexes that lists walk. Until then lists
    /// find these matches by a separate index.
    Enlist,
}

/// What a claim allows at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClaimStatus {
    /// This replica holds the match.
    Held,
    /// This replica has claimed the match without having its photo. A replica that has the photo
    /// may take the match over at any moment, so nothing may be uploaded under this claim.
    Lent,
    /// This replica couldn't renew its lease in time, so another replica may take the match over at
    /// any moment. Nothing may be done for the match until the lease is renewed or found lost.
    Unsure,
    /// Another replica holds the match, or none does.
    Lost,
}

/// A change that concerns the replica that drives a match or keeps its photo, whichever replica
/// wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatchChange {
    /// A caller cancelled it, it was erased, or a later version wrote to it: no replica of this
    /// version drives it any more.
    Gone(MatchId),
    /// Its photo is at Oz, or it has ended: no replica needs its photo any more.
    PhotoDone(MatchId),
}

/// The callback for changes of matches. The journal's own tasks call it, so it must not block.
pub type Listener = Arc<dyn Fn(MatchChange) + Send + Sync>;

/// The live replicas of a store, as this replica last saw them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// How many there are, this replica included.
    pub alive: usize,
}

/// Which matches of a tenant to list. A match is listed if it meets all conditions.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// Only matches in this folder.
    pub folder_id: Option<FolderId>,
    /// Only matches that have all of these labels, with these values.
    pub labels: BTreeMap<String, String>,
    /// Only matches in one of these states; empty for any state.
    pub states: Vec<State>,
    /// Only matches that were accepted at this time or later.
    pub created_after: Option<Timestamp>,
    /// Only matches that were accepted before this time.
    pub created_before: Option<Timestamp>,
}

/// Where a token comes from: a store, and one incarnation of one of its writers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The id of the store. It survives backups and restores.
    pub store: u64,
    /// Names one run of one writer: a number drawn at random at each start. A restore can't repeat
    /// it, so a token from a history that a restore undid is recognized.
    pub incarnation: u64,
}

/// A position that a follower of all events can begin after, without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// The newest event ever written, even if it is erased; zero if there is none.
    Head,
    /// Right before the oldest event in the store; the head if there is none.
    Earliest,
    /// The floor: retention has erased nothing after it. Erasures that callers ask for don't raise
    /// it.
    Floor,
}

/// Whether a watcher can resume at a position that a token names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorStatus {
    /// Yes: retention has erased nothing after it.
    Retained,
    /// No: retention has erased events after it.
    Expired,
    /// No: this store's history doesn't contain the position. The token is another store's, or from
    /// a history that a restore undid.
    Foreign,
}

/// A store's secret keys, drawn when it is created. They are of no use elsewhere, and never logged.
#[derive(Clone)]
pub struct Keys {
    /// Keys the digests of photos.
    pub digest: DigestKey,
    /// Authenticates tokens.
    pub token: [u8; 32],
}

/// What a store and its process are known by. It stays the same while the journal is open.
#[derive(Clone)]
pub struct Identity {
    /// The store, and the incarnation of this process.
    pub origin: Origin,
    /// The store's keys.
    pub keys: Keys,
    /// Whether the store has one writer at a time. Its events don't name their incarnation then.
    pub has_one_writer: bool,
}

impl Identity {
    /// The origin to name in a token for a cursor of this incarnation.
    pub const fn origin_of(&self, incarnation: u64) -> Origin {
        match self.has_one_writer {
            true => self.origin,
            false => Origin { incarnation, ..self.origin },
        }
    }
}

/// The matches that other replicas have erased. Clones share them.
#[derive(Clone, Default)]
pub struct Erasures(Arc<Mutex<Vec<MatchId>>>);

impl Erasures {
    /// Takes those that were erased since the last call. It has one consumer, since each erasure is
    /// returned once; [`Feed::wake`] signals it.
    pub fn take(&self) -> Vec<MatchId> {
        mem::take(&mut *lock(&self.0))
    }

    /// Adds matches that another replica has erased.
    pub fn add(&self, erased: impl IntoIterator<Item = MatchId>) {
        lock(&self.0).extend(erased);
    }
}

/// The reading side of an open journal: what can be read, and the signals of what is new.
#[derive(Clone)]
pub struct Feed {
    /// Reads.
    pub reader: Arc<dyn Reader>,
    /// What the store and this process are known by.
    pub identity: Identity,
    /// Changes whenever there may be new events or erasures. It is a hint without data: mark it as
    /// seen, read, then wait for it.
    pub wake: watch::Receiver<()>,
    /// The matches that other replicas have erased.
    pub erased: Erasures,
}

/// An open journal, as its engine hands it out.
#[derive(Clone)]
pub struct Handles {
    /// Writes.
    pub writer: Arc<dyn Writer>,
    /// The reading side.
    pub feed: Feed,
    /// The live replicas. Changes also whenever there may be matches that no replica holds.
    pub fleet: watch::Receiver<Fleet>,
}

/// A page of all events, with the earlier events of their matches.
#[derive(Clone, PartialEq, Debug)]
pub struct EventPage {
    /// In the journal's order: first the earlier events of the page's matches, each from the first
    /// event on, then the page itself.
    pub events: Vec<Recorded>,
    /// The [floor](Start::Floor) when the store was read. `None` if the page is from memory, where
    /// no event is missing.
    pub floor: Option<Position>,
}
