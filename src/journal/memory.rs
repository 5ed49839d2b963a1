//! An engine without a disk, for tests: it keeps what every engine keeps to, and answers at once.
//!
//! It has no tasks, no files and no time of its own, so a test that drives the house over it
//! repeats exactly. What dies with a process here is a [`Memory`]; what a disk would keep is its
//! [`Store`], which the next one is opened on.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, task::yield_now};

use crate::{
    clock::Clock,
    domain::{
        AnalysisId, CallerId, Event, Match, MatchId, Position, Recorded, RequestId, Sequence, Spec,
        Timestamp, event::Cancelled, state::fold,
    },
    journal::{
        Admitted, Appended, CancelledAs, Claim, Erased, Error, Filter, Fleet, Key, Keys, Origin,
        Reader, Standing, Taken, Tenure, Writer,
    },
};

/// One process's journal. Clones share it.
#[derive(Clone)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
    clock: Clock,
    origin: Origin,
    keys: Keys,
    wake: watch::Sender<()>,
    fleet: watch::Sender<Fleet>,
}

/// What outlives a process.
#[derive(Clone)]
pub struct Store {
    id: u64,
    matches: BTreeMap<MatchId, Row>,
    by_position: BTreeMap<Position, MatchId>,
    head: Position,
    floor: Position,
    /// Each incarnation, and the head that it found.
    incarnations: Vec<(u64, Position)>,
    /// How many there have been, also in what a restore undid.
    drawn: u64,
}

/// One match.
#[derive(Clone)]
struct Row {
    events: Vec<Recorded>,
    epoch: u64,
    owner: Option<u64>,
}

/// Gives claims back unless their taker lived to hear of them.
struct Unheard<'a> {
    of: &'a Memory,
    claims: Vec<Claim>,
}

impl Store {
    /// An empty store.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            matches: BTreeMap::new(),
            by_position: BTreeMap::new(),
            head: Position(0),
            floor: Position(0),
            incarnations: Vec::new(),
            drawn: 0,
        }
    }

    fn write(&mut self, id: MatchId, now: Timestamp, event: Event) -> Option<Recorded> {
        let position = Position(self.head.0 + 1);
        let row = self.matches.get_mut(&id)?;
        let last = row.events.last();
        let sequence = last.map_or(Sequence::FIRST, |last| last.sequence.next());
        let time = last.map_or(now, |last| now.max(last.time));
        let recorded = Recorded { match_id: id, sequence, position, incarnation: 0, time, event };
        row.events.push(recorded.clone());
        self.by_position.insert(position, id);
        self.head = position;
        Some(recorded)
    }

    fn find(&self, caller: &CallerId, key: &Key) -> Option<Match> {
        let is_named = |row: &&Row, id: &RequestId| {
            row.spec()
                .is_some_and(|spec| spec.caller == *caller && spec.request_id.as_ref() == Some(id))
        };
        let row = match key {
            Key::Match(id) => self.matches.get(id),
            Key::Request(id) => self.matches.values().find(|row| is_named(row, id)),
        };
        row.map(Row::folded).filter(|m| m.spec.caller == *caller)
    }

    fn of<'a>(&'a self, caller: &'a CallerId) -> impl DoubleEndedIterator<Item = Match> + 'a {
        self.matches.values().map(Row::folded).filter(move |m| m.spec.caller == *caller)
    }

    fn erase(&mut self, id: MatchId) {
        for recorded in self.matches.remove(&id).map(|row| row.events).unwrap_or_default() {
            self.by_position.remove(&recorded.position);
        }
    }
}

impl Row {
    fn folded(&self) -> Match {
        fold(&self.events).expect("what is written is legal").expect("a match has a first event")
    }

    fn spec(&self) -> Option<&Spec> {
        self.events.iter().find_map(|recorded| match &recorded.event {
            Event::Accepted(spec) => Some(&**spec),
            Event::PhotoUploaded(_)
            | Event::AnalysisStarted(_)
            | Event::AttemptFailed(_)
            | Event::Finished(_)
            | Event::Failed(_)
            | Event::Cancelled(_) => None,
        })
    }

