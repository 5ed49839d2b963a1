//! A journal engine in memory, for tests. It keeps every promise of the suite, and answers at once.
//!
//! It deliberately has no tasks, no files and no time of its own, so a test that drives the service
//! over it is deterministic. A [`Memory`] is the part of a process that dies with it; its [`Store`]
//! is the part that a disk would keep, on which the next process is opened, or several at once.
//!
//! What PostgreSQL's engine does in the background, the test does here with [`Memory::pulse`]: it
//! renews the process's lease and reads what other processes have written. A process that is
//! paused, or cut off from its store, has no pulse.

mod store;
mod tests;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, task::yield_now};

use self::store::{LeaseId, PackedClaim, Row, analyses};
use crate::{
    clock::Clock,
    domain::{
        AnalysisId, Cursor, DigestKey, Event, Match, MatchId, Position, Recorded, Sequence, Spec,
        State, TenantId, Timestamp, event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, CursorStatus, Erased, Erasures,
        Error, EventPage, Feed, Filter, Fleet, Handles, Identity, Key, Keys, Listener, Listing,
        MatchChange, Origin, Reader, Start, Takeover, Writer, recent, stored,
    },
    sync::lock,
};

pub use self::store::Store;

/// The share of a lease's length for which its owner relies on it. Other processes wait for all of
/// it, so the owner stops first.
const COUNTED_ON: f64 = 0.9;

/// One process's journal. Clones share it.
#[derive(Clone)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
    clock: Clock,
    /// The store's clock, by which leases expire.
    steady: Clock,
    identity: Identity,
    /// How long the process's lease lasts without a pulse.
    lease: Duration,
    here: Arc<Mutex<Here>>,
    wake: watch::Sender<()>,
    fleet: watch::Sender<Fleet>,
    ear: Arc<OnceLock<Listener>>,
    /// How many reads there were that a database would run a statement for.
    reads: Arc<AtomicUsize>,
}

/// What a process knows of itself and of the other processes.
struct Here {
    mine: Option<OwnLease>,
    has_left: bool,
    is_dead: bool,
    /// Until then this process ends no other process's lease: after an outage all processes return
    /// one by one.
    patient_until: Timestamp,
    alive: Vec<LeaseId>,
    /// The store's [`Store::freed`] at the last pulse.
    freed: u64,
    /// The position up to which the process has read.
    reached: Position,
    /// How many erasures the process has read.
    erasures: usize,
}

/// A process's own lease.
#[derive(Clone, Copy)]
struct OwnLease {
    lease: LeaseId,
    /// Until when the process relies on it.
    until: Timestamp,
}

/// Releases claims on drop, unless the caller has received them.
struct ReleaseOnDrop<'a> {
    of: &'a Memory,
    claims: Vec<Claim>,
}

impl Memory {
    /// Opens a store as its only process, which needs no pulse. Earlier processes are known to be
    /// dead: the matches that they held can be claimed at once.
    pub fn open(store: Arc<Mutex<Store>>, clock: Clock) -> Self {
        lock(&store).end_leases(|_, _| true);
        Self::join(store, clock, Duration::MAX)
    }

    /// Opens a store as one process of several.
    pub fn join(store: Arc<Mutex<Store>>, clock: Clock, lease: Duration) -> Self {
        // The store's own clock, which the clocks of the processes follow.
        let steady = clock.steady();
        let now = steady.now();
        clock.follow(now);
        let (origin, here) = {
            let mut store = lock(&store);
            let origin = store.enter();
            let mine = OwnLease {
                lease: store.begin_lease(now.after(lease)),
                until: now.after(lease.mul_f64(COUNTED_ON)),
            };
            let here = Here {
                mine: Some(mine),
                has_left: false,
                is_dead: false,
                patient_until: now,
                alive: store.leases.keys().copied().collect(),
                freed: store.freed,
                reached: store.head,
                erasures: store.erased.len(),
            };
            (origin, here)
        };
        let keys = Keys { digest: DigestKey([3; 32]), token: [5; 32] };
        let fleet = watch::Sender::new(Fleet { alive: here.alive.len() });
        let here = Arc::new(Mutex::new(here));
        let (wake, reads) = (watch::Sender::new(()), Arc::default());
        Self {
            store,
            clock,
            steady,
            identity: Identity { origin, keys, has_one_writer: false },
            lease,
            here,
            wake,
            fleet,
            reads,
            ear: Arc::default(),
        }
    }

