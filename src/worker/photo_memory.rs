//! Photo memory: photos on their way to Oz, bounded in bytes, those still being received included.
//!
//! A request reserves memory in steps, as its bytes arrive, never by the length that it announces.
//! Without room it is refused at once: it never waits. Tenants share the memory by the rule of
//! [`TenantShares`]. There is deliberately no way to write a photo anywhere.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    domain::{Exhausted, TenantId, TenantShares, TenantsNow, photo},
    sync::lock,
    worker::spare_buffers::{Buffer, SpareBuffers},
};

/// How much a reservation grows at once: large enough that uploads seldom touch the counter that
/// they share, small enough that a stalled upload holds hardly more than has arrived.
const STEP_BYTES: usize = 64 * 1024;
/// Memory beyond the limit, for repeats of known matches, which are never refused as overload: four
/// photos of the largest size, or some hundred ordinary ones.
const OVERFLOW_BYTES: usize = 4 * photo::BYTES_MAX;
/// How much of the overflow uploads may take before it is known whether they repeat a match: a
/// half, so that new matches in any number leave the other half to repeats.
const UNKNOWN_OVERFLOW_BYTES: usize = OVERFLOW_BYTES / 2;

/// The size of the buffers that are used again: for the largest photo, and for what its request has
/// beside it.
const SPARE_BYTES: usize = photo::BYTES_MAX + 64 * 1024;

/// Photo memory. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct PhotoMemory(Arc<PhotoMemoryInner>);

struct PhotoMemoryInner {
    bytes_max: usize,
    shares: Mutex<TenantShares>,
    tenants: TenantsNow,
    overflow_bytes: AtomicUsize,
    photos: Mutex<HashMap<TenantId, usize>>,
    spares: SpareBuffers,
}

/// Reserved memory for a photo, given back when dropped.
pub struct Reservation {
    memory: Arc<PhotoMemoryInner>,
    tenant: TenantId,
    bytes: usize,
    source: ReservedFrom,
    /// Why it last could not grow within the limits.
    exhausted: Option<Exhausted>,
}

/// What a reservation counts against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReservedFrom {
    /// The limits of the memory, and of the tenant.
    Limit,
    /// The memory was full, or the tenant at its limit; whether the request repeats a known match
    /// is being looked up.
    UnknownOverflow,
    /// The same, and the request repeats a known match.
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
    pub fn new(bytes_max: usize, tenants: TenantsNow) -> Self {
        Self(Arc::new(PhotoMemoryInner {
            bytes_max,
            shares: Mutex::new(TenantShares::new(bytes_max)),
            tenants,
            overflow_bytes: AtomicUsize::new(0),
            photos: Mutex::default(),
            spares: SpareBuffers::new(SPARE_BYTES),
        }))
    }

    /// A reservation of a tenant that holds nothing yet.
    pub fn reservation(&self, tenant: &TenantId) -> Reservation {
        let (memory, tenant) = (Arc::clone(&self.0), tenant.clone());
        Reservation { memory, tenant, bytes: 0, source: ReservedFrom::Limit, exhausted: None }
    }

    /// A reservation of so many bytes, from the overflow if the memory is full or the tenant is at
    /// its limit. `None` if the overflow is full as well.
    pub fn reserve(&self, tenant: &TenantId, bytes: usize) -> Option<Reservation> {
        let mut reservation = self.reservation(tenant);
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
        lock(&self.0.shares).held()
    }

    /// How many photos are held.
    pub fn photos(&self) -> usize {
        lock(&self.0.photos).values().sum()
    }

    /// How many bytes are reserved for each tenant, without the overflow.
    pub fn bytes_by_tenant(&self) -> HashMap<TenantId, usize> {
        lock(&self.0.shares).by_tenant()
    }

    /// Drops the buffers that are kept for further photos if none was used since the last call.
    pub fn drop_unused_buffers(&self) {
        self.0.spares.drop_unused();
    }

    /// How many buffers are kept for further photos.
    #[cfg(test)]
    pub fn spare_buffers_kept(&self) -> usize {
        self.0.spares.kept()
    }

    /// How many photos of each tenant are held.
    pub fn photos_by_tenant(&self) -> HashMap<TenantId, usize> {
        lock(&self.0.photos).clone()
    }
}

impl PhotoMemoryInner {
    fn take(&self, tenant: &TenantId, bytes: usize, source: ReservedFrom) -> Result<(), Exhausted> {
        let limit = match source {
            ReservedFrom::Limit => {
                let tenants = (self.tenants)();
                let own_max = tenants.terms(tenant).photo_bytes_max;
                return lock(&self.shares).take(tenant, bytes, own_max, &tenants);
            }
            ReservedFrom::UnknownOverflow => UNKNOWN_OVERFLOW_BYTES,
            ReservedFrom::Overflow => OVERFLOW_BYTES,
        };
        let take = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = self.overflow_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(|_| ()).map_err(|_| Exhausted::Common)
    }