    fn has_ended(&self) -> bool {
        self.events.last().is_some_and(|last| last.event.keep().is_some())
    }

    fn owns(&self, analysis: &AnalysisId) -> bool {
        self.events.iter().any(|it| analyses(&it.event).any(|id| id == analysis))
    }
}

/// The analyses that belong to a match by an event.
fn analyses(event: &Event) -> impl Iterator<Item = &AnalysisId> {
    let started = match event {
        Event::AnalysisStarted(fact) => Some(fact),
        Event::Accepted(_)
        | Event::PhotoUploaded(_)
        | Event::AttemptFailed(_)
        | Event::Finished(_)
        | Event::Failed(_)
        | Event::Cancelled(_) => None,
    };
    started
        .into_iter()
        .flat_map(|it| [Some(&it.analysis_id), it.liveness_analysis_id.as_ref()])
        .flatten()
}

impl Memory {
    /// A process at a store. Whoever was there before writes nothing more with what it claimed.
    pub fn open(store: Arc<Mutex<Store>>, clock: Clock) -> Self {
        let origin = {
            let mut store = lock(&store);
            store.drawn += 1;
            let incarnation = store.drawn;
            let head = store.head;
            store.incarnations.push((incarnation, head));
            Origin { store: store.id, incarnation }
        };
        let keys = Keys { digest: [3; 32], token: [5; 32] };
        let fleet = watch::Sender::new(Fleet { alive: 1 });
        Self { store, clock, origin, keys, wake: watch::Sender::new(()), fleet }
    }

    /// What outlives this process.
    pub fn store(&self) -> Arc<Mutex<Store>> {
        Arc::clone(&self.store)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn owner(&self) -> Option<u64> {
        Some(self.origin.incarnation)
    }

    /// Lets others run, as a store that takes time would, with claims that are given back if
    /// whoever takes them is gone by then.
    async fn answer(&self, claims: Vec<Claim>) {
        let mut unheard = Unheard { of: self, claims };
        self.wake.send_replace(());
        yield_now().await;
        unheard.claims.clear();
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        let mut store = self.of.lock();
        for claim in &self.claims {
            if let Some(row) = store.matches.get_mut(&claim.match_id)
                && row.epoch == claim.epoch
            {
                row.owner = None;
            }
        }
    }
}

#[async_trait]
impl Writer for Memory {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let admitted = {
            let mut store = self.lock();
            let by_request = spec.request_id.clone().map(Key::Request);
            let mut keys = by_request.into_iter().chain([Key::Match(match_id)]);
            match keys.find_map(|key| store.find(&spec.caller, &key)) {
                Some(known) => Admitted::Known(known),
                None => {
                    let claim = Claim::of_new(match_id);
                    let row = Row { events: Vec::new(), epoch: claim.epoch, owner: self.owner() };
                    store.matches.insert(match_id, row);
                    let first = store.write(match_id, self.clock.now(), Event::Accepted(spec));
                    let first = first.expect("the match is there");
                    Admitted::New(first, claim)
                }
            }
        };
        let claims = match &admitted {
            Admitted::New(_, claim) => vec![*claim],
            Admitted::Known(_) => Vec::new(),
        };
        self.answer(claims).await;
        Ok(admitted)
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let appended = {
            let mut store = self.lock();
            let row = store.matches.get(&claim.match_id);
            let fits = row.is_some_and(|row| {
                let reached = row.events.last().map(|last| last.sequence);
                row.epoch == claim.epoch && reached == Some(after) && !row.has_ended()
            });
            let others = || store.matches.iter().filter(|(id, _)| **id != claim.match_id);
            let is_taken = |id: &AnalysisId| others().any(|(_, row)| row.owns(id));
            let taken = analyses(&event).any(is_taken);
            match (fits, taken) {
                (false, _) => Appended::Lost,
                (true, true) => Appended::Taken,
                (true, false) => {
                    let recorded = store.write(claim.match_id, self.clock.now(), event);
                    Appended::Done(recorded.expect("the match is there"))
                }
            }
        };
        self.answer(Vec::new()).await;
        Ok(appended)
    }

