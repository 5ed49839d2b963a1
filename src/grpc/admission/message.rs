//! A message while it arrives: its bytes, and the memory that is taken for them.
//!
//! What a request brings beside its photo is counted as request memory, its photo as photo memory,
//! both as bytes arrive and after they were inflated. A piece that is over a limit, or finds no
//! room, is not kept.

use std::io;

use bytes::{Bytes, BytesMut};
use tonic::Status;

use crate::{
    domain::{Limit, RequestId, photo},
    grpc::{
        admission::{overhead::OverheadCounter, share::Lease},
        status,
    },
    worker::photo_memory::Reservation,
};

/// The largest request without a photo, and the most that there may be beside one: every field of
/// any request at its limit takes less than half of it.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The largest request with a photo.
pub const PHOTO_REQUEST_BYTES_MAX: usize = photo::BYTES_MAX + REQUEST_BYTES_MAX;
/// What is taken for a message at first, if it is announced to be longer: most are shorter.
const FIRST_BYTES: usize = 512;
/// How its buffer grows: often enough that a stalled message holds little, and rarely enough that
/// a large photo is hardly copied.
const GROWTH: usize = 4;

/// A message on its way.
pub struct IncomingMessage {
    bytes: BytesMut,
    /// How long it may get, as far as that is known.
    length: usize,
    lease: Lease,
    /// What the lease holds for the rest of the call.
    base_bytes: usize,
    photo: Option<Box<MessagePhoto>>,
    /// Why a piece was not taken that was written.
    refusal: Option<Status>,
}

/// The photo of a message.
pub struct MessagePhoto {
    reservation: Reservation,
    /// What its connection holds for it; nothing if it is in the overflow, which is for repeats.
    share: Option<Lease>,
    overhead: OverheadCounter,
    /// The id of the request, if photo memory was full: whether it names a match is to be looked
    /// up.
    in_doubt: Option<RequestId>,
}

/// A whole message.
pub struct Whole {
    /// The message itself.
    pub bytes: Bytes,
    /// The memory that it takes.
    pub lease: Lease,
    /// The room of its photo, if it may bring one.
    pub reservation: Option<Reservation>,
}

impl MessagePhoto {
    /// A photo that hasn't begun to arrive.
    pub fn new(reservation: Reservation, share: Lease) -> Self {
        let overhead = OverheadCounter::default();
        Self { reservation, share: Some(share), overhead, in_doubt: None }
    }

    /// Room for so much of the photo.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Status> {
        let may = self.share.as_mut().is_none_or(|share| share.grow_to(bytes));
        if may && self.reservation.grow_to(bytes) {
            return Ok(());
        }
        // A repeat of a known match is never refused as overload. Encoders write fields in the
        // order of their numbers, so the id is there before the photo; a request of another order
        // is refused like a new one.
        let id = std::str::from_utf8(self.overhead.request_id()).ok();
        let id = id.and_then(|id| id.parse().ok()).filter(|_| !self.reservation.is_overflow());
        self.in_doubt = Some(id.ok_or_else(no_room)?);
        self.reservation.move_to_overflow();
        self.share = None;
        if self.reservation.grow_to(bytes) { Ok(()) } else { Err(no_room()) }
    }
}

/// There is no photo memory for this request.
pub fn no_room() -> Status {
    status::overloaded(Limit::PhotoMemory)
}

impl IncomingMessage {
    /// A message that hasn't begun to arrive, and is at most so long.
    pub fn new(
        length: usize,
        lease: Lease,
        base_bytes: usize,
        photo: Option<MessagePhoto>,
    ) -> Self {
        let photo = photo.map(Box::new);
        Self { bytes: BytesMut::new(), length, lease, base_bytes, photo, refusal: None }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// Why it can't be taken.
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
            return Err(status::undecodable("it is no protobuf"));
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

    /// The id that is to be looked up, once.
    pub fn take_doubt(&mut self) -> Option<RequestId> {
        self.photo.as_mut()?.in_doubt.take()
    }

    /// The request repeats a known match.
    pub fn confirm_known(&mut self) {
        if let Some(photo) = &mut self.photo {
            photo.reservation.confirm_known();
        }
    }

    /// What is taken for bytes that are no part of the message yet.
    ///
    /// # Errors
    /// There is no request memory for them.
    pub fn lease_aside(&mut self, bytes: usize) -> Result<(), Status> {
        self.base_bytes += bytes;
        self.lease(0)
    }

    /// Why a piece that was written was not taken.
    pub fn take_refusal(&mut self) -> Option<Status> {
        self.refusal.take()
    }

    /// The whole message.
    pub fn whole(self) -> Whole {
        let reservation = self.photo.map(|photo| photo.reservation);
        Whole { bytes: self.bytes.freeze(), lease: self.lease, reservation }
    }

    fn lease(&mut self, bytes: usize) -> Result<(), Status> {
        let fits = self.lease.grow_to(self.base_bytes + bytes);
        if fits { Ok(()) } else { Err(status::overloaded(Limit::RequestMemory)) }
    }

    /// The room that a message of so many bytes has, so far.
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

/// For what inflates: a piece that can't be taken ends it.
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