    /// The journal for its users.
    pub fn handles(&self) -> Handles {
        let feed = Feed {
            reader: Arc::new(self.clone()),
            identity: self.identity.clone(),
            wake: self.wake.subscribe(),
            erased: Erasures::default(),
        };
        Handles { writer: Arc::new(self.clone()), feed, fleet: self.fleet.subscribe() }
    }

    /// Whether this process may claim matches, and act on its claims.
    pub fn may_act(&self) -> bool {
        self.lease().is_ok()
    }

    /// How many reads there were so far that a database would run a statement for.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// The store, which outlives this process.
    pub fn store(&self) -> Arc<Mutex<Store>> {
        Arc::clone(&self.store)
    }

    /// Changes whenever a pulse would find something new.
    pub fn bell(&self) -> watch::Receiver<()> {
        self.lock().bell.subscribe()
    }

    /// Renews the lease, ends other processes' expired leases, and reads what was written since.
    pub fn pulse(&self) {
        self.renew();
        self.look();
    }

    /// Kills the process: futures of it that are still dropped later release no claims.
    pub fn die(&self) {
        let mut here = self.here();
        (here.mine, here.is_dead) = (None, true);
    }

    /// The matches for which this process may change something at Oz, by the store's state: its
    /// claims that are not lent.
    pub fn held(&self) -> Vec<Match> {
        let mine = self.here().mine;
        mine.map_or_else(Vec::new, |mine| self.lock().held_whole(mine.lease))
    }

    fn renew(&self) {
        let now = self.steady.now();
        self.clock.follow(now);
        let mut here = self.here();
        if here.has_left || here.is_dead {
            return;
        }
        let mut store = self.lock();
        let ends = now.after(self.lease);
        let kept = here.mine.filter(|mine| store.leases.contains_key(&mine.lease));
        let lease = match kept {
            Some(mine) if now < mine.until && now >= here.patient_until => {
                store.end_leases(|lease, until| lease != mine.lease && until < now);
                mine.lease
            }
            Some(mine) if now < mine.until => mine.lease,
            Some(mine) => {
                here.patient_until = ends;
                mine.lease
            }
            None => store.begin_lease(ends),
        };
        store.leases.insert(lease, ends);
        here.mine = Some(OwnLease { lease, until: now.after(self.lease.mul_f64(COUNTED_ON)) });
        let alive: Vec<_> = store.leases.keys().copied().collect();
        let has_changed = here.alive != alive || here.freed != store.freed || kept.is_none();
        (here.alive, here.freed) = (alive, store.freed);
        let fleet = Fleet { alive: here.alive.len() };
        drop((here, store));
        if has_changed {
            self.fleet.send_replace(fleet);
        }
    }

    fn look(&self) {
        let mut here = self.here();
        let store = self.lock();
        let erased: Vec<_> =
            store.erased[here.erasures..].iter().copied().map(MatchChange::Gone).collect();
        here.erasures = store.erased.len();
        if !erased.is_empty() {
            drop((here, store));
            self.tell(erased);
            return self.look();
        }
        if here.reached == store.head {
            return;
        }
        let new = store.between(here.reached, store.head);
        let heard: Vec<_> = new.filter_map(recent::heard).collect();
        here.reached = store.head;
        drop((here, store));
        self.tell(heard);
        self.wake.send_replace(());
    }

    fn tell(&self, heard: impl IntoIterator<Item = MatchChange>) {
        if let Some(ear) = self.ear.get() {
            heard.into_iter().for_each(|heard| ear(heard));
        }
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        lock(&self.here)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// The lease, while the process may rely on it.
    fn lease(&self) -> Result<LeaseId, Error> {
        let counted_on = |mine: &OwnLease| self.steady.now() < mine.until;
        let mine = self.here().mine.filter(counted_on).map(|mine| mine.lease);
        let unavailable = || Error::Unavailable(Arc::new(std::fmt::Error));
        mine.filter(|lease| self.lock().leases.contains_key(lease)).ok_or_else(unavailable)
    }

    /// What a claim allows, as far as the lease tells.
    fn claim_status_by_lease(&self, claim: Claim) -> ClaimStatus {
        let hold = PackedClaim::of(claim);
        match self.here().mine.filter(|mine| mine.lease == hold.lease) {
            None => ClaimStatus::Lost,
            Some(mine) if self.steady.now() >= mine.until => ClaimStatus::Unsure,
            Some(_) if hold.lent => ClaimStatus::Lent,
            Some(_) => ClaimStatus::Held,
        }
    }

    /// Marks an event of this process as read, and reports it, unless earlier events are yet to be
    /// read: then the next pulse reads all of them in order.
    fn follow(&self, recorded: &Recorded) {
        let mut here = self.here();
        if here.reached.0 + 1 == recorded.position.0 {
            here.reached = recorded.position;
            drop(here);
            self.tell(recent::heard(recorded));
            self.wake.send_replace(());
        }
    }

    /// Yields to other tasks, as a store that takes time would. If the call's future is dropped
    /// meanwhile, its claims are released.
    async fn answer(&self, claims: Vec<Claim>) {
        let mut unheard = ReleaseOnDrop { of: self, claims };
        yield_now().await;
        unheard.claims.clear();
    }
}

impl Drop for ReleaseOnDrop<'_> {
    fn drop(&mut self) {
        if self.claims.is_empty() || self.of.here().is_dead {
            return;
        }
        self.of.lock().release(&self.claims);
        self.of.fleet.send_modify(|_| {});
    }
}