    async fn cancel(
        &self,
        caller: &CallerId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let outcome = {
            let mut store = self.lock();
            match store.find(caller, key) {
                None => CancelledAs::Absent,
                Some(m) if m.state == crate::domain::State::Cancelled => CancelledAs::Already(m),
                Some(m) if m.state.has_ended() => CancelledAs::Ended(m),
                Some(m) => {
                    let event = Event::Cancelled(Cancelled { keep });
                    store.write(m.id, self.clock.now(), event);
                    let row = store.matches.get_mut(&m.id).expect("the match is there");
                    row.epoch += 1;
                    CancelledAs::Now(row.folded())
                }
            }
        };
        self.answer(Vec::new()).await;
        Ok(outcome)
    }

    async fn erase(&self, caller: &CallerId, match_id: MatchId) -> Result<Erased, Error> {
        let mut store = self.lock();
        Ok(match store.find(caller, &Key::Match(match_id)) {
            None => Erased::Absent,
            Some(m) if !m.state.has_ended() => Erased::Running,
            Some(_) => {
                store.erase(match_id);
                Erased::Done
            }
        })
    }

    async fn erase_expired(&self, limit: usize) -> Result<usize, Error> {
        let mut store = self.lock();
        let now = self.clock.now();
        let due = |row: &Row| Some((row.folded().expire_time?, row.events.first()?.match_id));
        let due: BTreeSet<_> = store.matches.values().filter_map(due).collect();
        let due: Vec<_> = due.into_iter().filter(|(time, _)| *time <= now).take(limit).collect();
        for (_, id) in &due {
            let last = store.matches[id].events.last().map(|last| last.position);
            store.floor = store.floor.max(last.expect("a match has events"));
            store.erase(*id);
        }
        Ok(due.len())
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        let taken: Vec<(Match, Claim)> = {
            let owner = self.owner();
            let mut store = self.lock();
            let free = store.matches.values_mut().filter(|row| row.owner != owner);
            let take = |row: &mut Row| {
                (row.owner, row.epoch) = (owner, row.epoch + 1);
                let m = row.folded();
                let claim = Claim { match_id: m.id, epoch: row.epoch };
                (m, claim)
            };
            free.filter(|row| !row.has_ended()).take(limit).map(take).collect()
        };
        self.answer(taken.iter().map(|(_, claim)| *claim).collect()).await;
        Ok(taken)
    }

    async fn take(&self, match_id: MatchId, _has_photo: bool) -> Result<Taken, Error> {
        let taken = {
            let owner = self.owner();
            match self.lock().matches.get_mut(&match_id).filter(|row| !row.has_ended()) {
                None => Taken::Past,
                Some(row) if row.owner == owner => Taken::Held,
                Some(row) => {
                    (row.owner, row.epoch) = (owner, row.epoch + 1);
                    Taken::Now(row.folded(), Claim { match_id, epoch: row.epoch })
                }
            }
        };
        let claims = match &taken {
            Taken::Now(_, claim) => vec![*claim],
            Taken::Held | Taken::Past => Vec::new(),
        };
        self.answer(claims).await;
        Ok(taken)
    }

    async fn secure(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        Ok(Some(claim))
    }

    async fn release(&self, _claims: Vec<Claim>) -> Result<(), Error> {
        Ok(())
    }

    async fn leave(&self) {}

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        let owned = {
            let store = self.lock();
            let others = || store.matches.iter().filter(|(id, _)| **id != match_id);
            let owned = |id: &&AnalysisId| others().any(|(_, row)| row.owns(id));
            analyses.iter().filter(owned).cloned().collect()
        };
        yield_now().await;
        Ok(owned)
    }

    fn may_act(&self) -> bool {
        true
    }

    fn tenure(&self, _claim: Claim) -> Tenure {
        Tenure::Held
    }

    fn fleet(&self) -> watch::Receiver<Fleet> {
        self.fleet.subscribe()
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }
}

