//! What a replica knows of its own lease and of the others'.
//!
//! A lease expires by the database's clock. Its replica stops relying on it earlier, by its own
//! monotonic clock, counted from before the renewal was sent (`renewal.rs`). A lease that is
//! renewed late is still valid unless another replica has deleted it meanwhile. The number of a
//! deleted lease is never used again; its replica takes a new lease.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{
        Claim, ClaimStatus, Error, Fleet,
        postgres::packed_claim::{LeaseId, PackedClaim},
    },
    sync::lock,
};

/// The time of sharing: how long each replica takes no more than its share of the matches that
/// another one left. After that any replica may take any of them, so that no match waits for a
/// replica that doesn't come.
pub(super) const SHARING_TIME: Duration = Duration::from_secs(1);

/// The unclaimed matches that this replica may take: those whose slot modulo `of` is `rank`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    /// This replica's rank among the live leases, from 0.
    pub rank: i16,
    /// How many leases are alive.
    pub of: i16,
}

impl Share {
    /// All unclaimed matches.
    const ALL: Self = Self { rank: 0, of: 1 };
}

/// What this replica knows of its lease and of the others'. All of its tasks read it; the lease
/// renewer keeps it up to date.
pub(super) struct Leases {
    pub clock: Clock,
    /// How many leases this replica has lost.
    lost: AtomicU64,
    view: Mutex<View>,
    fleet: watch::Sender<Fleet>,
    /// Wakes the lease renewer before its next round is due.
    pub poke: Notify,
}

/// The leases as of the last renewal.
pub(super) struct View {
    pub mine: Option<OwnLease>,
    /// A former lease of this replica's, for the renewer to delete.
    pub given_up: Option<LeaseId>,
    /// All live leases, this replica's included.
    alive: Vec<LeaseId>,
    /// When `alive` last changed, or a replica last released matches.
    changed: Timestamp,
    /// When this replica last renewed its lease.
    renewed: Timestamp,
    /// Whether this replica has since been told to search beyond its own share.
    has_swept: bool,
}

/// This replica's own lease.
#[derive(Clone, Copy)]
pub(super) struct OwnLease {
    pub lease: LeaseId,
    /// Until when this replica relies on the lease, by its own clock.
    pub until: Timestamp,
}

/// The replica can't rely on its lease at this moment, so it can't claim anything.
#[derive(Debug, thiserror::Error)]
#[error("this replica could not renew its lease")]
struct NoLease;

/// The error of an operation that needs a lease.
pub(super) fn no_lease() -> Error {
    Error::Unavailable(Arc::new(NoLease))
}

impl Leases {
    pub(super) fn new(clock: Clock) -> Self {
        let changed = clock.now();
        let view = Mutex::new(View {
            mine: None,
            given_up: None,
            alive: Vec::new(),
            changed,
            renewed: changed,
            has_swept: false,
        });
        let fleet = watch::Sender::new(Fleet { alive: 1 });
        Self { clock, lost: AtomicU64::new(0), view, fleet, poke: Notify::new() }
    }

    /// This replica's lease, while it relies on it.
    pub(super) fn held(&self) -> Option<LeaseId> {
        let mine = self.view().mine?;
        (self.clock.now() < mine.until).then_some(mine.lease)
    }

    /// The status of a claim, judged by the lease alone.
    pub(super) fn tenure(&self, claim: Claim) -> ClaimStatus {
        let hold = PackedClaim::of(claim);
        let Some(mine) = self.view().mine.filter(|mine| mine.lease == hold.lease) else {
            return ClaimStatus::Lost;
        };
        match (self.clock.now() < mine.until, hold.lent) {
            (false, _) => ClaimStatus::Unsure,
            (true, false) => ClaimStatus::Held,
            (true, true) => ClaimStatus::Lent,
        }
    }

    /// The share of the unclaimed matches that this replica may take now.
    pub(super) fn share(&self) -> Share {
        let view = self.view();
        if self.clock.now() >= view.changed.after(SHARING_TIME) {
            return Share::ALL;
        }
        let is_mine = |lease: &LeaseId| view.mine.is_some_and(|mine| mine.lease == *lease);
        let rank = view.alive.iter().position(is_mine);
        match (rank.map(i16::try_from), i16::try_from(view.alive.len())) {
            (Some(Ok(rank)), Ok(of)) => Share { rank, of },
            (Some(_) | None, Ok(_) | Err(_)) => Share::ALL,
        }
    }

    /// Whether other replicas are alive, which are notified of writes.
    pub(super) fn has_others(&self) -> bool {
        self.view().alive.len() > 1
    }

    pub(super) fn fleet(&self) -> watch::Receiver<Fleet> {
        self.fleet.subscribe()
    }

    /// Signals that there may be unclaimed matches.
    pub(super) fn hint(&self) {
        self.fleet.send_modify(|_| {});
    }

    /// Has the lease renewer check all leases at once: a lease may have been taken or deleted.
    pub(super) fn look(&self) {
        self.poke.notify_one();
    }

    /// Begins a new time of sharing: a replica released matches, and the live ones divide them.
    pub(super) fn share_again(&self) {
        {
            let mut view = self.view();
            view.changed = self.clock.now();
            view.has_swept = false;
        }
        self.hint();
        self.look();
    }

    /// Gives up the lease and all claims under it, some of which may have reached no driver. The
    /// lease renewer deletes the lease and takes a new one.
    pub(super) fn give_up(&self) {
        {
            let mut view = self.view();
            view.given_up = view.mine.take().map(|mine| mine.lease).or(view.given_up);
        }
        self.look();
    }

    /// Forgets the lease: this replica holds no match any more.
    pub(super) fn lose(&self) {
        self.view().mine = None;
    }

    /// Forgets the lease, which another replica has deleted.
    pub(super) fn lose_to_another(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.lose();
    }

    /// How many leases other replicas have deleted.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How long ago the lease was renewed.
    pub(super) fn age(&self) -> Duration {
        self.clock.now().since(self.view().renewed)
    }

    /// Once the time of sharing is over, has this replica search for all matches that are left.
    /// Returns when to check next: after `next` at the latest.
    pub(super) fn until_swept(&self, next: Duration) -> Duration {
        let mut view = self.view();
        if view.has_swept {
            return next;
        }
        let left = SHARING_TIME.saturating_sub(self.clock.now().since(view.changed));
        if !left.is_zero() {
            return next.min(left);
        }
        view.has_swept = true;
        drop(view);
        self.hint();
        next
    }

    /// Applies the result of a renewal.
    pub(super) fn take(&self, mine: OwnLease, alive: Vec<LeaseId>) {
        let mut view = self.view();
        // The lease was given up while its renewal was in flight.
        if view.given_up == Some(mine.lease) {
            return;
        }
        let has_changed = view.alive != alive || view.mine.is_none();
        view.mine = Some(mine);
        view.renewed = self.clock.now();
        if has_changed {
            view.alive = alive;
            view.changed = self.clock.now();
            view.has_swept = false;
            let fleet = Fleet { alive: view.alive.len() };
            drop(view);
            self.fleet.send_replace(fleet);
        }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }
}
