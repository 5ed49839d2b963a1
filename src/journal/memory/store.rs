//! The part of this engine that outlives a process: events, claims, leases and incarnations.
//!
//! It deliberately has no clock and draws nothing at random: each call is given its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use tokio::sync::watch;

use crate::{
    domain::{
        AnalysisId, Event, Match, MatchId, Position, Recorded, RequestId, Sequence, Spec, State,
        TenantId, Timestamp, state::fold,
    },
    journal::{Claim, CursorStatus, Key, Origin, stored},
};

/// The number of a lease. A number is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeaseId(u32);

const LEASE_BITS: u32 = u32::BITS;
const LENT: u64 = 1 << LEASE_BITS;
const EPOCH_SHIFT: u32 = LEASE_BITS + 1;

/// The fields that are packed into the epoch of a [`Claim`], most significant first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackedClaim {
    pub epoch: u64,
    /// Whether a replica that has the match's photo may take it over.
    pub lent: bool,
    /// The lease that it was claimed under.
    pub lease: LeaseId,
}

impl PackedClaim {
    pub fn claim(self, match_id: MatchId) -> Claim {
        let lent = if self.lent { LENT } else { 0 };
        Claim { match_id, epoch: self.epoch << EPOCH_SHIFT | lent | u64::from(self.lease.0) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are what is asked for")]
    pub const fn of(claim: Claim) -> Self {
        let lease = LeaseId(claim.epoch as u32);
        Self { epoch: claim.epoch >> EPOCH_SHIFT, lent: claim.epoch & LENT != 0, lease }
    }
}

/// The store's contents.
#[derive(Clone)]
pub struct Store {
    pub(super) id: u64,
    pub(super) matches: BTreeMap<MatchId, Row>,
    by_position: BTreeMap<Position, MatchId>,
    /// The incarnation that wrote each event, erased ones included.
    authors: BTreeMap<Position, u64>,
    pub(super) head: Position,
    pub(super) floor: Position,
    /// Each incarnation, and the head of the store when it began.
    incarnations: BTreeMap<u64, Position>,
    /// How many incarnations there have been, in histories that a restore undid as well.
    pub(super) drawn: u64,
    /// The leases of live processes, and when each expires.
    pub(super) leases: BTreeMap<LeaseId, Timestamp>,
    leases_made: u32,
    /// How often matches have lost their holder.
    pub(super) freed: u64,
    /// Changes whenever a process may find something new.
    pub(super) bell: watch::Sender<()>,
    /// The matches that were erased, in order.
    pub(super) erased: Vec<MatchId>,
}

/// One match.
#[derive(Clone)]
pub struct Row {
    pub events: Vec<Recorded>,
    pub epoch: u64,
    /// The lease of the holder; `None` once the match is released. The lease may have ended since.
    pub owner: Option<LeaseId>,
    pub lent: bool,
}

impl Store {
    /// An empty store.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            matches: BTreeMap::new(),
            by_position: BTreeMap::new(),
            erased: Vec::new(),
            authors: BTreeMap::new(),
            head: Position(0),
            floor: Position(0),
            incarnations: BTreeMap::new(),
            drawn: 0,
            leases: BTreeMap::new(),
            leases_made: 0,
            freed: 0,
            bell: watch::Sender::new(()),
        }
    }

    /// How many matches have not ended.
    pub fn unfinished(&self) -> usize {
        self.matches.values().filter(|row| !row.has_ended()).count()
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.by_position.len()
    }

    // Incarnations and leases.

    pub(super) fn enter(&mut self) -> Origin {
        self.drawn += 1;
        self.incarnations.insert(self.drawn, self.head);
        Origin { store: self.id, incarnation: self.drawn }
    }

    pub(super) fn begin_lease(&mut self, until: Timestamp) -> LeaseId {
        self.leases_made += 1;
        let lease = LeaseId(self.leases_made);
        self.leases.insert(lease, until);
        self.bell.send_replace(());
        lease
    }

    /// Ends leases. The matches that were held under them can be taken by any process.
    pub(super) fn end_leases(&mut self, is_over: impl Fn(LeaseId, Timestamp) -> bool) {
        let before = self.leases.len();
        self.leases.retain(|lease, until| !is_over(*lease, *until));
        if self.leases.len() < before {
            self.free();
        }
    }