#[async_trait]
impl Reader for Memory {
    async fn find(&self, caller: &CallerId, key: &Key) -> Result<Option<Match>, Error> {
        let found = self.lock().find(caller, key);
        yield_now().await;
        Ok(found)
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        let events = self.lock().matches.get(&match_id).map(|row| row.events.clone());
        yield_now().await;
        Ok(events.unwrap_or_default())
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        self.lock().matches.get(&match_id).map(|row| row.events.clone())
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        let later = {
            let store = self.lock();
            let later = store.by_position.range((Bound::Excluded(after), Bound::Unbounded));
            let read = |(position, id): (&Position, &MatchId)| {
                store.matches[id].events.iter().find(|it| it.position == *position).cloned()
            };
            later.take(limit).filter_map(read).collect()
        };
        yield_now().await;
        Ok(later)
    }

    async fn list(
        &self,
        caller: &CallerId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Vec<Match>, Error> {
        let fits = |m: &Match| {
            let labels = &m.spec.labels;
            before.is_none_or(|before| m.id < before)
                && filter.folder_id.is_none_or(|id| m.spec.folder_id == id)
                && filter.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
                && (filter.states.is_empty() || filter.states.contains(&m.state))
                && filter.created_after.is_none_or(|time| m.create_time >= time)
                && filter.created_before.is_none_or(|time| m.create_time < time)
        };
        Ok(self.lock().of(caller).rev().filter(fits).take(limit).collect())
    }

    async fn head(&self) -> Result<Position, Error> {
        Ok(self.lock().head)
    }

    async fn earliest(&self) -> Result<Position, Error> {
        let store = self.lock();
        let oldest = store.by_position.keys().next();
        Ok(oldest.map_or(store.head, |oldest| Position(oldest.0 - 1)))
    }

    async fn floor(&self) -> Result<Position, Error> {
        Ok(self.lock().floor)
    }

    async fn standing(&self, origin: Origin, position: Position) -> Result<Standing, Error> {
        let store = self.lock();
        let is_it = |(incarnation, _): &(u64, Position)| *incarnation == origin.incarnation;
        let Some(index) = store.incarnations.iter().position(is_it) else {
            return Ok(Standing::Foreign);
        };
        let end = store.incarnations.get(index + 1).map_or(store.head, |(_, start)| *start);
        Ok(if origin.store != store.id || position > end {
            Standing::Foreign
        } else if position < store.floor {
            Standing::Expired
        } else {
            Standing::Retained
        })
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn wake(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Nothing that holds this lock can panic half-way but a test that fails anyway.
fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

mod tests {
    use super::*;
    use crate::{
        clock::Hand,
        journal::suite::{self, START},
    };

    /// A store, the process at it, and the hand of its clock.
    struct Kept {
        journal: Memory,
        hand: Hand,
    }

    suite::conformance!(Kept);

    fn open(store: Arc<Mutex<Store>>, now: Timestamp) -> Kept {
        let (clock, hand) = Clock::manual(now);
        Kept { journal: Memory::open(store, clock), hand }
    }

    #[async_trait]
    impl suite::Engine for Kept {
        type Backup = Store;

        async fn create() -> Self {
            open(Arc::new(Mutex::new(Store::new(7))), START)
        }

        fn writer(&self) -> Arc<dyn Writer> {
            Arc::new(self.journal.clone())
        }

        fn reader(&self) -> Arc<dyn Reader> {
            Arc::new(self.journal.clone())
        }

        fn hand(&self) -> Hand {
            self.hand.clone()
        }

        async fn restart(&mut self, now: Timestamp) {
            *self = open(self.journal.store(), now);
        }

        async fn backup(&self) -> Store {
            self.journal.lock().clone()
        }

        async fn restore(&mut self, backup: &Store) {
            // What a restore undid doesn't undo chance: the next incarnation is a new one.
            let drawn = self.journal.lock().drawn;
            *self = open(Arc::new(Mutex::new(Store { drawn, ..backup.clone() })), START);
        }
    }
}
