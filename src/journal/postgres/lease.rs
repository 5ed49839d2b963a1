//! A replica's lease: what it knows of its own and of the others'.
//!
//! The database's clock says when a lease is over, and the replica gives it up earlier, by its own
//! monotonic clock, counted from before the statement left that renewed it (`renewal.rs`). A lease
//! that was renewed late is still good if nobody has deleted it meanwhile; once it is deleted its
//! number never comes back, and the replica takes a new one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{
        Claim, ClaimStatus, Fleet,
        postgres::claim::{PackedClaim, SHARING_TIME},
    },
};

/// The number of a lease, greater than zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LeaseId(i32);

impl LeaseId {
    pub(super) const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// As the store has it.
    pub(super) const fn number(self) -> i32 {
        self.0
    }

    pub(super) const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// From the lowest bits.
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are what is asked for")]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self((bits as u32).cast_signed())
    }
}

/// Which matches of a dead replica's are this one's to take: those whose slot leaves this rank
/// when divided by how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    /// Its place among those alive.
    pub rank: i16,
    /// How many are alive.
    pub of: i16,
}

impl Share {
    /// Whatever there is.
    const ALL: Self = Self { rank: 0, of: 1 };
}

/// What this replica knows of its lease and of the others'. Everybody reads it; the keeper writes.
pub(super) struct Leases {
    pub clock: Clock,
    view: Mutex<View>,
    fleet: watch::Sender<Fleet>,
    /// Says that somebody came or went: to be looked at at once.
    pub poke: Notify,
}

/// The fleet as last seen.
pub(super) struct View {
    pub mine: Option<OwnLease>,
    /// One that was this replica's, and is not to be used any more.
    pub given_up: Option<LeaseId>,
    /// Those alive, this one included.
    alive: Vec<LeaseId>,
    /// When that changed last, or matches were let go.
    changed: Timestamp,
    /// Whether what others left of their shares was looked for since.
    has_swept: bool,
}

/// This replica's own lease.
#[derive(Clone, Copy)]
pub(super) struct OwnLease {
    pub lease: LeaseId,
    /// Until when it is counted on.
    pub until: Timestamp,
}

impl Leases {
    pub(super) fn new(clock: Clock) -> Self {
        let changed = clock.now();
        let view = Mutex::new(View {
            mine: None,
            given_up: None,
            alive: Vec::new(),
            changed,
            has_swept: false,
        });
        Self { clock, view, fleet: watch::Sender::new(Fleet { alive: 1 }), poke: Notify::new() }
    }

    /// The lease, while it can be counted on.
    pub(super) fn held(&self) -> Option<LeaseId> {
        let mine = self.view().mine?;
        (self.clock.now() < mine.until).then_some(mine.lease)
    }

    /// What a claim is worth, as far as the lease says.
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

    /// Which of the matches that nobody holds are this replica's to take now.
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

    /// Whether anybody else is there to be told of what is written.
    pub(super) fn has_others(&self) -> bool {
        self.view().alive.len() > 1
    }

    pub(super) fn fleet(&self) -> watch::Receiver<Fleet> {
        self.fleet.subscribe()
    }

    /// There may be matches that nobody holds.
    pub(super) fn hint(&self) {
        self.fleet.send_modify(|_| {});
    }

    /// Somebody came or went.
    pub(super) fn look(&self) {
        self.poke.notify_one();
    }

    /// Somebody let go of matches, which those alive share out.
    pub(super) fn share_anew(&self) {
        {
            let mut view = self.view();
            view.changed = self.clock.now();
            view.has_swept = false;
        }
        self.hint();
        self.look();
    }

    /// Gives the lease up, and everything that was claimed under it: some of that may be known to
    /// nobody. A new one follows.
    pub(super) fn start_over(&self) {
        {
            let mut view = self.view();
            view.given_up = view.mine.take().map(|mine| mine.lease).or(view.given_up);
        }
        self.look();
    }

    /// Nothing is held any more.
    pub(super) fn lose(&self) {
        self.view().mine = None;
    }

    /// Once the time of sharing is over, whatever is left is anybody's. When to look next.
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

    /// Takes what a renewal found.
    pub(super) fn take(&self, mine: OwnLease, alive: Vec<LeaseId>) {
        let mut view = self.view();
        // It was given up while its renewal was under way.
        if view.given_up == Some(mine.lease) {
            return;
        }
        let has_changed = view.alive != alive || view.mine.is_none();
        view.mine = Some(mine);
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
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
