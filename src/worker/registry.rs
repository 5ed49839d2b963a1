//! The registry of drivers and standbys: how a cancel or a photo reaches the driver of a match, and
//! where its photo is held. It deliberately doesn't know what a driver does.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{MatchId, TraceContext},
    journal::Claim,
    sync::lock,
    worker::photo_memory::Photo,
};

/// The most repeats of one call whose traces are kept.
const REPEATS_MAX: usize = 15;

/// The drivers and standbys of this replica, each reached by the id of its match.
#[derive(Default)]
pub struct Registry {
    handles: Mutex<Handles>,
    /// Cancelled when the drain's time for photos is over: drivers stop wherever they are.
    stopping: CancellationToken,
}

#[derive(Default)]
struct Handles {
    of: HashMap<MatchId, Arc<DriverHandle>>,
    /// How many claims are being made whose drivers aren't registered yet.
    pending_claims: usize,
    /// The matches that were stopped while claims are pending. A claim may have read such a match
    /// before it ended, so its driver stops as soon as it is registered, and no standby is.
    stopped: HashSet<MatchId>,
}

/// Held from before a claim until its drivers are registered, so that no stop of their matches is
/// missed in between.
pub struct PendingClaim<'a>(&'a Registry);

/// Reaches a driver or standby from outside: stops it, or hands it a photo.
pub struct DriverHandle {
    photo: Mutex<PhotoSlot>,
    /// Wakes the driver or standby: a photo has arrived, or the match can be claimed.
    pub(super) wake: Notify,
    /// Cancelled when the driver or standby must leave.
    pub(super) stop: CancellationToken,
    /// The epoch of the driver's claim; zero before it has one.
    epoch: AtomicU64,
    /// The calls that have repeated the one that created the match, if calls have spans.
    repeats: Mutex<Vec<TraceContext>>,
}

/// The photo of a match, until it isn't needed any more.
enum PhotoSlot {
    /// Holds the photo, or takes one.
    Open(Option<Photo>),
    /// Drops each photo: it isn't needed any more.
    Done,
    /// Refuses each photo: the driver exits, and a standby has to be registered for the photo.
    Closed,
}

impl DriverHandle {
    /// The handle of a driver with its photo, if that is here.
    fn new(photo: Option<Photo>, stop: CancellationToken) -> Self {
        let (photo, epoch) = (Mutex::new(PhotoSlot::Open(photo)), AtomicU64::new(0));
        Self { photo, wake: Notify::new(), stop, epoch, repeats: Mutex::default() }
    }

    /// Hands over a photo. It is dropped if the driver has one, or needs none any more. If the
    /// driver exits, the photo is returned.
    fn offer(&self, photo: Photo) -> Result<(), Photo> {
        match &mut *self.slot() {
            PhotoSlot::Open(empty @ None) => {
                *empty = Some(photo);
                self.wake.notify_one();
                Ok(())
            }
            PhotoSlot::Open(Some(_)) | PhotoSlot::Done => Ok(()),
            PhotoSlot::Closed => Err(photo),
        }
    }

    /// Whether the photo is here. If it isn't, none is taken any more.
    pub fn has_photo_or_closes(&self) -> bool {
        let mut slot = self.slot();
        match &*slot {
            PhotoSlot::Open(Some(_)) => true,
            PhotoSlot::Open(None) => {
                *slot = PhotoSlot::Closed;
                false
            }
            PhotoSlot::Done | PhotoSlot::Closed => false,
        }
    }

    /// Makes the driver stop wherever it is.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The photo, if it is here.
    pub fn photo(&self) -> Option<Photo> {
        match &*self.slot() {
            PhotoSlot::Open(photo) => photo.clone(),
            PhotoSlot::Done | PhotoSlot::Closed => None,
        }
    }

    /// Drops the photo, and any that is handed over later.
    pub fn drop_photo(&self) {
        *self.slot() = PhotoSlot::Done;
    }

