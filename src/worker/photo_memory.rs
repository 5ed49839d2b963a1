//! Photo memory: photos on their way to Oz, bounded in bytes, those still being received included.
//!
//! A request reserves memory in steps, as its bytes arrive, never by the length that it announces.
//! Without room it is refused at once: it never waits. There is deliberately no way to write a
//! photo anywhere.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::domain::photo;

/// How much a reservation grows at once: large enough that uploads seldom touch the counter that
/// they share, small enough that a stalled upload holds hardly more than has arrived.
const STEP_BYTES: usize = 64 * 1024;
/// Memory beyond the limit, for repeats of known matches, which are never refused as overload: four
/// photos of the largest size, or some hundred ordinary ones.
const OVERFLOW_BYTES: usize = 4 * photo::BYTES_MAX;
/// How much of the overflow uploads may take before it is known whether they repeat a match: a
/// half, so that new matches in any number leave the other half to repeats.
const UNKNOWN_OVERFLOW_BYTES: usize = OVERFLOW_BYTES / 2;

/// Photo memory. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct PhotoMemory(Arc<PhotoMemoryInner>);

struct PhotoMemoryInner {
    bytes_max: usize,
    bytes: AtomicUsize,
    overflow_bytes: AtomicUsize,
    photos: AtomicUsize,
}

/// Reserved memory for a photo, given back when dropped.
pub struct Reservation {
    memory: Arc<PhotoMemoryInner>,
    bytes: usize,
    source: ReservedFrom,
}

/// What a reservation counts against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReservedFrom {
    Limit,
    /// The memory was full; whether the request repeats a known match is being looked up.
    UnknownOverflow,
    /// The memory was full, and the request repeats a known match.
    Overflow,
}

/// A photo and its reservation. Cheap to clone; clones share both.
#[derive(Clone)]
pub struct Photo(Arc<Reserved>);

struct Reserved {
    bytes: Bytes,
    reservation: Reservation,
}

impl PhotoMemory {
    /// An empty memory of this many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(PhotoMemoryInner {
            bytes_max,
            bytes: AtomicUsize::new(0),
            overflow_bytes: AtomicUsize::new(0),
            photos: AtomicUsize::new(0),
        }))
    }

    /// A reservation that holds nothing yet.
    pub fn reservation(&self) -> Reservation {
        Reservation { memory: Arc::clone(&self.0), bytes: 0, source: ReservedFrom::Limit }
    }

    /// A reservation of so many bytes, from the overflow if the memory is full. `None` if the
    /// overflow is full as well.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut reservation = self.reservation();
        let has_room = reservation.grow_to(bytes) || {
            reservation.move_to_overflow();
            reservation.grow_to(bytes)
        };
        reservation.fit(bytes);
        has_room.then_some(reservation)
    }

    /// The limit in bytes, without the overflow.
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// How many bytes are reserved, without the overflow.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How many photos are held.
    pub fn photos(&self) -> usize {
        self.0.photos.load(Ordering::Relaxed)
    }
}

impl PhotoMemoryInner {
    fn take(&self, bytes: usize, source: ReservedFrom) -> bool {
        let limit = match source {
            ReservedFrom::Limit => self.bytes_max,
            ReservedFrom::UnknownOverflow => UNKNOWN_OVERFLOW_BYTES,
            ReservedFrom::Overflow => OVERFLOW_BYTES,
        };
        let take = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= limit);
        self.counter(source).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: usize, source: ReservedFrom) {
        self.counter(source).fetch_sub(bytes, Ordering::Relaxed);
    }

    const fn counter(&self, source: ReservedFrom) -> &AtomicUsize {
        match source {
            ReservedFrom::Limit => &self.bytes,
            ReservedFrom::UnknownOverflow | ReservedFrom::Overflow => &self.overflow_bytes,
        }
    }
}

impl Reservation {
    /// Grows to at least so many bytes, by whole steps if there is room for them. False if there is
    /// no room; the reservation is unchanged then.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        // The memory may have less than a step left, which is enough for a small photo.
        for taken in [more.next_multiple_of(STEP_BYTES), more] {
            if more == 0 || self.memory.take(taken, self.source) {
                self.bytes += if more == 0 { 0 } else { taken };
                return true;
            }
        }
        false
    }

    /// Gives back what it holds beyond so many bytes.
    pub fn fit(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.memory.give_back(less, self.source);
        self.bytes -= less;
    }

    /// Gives back all that it holds, and counts against the overflow from now on: against a part of
    /// it, until it is known whether the request repeats a match.
    pub fn move_to_overflow(&mut self) {
        self.fit(0);
        self.source = ReservedFrom::UnknownOverflow;
    }

    /// The request repeats a known match: all of the overflow is open to it.
    pub fn confirm_known(&mut self) {
        if self.is_overflow() {
            self.source = ReservedFrom::Overflow;
        }
    }

    /// Whether the memory was full, so that only a repeat may use the reservation.
    pub fn is_overflow(&self) -> bool {
        self.source != ReservedFrom::Limit
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.fit(0);
    }
}