    /// Signals that there are matches without a holder.
    fn free(&mut self) {
        self.freed += 1;
        self.bell.send_replace(());
    }

    // Claims.

    /// The matches that are held under a lease, lent ones left out.
    pub(super) fn held_whole(&self, lease: LeaseId) -> Vec<Match> {
        let is_its = |row: &&Row| row.owner == Some(lease) && !row.lent;
        self.matches.values().filter(is_its).map(Row::folded).collect()
    }

    /// Takes over a match that no live process holds, or a lent match whose photo is here. A match
    /// of a later version is left to the processes that know its events.
    pub(super) fn take(
        &mut self,
        lease: LeaseId,
        match_id: MatchId,
        has_photo: bool,
    ) -> Option<(Match, Claim)> {
        let row = self.matches.get(&match_id).filter(|row| !row.has_ended())?;
        if row.is_foreign() || self.has_holder(row) && !(row.lent && has_photo) {
            return None;
        }
        let row = self.matches.get_mut(&match_id)?;
        row.epoch += 1;
        row.owner = Some(lease);
        row.lent = row.needs_photo() && !has_photo;
        let hold = PackedClaim { epoch: row.epoch, lent: row.lent, lease };
        Some((row.folded(), hold.claim(match_id)))
    }

    /// Whether a live process holds a match that needs its photo, under a claim that isn't lent.
    pub(super) fn is_held(&self, id: MatchId) -> bool {
        self.matches.get(&id).is_some_and(|row| {
            self.has_holder(row) && !row.lent && !row.has_ended() && row.needs_photo()
        })
    }

    /// Whether a live process holds a match.
    pub(super) fn has_holder(&self, row: &Row) -> bool {
        row.owner.is_some_and(|owner| self.leases.contains_key(&owner))
    }

    /// Releases the matches that these claims still hold.
    pub(super) fn release(&mut self, claims: &[Claim]) {
        for claim in claims {
            if let Some(row) = self.held(*claim) {
                row.owner = None;
                self.free();
            }
        }
    }

    /// The match of a claim, if the claim still holds.
    pub(super) fn held(&mut self, claim: Claim) -> Option<&mut Row> {
        let hold = PackedClaim::of(claim);
        let is_its = |row: &&mut Row| row.epoch == hold.epoch && row.owner == Some(hold.lease);
        self.matches.get_mut(&claim.match_id).filter(is_its)
    }

    // Writes.

    pub(super) fn write(
        &mut self,
        id: MatchId,
        now: Timestamp,
        incarnation: u64,
        event: Event,
    ) -> Option<Recorded> {
        let position = Position(self.head.0 + 1);
        let row = self.matches.get_mut(&id)?;
        let last = row.events.last();
        let sequence = last.map_or(Sequence::FIRST, |last| last.sequence.next());
        let time = last.map_or(now, |last| now.max(last.time));
        row.lent &= stored::state_after(&event).is_none();
        let recorded = Recorded { match_id: id, sequence, position, incarnation, time, event };
        row.events.push(recorded.clone());
        self.by_position.insert(position, id);
        self.authors.insert(position, incarnation);
        self.head = position;
        self.bell.send_replace(());
        Some(recorded)
    }

    /// Whether an analysis belongs to another match than this one.
    pub(super) fn is_others(&self, match_id: MatchId, analysis: &AnalysisId) -> bool {
        self.matches.iter().any(|(id, row)| *id != match_id && row.owns(analysis))
    }

    pub(super) fn erase(&mut self, id: MatchId) {
        for recorded in self.matches.remove(&id).map(|row| row.events).unwrap_or_default() {
            self.by_position.remove(&recorded.position);
        }
        self.erased.push(id);
        self.bell.send_replace(());
    }

