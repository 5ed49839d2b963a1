//! The left half of the service: moves matches forward, from acceptance to their end.
//!
//! It decides nothing about a match (the core does) and shows nothing to callers (watchers read the
//! journal). Its own work: admission, the photos in memory, one task for each match that this
//! replica holds, and an orderly shutdown.

mod admit;
mod context;
mod driver;
mod housekeeping;
pub mod limiter;
pub mod photo_memory;
mod registry;
mod slots;
pub mod spare_buffers;
mod standby;
mod supervisor;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{field, info, warn};

pub use crate::{journal::CancelledAs, oz::Jitter};
pub use admit::Refused;
pub use context::ProgressSink;
pub use limiter::OzLimits;

use crate::{
    clock::Clock,
    domain::{KeyForm, Match, MatchId, Policy, RequestId, Spec, TenantId, TenantsNow, Timestamp},
    journal::{self, Erased, Handles, Key},
    library::Libraries,
    metrics::{Invariants, MatchMetrics},
    outage::Outage,
    oz::Oz,
    trace::Tracer,
    worker::{
        admit::Admission,
        context::{Context, LivePolicy},
        limiter::Limiter,
        photo_memory::{Photo, PhotoMemory},
        supervisor::Supervisor,
    },
};

/// The share of the drain timeout in which the photos in memory may reach Oz; the rest is for
/// giving up the claims and the lease.
const DRAIN_SHARE_FOR_PHOTOS: f64 = 0.8;

/// The worker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How matches are driven.
    pub policy: Policy,
    /// How many unfinished matches this replica may hold.
    pub unfinished_max: usize,
    /// Limits on requests to Oz, for all replicas together.
    pub oz: OzLimits,
    /// How many bytes of photos may be in memory.
    pub photo_bytes_max: usize,
}

/// The settings that may change while the worker works.
#[derive(Clone, Copy, Debug)]
pub struct LiveLimits {
    /// How long matches are kept after their end.
    pub retention: Duration,
    /// How many unfinished matches this replica may hold.
    pub unfinished_max: usize,
    /// Limits on requests to Oz, for all replicas together.
    pub oz: OzLimits,
}

/// What the worker is built from.
pub struct Collaborators {
    /// The journal.
    pub journal: Handles,
    /// Sends requests to Oz.
    pub oz: Arc<dyn Oz>,
    /// The photo libraries of the tenants.
    pub libraries: Arc<dyn Libraries>,
    /// Tells the time, and waits for it.
    pub clock: Clock,
    /// Receives progress, which is not stored.
    pub progress: ProgressSink,
    /// Draws jitter, from 0 to 1.
    pub chance: Jitter,
    /// Outages of the store, shared by all components that use it.
    pub store: Outage,
    /// The tenants of this moment, each with its terms.
    pub tenants: TenantsNow,
    /// Makes the spans of matches.
    pub tracer: Tracer,
}

/// The handle of the worker: admits, cancels, erases, drains. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    admission: Arc<Admission>,
    supervisor: Arc<Supervisor>,
}

/// The outcome of [`Worker::delete`].
#[derive(Debug)]
pub enum Deleted {
    /// The match as it was before, and when it was erased.
    Now(Box<Match>, Timestamp),
    /// The match has not ended. Nothing was erased.
    Running(MatchId),
    /// The tenant has no such match.
    Absent,
}

impl Worker {
    /// A worker that has claimed nothing yet.
    pub fn new(config: Config, with: Collaborators) -> Self {
        let context = Context {
            limiter: Limiter::new(
                config.oz,
                Arc::clone(&with.tenants),
                with.clock.clone(),
                Arc::clone(&with.chance),
            ),
            writer: with.journal.writer,
            fleet: with.journal.fleet,
            reader: with.journal.feed.reader,
            identity: with.journal.feed.identity,
            oz: with.oz,
            libraries: with.libraries,
            photo_memory: PhotoMemory::new(config.photo_bytes_max, Arc::clone(&with.tenants)),
            clock: with.clock,
            chance: with.chance,
            progress: with.progress,
            metrics: MatchMetrics::default(),
            invariants: Invariants::default(),
            store: with.store,
            policy: LivePolicy::new(config.policy),
            tenants: with.tenants,
            tracer: with.tracer,
            draining: CancellationToken::new(),
        };
        let supervisor = Arc::new(Supervisor::new(context, config.unfinished_max));
        Self { admission: Arc::new(Admission::new(Arc::clone(&supervisor))), supervisor }
    }

