//! The limiter that every request to Oz passes: how many at once, how fast, in which order, and
//! whether at all.
//!
//! It decides nothing itself: the core's fair queue, token bucket and circuit breaker do. It
//! supplies the time, the jitter and the tenants' weights, logs when the breaker opens or closes,
//! and ensures that no permit is lost.

mod permits;
mod request_queue;
#[cfg(test)]
mod tests;

use std::{
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    domain::{
        CircuitBreaker, Deferred, Failure, OzResult, TenantId, TenantsNow, Ticket, Timestamp,
        TokenBucket,
        circuit_breaker::{self, BreakerChange, RequestTraits},
        fair_queue::{Arrival, WaiterId},
    },
    oz::Jitter,
    sync::lock,
    worker::limiter::{permits::PermitCount, request_queue::RequestQueue},
};

/// Limits on requests to Oz, for all replicas together.
#[derive(Clone, Copy, Debug)]
pub struct OzLimits {
    /// How many requests may be in flight at once.
    pub requests_max: usize,
    /// How many requests may be sent per second. `None`: any number.
    pub rate_max: Option<NonZeroU32>,
}

/// Grants a permit for each request to Oz.
pub struct Limiter {
    circuit: Mutex<CircuitBreaker>,
    queue: Mutex<RequestQueue>,
    /// Signals that the rate has changed, so that the request whose turn it is asks again when it
    /// may be sent.
    rate_changed: Notify,
    has_rate: AtomicBool,
    tenants: TenantsNow,
    clock: Clock,
    chance: Jitter,
}

/// Permission to send one request now. If it is dropped unreported, its ticket is given back to the
/// circuit breaker.
pub struct SendPermit<'a> {
    limiter: &'a Limiter,
    ticket: Option<Ticket>,
    _permit: Permit<'a>,
}

/// A request's place in the queue, until it is sent. Dropping it gives the place up.
struct Place<'a> {
    limiter: &'a Limiter,
    /// `None` if the request did not have to wait.
    waiter: Option<(TenantId, WaiterId)>,
    is_sent: bool,
}

/// Permission to have one request in flight.
struct Permit<'a>(&'a Limiter);

impl Limiter {
    /// A limiter for the only replica. It lets at least one request through at a time.
    pub fn new(limits: OzLimits, tenants: TenantsNow, clock: Clock, chance: Jitter) -> Self {
        let now = clock.now();
        let bucket = limits.rate_max.map(|rate| TokenBucket::new(rate, now));
        Self {
            circuit: Mutex::new(CircuitBreaker::new(now)),
            queue: Mutex::new(RequestQueue::new(PermitCount::new(limits.requests_max), bucket)),
            rate_changed: Notify::new(),
            has_rate: AtomicBool::new(limits.rate_max.is_some()),
            tenants,
            clock,
            chance,
        }
    }