    /// Takes the traces of the calls that have repeated the creating call.
    pub fn take_repeats(&self) -> Vec<TraceContext> {
        std::mem::take(&mut lock(&self.repeats))
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    fn slot(&self) -> MutexGuard<'_, PhotoSlot> {
        lock(&self.photo)
    }
}

impl Registry {
    /// Offers a photo to the driver or standby of a match. Returns the photo if there is none, or
    /// only a driver that exits.
    pub fn offer(&self, match_id: MatchId, photo: Photo) -> Result<(), Photo> {
        match self.handles().of.get(&match_id) {
            Some(handle) => handle.offer(photo),
            None => Err(photo),
        }
    }

    /// Notes the trace of a call that repeats the one that created a match. The first ones are
    /// kept.
    pub fn note_repeat(&self, match_id: MatchId, trace: TraceContext) {
        if let Some(handle) = self.handles().of.get(&match_id) {
            let mut repeats = lock(&handle.repeats);
            if repeats.len() < REPEATS_MAX {
                repeats.push(trace);
            }
        }
    }

    /// Whether a driver or standby of a match is here.
    pub fn has(&self, match_id: MatchId) -> bool {
        self.handles().of.contains_key(&match_id)
    }

    /// Announces a claim, which may read a match just before it is stopped.
    pub fn expect_claim(&self) -> PendingClaim<'_> {
        self.handles().pending_claims += 1;
        PendingClaim(self)
    }

    /// Stops the driver or standby of a match that has ended, and the driver of a claim of it that
    /// is being made.
    pub fn stop(&self, match_id: MatchId) {
        let mut handles = self.handles();
        if handles.pending_claims > 0 {
            handles.stopped.insert(match_id);
        }
        if let Some(handle) = handles.of.get(&match_id) {
            handle.stop();
        }
    }

    /// Stops all drivers and standbys, those registered later included.
    pub fn stop_all(&self) {
        self.stopping.cancel();
    }

    /// Registers the driver of a match.
    pub fn register(self: &Arc<Self>, match_id: MatchId, photo: Option<Photo>) -> Registration {
        let handle = self.new_handle(photo);
        self.handles().of.insert(match_id, Arc::clone(&handle));
        self.registration(match_id, handle)
    }

    /// Registers a standby with its photo. `None` if a driver or standby is registered by now: then
    /// it gets the photo. `None` as well if the match was stopped since a claim was
    /// [announced](Registry::expect_claim): then the photo is dropped.
    pub fn register_or_offer(
        self: &Arc<Self>,
        match_id: MatchId,
        photo: Photo,
    ) -> Option<Registration> {
        let mut handles = self.handles();
        if handles.stopped.contains(&match_id) {
            return None;
        }
        let offered = match handles.of.get(&match_id) {
            Some(handle) => handle.offer(photo),
            None => Err(photo),
        };
        let photo = offered.err()?;
        let handle = self.new_handle(Some(photo));
        handles.of.insert(match_id, Arc::clone(&handle));
        Some(self.registration(match_id, handle))
    }

    /// Registers a driver for a claim, with the photo that is here. Stops the driver or standby
    /// that is registered: it has lost the match by this claim. `None` if its own claim is newer:
    /// concurrent claims may be observed out of order. The driver is stopped at once if the match
    /// was stopped since the claim was [announced](Registry::expect_claim).
    pub fn take_over(self: &Arc<Self>, claim: Claim) -> Option<Registration> {
        let mut handles = self.handles();
        let former = handles.of.get(&claim.match_id).cloned();
        if former.as_ref().is_some_and(|former| former.epoch() > claim.epoch) {
            return None;
        }
        let photo = former.as_ref().and_then(|former| former.photo());
        let handle = self.new_handle(photo);
        handle.epoch.store(claim.epoch, Ordering::Relaxed);
        handles.of.insert(claim.match_id, Arc::clone(&handle));
        if let Some(former) = former {
            former.stop();
        }
        if handles.stopped.contains(&claim.match_id) {
            handle.stop();
        }
        Some(self.registration(claim.match_id, handle))
    }

    fn new_handle(&self, photo: Option<Photo>) -> Arc<DriverHandle> {
        Arc::new(DriverHandle::new(photo, self.stopping.child_token()))
    }

    fn registration(
        self: &Arc<Self>,
        match_id: MatchId,
        handle: Arc<DriverHandle>,
    ) -> Registration {
        Registration { registry: Arc::clone(self), match_id, handle }
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        lock(&self.handles)
    }
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        let mut handles = self.0.handles();
        handles.pending_claims -= 1;
        if handles.pending_claims == 0 {
            handles.stopped.clear();
        }
    }
}