    /// Claims unclaimed matches and drives them. Starts the tasks that go on claiming, that erase
    /// expired matches, and that wake standbys. Returns once the first claims are scheduled.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn start(&self) -> Result<(), journal::Error> {
        housekeeping::start(&self.supervisor).await
    }

    /// The memory of photos, those still being received included.
    pub fn photo_memory(&self) -> &PhotoMemory {
        &self.context().photo_memory
    }

    /// What the photo library of a tenant makes of a key; `None` if the tenant has no library.
    pub fn key_form(&self, tenant: &TenantId) -> Option<KeyForm> {
        Some(self.context().libraries.library(tenant)?.kind().key_form())
    }

    /// What the matches of this replica count.
    pub fn metrics(&self) -> &MatchMetrics {
        &self.context().metrics
    }

    /// The promises that drivers have found broken.
    pub fn invariants(&self) -> &Invariants {
        &self.context().invariants
    }

    /// The limiter of requests to Oz.
    pub fn limiter(&self) -> &Limiter {
        &self.context().limiter
    }

    /// How many matches of each tenant are under way on this replica.
    pub fn unfinished_by_tenant(&self) -> HashMap<TenantId, usize> {
        self.supervisor.slots.by_tenant()
    }

    /// How many matches are under way on this replica.
    pub fn unfinished(&self) -> usize {
        self.supervisor.slots.taken()
    }

    /// Works on with these limits: requests in flight go on, and matches beyond the limit stay. The
    /// retention holds for matches that end from now on.
    pub fn change(&self, limits: LiveLimits) {
        let context = self.context();
        context.limiter.set_limits(limits.oz);
        context.policy.set_retention(limits.retention);
        self.supervisor.slots.set_max(limits.unfinished_max);
    }

    /// Whether the circuit breaker holds requests to Oz back, because Oz is out.
    pub fn is_oz_out(&self) -> bool {
        self.context().limiter.is_open()
    }

    /// Admits a match, or returns the match that its request id names.
    ///
    /// Safe to repeat with a request id. Dropping the future doesn't stop the admission, so that no
    /// match is left without a driver.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn admit(&self, spec: Spec, photo: Option<Photo>) -> Result<Match, Refused> {
        let admission = Arc::clone(&self.admission);
        let tasks = &self.supervisor.tasks;
        let admitted = tasks.spawn(async move { admission.admit(spec, photo).await });
        // The task doesn't panic, and is aborted only when the runtime shuts down.
        admitted.await.unwrap_or(Err(Refused::Draining))
    }

    /// Whether the request id of a tenant names a match, so that a request with it is a repeat.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn knows(&self, tenant: &TenantId, id: RequestId) -> Result<bool, journal::Error> {
        let found = self.context().reader.find(tenant, &Key::Request(id)).await?;
        Ok(found.is_some())
    }

    /// Ends a match as cancelled, whichever replica drives it. Nothing more is sent to Oz for it.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
    ) -> Result<CancelledAs, journal::Error> {
        let keep = self.context().policy_of(tenant).retention;
        let outcome = self.context().writer.cancel(tenant, key, keep).await?;
        if let CancelledAs::Now(m) = &outcome {
            let request_id = m.spec.request_id.as_ref().map(RequestId::as_str);
            let trace_id = m.spec.trace_id().map(field::display);
            info!(match.id = %m.id, request.id = request_id, trace_id, "match cancelled");
            self.metrics().ended(m);
        }
        // Also on a repeat: if the answer to the first cancel was lost, it has not stopped the
        // driver.
        if let CancelledAs::Now(m) | CancelledAs::Already(m) = &outcome {
            self.supervisor.registry.stop(m.id);
        }
        Ok(outcome)
    }

    /// Erases a match that has ended. A request id is resolved once, before the erasure: a match
    /// that gets the id a moment later is not erased.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn delete(&self, tenant: &TenantId, key: &Key) -> Result<Deleted, journal::Error> {
        let Some(m) = self.context().reader.find(tenant, key).await? else {
            return Ok(Deleted::Absent);
        };
        // A match that ends after this read is refused all the same: its final state was not read.
        if !m.has_ended() {
            return Ok(Deleted::Running(m.id));
        }
        match self.context().writer.erase(tenant, m.id).await? {
            Erased::Done => {
                let request_id = m.spec.request_id.as_ref().map(RequestId::as_str);
                let trace_id = m.spec.trace_id().map(field::display);
                info!(match.id = %m.id, request.id = request_id, trace_id, "match erased");
                self.metrics().erased.inc();
                let time = self.context().clock.now().max(m.update_time);
                Ok(Deleted::Now(Box::new(m), time))
            }
            Erased::Running => Ok(Deleted::Running(m.id)),
            Erased::Absent => Ok(Deleted::Absent),
        }
    }

    /// Cancelled when a drain begins: new matches are refused from then on.
    pub fn draining(&self) -> CancellationToken {
        self.context().draining.clone()
    }

    /// Refuses new matches, brings the photos in memory to Oz as far as the timeout allows, and
    /// stops. Unfinished matches stay in the journal, for other replicas or the next start.
    pub async fn drain(&self, timeout: Duration) {
        let (context, supervisor) = (self.context(), &self.supervisor);
        context.draining.cancel();
        supervisor.tasks.close();
        let until = context.clock.now().after(timeout.mul_f64(DRAIN_SHARE_FOR_PHOTOS));
        if context.clock.before(until, supervisor.wait_until_idle()).await.is_none() {
            match context.photo_memory.photos() {
                0 => warn!("drain: tasks stopped that did not end in time"),
                photos => warn!(photos, "drain: photos dropped that did not reach Oz in time"),
            }
        }
        supervisor.registry.stop_all();
        supervisor.tasks.wait().await;
        context.writer.leave().await;
    }

    fn context(&self) -> &Context {
        &self.supervisor.context
    }
}
