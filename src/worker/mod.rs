//! The left half of the service: moves matches forward, from acceptance to their end.
//!
//! It decides nothing about a match (the core does) and shows nothing to callers (watchers read the
//! journal). Its own work: admission, the photos in memory, one task for each match that this
//! replica holds, and an orderly shutdown.

mod admit;
mod context;
mod driver;
mod housekeeping;
mod limiter;
pub mod photo_memory;
mod registry;
mod slots;
mod standby;
mod supervisor;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use crate::{journal::CancelledAs, oz::Jitter};
pub use admit::Refused;
pub use context::ProgressSink;
pub use limiter::OzLimits;

use crate::{
    clock::Clock,
    domain::{Match, MatchId, Policy, RequestId, Spec, TenantId, TenantsNow, Timestamp},
    journal::{self, Erased, Handles, Key},
    outage::Outage,
    oz::Oz,
    worker::{
        admit::Admission,
        context::Context,
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

/// What the worker is built from.
pub struct Collaborators {
    /// The journal.
    pub journal: Handles,
    /// Sends requests to Oz.
    pub oz: Arc<dyn Oz>,
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
}

/// The handle of the worker: admits, cancels, erases, drains. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    admission: Arc<Admission>,
    supervisor: Arc<Supervisor>,
    photo_memory: PhotoMemory,
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
            clock: with.clock,
            chance: with.chance,
            progress: with.progress,
            store: with.store,
            policy: config.policy,
            tenants: Arc::clone(&with.tenants),
            draining: CancellationToken::new(),
        };
        let supervisor = Arc::new(Supervisor::new(context, config.unfinished_max));
        Self {
            admission: Arc::new(Admission::new(Arc::clone(&supervisor))),
            supervisor,
            photo_memory: PhotoMemory::new(config.photo_bytes_max, with.tenants),
        }
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
        &self.photo_memory
    }

    /// How many matches are under way on this replica.
    pub fn unfinished(&self) -> usize {
        self.supervisor.slots.taken()
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
            info!(match.id = %m.id, request.id = request_id, "match cancelled");
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
                info!(match.id = %m.id, request.id = request_id, "match erased");
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
            match self.photo_memory.photos() {
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
