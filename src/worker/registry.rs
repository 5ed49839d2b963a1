//! The places of drivers: how others reach the one that drives a match, and where its photo lies.

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

/// What others reach a driver by.
pub struct DriverHandle {
    photo: Mutex<PhotoSlot>,
    /// Says that a photo has come.
    pub(super) poke: Notify,
    /// Says that the driver is to leave.
    pub(super) stop: CancellationToken,
    /// Of the claim that it drives by; zero for whoever has none yet.
    epoch: AtomicU64,
}

/// Where the photo of a match is kept while it is wanted.
enum PhotoSlot {
    Wanted(Option<Photo>),
    Done,
}

impl DriverHandle {
    /// For a driver that has its photo, or has none.
    fn new(photo: Option<Photo>, stop: CancellationToken) -> Self {
        let (photo, epoch) = (Mutex::new(PhotoSlot::Wanted(photo)), AtomicU64::new(0));
        Self { photo, poke: Notify::new(), stop, epoch }
    }

    /// Gives a photo to a driver that may miss it. One that has a photo, or needs none any more,
    /// drops it.
    pub fn offer(&self, photo: Photo) {
        let mut slot = self.slot();
        if let PhotoSlot::Wanted(empty @ None) = &mut *slot {
            *empty = Some(photo);
            self.poke.notify_one();
        }
    }

    /// The same, for whoever may have none.
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

    /// Lets go of the photo, and of any that comes later.
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

/// A place among the drivers that others can reach. It is given up when dropped, and the photo
/// with it, also where a driver panics.
pub struct Registration {
    engine: Arc<Engine>,
    match_id: MatchId,
    handle: Arc<DriverHandle>,
}

impl Registration {
    /// Takes the place of a match.
    pub fn take(engine: &Arc<Engine>, match_id: MatchId, photo: Option<Photo>) -> Self {
        let handle = Arc::new(DriverHandle::new(photo, engine.stopping.child_token()));
        engine.drivers().insert(match_id, Arc::clone(&handle));
        Self { engine: Arc::clone(engine), match_id, handle }
    }

    /// Takes the place of a match whose photo is to be kept; if there is a driver or a keeper by now,
    /// that one is offered the photo.
    pub fn take_or_offer(engine: &Arc<Engine>, match_id: MatchId, photo: Photo) -> Option<Self> {
        let mut drivers = engine.drivers();
        if let Some(handle) = drivers.get(&match_id) {
            handle.offer(photo);
            return None;
        }
        let handle = Arc::new(DriverHandle::new(Some(photo), engine.stopping.child_token()));
        drivers.insert(match_id, Arc::clone(&handle));
        Some(Self { engine: Arc::clone(engine), match_id, handle })
    }

    /// Takes the place of a match for a claim, and the photo that is there. Whoever was there has
    /// lost the match by this claim, and leaves. None if its own claim is the later one: two that
    /// were made at once may be heard of in any order.
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

    /// Drives by this claim from now on; false if the place was taken over meanwhile.
    pub fn hold(&self, claim: Claim) -> bool {
        // While it is locked nobody takes the place over.
        let _drivers = self.engine.drivers();
        self.handle.epoch.store(claim.epoch, Ordering::Relaxed);
        !self.handle.stop.is_cancelled()
    }

    /// Whose place it is.
    pub fn match_id(&self) -> MatchId {
        self.match_id
    }

    /// What drivers share.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// How the driver is reached.
    pub fn handle(&self) -> &Arc<DriverHandle> {
        &self.handle
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.handle.drop_photo();
        let mut drivers = self.engine.drivers();
        // Whoever has taken the match since keeps its place.
        if drivers.get(&self.match_id).is_some_and(|there| Arc::ptr_eq(there, &self.handle)) {
            drivers.remove(&self.match_id);
        }
    }
}