    /// Waits for a concurrency permit and for the rate limit. Tenants take turns by their weights
    /// and by what their requests [cost](crate::domain::fair_queue::cost). A tenant's requests are
    /// sent in order of arrival, but last looks overtake its other requests: where the limits make
    /// polls rarer, a last look at the end of the queue would miss a verdict that was paid for.
    ///
    /// # Errors
    /// [`Deferred`] until the time to ask again, if the request must not be sent now.
    pub async fn acquire(
        &self,
        tenant: &TenantId,
        cost: u32,
        traits: RequestTraits,
    ) -> Result<SendPermit<'_>, Deferred> {
        let at_once = self.queue().enter_at_once(self.clock.now());
        let place = match at_once {
            true => Place { limiter: self, waiter: None, is_sent: false },
            false => self.wait(tenant, cost, traits.is_last_look).await,
        };
        let (now, chance) = (self.clock.now(), (self.chance)());
        // The breaker is asked last, so that a request that waited while an outage began is still
        // held back. A request that is held back takes no token.
        let ticket = self.circuit().enter(traits, now, chance)?;
        Ok(SendPermit { limiter: self, ticket: Some(ticket), _permit: place.leave_to_send(now) })
    }

    /// Whether a request would be held back if it were to be sent now. It is not sent, and takes
    /// nothing.
    pub fn foresee(&self, traits: RequestTraits) -> Option<Deferred> {
        let (now, chance) = (self.clock.now(), (self.chance)());
        self.circuit().foresee(traits, now, chance)
    }

    /// Whether the circuit breaker holds requests back.
    pub fn is_open(&self) -> bool {
        self.circuit().is_open()
    }

    /// How many repeats of failed requests may be sent at once now.
    pub fn repeat_budget(&self) -> f64 {
        self.circuit().repeat_budget(self.clock.now())
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.queue().in_flight()
    }

    /// Keeps to the share of one among `replicas` replicas from now on. It cancels no request in
    /// flight.
    pub fn share_among(&self, replicas: usize) {
        self.queue().share_among(replicas, self.clock.now());
        self.rate_changed.notify_one();
    }

    /// Keeps to these limits from now on. It cancels no request in flight.
    pub fn set_limits(&self, limits: OzLimits) {
        let now = self.clock.now();
        {
            let mut queue = self.queue();
            self.has_rate.store(limits.rate_max.is_some(), Ordering::Relaxed);
            queue.set_permits(limits.requests_max);
            queue.set_rate(limits.rate_max, now);
        }
        // All requests that wait for a token ask again, also a request that is about to wait.
        self.rate_changed.notify_waiters();
        self.rate_changed.notify_one();
    }

    /// Waits until the request has a permit, and a token is there for it.
    async fn wait(&self, tenant: &TenantId, cost: u32, is_last_look: bool) -> Place<'_> {
        let weight = (self.tenants)().terms(tenant).weight;
        let (grant, granted) = oneshot::channel();
        let id = self.queue().join(tenant, Arrival { weight, cost, is_last_look }, grant);
        let place = Place { limiter: self, waiter: Some((tenant.clone(), id)), is_sent: false };
        // The queue keeps the sender until it grants the permit.
        let _ = granted.await;
        self.wait_for_token().await;
        place
    }

    async fn wait_for_token(&self) {
        loop {
            let now = self.clock.now();
            let due = self.queue().due(now);
            let Some(due) = due.filter(|due| *due > now) else { return };
            tokio::select! {
                biased;
                () = self.rate_changed.notified() => {}
                () = self.clock.sleep_until(due) => {}
            }
        }
    }

    fn circuit(&self) -> MutexGuard<'_, CircuitBreaker> {
        lock(&self.circuit)
    }

    fn queue(&self) -> MutexGuard<'_, RequestQueue> {
        lock(&self.queue)
    }
}

impl<'a> Place<'a> {
    /// Leaves the queue because the request is sent now.
    fn leave_to_send(mut self, now: Timestamp) -> Permit<'a> {
        self.is_sent = true;
        if self.limiter.has_rate.load(Ordering::Relaxed) {
            self.limiter.queue().sent(self.waiter.as_ref(), now);
        }
        Permit(self.limiter)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.limiter.queue().leave(self.waiter.as_ref());
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.queue().give_back();
    }
}

impl SendPermit<'_> {
    /// Reports the outcome of the request to the circuit breaker.
    pub fn report(mut self, outcome: &OzResult) {
        let Some(ticket) = self.ticket.take() else { return };
        let failure = outcome.as_ref().err();
        let (now, chance) = (self.limiter.clock.now(), (self.limiter.chance)());
        let change = self.limiter.circuit().report(ticket, failure, now, chance);
        let cause = failure.map(|failure| failure.kind.cause().as_str());
        match change {
            Some(BreakerChange::Opened) => warn!(
                cause,
                error = failure.map(Failure::told),
                oz.http_status = failure.and_then(|failure| failure.http_status),
                failures = circuit_breaker::OPENS_AFTER,
                "circuit breaker open: Oz is out, only single probes are sent to it"
            ),
            Some(BreakerChange::Closed) => info!("circuit breaker closed: Oz answers again"),
            None => {}
        }
    }
}

impl Drop for SendPermit<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.limiter.circuit().give_back(ticket);
        }
    }
}
