//! A message while it arrives: its bytes, and the memory that is leased for them.
//!
//! A photo counts as photo memory, and the rest of a request as request memory. Both are taken as
//! bytes arrive, after inflating. A piece that exceeds a limit or finds no free memory is not kept.

use std::io;

use bytes::{Bytes, BytesMut};
use tonic::Status;

use crate::{
    domain::{Exhausted, Limit, RequestId, photo},
    grpc::{
        admission::{overhead::OverheadCounter, share::Lease},
        status,
    },
    worker::photo_memory::Reservation,
};

/// The largest request without a photo, and the most bytes besides a photo, in bytes. A request
/// with every field at its limit takes less than half of it.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The largest request with a photo, in bytes.
pub const PHOTO_REQUEST_BYTES_MAX: usize = photo::BYTES_MAX + REQUEST_BYTES_MAX;
/// The first capacity of a message's buffer, however long a message is announced to be: most are
/// shorter.
const FIRST_BYTES: usize = 512;
/// The factor by which the buffer grows: small enough that a stalled message holds little, and
/// large enough that a large photo is copied rarely.
const GROWTH: usize = 4;

/// A message that is arriving.
pub struct IncomingMessage {
    bytes: BytesMut,
    /// The announced length, or the largest possible one if the message is compressed.
    length: usize,
    lease: Lease,
    /// The bytes that the lease holds besides the message: the call's own, and an inflater's.
    base_bytes: usize,
    photo: Option<Box<MessagePhoto>>,
    /// Why the last piece written through [`io::Write`] was refused.
    refusal: Option<Status>,
}

/// The photo of a message.
pub struct MessagePhoto {
    reservation: Reservation,
    /// The connection's lease of photo memory. `None` if the photo is in the overflow, which is
    /// reserved for repeats.
    share: Option<Lease>,
    overhead: OverheadCounter,
    /// The request id, set when photo memory was full: the receiver must look up whether the id
    /// names a match.
    id_to_look_up: Option<RequestId>,
}

/// A message that has arrived completely.
pub struct Whole {
    /// The encoded message.
    pub bytes: Bytes,
    /// The request memory that it takes.
    pub lease: Lease,
    /// The photo memory that it takes. `None` if such a request never holds a photo.
    pub reservation: Option<Reservation>,
}

impl MessagePhoto {
    /// A photo that hasn't begun to arrive.
    pub fn new(reservation: Reservation, share: Lease) -> Self {
        let overhead = OverheadCounter::default();
        Self { reservation, share: Some(share), overhead, id_to_look_up: None }
    }

    /// Takes photo memory for the photo's first `bytes` bytes.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Status> {
        let may = self.share.as_mut().is_none_or(|share| share.grow_to(bytes));
        if may && self.reservation.grow_to(bytes) {
            return Ok(());
        }
        // A repeat of a known match is never refused as overload. Encoders write fields in the
        // order of their numbers, so the request id arrives before the photo. A request in another
        // order is refused like a new one.
        let id = std::str::from_utf8(self.overhead.request_id()).ok();
        let id = id.and_then(|id| id.parse().ok()).filter(|_| !self.reservation.is_overflow());
        self.id_to_look_up = Some(id.ok_or_else(|| self.memory_full())?);
        self.reservation.move_to_overflow();
        self.share = None;
        if self.reservation.grow_to(bytes) { Ok(()) } else { Err(self.memory_full()) }
    }

    /// The refusal of a request for which there is no photo memory.
    fn memory_full(&self) -> Status {
        match self.reservation.exhausted() {
            Exhausted::Own => {
                status::quota_exceeded(Limit::PhotoMemory, self.reservation.tenant(), None)
            }
            Exhausted::Common => status::overloaded(Limit::PhotoMemory),
        }
    }
}

impl IncomingMessage {
    /// A message of which nothing has arrived, with at most `length` bytes.
    pub fn new(
        length: usize,
        lease: Lease,
        base_bytes: usize,
        photo: Option<MessagePhoto>,
    ) -> Self {
        let photo = photo.map(Box::new);
        Self { bytes: BytesMut::new(), length, lease, base_bytes, photo, refusal: None }
    }

    /// Takes the next piece, inflated.
    ///
    /// # Errors
    /// If the message exceeds a limit, finds no free memory, or isn't protobuf.
    pub fn append(&mut self, piece: &[u8]) -> Result<(), Status> {
        let length = self.bytes.len() + piece.len();
        let Some(photo) = &mut self.photo else {
            if length > REQUEST_BYTES_MAX {
                return Err(status::request_too_large(REQUEST_BYTES_MAX));
            }
            let capacity = self.grown(length);
            self.lease(capacity)?;
            self.put(capacity, piece);
            return Ok(());
        };
        let overhead = photo.overhead.count(piece);
        if photo.overhead.is_lost() {
            return Err(status::undecodable("it is not protobuf"));
        }
        if overhead > REQUEST_BYTES_MAX {
            return Err(status::too_much_beside_the_photo(REQUEST_BYTES_MAX));
        }
        if length - overhead > photo::BYTES_MAX {
            return Err(status::photo_too_large());
        }
        photo.grow_to(length - overhead)?;
        self.lease(overhead)?;
        self.put(self.grown(length), piece);
        Ok(())
    }

    /// Takes the request id that has to be looked up, if there is one.
    pub fn take_id_to_look_up(&mut self) -> Option<RequestId> {
        self.photo.as_mut()?.id_to_look_up.take()
    }

    /// The refusal of a request that found no photo memory and repeats no known match.
    pub fn memory_full(&self) -> Status {
        let refusal = self.photo.as_ref().map(|photo| photo.memory_full());
        refusal.unwrap_or_else(|| status::overloaded(Limit::PhotoMemory))
    }

    /// Notes that the request repeats a known match.
    pub fn confirm_known(&mut self) {
        if let Some(photo) = &mut self.photo {
            photo.reservation.confirm_known();
        }
    }

    /// Takes request memory for bytes that aren't part of the message, such as an inflater's.
    ///
    /// # Errors
    /// If there is no request memory for them.
    pub fn lease_aside(&mut self, bytes: usize) -> Result<(), Status> {
        self.base_bytes += bytes;
        self.lease(0)
    }

    /// Takes the reason why the last written piece was refused, if it was.
    pub fn take_refusal(&mut self) -> Option<Status> {
        self.refusal.take()
    }

    /// The message, complete.
    pub fn whole(self) -> Whole {
        let reservation = self.photo.map(|photo| photo.reservation);
        Whole { bytes: self.bytes.freeze(), lease: self.lease, reservation }
    }

    fn lease(&mut self, bytes: usize) -> Result<(), Status> {
        let fits = self.lease.grow_to(self.base_bytes + bytes);
        if fits { Ok(()) } else { Err(status::overloaded(Limit::RequestMemory)) }
    }

    /// The buffer capacity for a message that has `length` bytes so far.
    fn grown(&self, length: usize) -> usize {
        let capacity = self.bytes.capacity();
        if length <= capacity {
            return capacity;
        }
        let roomy = FIRST_BYTES.max(capacity * GROWTH);
        length.max(roomy.min(self.length))
    }

    fn put(&mut self, capacity: usize, piece: &[u8]) {
        self.bytes.reserve(capacity - self.bytes.len());
        self.bytes.extend_from_slice(piece);
    }
}

/// Lets an inflater write into the message. A refused piece ends the inflating with an error.
impl io::Write for IncomingMessage {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.append(piece) {
            Ok(()) => Ok(piece.len()),
            Err(refusal) => {
                self.refusal = Some(refusal);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
