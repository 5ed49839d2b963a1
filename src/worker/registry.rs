//! The registry of drivers and standbys: how a cancel or a photo reaches the driver of a match, and
//! where its photo is held.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::MatchId,
    journal::Claim,
    worker::{Engine, photo_memory::Photo},
};

/// Reaches a driver or standby from outside: stops it, or hands it a photo.
pub struct DriverHandle {
    photo: Mutex<PhotoSlot>,
    /// Wakes the driver or standby: a photo has arrived, or the match can be claimed.
    pub(super) wake: Notify,
    /// Cancelled when the driver or standby must leave.
    pub(super) stop: CancellationToken,
    /// The epoch of the driver's claim; zero before it has one.
    epoch: AtomicU64,
}

/// The photo of a match, until it isn't needed any more.
enum PhotoSlot {
    Wanted(Option<Photo>),
    Done,
}

impl DriverHandle {
    /// The handle of a driver with its photo, if that is here.
    fn new(photo: Option<Photo>, stop: CancellationToken) -> Self {
        let (photo, epoch) = (Mutex::new(PhotoSlot::Wanted(photo)), AtomicU64::new(0));
        Self { photo, wake: Notify::new(), stop, epoch }
    }

    /// Hands over a photo. It is dropped if the driver has one, or needs none any more.
    pub fn offer(&self, photo: Photo) {
        let mut slot = self.slot();
        if let PhotoSlot::Wanted(empty @ None) = &mut *slot {
            *empty = Some(photo);
            self.wake.notify_one();
        }
    }

    /// Hands over a photo, if there is one.
    pub fn offer_if_any(&self, photo: Option<Photo>) {
        if let Some(photo) = photo {
            self.offer(photo);
        }
    }

    /// Makes the driver stop wherever it is.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The photo, if it is here.
    pub fn photo(&self) -> Option<Photo> {
        match &*self.slot() {
            PhotoSlot::Wanted(photo) => photo.clone(),
            PhotoSlot::Done => None,
        }
    }

    /// Drops the photo, and any that is handed over later.
    pub fn drop_photo(&self) {
        *self.slot() = PhotoSlot::Done;
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    fn slot(&self) -> MutexGuard<'_, PhotoSlot> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.photo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry of the registry. Dropping it removes the entry and its photo, also when a driver
/// panics.
pub struct Registration {
    engine: Arc<Engine>,
    match_id: MatchId,
    handle: Arc<DriverHandle>,
}

impl Registration {
    /// Registers the driver of a match.
    pub fn register(engine: &Arc<Engine>, match_id: MatchId, photo: Option<Photo>) -> Self {
        let handle = Arc::new(DriverHandle::new(photo, engine.stopping.child_token()));
        engine.drivers().insert(match_id, Arc::clone(&handle));
        Self { engine: Arc::clone(engine), match_id, handle }
    }

    /// Registers a standby with its photo. If a driver or standby is registered by now, that one is
    /// offered the photo, and the answer is `None`.
    pub fn register_or_offer(
        engine: &Arc<Engine>,
        match_id: MatchId,
        photo: Photo,
    ) -> Option<Self> {
        let mut drivers = engine.drivers();
        if let Some(handle) = drivers.get(&match_id) {
            handle.offer(photo);
            return None;
        }
        let handle = Arc::new(DriverHandle::new(Some(photo), engine.stopping.child_token()));
        drivers.insert(match_id, Arc::clone(&handle));
        Some(Self { engine: Arc::clone(engine), match_id, handle })
    }

    /// Registers a driver for a claim, with the photo that is here. Stops the driver or standby
    /// that is registered: it has lost the match by this claim. `None` if its own claim is newer:
    /// concurrent claims may be observed out of order.
    pub fn take_over(engine: &Arc<Engine>, claim: Claim) -> Option<Self> {
        let mut drivers = engine.drivers();
        let former = drivers.get(&claim.match_id).cloned();
        if former.as_ref().is_some_and(|former| former.epoch() > claim.epoch) {
            return None;
        }
        let photo = former.as_ref().and_then(|former| former.photo());
        let handle = Arc::new(DriverHandle::new(photo, engine.stopping.child_token()));
        handle.epoch.store(claim.epoch, Ordering::Relaxed);
        drivers.insert(claim.match_id, Arc::clone(&handle));
        if let Some(former) = former {
            former.stop();
        }
        Some(Self { engine: Arc::clone(engine), match_id: claim.match_id, handle })
    }

    /// Notes the claim of a standby that becomes a driver. False if another driver has taken the
    /// registration over meanwhile.
    pub fn set_claim(&self, claim: Claim) -> bool {
        // While the map is locked, no other driver can take the registration over.
        let _drivers = self.engine.drivers();
        self.handle.epoch.store(claim.epoch, Ordering::Relaxed);
        !self.handle.stop.is_cancelled()
    }

    /// The match that is registered.
    pub fn match_id(&self) -> MatchId {
        self.match_id
    }

    /// The state that all drivers share.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The handle by which the driver is reached.
    pub fn handle(&self) -> &Arc<DriverHandle> {
        &self.handle
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.handle.drop_photo();
        let mut drivers = self.engine.drivers();
        // A later registration of the match stays.
        if drivers.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            drivers.remove(&self.match_id);
        }
    }
}