    pub(super) fn erase_expired(&mut self, now: Timestamp, limit: usize) -> usize {
        let due = |row: &Row| Some((row.folded().expire_time?, row.events.first()?.match_id));
        let due: BTreeSet<_> = self.matches.values().filter_map(due).collect();
        let due: Vec<_> = due.into_iter().filter(|(time, _)| *time <= now).take(limit).collect();
        for (_, id) in &due {
            let last = self.matches[id].events.last().map(|last| last.position);
            self.floor = self.floor.max(last.expect("a match has events"));
            self.erase(*id);
        }
        due.len()
    }

    // Reads.

    pub(super) fn find(&self, tenant: &TenantId, key: &Key) -> Option<Match> {
        let is_named = |row: &&Row, id: &RequestId| {
            row.spec()
                .is_some_and(|spec| spec.tenant == *tenant && spec.request_id.as_ref() == Some(id))
        };
        let row = match key {
            Key::Match(id) => self.matches.get(id),
            Key::Request(id) => self.matches.values().find(|row| is_named(row, id)),
        };
        row.map(Row::folded).filter(|m| m.spec.tenant == *tenant)
    }

    pub(super) fn of<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> impl DoubleEndedIterator<Item = Match> + 'a {
        self.matches.values().map(Row::folded).filter(move |m| m.spec.tenant == *tenant)
    }

    /// The events after one position, up to another one included.
    pub(super) fn between(
        &self,
        after: Position,
        reached: Position,
    ) -> impl Iterator<Item = &Recorded> {
        let later = self.by_position.range((Bound::Excluded(after), Bound::Unbounded));
        let read = |(position, id): (&Position, &MatchId)| {
            self.matches[id].events.iter().find(|it| it.position == *position)
        };
        later.take_while(move |(position, _)| **position <= reached).filter_map(read)
    }

    pub(super) fn earliest(&self) -> Position {
        let oldest = self.by_position.keys().next();
        oldest.map_or(self.head, |oldest| Position(oldest.0 - 1))
    }

    /// The incarnation that wrote the newest event up to a position.
    pub(super) fn author(&self, position: Position) -> Option<u64> {
        self.authors.range(..=position).next_back().map(|(_, author)| *author)
    }

    /// The history of an incarnation contains a position if the incarnation wrote the event there,
    /// or began at or after it.
    pub(super) fn standing(&self, origin: Origin, position: Position) -> CursorStatus {
        let started = self.incarnations.get(&origin.incarnation);
        let Some(started) = started.filter(|_| origin.store == self.id && position <= self.head)
        else {
            return CursorStatus::Foreign;
        };
        let was_there = *started >= position || self.author(position) == Some(origin.incarnation);
        match (position < self.floor, was_there) {
            (true, _) => CursorStatus::Expired,
            (false, true) => CursorStatus::Retained,
            (false, false) => CursorStatus::Foreign,
        }
    }
}

impl Row {
    pub fn folded(&self) -> Match {
        fold(&self.events).expect("what is written is legal").expect("a match has a first event")
    }

    pub fn has_ended(&self) -> bool {
        self.events.last().is_some_and(|last| last.event.keep().is_some())
    }

    /// Whether it has an event of a later version.
    pub fn is_foreign(&self) -> bool {
        self.events.iter().any(|recorded| !recorded.event.is_known())
    }

    /// Whether the photo is yet to be uploaded.
    pub fn needs_photo(&self) -> bool {
        let m = self.folded();
        m.state == State::Accepted && m.spec.needs_photo()
    }

    fn spec(&self) -> Option<&Spec> {
        self.events.iter().find_map(|recorded| match &recorded.event {
            Event::Accepted(spec) => Some(&**spec),
            Event::Unknown(fact) => fact.spec.as_deref(),
            Event::PhotoUploaded(_)
            | Event::AnalysisStarted(_)
            | Event::AttemptFailed(_)
            | Event::Finished(_)
            | Event::Failed(_)
            | Event::Cancelled(_) => None,
        })
    }

    fn owns(&self, analysis: &AnalysisId) -> bool {
        self.events.iter().any(|it| analyses(&it.event).any(|id| id == analysis))
    }
}

/// The analyses that an event makes its match's own.
pub fn analyses(event: &Event) -> impl Iterator<Item = &AnalysisId> {
    let started = stored::analyses(event);
    started.into_iter().flat_map(|(one, other)| [Some(one), other]).flatten()
}
