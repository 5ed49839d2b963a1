//! Admission: a request becomes a match, repeats a known match, or is refused.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::{
    domain::{Exhausted, Limit, Match, MatchId, Recorded, Spec, TenantId, VolatileState, state},
    journal::{self, Admitted, Claim, Key, Takeover},
    metrics::Phase,
    sync::lock,
    worker::{
        driver::Driver, photo_memory::Photo, registry::Registration, slots::UnfinishedSlot,
        supervisor::Supervisor,
    },
};

/// Why a match was not admitted. Except for [`Refused::Journal`], which may leave that open,
/// nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// The server drains.
    #[error("the server is shutting down")]
    Draining,
    /// The limit of unfinished matches is reached, or photo memory is full.
    #[error("the server is at its limit of {0}")]
    Overloaded(Limit),
    /// The tenant has reached a limit of its own.
    #[error("the tenant is at its limit of {0}")]
    Quota(Limit),
    /// The request id names a match with other content.
    #[error("the request id names a match with another {field}")]
    Reused {
        /// The first field that differs.
        field: &'static str,
        /// The match that it names.
        match_id: MatchId,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Refused {
    fn at(exhausted: Exhausted, limit: Limit) -> Self {
        match exhausted {
            Exhausted::Own => Self::Quota(limit),
            Exhausted::Common => Self::Overloaded(limit),
        }
    }
}

/// Admits matches, and hands them to the supervisor.
pub struct Admission {
    supervisor: Arc<Supervisor>,
    ids: Mutex<uuid::ContextV7>,
}

impl Admission {
    /// An admission that has admitted nothing yet.
    pub fn new(supervisor: Arc<Supervisor>) -> Self {
        Self { supervisor, ids: Mutex::new(uuid::ContextV7::new()) }
    }

    /// Admits a match, or returns the match that its request id names. Must not be dropped before
    /// it is done: a match could be left without a driver.
    pub async fn admit(&self, spec: Spec, photo: Option<Photo>) -> Result<Match, Refused> {
        let context = &self.supervisor.context;
        if context.draining.is_cancelled() {
            return Err(Refused::Draining);
        }
        let steady = context.clock.steady();
        let began = steady.now();
        let slot = match self.slot(&spec.tenant, photo.as_ref()) {
            Ok(slot) => slot,
            Err(refused) => return self.admit_repeat(&spec, photo, refused).await,
        };
        let (id, spec) = (self.new_id(), Arc::new(spec));
        // Registered before the match is durable, so that a cancel that comes at once finds the
        // driver.
        let registration = self.supervisor.registry.register(id, photo.clone());
        match context.writer.admit(id, Arc::clone(&spec)).await? {
            Admitted::New(recorded, claim) => {
                context.metrics.phase(Phase::Admitted, steady.now().since(began));
                Ok(self.accepted(&recorded, claim, registration, slot)?)
            }
            Admitted::Known(known) => {
                // If the known match is this very one, its registration has no driver and must not
                // be found.
                drop(registration);
                self.known(known, &spec, photo).await
            }
        }
    }

    /// A slot for a new match. The slot is taken before the match is written, so that concurrent
    /// admissions can't exceed the limits.
    fn slot(&self, tenant: &TenantId, photo: Option<&Photo>) -> Result<UnfinishedSlot, Refused> {
        if let Some(exhausted) = photo.and_then(Photo::exhausted) {
            return Err(Refused::at(exhausted, Limit::PhotoMemory));
        }
        let slot = self.supervisor.slots.take_free(tenant);
        slot.map_err(|exhausted| Refused::at(exhausted, Limit::UnfinishedMatches))
    }

    /// A repeat of a known match is never refused for a limit.
    async fn admit_repeat(
        &self,
        spec: &Spec,
        photo: Option<Photo>,
        refused: Refused,
    ) -> Result<Match, Refused> {
        let Some(request_id) = spec.request_id.clone() else {
            return Err(refused);
        };
        match self.supervisor.context.reader.find(&spec.tenant, &Key::Request(request_id)).await? {
            Some(known) => self.known(known, spec, photo).await,
            None => Err(refused),
        }
    }

    fn accepted(
        &self,
        first: &Recorded,
        claim: Claim,
        registration: Registration,
        slot: UnfinishedSlot,
    ) -> Result<Match, journal::Error> {
        let m = state::apply(None, first)
            .map_err(|illegal| journal::Error::Corrupt(illegal.to_string()))?;
        let context = Arc::clone(&self.supervisor.context);
        let volatile = VolatileState::fresh(context.clock.now());
        registration.set_claim(claim);
        let driver = Driver::new(context, m.clone(), claim, volatile, registration);
        driver.log_accepted();
        self.supervisor.spawn(driver, slot);
        Ok(m)
    }

    /// A repeat: a driver or standby that lacks the photo gets it. If neither is here, the match is
    /// taken up: it may have no driver anywhere, if the store failed when it was written.
    async fn known(
        &self,
        known: Match,
        spec: &Spec,
        photo: Option<Photo>,
    ) -> Result<Match, Refused> {
        if let Some(field) = known.spec.differing_field(spec) {
            return Err(Refused::Reused { field, match_id: known.id });
        }
        let photo = photo.filter(|_| !known.is_safe());
        let registry = &self.supervisor.registry;
        if let Some(trace) = &spec.trace
            && self.supervisor.context.tracer.is_on()
        {
            registry.note_repeat(known.id, trace.context);
        }
        // A match with events of a later version is left to the replicas that know them.
        if known.has_ended() || known.is_foreign {
            return Ok(known);
        }
        match photo {
            Some(photo) => {
                if let Err(photo) = registry.offer(known.id, photo) {
                    self.take_up(known.id, Some(photo)).await?;
                }
            }
            None if registry.has(known.id) => {}
            None => self.take_up(known.id, None).await?,
        }
        Ok(known)
    }

    /// Takes up a match that has no driver here. Claims and drives it if no replica holds it;
    /// otherwise stands by with its photo, for as long as the replica that drives it may still lose
    /// it.
    async fn take_up(&self, id: MatchId, photo: Option<Photo>) -> Result<(), Refused> {
        let (supervisor, registry) = (&self.supervisor, &self.supervisor.registry);
        let _pending = registry.expect_claim();
        match supervisor.context.writer.take(id, photo.is_some()).await? {
            Takeover::Now(m, claim) => {
                let driver = supervisor.revive(m, claim);
                // If a later claim was registered meanwhile, its driver gets the photo.
                if let Some(photo) = photo {
                    let _ = registry.offer(id, photo);
                }
                if let Some(driver) = driver {
                    let slot = supervisor.slots.take(driver.tenant());
                    supervisor.spawn(driver, slot);
                }
            }
            // If a concurrent repeat has registered first, it is offered the photo.
            Takeover::Held => {
                if let Some(registration) =
                    photo.and_then(|photo| registry.register_or_offer(id, photo))
                {
                    supervisor.spawn_standby(registration);
                }
            }
            Takeover::Past => {}
        }
        Ok(())
    }

    /// A new id, greater than all ids that this process has made before.
    fn new_id(&self) -> MatchId {
        let micros = u64::try_from(self.supervisor.context.clock.now().as_micros()).unwrap_or(0);
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let nanos = u32::try_from(rest * 1_000).expect("less than a second of nanoseconds");
        let ids = lock(&self.ids);
        let timestamp = uuid::Timestamp::from_unix(&*ids, seconds, nanos);
        MatchId::from_uuid(Uuid::new_v7(timestamp))
    }
}