impl Photo {
    /// Puts a photo into its reservation, and gives back the bytes that it doesn't need.
    pub fn new(bytes: Bytes, mut reservation: Reservation) -> Self {
        reservation.fit(bytes.len());
        reservation.memory.photos.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Reserved { bytes, reservation }))
    }

    /// The bytes of the photo, not copied.
    pub fn bytes(&self) -> Bytes {
        self.0.bytes.clone()
    }

    /// Whether its reservation is in the overflow.
    pub fn is_overflow(&self) -> bool {
        self.0.reservation.is_overflow()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.reservation.memory.photos.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({} bytes)", self.0.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grown(memory: &PhotoMemory, bytes: usize) -> Reservation {
        let mut reservation = memory.reservation();
        assert!(reservation.grow_to(bytes));
        reservation
    }

    #[test]
    fn memory_is_reserved_in_steps_and_given_back() {
        let memory = PhotoMemory::new(10 * STEP_BYTES);
        let mut first = grown(&memory, 1);
        assert_eq!(memory.bytes(), STEP_BYTES);
        assert!(first.grow_to(STEP_BYTES) && first.grow_to(10));
        assert_eq!(memory.bytes(), STEP_BYTES, "the first step covers it");
        assert!(first.grow_to(STEP_BYTES + 1));
        assert_eq!(memory.bytes(), 2 * STEP_BYTES);
        first.fit(STEP_BYTES + 1);
        assert_eq!(memory.bytes(), STEP_BYTES + 1);
        drop(first);
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn the_last_bytes_serve_a_photo_that_fits_into_them() {
        let memory = PhotoMemory::new(STEP_BYTES + 100);
        let _first = grown(&memory, STEP_BYTES);
        let mut second = memory.reservation();
        assert!(!second.grow_to(101) && second.grow_to(100));
        assert_eq!(memory.bytes(), STEP_BYTES + 100);
    }

    #[test]
    fn an_upload_that_finds_no_room_moves_to_the_overflow() {
        let memory = PhotoMemory::new(100);
        let mut upload = grown(&memory, 60);
        assert!(!upload.grow_to(101));
        assert_eq!(memory.bytes(), 60, "the reservation is unchanged");
        upload.move_to_overflow();
        assert!(upload.is_overflow() && upload.grow_to(101));
        assert_eq!(memory.bytes(), 0);
        let other = grown(&memory, 100);
        assert!(!other.is_overflow());
    }

    #[test]
    fn requests_that_may_be_new_leave_half_of_the_overflow_to_repeats() {
        let memory = PhotoMemory::new(0);
        let overflowing = || {
            let mut reservation = memory.reservation();
            reservation.move_to_overflow();
            reservation
        };
        let (mut unknown, mut other, mut known) = (overflowing(), overflowing(), overflowing());
        assert!(unknown.grow_to(UNKNOWN_OVERFLOW_BYTES));
        assert!(!other.grow_to(1) && !known.grow_to(1));
        known.confirm_known();
        assert!(known.grow_to(OVERFLOW_BYTES - UNKNOWN_OVERFLOW_BYTES) && !other.grow_to(1));
        drop((unknown, known));
        assert!(other.grow_to(1));
    }

    #[test]
    fn a_photo_leaves_the_memory_with_its_last_holder() {
        let memory = PhotoMemory::new(100);
        let photo = Photo::new(Bytes::from_static(b"jpeg"), grown(&memory, 80));
        let other = photo.clone();
        drop(photo);
        assert_eq!((memory.photos(), memory.bytes()), (1, 4));
        drop(other);
        assert_eq!((memory.photos(), memory.bytes()), (0, 0));
    }

    proptest! {
        #[test]
        fn reservations_stay_within_the_limit_and_all_bytes_return(
            sizes in prop::collection::vec((0_usize..2_000_000, any::<bool>()), 0..40),
        ) {
            let memory = PhotoMemory::new(4_000_000);
            let mut held = Vec::new();
            for (bytes, stays) in sizes {
                let mut reservation = memory.reservation();
                let has_room = reservation.grow_to(bytes);
                prop_assert!(memory.bytes() <= 4_000_000);
                prop_assert!(has_room || memory.bytes() + bytes > 4_000_000);
                held.extend(stays.then_some(reservation));
            }
            drop(held);
            prop_assert_eq!(memory.bytes(), 0);
        }
    }
}
