//! A journal engine in memory, for tests. It keeps every promise of the suite, and answers at once.
//!
//! It deliberately has no tasks, no files and no time of its own, so a test that drives the service
//! over it is deterministic. A [`Memory`] is the part of a process that dies with it; its [`Store`]
//! is the part that a disk would keep, on which the next process is opened, or several at once.
//!
//! What PostgreSQL's engine does in the background, the test does here with [`Memory::pulse`]: it
//! renews the process's lease and reads what other processes have written. A process that is
//! paused, or cut off from its store, has no pulse.

mod reader;
mod store;
mod tests;
mod writer;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::yield_now};

use self::store::{LeaseId, PackedClaim};
use crate::{
    clock::Clock,
    domain::{DigestKey, Match, Position, Recorded, Timestamp},
    journal::{
        Claim, ClaimStatus, Erasures, Error, Feed, Fleet, Handles, Identity, Keys, Listener,
        MatchChange, recent,
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
