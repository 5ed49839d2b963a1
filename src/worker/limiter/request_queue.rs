//! The queue of requests to Oz: the requests that wait, the permits of those in flight, and whose
//! turn it is to take the next token of the rate limit.
//!
//! It decides who is next and wakes that request; the core's queue and token bucket decide by which
//! rule. Each permit that is given back wakes the request that gets it, and no other. It
//! deliberately waits for nothing and reads no clock.

use std::num::NonZeroU32;

use tokio::sync::oneshot;

use crate::{
    domain::{
        FairQueue, TenantId, Timestamp, TokenBucket,
        fair_queue::{Arrival, WaiterId},
    },
    worker::limiter::permits::PermitCount,
};

/// The state of the limiter that its requests share.
pub struct RequestQueue {
    /// Each request with the channel that tells it of its permit, until it is told.
    waiting: FairQueue<Option<oneshot::Sender<()>>>,
    permits: PermitCount,
    rate: Option<Rate>,
    /// How many replicas share the rate.
    replicas: usize,
}

/// The rate limit. Only one request at a time, which has its permit, waits for a token: the others
/// can't be sent before it, so permits that they held would be wasted. No request reserves a token:
/// if the one whose turn it is leaves, or may not be sent after all, the next one gets the token.
struct Rate {
    bucket: TokenBucket,
    turn: Turn,
}

/// Whose turn it is to take the next token.
#[derive(Clone, PartialEq, Eq)]
enum Turn {
    Free,
    /// A request that did not have to wait.
    Unqueued,
    /// A request that stays in the queue until it is sent, so that the tenant's next request that
    /// isn't a last look doesn't join the last looks before that.
    Queued(TenantId, WaiterId),
}

impl RequestQueue {
    /// A queue in which no request waits.
    pub fn new(permits: PermitCount, bucket: Option<TokenBucket>) -> Self {
        let rate = bucket.map(|bucket| Rate { bucket, turn: Turn::Free });
        Self { waiting: FairQueue::default(), permits, rate, replicas: 1 }
    }

    /// Takes a permit, and the turn, for a request that need not wait. False if it must.
    pub fn enter_at_once(&mut self, now: Timestamp) -> bool {
        if !self.waiting.is_empty() || !self.permits.has_free() {
            return false;
        }
        if let Some(rate) = &mut self.rate {
            if rate.turn != Turn::Free || rate.bucket.due(now) > now {
                return false;
            }
            rate.turn = Turn::Unqueued;
        }
        self.permits.take();
        true
    }

    /// Adds a request, which is told through the channel once it has a permit, and the turn.
    pub fn join(
        &mut self,
        tenant: &TenantId,
        arrival: Arrival,
        granted: oneshot::Sender<()>,
    ) -> WaiterId {
        let id = self.waiting.push(tenant, arrival, Some(granted));
        self.grant();
        id
    }

    /// When the request whose turn it is may be sent. `None` without a rate limit.
    pub fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.rate.as_mut().map(|rate| rate.bucket.due(now))
    }

    /// Takes the token of a request that is sent now. It keeps its permit.
    pub fn sent(&mut self, waiter: Option<&(TenantId, WaiterId)>, now: Timestamp) {
        if let Some(rate) = &mut self.rate {
            rate.bucket.take(now);
            rate.end_turn(waiter);
            if let Some((tenant, id)) = waiter {
                self.waiting.serve(tenant, *id);
            }
            self.grant();
        }
    }

    /// Takes out a request that will not be sent, and takes back what it was granted.
    pub fn leave(&mut self, waiter: Option<&(TenantId, WaiterId)>) {
        let removed = waiter.is_some_and(|(tenant, id)| self.waiting.remove(tenant, *id).is_some());
        let had_turn = self.rate.as_mut().is_some_and(|rate| rate.end_turn(waiter));
        // A request that was granted its permit without a rate limit has left the queue since, also
        // if a rate limit was set in the meantime.
        if had_turn || !removed {
            self.give_back();
        }
    }

    /// Takes back the permit of a request that has been answered.
    pub fn give_back(&mut self) {
        self.permits.give_back();
        self.grant();
    }

    /// How many permits are taken.
    pub fn in_flight(&self) -> usize {
        self.permits.taken()
    }

    /// Keeps to the share of one among `replicas` replicas.
    pub fn share_among(&mut self, replicas: usize, now: Timestamp) {
        self.permits.share_among(replicas);
        self.replicas = replicas;
        if let Some(rate) = &mut self.rate {
            rate.bucket.share_among(replicas, now);
        }
        self.grant();
    }

    /// Sets how many requests may be in flight at once, of all replicas together.
    pub fn set_permits(&mut self, all: usize) {
        self.permits.set_all(all);
        self.grant();
    }

    /// Sets the rate of all replicas together; `None` for no limit. Requests that have their permits
    /// keep them, and pay at the new rate.
    pub fn set_rate(&mut self, rate: Option<NonZeroU32>, now: Timestamp) {
        match (&mut self.rate, rate) {
            (Some(limited), Some(rate)) => limited.bucket.set_rate(rate, now),
            (None, Some(rate)) => {
                let mut bucket = TokenBucket::new(rate, now);
                bucket.share_among(self.replicas, now);
                self.rate = Some(Rate { bucket, turn: Turn::Free });
            }
            (_, None) => {
                // Without a rate limit, a request that has its permit isn't in the queue.
                if let Some(Rate { turn: Turn::Queued(tenant, id), .. }) = self.rate.take() {
                    self.waiting.serve(&tenant, id);
                }
            }
        }
        self.grant();
    }

    /// Grants what is free to the requests that are next.
    fn grant(&mut self) {
        while self.permits.has_free() && self.rate.as_ref().is_none_or(Rate::is_free) {
            let Some((tenant, id, granted)) = self.waiting.choose() else { return };
            let granted = granted.take();
            match &mut self.rate {
                Some(rate) => rate.turn = Turn::Queued(tenant, id),
                None => {
                    self.waiting.serve(&tenant, id);
                }
            }
            self.permits.take();
            if let Some(granted) = granted {
                // A request that doesn't listen any more is about to leave, and gives its permit
                // back.
                let _ = granted.send(());
            }
        }
    }
}

impl Rate {
    fn is_free(&self) -> bool {
        self.turn == Turn::Free
    }

    /// Ends the turn of a request; false if it isn't its turn. A request may have its permit without
    /// a turn if it was granted before there was a rate limit.
    fn end_turn(&mut self, waiter: Option<&(TenantId, WaiterId)>) -> bool {
        let is_its = match (&self.turn, waiter) {
            (Turn::Free, _) => false,
            (Turn::Unqueued, waiter) => waiter.is_none(),
            (Turn::Queued(_, turn), waiter) => waiter.is_some_and(|(_, id)| id == turn),
        };
        if is_its {
            self.turn = Turn::Free;
        }
        is_its
    }
}
