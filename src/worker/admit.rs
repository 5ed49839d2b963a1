//! Admission: a request becomes a match, repeats a known match, or is refused.

use std::sync::{Arc, PoisonError};

use tracing::info;
use uuid::Uuid;

use crate::{
    domain::{CallerId, Limit, Match, MatchId, Recorded, RequestId, Spec, VolatileState, state},
    journal::{self, Admitted, Claim, Key, Takeover},
    worker::{
        Engine, UnfinishedSlot, Worker, driver::Driver, photo_memory::Photo, registry::Registration,
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

impl Worker {
    /// Admits a match, or returns the match that its request id names.
    ///
    /// Safe to repeat with a request id. Dropping the future doesn't stop the admission, so that no
    /// match is left without a driver.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn admit(&self, spec: Spec, photo: Option<Photo>) -> Result<Match, Refused> {
        let engine = Arc::clone(&self.0);
        let admission = self.0.tasks.spawn(async move { engine.admit(spec, photo).await });
        // The task doesn't panic, and is aborted only when the runtime shuts down.
        admission.await.unwrap_or(Err(Refused::Draining))
    }
}

impl Worker {
    /// Whether the request id of a caller names a match, so that a request with it is a repeat.
    ///
    /// # Errors
    /// Those of the journal.
    pub async fn knows(&self, caller: &CallerId, id: RequestId) -> Result<bool, journal::Error> {
        let found = self.0.with.reader.find(caller, &Key::Request(id)).await?;
        Ok(found.is_some())
    }
}

impl Engine {
    async fn admit(self: Arc<Self>, spec: Spec, photo: Option<Photo>) -> Result<Match, Refused> {
        if self.draining.is_cancelled() {
            return Err(Refused::Draining);
        }
        let slot = match self.slot_or_limit(photo.as_ref()) {
            Ok(slot) => slot,
            Err(limit) => return self.admit_overloaded(&spec, photo, limit).await,
        };
        let (id, spec) = (self.new_id(), Arc::new(spec));
        // Registered before the match is durable, so that a cancel that comes at once finds the
        // driver.
        let seat = Registration::register(&self, id, photo.clone());
        match self.with.writer.admit(id, Arc::clone(&spec)).await? {
            Admitted::New(recorded, claim) => Ok(self.accepted(&recorded, claim, seat, slot)?),
            Admitted::Known(known) => {
                // If the known match is this very one, its registration has no driver and must not
                // be found.
                drop(seat);
                self.known(known, &spec, photo).await
            }
        }
    }

    /// A slot for a new match, or the limit that is reached. The slot is taken before the match is
    /// written, so that concurrent admissions can't exceed the limit.
    fn slot_or_limit(&self, photo: Option<&Photo>) -> Result<UnfinishedSlot, Limit> {
        if photo.is_some_and(Photo::is_overflow) {
            return Err(Limit::PhotoMemory);
        }
        self.free_slot().ok_or(Limit::UnfinishedMatches)
    }

    /// A repeat of a known match is never refused as overload.
    async fn admit_overloaded(
        self: &Arc<Self>,
        spec: &Spec,
        photo: Option<Photo>,
        limit: Limit,
    ) -> Result<Match, Refused> {
        let Some(request_id) = spec.request_id.clone() else {
            return Err(Refused::Overloaded(limit));
        };
        match self.with.reader.find(&spec.caller, &Key::Request(request_id)).await? {
            Some(known) => self.known(known, spec, photo).await,
            None => Err(Refused::Overloaded(limit)),
        }
    }

    fn accepted(
        &self,
        first: &Recorded,
        claim: Claim,
        seat: Registration,
        slot: UnfinishedSlot,
    ) -> Result<Match, journal::Error> {
        let m = state::apply(None, first)
            .map_err(|illegal| journal::Error::Corrupt(illegal.to_string()))?;
        info!(
            match.id = %m.id,
            request.id = m.spec.request_id.as_ref().map(RequestId::as_str),
            oz.folder_id = %m.spec.folder_id,
            "match accepted"
        );
        let drive = VolatileState::fresh(self.with.clock.now());
        seat.set_claim(claim);
        self.spawn(Driver::new(m.clone(), claim, drive, seat), slot);
        Ok(m)
    }

    /// A repeat: a driver or standby that lacks the photo gets it. If neither is here, the match is
    /// taken up: it may have no driver anywhere, if the store failed when it was written.
    async fn known(
        self: &Arc<Self>,
        known: Match,
        spec: &Spec,
        photo: Option<Photo>,
    ) -> Result<Match, Refused> {
        if let Some(field) = known.spec.differing_field(spec) {
            return Err(Refused::Reused { field, match_id: known.id });
        }
        let photo = photo.filter(|_| !known.is_safe());
        match self.handle(known.id) {
            _ if known.has_ended() => {}
            Some(handle) => handle.offer_if_any(photo),
            None => self.take_up(known.id, photo).await?,
        }
        Ok(known)
    }

    /// Takes up a match that has no driver here. Claims and drives it if no replica holds it;
    /// otherwise stands by with its photo, for as long as the replica that drives it may still lose
    /// it.
    async fn take_up(self: &Arc<Self>, id: MatchId, photo: Option<Photo>) -> Result<(), Refused> {
        match self.with.writer.take(id, photo.is_some()).await? {
            Takeover::Now(m, claim) => {
                let driver = self.revive(m, claim);
                if let Some(handle) = self.handle(id) {
                    handle.offer_if_any(photo);
                }
                if let Some(driver) = driver {
                    self.spawn(driver, self.slot());
                }
            }
            // If a concurrent repeat has registered first, it is offered the photo.
            Takeover::Held => {
                if let Some(seat) =
                    photo.and_then(|photo| Registration::register_or_offer(self, id, photo))
                {
                    self.spawn_standby(seat);
                }
            }
            Takeover::Past => {}
        }
        Ok(())
    }

    /// A new id, greater than all ids that this process has made before.
    fn new_id(&self) -> MatchId {
        let micros = u64::try_from(self.with.clock.now().as_micros()).unwrap_or(0);
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let nanos = u32::try_from(rest * 1_000).expect("less than a second of nanoseconds");
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let timestamp = uuid::Timestamp::from_unix(&*ids, seconds, nanos);
        MatchId::from_uuid(Uuid::new_v7(timestamp))
    }
}
