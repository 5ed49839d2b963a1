//! The registry of drivers and standbys: how a cancel or a photo reaches the driver of a match, and
//! where its photo is held. It deliberately doesn't know what a driver does.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{domain::MatchId, journal::Claim, sync::lock, worker::photo_memory::Photo};

/// The drivers and standbys of this replica, each reached by the id of its match.
#[derive(Default)]
pub struct Registry {
    handles: Mutex<HashMap<MatchId, Arc<DriverHandle>>>,
    /// Cancelled when the drain's time for photos is over: drivers stop wherever they are.
    stopping: CancellationToken,
}

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
        lock(&self.photo)
    }
}

impl Registry {
    /// The handle of a match's driver or standby, if it is here.
    pub fn handle(&self, match_id: MatchId) -> Option<Arc<DriverHandle>> {
        self.handles().get(&match_id).cloned()
    }

    /// Stops the driver or standby of a match, if it is here.
    pub fn stop(&self, match_id: MatchId) {
        if let Some(handle) = self.handle(match_id) {
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
        self.handles().insert(match_id, Arc::clone(&handle));
        self.registration(match_id, handle)
    }

    /// Registers a standby with its photo. `None` if a driver or standby is registered by now: then
    /// it is offered the photo.
    pub fn register_or_offer(
        self: &Arc<Self>,
        match_id: MatchId,
        photo: Photo,
    ) -> Option<Registration> {
        let mut handles = self.handles();
        if let Some(handle) = handles.get(&match_id) {
            handle.offer(photo);
            return None;
        }
        let handle = self.new_handle(Some(photo));
        handles.insert(match_id, Arc::clone(&handle));
        Some(self.registration(match_id, handle))
    }

    /// Registers a driver for a claim, with the photo that is here. Stops the driver or standby
    /// that is registered: it has lost the match by this claim. `None` if its own claim is newer:
    /// concurrent claims may be observed out of order.
    pub fn take_over(self: &Arc<Self>, claim: Claim) -> Option<Registration> {
        let mut handles = self.handles();
        let former = handles.get(&claim.match_id).cloned();
        if former.as_ref().is_some_and(|former| former.epoch() > claim.epoch) {
            return None;
        }
        let photo = former.as_ref().and_then(|former| former.photo());
        let handle = self.new_handle(photo);
        handle.epoch.store(claim.epoch, Ordering::Relaxed);
        handles.insert(claim.match_id, Arc::clone(&handle));
        if let Some(former) = former {
            former.stop();
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

    fn handles(&self) -> MutexGuard<'_, HashMap<MatchId, Arc<DriverHandle>>> {
        lock(&self.handles)
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
    /// Notes the claim of a standby that becomes a driver. False if another driver has taken the
    /// registration over meanwhile.
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
        if handles.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            handles.remove(&self.match_id);
        }
    }
}