#[async_trait]
impl Writer for Memory {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let lease = self.lease()?;
        let admitted = {
            let mut store = self.lock();
            let by_request = spec.request_id.clone().map(Key::Request);
            let mut keys = by_request.into_iter().chain([Key::Match(match_id)]);
            match keys.find_map(|key| store.find(&spec.tenant, &key)) {
                Some(known) => Admitted::Known(known),
                None => {
                    let (events, hold) = (Vec::new(), PackedClaim { epoch: 1, lent: false, lease });
                    let row = Row { events, epoch: 1, owner: Some(lease), lent: false };
                    store.matches.insert(match_id, row);
                    let (now, author) = (self.clock.now(), self.identity.origin.incarnation);
                    let first = store.write(match_id, now, author, Event::Accepted(spec));
                    Admitted::New(first.expect("the match is there"), hold.claim(match_id))
                }
            }
        };
        let claims = match &admitted {
            Admitted::New(first, claim) => {
                self.follow(first);
                vec![*claim]
            }
            Admitted::Known(_) => Vec::new(),
        };
        self.answer(claims).await;
        Ok(admitted)
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        match self.claim_status_by_lease(claim) {
            ClaimStatus::Held | ClaimStatus::Lent => {}
            ClaimStatus::Unsure => self.lease().map(drop)?,
            ClaimStatus::Lost => return Ok(Appended::Lost),
        }
        let appended = {
            let mut store = self.lock();
            let fits = store.held(claim).is_some_and(|row| {
                let reached = row.events.last().map(|last| last.sequence);
                reached == Some(after) && !row.has_ended()
            });
            let taken = analyses(&event).any(|id| store.is_others(claim.match_id, id));
            match (fits, taken) {
                (false, _) => Appended::Lost,
                (true, true) => Appended::Taken,
                (true, false) => {
                    let (now, author) = (self.clock.now(), self.identity.origin.incarnation);
                    let recorded = store.write(claim.match_id, now, author, event);
                    Appended::Done(recorded.expect("the match is there"))
                }
            }
        };
        if let Appended::Done(recorded) = &appended {
            self.follow(recorded);
        }
        self.answer(Vec::new()).await;
        Ok(appended)
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let mut ended = None;
        let outcome = {
            let mut store = self.lock();
            match store.find(tenant, key) {
                None => CancelledAs::Absent,
                Some(m) if m.state == State::Cancelled => CancelledAs::Already(m),
                Some(m) if m.has_ended() => CancelledAs::Ended(m),
                Some(m) => {
                    let event = Event::Cancelled(Cancelled { keep });
                    ended = store.write(
                        m.id,
                        self.clock.now(),
                        self.identity.origin.incarnation,
                        event,
                    );
                    let row = store.matches.get_mut(&m.id).expect("the match is there");
                    row.epoch += 1;
                    CancelledAs::Now(row.folded())
                }
            }
        };
        if let Some(recorded) = &ended {
            self.follow(recorded);
        }
        self.answer(Vec::new()).await;
        Ok(outcome)
    }

    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error> {
        let mut store = self.lock();
        Ok(match store.find(tenant, &Key::Match(match_id)) {
            None => Erased::Absent,
            Some(m) if !m.has_ended() => Erased::Running,
            Some(_) => {
                store.erase(match_id);
                Erased::Done
            }
        })
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        let now = self.clock.now().min(self.steady.now());
        Ok(match chore {
            Chore::EraseExpired => self.lock().erase_expired(now, limit),
            // There is no older version of this engine, so every list index is complete.
            Chore::Enlist => 0,
        })
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        let lease = self.lease()?;
        let taken: Vec<(Match, Claim)> = {
            let mut store = self.lock();
            let ids: Vec<_> = store.matches.keys().copied().collect();
            ids.into_iter().filter_map(|id| store.take(lease, id, false)).take(limit).collect()
        };
        self.answer(taken.iter().map(|(_, claim)| *claim).collect()).await;
        Ok(taken)
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        let lease = self.lease()?;
        let taken = {
            let mut store = self.lock();
            let taken = store.take(lease, match_id, has_photo);
            let row = store.matches.get(&match_id).filter(|row| !row.has_ended());
            let waits = row.is_some_and(|row| row.needs_photo() || !has_photo);
            match taken {
                Some((m, claim)) => Takeover::Now(m, claim),
                None if waits => Takeover::Held,
                None => Takeover::Past,
            }
        };
        let claims = match &taken {
            Takeover::Now(_, claim) => vec![*claim],
            Takeover::Held | Takeover::Past => Vec::new(),
        };
        self.answer(claims).await;
        Ok(taken)
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.count();
        let store = self.lock();
        Ok(matches.iter().filter(|id| !store.is_held(**id)).copied().collect())
    }

    fn listen(&self, ear: Listener) {
        let _ = self.ear.set(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        let secured = {
            let mut store = self.lock();
            let row = store.held(claim).filter(|row| !row.has_ended());
            row.map(|row| {
                row.lent = false;
                PackedClaim { lent: false, ..PackedClaim::of(claim) }.claim(claim.match_id)
            })
        };
        yield_now().await;
        Ok(secured)
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.lock().release(&claims);
        yield_now().await;
        Ok(())
    }

    async fn leave(&self) {
        let mine = {
            let mut here = self.here();
            here.has_left = true;
            here.mine.take()
        };
        if let Some(mine) = mine {
            self.lock().end_leases(|lease, _| lease == mine.lease);
        }
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        let owned = {
            let store = self.lock();
            analyses.iter().filter(|id| store.is_others(match_id, id)).cloned().collect()
        };
        yield_now().await;
        Ok(owned)
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        self.claim_status_by_lease(claim)
    }
}

