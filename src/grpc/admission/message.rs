//! A message while it arrives: its bytes, and the memory that is leased for them.
//!
//! A photo counts as photo memory, and the rest of a request as request memory. Both are taken as
//! bytes arrive, after inflating. A piece that exceeds a limit or finds no free memory is not kept.

use std::io;

use bytes::Bytes;
use tonic::Status;

use crate::{
    domain::{Exhausted, Limit, RequestId, photo},
    grpc::{
        admission::{overhead::OverheadCounter, share::Lease},
        status,
    },
    worker::{photo_memory::Reservation, spare_buffers::Buffer},
};

/// The largest request without a photo, and the most bytes besides a photo, in bytes. A request
/// with every field at its limit takes less than half of it.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The largest request with a photo, in bytes.
pub const PHOTO_REQUEST_BYTES_MAX: usize = photo::BYTES_MAX + REQUEST_BYTES_MAX;
/// The key of `MatchRequest.photo` in protobuf: its number, and that it has a length.
const PHOTO_KEY: u8 = 3 << 3 | 2;
/// The key of `ReferencePhoto.content`.
const CONTENT_KEY: u8 = 1 << 3 | 2;
/// The first capacity of a message's buffer, however long a message is announced to be: most are
/// shorter.
const FIRST_BYTES: usize = 512;
/// The factor by which the buffer grows: small enough that a stalled message holds little, and
/// large enough that a large photo is copied rarely.
const GROWTH: usize = 4;
/// The share of a message with a photo, of announced length, after which its buffer has room for
/// all of it. Room that nothing was written to yet takes no memory, but growing copies what has
/// arrived.
const WHOLE_AFTER: usize = 16;

/// The room before a photo that arrives alone: for the keys and the lengths of its two fields.
const PHOTO_PREFIX_BYTES: usize = 10;

/// What is known of the length of a message before it has arrived, in bytes.
#[derive(Clone, Copy)]
pub enum MessageLength {
    /// The sender has announced it.
    Announced(usize),
    /// No message is longer: the length of a compressed message, or of a text, says little.
    AtMost(usize),
}

/// A message that is arriving.
pub struct IncomingMessage {
    bytes: Buffer,
    length: MessageLength,
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

    /// Takes photo memory for the photo's first `bytes` bytes. The request id is that of the text, or
    /// else that of the message.
    fn grow_to(&mut self, bytes: usize, request_id: Option<&[u8]>) -> Result<(), Status> {
        let may = self.share.as_mut().is_none_or(|share| share.grow_to(bytes));
        if may && self.reservation.grow_to(bytes) {
            return Ok(());
        }
        // A repeat of a known match is never refused as overload. Encoders write fields in the
        // order of their numbers, so the request id arrives before the photo. A request in another
        // order is refused like a new one.
        let id = request_id.unwrap_or_else(|| self.overhead.request_id());
        let id = std::str::from_utf8(id).ok();
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
    /// A message of which nothing has arrived.
    pub fn new(
        length: MessageLength,
        lease: Lease,
        base_bytes: usize,
        photo: Option<MessagePhoto>,
    ) -> Self {
        let photo = photo.map(Box::new);
        Self { bytes: Buffer::default(), length, lease, base_bytes, photo, refusal: None }
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
        photo.grow_to(length - overhead, None)?;
        self.lease(overhead)?;
        self.put(self.grown(length), piece);
        Ok(())
    }

    /// Whether the message may hold a photo.
    pub const fn may_have_photo(&self) -> bool {
        self.photo.is_some()
    }

    /// Takes request memory for the text of a request of JSON, which is kept elsewhere, in a buffer
    /// of this capacity.
    ///
    /// # Errors
    /// If it is over the limit, or there is no request memory for it.
    pub fn append_text(&mut self, length: usize, capacity: usize) -> Result<(), Status> {
        match self.photo {
            _ if length <= REQUEST_BYTES_MAX => self.lease(capacity),
            Some(_) => Err(status::too_much_beside_the_photo(REQUEST_BYTES_MAX)),
            None => Err(status::request_too_large(REQUEST_BYTES_MAX)),
        }
    }

    /// Begins a photo that arrives alone, outside of any message.
    pub fn begin_photo(&mut self) {
        self.bytes.resize(PHOTO_PREFIX_BYTES, 0);
    }

    /// Whether a photo has begun to arrive alone.
    pub fn has_photo(&self) -> bool {
        self.bytes.len() >= PHOTO_PREFIX_BYTES
    }

    /// Takes the next piece of a photo that arrives alone.
    ///
    /// # Errors
    /// If the photo is over its limit, or finds no free memory.
    pub fn append_photo(&mut self, piece: &[u8], request_id: &[u8]) -> Result<(), Status> {
        let length = self.bytes.len() + piece.len();
        let photo_bytes = length - PHOTO_PREFIX_BYTES;
        if photo_bytes > photo::BYTES_MAX {
            return Err(status::photo_too_large());
        }
        if let Some(photo) = &mut self.photo {
            photo.grow_to(photo_bytes, Some(request_id))?;
        }
        self.put(self.grown(length), piece);
        Ok(())
    }

    /// Makes a message of the photo that has arrived alone, and of the encoded rest of the request.
    /// Fields may stand in any order, and parts of `MatchRequest.photo` are merged.
    ///
    /// # Errors
    /// If there is no request memory for the rest.
    pub fn end_photo(&mut self, rest: &[u8]) -> Result<(), Status> {
        self.lease(rest.len())?;
        if self.has_photo() {
            let content = self.bytes.len() - PHOTO_PREFIX_BYTES;
            // 1 and 4 bytes of the inner field's key and length.
            let prefix =
                [length_prefix(PHOTO_KEY, content + 5), length_prefix(CONTENT_KEY, content)];
            self.bytes[..PHOTO_PREFIX_BYTES].copy_from_slice(&prefix.concat());
        }
        self.bytes.extend_from_slice(rest);
        Ok(())
    }

    /// The request memory that it takes.
    #[cfg(any(test, fuzzing))]
    pub const fn leased_bytes(&self) -> usize {
        self.lease.amount()
    }

    /// The bytes of a photo that arrives alone, as far as it has arrived.
    #[cfg(any(test, fuzzing))]
    pub fn photo_alone_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(PHOTO_PREFIX_BYTES)
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
        Whole { bytes: self.bytes.shared(), lease: self.lease, reservation }
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
        let room = match self.length {
            MessageLength::Announced(all) if self.photo.is_some() => {
                let part = all / WHOLE_AFTER;
                if length >= part { all } else { roomy.min(part) }
            }
            MessageLength::Announced(most) | MessageLength::AtMost(most) => roomy.min(most),
        };
        length.max(room)
    }