/// An entry of the registry. Dropping it removes the entry and its photo, also when a driver
/// panics.
pub struct Registration {
    registry: Arc<Registry>,
    match_id: MatchId,
    handle: Arc<DriverHandle>,
}

impl Registration {
    /// Notes the claim of the driver that is registered. False if it was stopped meanwhile: by a
    /// later claim of this replica, by a cancel, or at the end of a drain.
    pub fn set_claim(&self, claim: Claim) -> bool {
        // While the map is locked, no other driver can take the registration over.
        let _handles = self.registry.handles();
        self.handle.epoch.store(claim.epoch, Ordering::Relaxed);
        !self.handle.stop.is_cancelled()
    }

    /// The match that is registered.
    pub fn match_id(&self) -> MatchId {
        self.match_id
    }

    /// The handle by which the driver is reached.
    pub fn handle(&self) -> &Arc<DriverHandle> {
        &self.handle
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.handle.drop_photo();
        let mut handles = self.registry.handles();
        // A later registration of the match stays.
        if handles.of.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            handles.of.remove(&self.match_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        domain::{TenantId, Tenants},
        worker::photo_memory::PhotoMemory,
    };

    fn match_id() -> MatchId {
        MatchId::from_uuid(uuid::Uuid::from_u128(1))
    }

    fn photo() -> Photo {
        let bytes = Bytes::from_static(b"jpeg");
        let memory = PhotoMemory::new(100, Arc::new(Tenants::default));
        Photo::new(bytes, memory.reserve(&TenantId::default_tenant(), 4).unwrap())
    }

    #[test]
    fn a_driver_that_exits_without_a_photo_takes_none() {
        let registry = Arc::<Registry>::default();
        let exits = registry.register(match_id(), None);
        assert!(!exits.handle().has_photo_or_closes());
        let photo = registry.offer(match_id(), photo()).expect_err("it is returned");
        let standby = registry.register_or_offer(match_id(), photo).expect("it has its own entry");
        drop(exits);
        assert!(registry.has(match_id()), "the entry of the standby stays");
        assert!(standby.handle().photo().is_some());
    }

    #[test]
    fn a_driver_that_exits_with_a_photo_keeps_it() {
        let registry = Arc::<Registry>::default();
        let exits = registry.register(match_id(), None);
        registry.offer(match_id(), photo()).expect("it is taken");
        assert!(exits.handle().has_photo_or_closes());
        assert!(registry.offer(match_id(), photo()).is_ok(), "a second one is dropped");
    }

    #[test]
    fn a_photo_offered_after_a_take_over_reaches_the_later_driver() {
        let registry = Arc::<Registry>::default();
        let first = registry.take_over(Claim { match_id: match_id(), epoch: 1 }).unwrap();
        let second = registry.take_over(Claim { match_id: match_id(), epoch: 2 }).unwrap();
        registry.offer(match_id(), photo()).expect("it is taken");
        assert!(first.handle().photo().is_none() && second.handle().photo().is_some());
    }

    #[test]
    fn a_photo_that_is_at_oz_is_not_needed_again() {
        let registry = Arc::<Registry>::default();
        let driver = registry.register(match_id(), Some(photo()));
        driver.handle().drop_photo();
        assert!(registry.offer(match_id(), photo()).is_ok(), "it is dropped");
        assert!(driver.handle().photo().is_none());
    }
}