    fn give_back(&self, tenant: &TenantId, bytes: usize, source: ReservedFrom) {
        match source {
            ReservedFrom::Limit => lock(&self.shares).give_back(tenant, bytes),
            ReservedFrom::UnknownOverflow | ReservedFrom::Overflow => {
                self.overflow_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }
}

impl Reservation {
    /// Grows to at least so many bytes, by whole steps if there is room for them. False if there is
    /// no room; the reservation is unchanged then.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        // The memory may have less than a step left, which is enough for a small photo.
        let step = more.next_multiple_of(STEP_BYTES);
        let took =
            |taken: usize| self.memory.take(&self.tenant, taken, self.source).map(|()| taken);
        match took(step).or_else(|_| took(more)) {
            Ok(taken) => {
                self.bytes += taken;
                true
            }
            Err(exhausted) => {
                if self.source == ReservedFrom::Limit {
                    self.exhausted = Some(exhausted);
                }
                false
            }
        }
    }

    /// Gives back what it holds beyond so many bytes.
    pub fn fit(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        if less > 0 {
            self.memory.give_back(&self.tenant, less, self.source);
            self.bytes -= less;
        }
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

    /// Whether it found no room within the limits, so that only a repeat may use it.
    pub fn is_overflow(&self) -> bool {
        self.source != ReservedFrom::Limit
    }

    /// An empty buffer with room for so many bytes, which it doesn't count: what is written to it
    /// has to be reserved first.
    pub fn buffer(&self, bytes: usize) -> Buffer {
        self.memory.spares.buffer(bytes)
    }

    /// The tenant that it belongs to.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Which limit left it no room: the memory's, unless it is known to be the tenant's own.
    pub fn exhausted(&self) -> Exhausted {
        self.exhausted.unwrap_or(Exhausted::Common)
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
        *lock(&reservation.memory.photos).entry(reservation.tenant.clone()).or_default() += 1;
        Self(Arc::new(Reserved { bytes, reservation }))
    }

    /// The bytes of the photo, not copied.
    pub fn bytes(&self) -> Bytes {
        self.0.bytes.clone()
    }

    /// How many bytes it has.
    pub fn bytes_count(&self) -> usize {
        self.0.bytes.len()
    }

    /// Which limit left it no room, if its reservation is in the overflow.
    pub fn exhausted(&self) -> Option<Exhausted> {
        let reservation = &self.0.reservation;
        reservation.is_overflow().then(|| reservation.exhausted())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let Reservation { memory, tenant, .. } = &self.reservation;
        if let Some(photos) = lock(&memory.photos).get_mut(tenant) {
            *photos -= 1;
        }
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
    use crate::domain::{TenantTerms, Tenants};

    fn tenant(name: &str) -> TenantId {
        TenantId::from_stored(name)
    }

    /// A memory of so many bytes for tenants that the operator hasn't named.
    fn memory(bytes: usize) -> PhotoMemory {
        PhotoMemory::new(bytes, Arc::new(Tenants::default))
    }

    fn grown(memory: &PhotoMemory, bytes: usize) -> Reservation {
        let mut reservation = memory.reservation(&tenant("one"));
        assert!(reservation.grow_to(bytes));
        reservation
    }

    #[test]
    fn memory_is_reserved_in_steps_and_given_back() {
        let memory = memory(10 * STEP_BYTES);
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
        let memory = memory(STEP_BYTES + 100);
        let _first = grown(&memory, STEP_BYTES);
        let mut second = memory.reservation(&tenant("one"));
        assert!(!second.grow_to(101) && second.grow_to(100));
        assert_eq!(memory.bytes(), STEP_BYTES + 100);
    }

    #[test]
    fn an_upload_that_finds_no_room_moves_to_the_overflow() {
        let memory = memory(100);
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
        let memory = memory(0);
        let overflowing = || {
            let mut reservation = memory.reservation(&tenant("one"));
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
        let memory = memory(100);
        let photo = Photo::new(Bytes::from_static(b"jpeg"), grown(&memory, 80));
        let other = photo.clone();
        drop(photo);
        assert_eq!((memory.photos(), memory.bytes()), (1, 4));
        drop(other);
        assert_eq!((memory.photos(), memory.bytes()), (0, 0));
    }

    #[test]
    fn a_tenant_at_its_own_limit_is_told_so_and_takes_nothing_of_another() {
        let small = TenantTerms { photo_bytes_max: Some(30), ..TenantTerms::default() };
        let terms = [(tenant("small"), small), (tenant("other"), TenantTerms::default())];
        let tenants = Tenants::new(terms.into());
        let memory = PhotoMemory::new(100, Arc::new(move || tenants.clone()));
        let mut first = memory.reserve(&tenant("small"), 30).unwrap();
        assert!(!first.is_overflow() && !first.grow_to(31));
        assert_eq!(first.exhausted(), Exhausted::Own);
        let photo = |name, count| {
            let reservation = memory.reserve(&tenant(name), count).unwrap();
            Photo::new(Bytes::from(vec![0; count]), reservation)
        };
        assert_eq!(photo("small", 1).exhausted(), Some(Exhausted::Own));
        let flood: Vec<_> = (0..10).map(|_| photo("other", 10)).collect();
        let refused = flood.iter().filter_map(Photo::exhausted).collect::<Vec<_>>();
        assert_eq!(
            refused,
            [Exhausted::Common; 3],
            "its guarantee and the rest of the common half"
        );
        drop(first);
        assert_eq!(photo("small", 25).exhausted(), None, "its guarantee");
    }

    proptest! {
        #[test]
        fn reservations_stay_within_the_limit_and_all_bytes_return(
            sizes in prop::collection::vec((0_usize..2_000_000, any::<bool>()), 0..40),
        ) {
            let memory = memory(4_000_000);
            let mut held = Vec::new();
            for (bytes, stays) in sizes {
                let mut reservation = memory.reservation(&tenant("one"));
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