    fn put(&mut self, capacity: usize, piece: &[u8]) {
        if capacity > self.bytes.capacity() {
            self.make_room(capacity);
        }
        self.bytes.extend_from_slice(piece);
    }

    fn make_room(&mut self, capacity: usize) {
        match (&self.photo, self.length) {
            (Some(photo), MessageLength::Announced(all)) if capacity == all => {
                let mut room = photo.reservation.buffer(all);
                room.extend_from_slice(&self.bytes);
                self.bytes = room;
            }
            _ => {
                let length = self.bytes.len();
                self.bytes.reserve_exact(capacity - length);
            }
        }
    }
}

/// The key and the length of a field, the length in four bytes however small it is.
fn length_prefix(key: u8, length: usize) -> [u8; 5] {
    let part = |shift: u32| (length >> shift & 0x7f) as u8;
    [key, part(0) | 0x80, part(7) | 0x80, part(14) | 0x80, part(21)]
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prost::Message;

    use super::*;
    use crate::{
        domain::{TenantId, Tenants},
        grpc::admission::share::{CallLimits, Shares},
        pb::{MatchRequest, ReferencePhoto, reference_photo::Source},
        worker::photo_memory::PhotoMemory,
    };

    const PLENTY: usize = 64 * 1024 * 1024;
    const PIECE_BYTES: usize = 16 * 1024;

    /// The bytes that were copied by growing while a photo arrived, and the most room for a byte
    /// that has arrived.
    fn copied_and_room(encoded: &[u8], length: MessageLength) -> (usize, usize) {
        let memory = PhotoMemory::new(PLENTY, Arc::new(Tenants::default));
        let shares = Shares::new(CallLimits {
            memory_bytes: PLENTY,
            calls: 1,
            photo_bytes: PLENTY,
            connections: 1,
            by_address: false,
        });
        let share = shares.connection(&shares.address());
        let reservation = memory.reservation(&TenantId::default_tenant());
        let photo = MessagePhoto::new(reservation, share.photo());
        let lease = share.memory(1).expect("there is plenty");
        let mut message = IncomingMessage::new(length, lease, 1, Some(photo));
        let (mut copied, mut room) = (0, 0);
        for piece in encoded.chunks(PIECE_BYTES) {
            let (arrived, capacity) = (message.bytes.len(), message.bytes.capacity());
            message.append(piece).expect("there is room");
            if message.bytes.capacity() != capacity {
                copied += arrived;
            }
            room = room.max(message.bytes.capacity() / message.bytes.len());
        }
        (copied, room)
    }

    #[test]
    fn a_large_photo_is_hardly_copied_by_growing_and_an_unknown_length_gets_little_room() {
        let source = Some(Source::Content(vec![7; 8 * 1024 * 1024].into()));
        let photo = Some(ReferencePhoto { source, ..ReferencePhoto::default() });
        let encoded = MatchRequest { photo, ..MatchRequest::default() }.encode_to_vec();
        let (copied, room) = copied_and_room(&encoded, MessageLength::Announced(encoded.len()));
        assert!(copied <= encoded.len() / 8, "{copied} bytes are copied");
        // A buffer that is used again is less than twice as large as the photo.
        assert!(room < 2 * WHOLE_AFTER, "room for {room} bytes for each");
        let (_, room) = copied_and_room(&encoded, MessageLength::AtMost(PHOTO_REQUEST_BYTES_MAX));
        assert!(room <= GROWTH, "room for {room} bytes for each");
    }
}
