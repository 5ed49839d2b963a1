//! The limiter that every request to Oz passes: how many at once, how fast, and whether at all.
//!
//! It decides nothing itself: the core's token bucket and circuit breaker do. It supplies the time
//! and the jitter, logs when the breaker opens or closes, and ensures that no permit is lost.

mod rate_queue;
mod resizable;
#[cfg(test)]
mod tests;

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard},
};

use tokio::sync;
use tracing::{info, warn};

use crate::{
    clock::Clock,
    domain::{
        CircuitBreaker, Deferred, Failure, OzResult, Ticket, TokenBucket,
        circuit_breaker::{self, BreakerChange, RequestTraits},
    },
    oz::Jitter,
    sync::lock,
    worker::limiter::{
        rate_queue::RateQueue,
        resizable::{Permit, ResizableSemaphore},
    },
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
    /// Held by the next request that isn't a last look, while it waits in `queue` and for a permit.
    /// The requests behind it wait for this lock, so last looks overtake all of them but that one.
    next: sync::Mutex<()>,
    /// The queue for the rate limit; `None` without a limit. Requests then wait for the semaphore
    /// alone: in a second queue, each request would have to wake the next.
    queue: Option<RateQueue>,
    /// Concurrency permits. The holder of a permit has one request in flight (its own, or the login
    /// that it needs), or it is the head of `queue`.
    permits: ResizableSemaphore,
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

impl Limiter {
    /// A limiter for the only replica. It lets at least one request through at a time.
    pub fn new(limits: OzLimits, clock: Clock, chance: Jitter) -> Self {
        let now = clock.now();
        Self {
            circuit: Mutex::new(CircuitBreaker::new(now)),
            next: sync::Mutex::default(),
            queue: limits.rate_max.map(|rate| RateQueue::new(TokenBucket::new(rate, now))),
            permits: ResizableSemaphore::new(limits.requests_max),
            clock,
            chance,
        }
    }

    /// Waits for a concurrency permit and for the rate limit, in order of arrival. Last looks
    /// overtake other requests: where the limits make polls rarer, a last look at the end of the
    /// queue would miss a verdict that was paid for.
    ///
    /// Only the head of the queue holds a concurrency permit while it waits for the rate limit. The
    /// requests behind it can't be sent before it, so permits that they held would be wasted.
    ///
    /// # Errors
    /// [`Deferred`] until the time to ask again, if the request must not be sent now.
    pub async fn acquire(&self, traits: RequestTraits) -> Result<SendPermit<'_>, Deferred> {
        let next = match traits.is_last_look {
            true => None,
            false => Some(self.next.lock().await),
        };
        let head = match &self.queue {
            Some(queue) => Some(queue.head().await),
            None => None,
        };
        let permit = self.permits.acquire().await;
        if let Some(head) = &head {
            head.wait(&self.clock).await;
        }
        drop(next);
        let (now, chance) = (self.clock.now(), (self.chance)());
        // The breaker is asked last, so that a request that waited while an outage began is still
        // held back. A request that is held back takes no token.
        let ticket = self.circuit().enter(traits, now, chance)?;
        if let Some(head) = head {
            head.take_token(now);
        }
        Ok(SendPermit { limiter: self, ticket: Some(ticket), _permit: permit })
    }

    /// Keeps to the share of one among `replicas` replicas from now on. It cancels no request in
    /// flight.
    pub fn share_among(&self, replicas: usize) {
        self.permits.share_among(replicas);
        if let Some(queue) = &self.queue {
            queue.share_among(replicas, self.clock.now());
        }
    }

    fn circuit(&self) -> MutexGuard<'_, CircuitBreaker> {
        lock(&self.circuit)
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
