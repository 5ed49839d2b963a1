//! What drivers, standbys and housekeeping work with: the journal, Oz, the clock and the policy. It
//! deliberately knows no driver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    clock::Clock,
    domain::{MatchId, Policy, Progress, TenantId, TenantsNow},
    journal::{self, Fleet, Identity, Reader, Writer},
    library::Libraries,
    metrics::{Invariants, MatchMetrics},
    outage::{self, Outage},
    oz::{Jitter, Oz},
    trace::Tracer,
    worker::{limiter::Limiter, photo_memory::PhotoMemory},
};

/// Receives the progress of a match between its events.
pub type ProgressSink = Arc<dyn Fn(MatchId, Progress) + Send + Sync>;

/// The surroundings of a driver, shared by all drivers of this replica. It is made of the worker's
/// [`Collaborators`](crate::worker::Collaborators), whose journal it takes apart, and of what the
/// worker adds to them: its permits, its policy and its drain.
pub struct Context {
    /// Writes events, and claims matches.
    pub writer: Arc<dyn Writer>,
    /// The live replicas. Changes also whenever there may be matches that no replica holds.
    pub fleet: watch::Receiver<Fleet>,
    /// Finds matches, and reads their events.
    pub reader: Arc<dyn Reader>,
    /// What the store and this process are known by.
    pub identity: Identity,
    /// Sends requests to Oz.
    pub oz: Arc<dyn Oz>,
    /// The photo libraries of the tenants.
    pub libraries: Arc<dyn Libraries>,
    /// The memory of photos.
    pub photo_memory: PhotoMemory,
    /// Grants the permits of requests to Oz.
    pub limiter: Limiter,
    /// Tells the time, and waits for it.
    pub clock: Clock,
    /// Draws jitter, from 0 to 1.
    pub chance: Jitter,
    /// Receives progress, which is not stored.
    pub progress: ProgressSink,
    /// What matches count.
    pub metrics: MatchMetrics,
    /// Promises that were found broken.
    pub invariants: Invariants,
    /// Outages of the store, shared by all components that use it.
    pub store: Outage,
    /// How matches are driven, but for the terms of their tenants.
    pub policy: LivePolicy,
    /// The tenants of this moment.
    pub tenants: TenantsNow,
    /// Makes the spans of matches.
    pub tracer: Tracer,
    /// Cancelled when a drain begins: new matches are refused, and a driver stops unless it holds a
    /// photo that isn't at Oz yet.
    pub draining: CancellationToken,
}

impl Context {
    /// Counts a background failure of the store as part of its outage, which is logged once.
    pub fn store_failed(&self, failure: &journal::Error, what: &str) {
        debug!(error = outage::causes(failure), "{what}");
        self.store.failed(failure);
    }

    /// The policy by which the matches of a tenant are driven at this moment.
    pub fn policy_of(&self, tenant: &TenantId) -> Policy {
        (self.tenants)().terms(tenant).policy(self.policy.now())
    }

    /// A random part of one poll interval, so that the requests of many matches don't coincide.
    pub fn spread(&self) -> Duration {
        self.policy.now().poll_interval.mul_f64((self.chance)())
    }
}

/// A policy whose retention may change while the service runs.
pub struct LivePolicy {
    policy: Policy,
    retention_micros: AtomicU64,
}

impl LivePolicy {
    /// Begins with this policy.
    pub fn new(policy: Policy) -> Self {
        let live = Self { policy, retention_micros: AtomicU64::new(0) };
        live.set_retention(policy.retention);
        live
    }

    /// The policy of this moment.
    pub fn now(&self) -> Policy {
        let retention = Duration::from_micros(self.retention_micros.load(Ordering::Relaxed));
        Policy { retention, ..self.policy }
    }

    /// Has matches that end from now on kept for so long.
    pub fn set_retention(&self, retention: Duration) {
        let micros = u64::try_from(retention.as_micros()).unwrap_or(u64::MAX);
        self.retention_micros.store(micros, Ordering::Relaxed);
    }
}
