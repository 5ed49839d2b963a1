//! The photo shelf: photos in memory, bounded in bytes, those still being received included.
//!
//! It deliberately has no way to write a photo anywhere.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many requests are still read when the shelf is full: a repeat of a known match is never
/// refused as overload, and which match it repeats is known only once it was read.
const SPARE_PLACES: usize = 4;

/// The shelf. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

struct Inner {
    bytes_max: usize,
    bytes: AtomicUsize,
    photos: AtomicUsize,
    spare: Arc<Semaphore>,
    /// Room came free: one of those who wait looks again.
    freed: Notify,
}

/// Room for a photo, given back when dropped.
pub struct Place {
    bytes: usize,
    shelf: Arc<Inner>,
    /// Set if the shelf was full and this is one of the spare places.
    spare: Option<OwnedSemaphorePermit>,
}

/// A photo with its room on the shelf.
#[derive(Clone)]
pub struct Photo(Arc<Shelved>);

struct Shelved {
    bytes: Bytes,
    place: Place,
}

impl Shelf {
    /// An empty shelf for this many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Inner {
            bytes_max,
            bytes: AtomicUsize::new(0),
            photos: AtomicUsize::new(0),
            spare: Arc::new(Semaphore::new(SPARE_PLACES)),
            freed: Notify::new(),
        }))
    }

    /// Room for a request of this many bytes; when the shelf is full, one of the few spare places,
    /// or room, whichever comes free first.
    pub async fn reserve(&self, bytes: usize) -> Place {
        let inner = &self.0;
        let place = |spare| Place { bytes, shelf: Arc::clone(inner), spare };
        if inner.take(bytes) {
            return place(None);
        }
        let mut permit = pin!(Arc::clone(&inner.spare).acquire_owned());
        loop {
            let mut freed = pin!(inner.freed.notified());
            freed.as_mut().enable();
            if inner.take(bytes) {
                // There may be room for the next one as well.
                inner.freed.notify_one();
                return place(None);
            }
            tokio::select! {
                permit = &mut permit => {
                    let permit = permit.expect("the shelf never closes its spare places");
                    return place(Some(permit));
                }
                () = freed => {}
            }
        }
    }

    /// How many bytes are reserved.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How many photos are held.
    pub fn photos(&self) -> usize {
        self.0.photos.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn take(&self, bytes: usize) -> bool {
        let take = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

impl Place {
    /// Whether the shelf had no room and this is a spare place, good for a repeat only.
    pub const fn is_spare(&self) -> bool {
        self.spare.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.spare.is_none() {
            self.shelf.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.shelf.freed.notify_one();
        }
    }
}

impl Photo {
    /// Puts a photo into the room that was reserved for it.
    pub fn new(bytes: Bytes, place: Place) -> Self {
        place.shelf.photos.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Shelved { bytes, place }))
    }

    /// The photo itself; not a copy.
    pub fn bytes(&self) -> Bytes {
        self.0.bytes.clone()
    }

    /// Whether there was no room for it.
    pub fn is_spare(&self) -> bool {
        self.0.place.is_spare()
    }
}

impl Drop for Shelved {
    fn drop(&mut self) {
        self.place.shelf.photos.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({} bytes)", self.0.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_counted_and_given_back() {
        let shelf = Shelf::new(100);
        let first = shelf.reserve(60).await;
        assert!(!first.is_spare());
        let second = shelf.reserve(60).await;
        assert!(second.is_spare());
        assert_eq!(shelf.bytes(), 60);
        drop((first, second));
        assert_eq!(shelf.bytes(), 0);
        assert!(!shelf.reserve(100).await.is_spare());
    }

    #[tokio::test]
    async fn spare_places_are_few_and_waited_for() {
        let shelf = Shelf::new(0);
        let mut taken = Vec::new();
        for _ in 0..SPARE_PLACES {
            taken.push(shelf.reserve(1).await);
        }
        let mut waiting = std::pin::pin!(shelf.reserve(1));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(taken.pop());
        assert!(waiting.await.is_spare());
    }

    #[tokio::test]
    async fn who_waits_for_a_spare_place_also_takes_room_that_comes_free() {
        let shelf = Shelf::new(10);
        let large = shelf.reserve(10).await;
        let mut spare = Vec::new();
        for _ in 0..SPARE_PLACES {
            spare.push(shelf.reserve(1).await);
        }
        let (mut first, mut second) = (pin!(shelf.reserve(5)), pin!(shelf.reserve(5)));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(large);
        assert!(!first.await.is_spare());
        assert!(!second.await.is_spare(), "the first leaves word that there is more");
        assert!(spare.iter().all(Place::is_spare));
    }

    #[tokio::test]
    async fn a_photo_leaves_the_shelf_with_its_last_holder() {
        let shelf = Shelf::new(100);
        let photo = Photo::new(Bytes::from_static(b"jpeg"), shelf.reserve(4).await);
        let other = photo.clone();
        drop(photo);
        assert_eq!((shelf.photos(), shelf.bytes()), (1, 4));
        drop(other);
        assert_eq!((shelf.photos(), shelf.bytes()), (0, 0));
    }
}