#[async_trait]
impl Reader for Memory {
    async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
        self.count();
        let found = self.lock().find(tenant, key);
        yield_now().await;
        Ok(found)
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        self.count();
        let events = self.lock().matches.get(&match_id).map(|row| row.events.clone());
        yield_now().await;
        Ok(events.unwrap_or_default())
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        let reached = self.here().reached;
        let mut events = self.lock().matches.get(&match_id)?.events.clone();
        events.retain(|recorded| recorded.position <= reached);
        Some(events).filter(|events| !events.is_empty())
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        self.count();
        let reached = self.here().reached;
        let later = self.lock().between(after, reached).take(limit).cloned().collect();
        yield_now().await;
        Ok(later)
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        self.count();
        let reached = self.here().reached;
        let page = {
            let store = self.lock();
            let page: Vec<Recorded> = store.between(after, reached).take(limit).cloned().collect();
            let ids: BTreeSet<MatchId> = page.iter().map(|recorded| recorded.match_id).collect();
            let all = ids.iter().flat_map(|id| &store.matches[id].events);
            let earlier = all.filter(|recorded| recorded.position <= after).cloned();
            let events = stored::in_order(earlier.chain(page).collect());
            EventPage { events, floor: Some(store.floor) }
        };
        yield_now().await;
        Ok(page)
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.count();
        let fits = |m: &Match| before.is_none_or(|before| m.id < before) && filter.selects(m);
        let store = self.lock();
        let matches: Vec<Match> = store.of(tenant).rev().filter(fits).take(limit).collect();
        let last = matches.last().filter(|_| matches.len() == limit);
        Ok(Listing { reached: last.map(|m| m.id), rows: matches.len(), matches })
    }

    async fn cursor(&self, start: Start) -> Result<Cursor, Error> {
        self.count();
        let store = self.lock();
        let position = match start {
            Start::Head => store.head,
            Start::Earliest => store.earliest(),
            Start::Floor => store.floor,
        };
        let incarnation = store.author(position).unwrap_or(self.identity.origin.incarnation);
        Ok(Cursor { position, incarnation })
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        self.count();
        Ok(self.lock().standing(origin, position))
    }

    async fn ping(&self) -> Result<(), Error> {
        self.lease().map(drop)
    }
}
