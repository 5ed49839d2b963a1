//! Counts the bytes of a match request besides its photo, while the request arrives, and reads its
//! `request_id`.
//!
//! A photo is large but cheap: its bytes aren't decoded. A message of the same size made of
//! millions of empty fields takes ten times its size in memory when decoded, and keeps a processor
//! busy. The counter deliberately judges nothing else. It stops at bytes that aren't protobuf, and
//! reports them.

/// The field number of `MatchRequest.request_id`.
const REQUEST_ID: u64 = 1;
/// The field number of `MatchRequest.photo`.
const PHOTO: u64 = 3;
/// The field number of `ReferencePhoto.content`.
const CONTENT: u64 = 1;

/// The most bytes of a request id that are kept: a longer one is invalid.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The incremental parser of one message.
#[derive(Default, Debug)]
pub struct OverheadCounter {
    at: At,
    number: Number,
    /// The bytes of `MatchRequest.photo` that are still to come. `None` outside of that field.
    photo_bytes: Option<usize>,
    /// The number of open groups. The contract has no groups, so the decoder skips their content.
    groups: u32,
    counted_bytes: usize,
    request_id: Vec<u8>,
}

/// The element that the next byte belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum At {
    /// The tag: the number and the wire type of a field.
    #[default]
    Key,
    /// The length of a field.
    Length { field: u64 },
    /// The value of a varint field.
    Value,
    /// The value of a field of bytes or fixed size.
    Bytes { left: usize, of: Of },
    /// The message isn't protobuf.
    Lost,
}

/// The meaning of a field's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    /// The photo's content, which isn't counted.
    Photo,
    RequestId,
    Other,
}

/// A varint that is arriving.
#[derive(Clone, Copy, Default, Debug)]
struct Number {
    value: u64,
    shift: u32,
}

impl OverheadCounter {
    /// Takes the next piece, and returns the number of bytes besides the photo so far.
    pub fn count(&mut self, mut piece: &[u8]) -> usize {
        while let Some(first) = piece.first() {
            let is_in_photo = self.photo_bytes.is_some();
            let taken = match self.at {
                At::Lost => break,
                At::Bytes { left, of } => self.pass(&piece[..left.min(piece.len())], left, of),
                At::Key | At::Length { .. } | At::Value => self.read(*first),
            };
            if is_in_photo {
                self.leave(taken);
            }
            piece = &piece[taken..];
        }
        self.counted_bytes
    }

    /// Whether the message has turned out not to be protobuf.
    pub fn is_lost(&self) -> bool {
        self.at == At::Lost
    }

    /// The request id, as far as it has arrived.
    pub fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn pass(&mut self, piece: &[u8], left: usize, of: Of) -> usize {
        let taken = piece.len();
        self.counted_bytes += if of == Of::Photo { 0 } else { taken };
        if of == Of::RequestId {
            self.request_id.extend_from_slice(piece);
        }
        self.at = Self::bytes(left - taken, of);
        taken
    }

    fn bytes(left: usize, of: Of) -> At {
        if left == 0 { At::Key } else { At::Bytes { left, of } }
    }

    /// Begins a request id. If the field is repeated, the last one counts.
    fn id(&mut self, length: usize) -> At {
        self.request_id.clear();
        let is_id = length <= REQUEST_ID_BYTES_MAX;
        Self::bytes(length, if is_id { Of::RequestId } else { Of::Other })
    }

    fn read(&mut self, byte: u8) -> usize {
        self.counted_bytes += 1;
        self.at = match self.number.add(byte) {
            None => At::Lost,
            Some(None) => self.at,
            Some(Some(number)) => self.after(number),
        };
        1
    }

    /// The element after a complete varint.
    fn after(&mut self, number: u64) -> At {
        match self.at {
            At::Key => match (number & 7, number >> 3) {
                (0, _) => At::Value,
                (1, _) => Self::bytes(8, Of::Other),
                (2, field) => At::Length { field },
                (3, _) => self.group(1),
                (4, _) => self.group(-1),
                (5, _) => Self::bytes(4, Of::Other),
                _ => At::Lost,
            },
            At::Length { field } => {
                let Ok(length) = usize::try_from(number) else { return At::Lost };
                match (field, self.photo_bytes) {
                    _ if self.groups > 0 => Self::bytes(length, Of::Other),
                    (REQUEST_ID, None) => self.id(length),
                    (PHOTO, None) => {
                        self.photo_bytes = Some(length).filter(|bytes| *bytes > 0);
                        At::Key
                    }
                    (CONTENT, Some(_)) => Self::bytes(length, Of::Photo),
                    _ => Self::bytes(length, Of::Other),
                }
            }
            At::Value => At::Key,
            At::Bytes { .. } | At::Lost => At::Lost,
        }
    }

    fn is_between_fields(&self) -> bool {
        self.at == At::Key && self.number.shift == 0 && self.groups == 0
    }

    /// Begins or ends a group. The tag is all there is to either.
    fn group(&mut self, more: i32) -> At {
        match self.groups.checked_add_signed(more) {
            Some(groups) => {
                self.groups = groups;
                At::Key
            }
            None => At::Lost,
        }
    }

    /// Counts off bytes of `MatchRequest.photo`. An element that begins in that field must end in
    /// it.
    fn leave(&mut self, taken: usize) {
        let wanted = match self.at {
            At::Bytes { left, .. } => left,
            At::Key if self.is_between_fields() => 0,
            At::Key | At::Length { .. } | At::Value | At::Lost => 1,
        };
        match self.photo_bytes.and_then(|bytes| bytes.checked_sub(taken)) {
            Some(left) if left >= wanted => self.photo_bytes = Some(left).filter(|left| *left > 0),
            Some(_) | None => self.at = At::Lost,
        }
    }
}

impl Number {
    /// Takes a byte. Returns `Some(Some(number))` once the number is complete, `Some(None)` before
    /// that, and `None` if the bytes aren't a varint.
    fn add(&mut self, byte: u8) -> Option<Option<u64>> {
        if self.shift > 63 {
            return None;
        }
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 != 0 {
            return Some(None);
        }
        Some(Some(std::mem::take(self).value))
    }
}

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::pb::{MatchRequest, ReferencePhoto, reference_photo::Source};

    fn request(content: usize) -> MatchRequest {
        let source = Some(Source::Content(vec![b'p'; content].into()));
        MatchRequest {
            request_id: "order 17".into(),
            folder_id: "a folder".into(),
            photo: Some(ReferencePhoto { source, kind: 2, file_name: "anna.jpg".into() }),
            timeout: Some(prost_types::Duration { seconds: 300, nanos: 5 }),
            liveness_media_ids: vec!["a medium".into(); 3],
            liveness_policy: 1,
            labels: [("branch".into(), "riga".into())].into(),
            include_progress: true,
        }
    }

    fn counted(message: &[u8], pieces: usize) -> usize {
        let mut overhead = OverheadCounter::default();
        message.chunks(pieces).map(|piece| overhead.count(piece)).last().unwrap()
    }

    #[test]
    fn the_request_id_is_known_before_the_photo_arrives() {
        let message = request(100_000).encode_to_vec();
        for pieces in [1, 3, 64] {
            let mut overhead = OverheadCounter::default();
            for piece in message[..64].chunks(pieces) {
                overhead.count(piece);
            }
            assert_eq!(overhead.request_id(), b"order 17");
        }
        let mut overhead = OverheadCounter::default();
        overhead.count(&[b"\x0a\x02ab", b"\x0a\x81\x01".as_slice(), &[b'x'; 129]].concat());
        assert_eq!(overhead.request_id(), b"", "the last id is too long");
        overhead.count(b"\x1a\x04\x0a\x02cd\x7b\x0a\x01e\x7c");
        assert_eq!(overhead.request_id(), b"", "fields of a photo or a group are not the id");
    }

    #[test]
    fn all_bytes_but_the_photos_are_counted_in_pieces_of_any_size() {
        for content in [0, 1, 127, 128, 100_000] {
            let message = request(content).encode_to_vec();
            for pieces in [1, 2, 3, 7, 1_000, message.len()] {
                assert_eq!(counted(&message, pieces), message.len() - content, "{content}");
            }
        }
    }

    #[test]
    fn empty_fields_are_counted_everywhere() {
        let media = MatchRequest {
            liveness_media_ids: vec![String::new(); 1_000],
            ..MatchRequest::default()
        };
        assert_eq!(counted(&media.encode_to_vec(), 64), 2_000);
        let names = [b"\x1a\xd0\x0f".as_slice(), &b"\x2a\0".repeat(1_000)].concat();
        assert_eq!(counted(&names, 64), names.len());
        let photos = b"\x1a\x03\x0a\x01p".repeat(1_000);
        assert_eq!(counted(&photos, 64), 4_000, "all but one byte each");
        let unknown = b"\xf8\x07\x01".repeat(1_000);
        assert_eq!(counted(&unknown, 64), 3_000);
    }

    #[test]
    fn a_skipped_group_hides_no_fields_behind_it() {
        let group = b"\x7b\x1a\x02\x0f\x0f\x7c";
        let message = [group, &b"\x2a\0".repeat(1_000)[..]].concat();
        let decoded = MatchRequest::decode(&*message).expect("groups are skipped");
        assert_eq!(decoded.liveness_media_ids.len(), 1_000);
        assert_eq!(counted(&message, 64), message.len());
    }

    #[test]
    fn counting_stops_at_bytes_that_are_not_protobuf() {
        for broken in [&[0xff; 100][..], b"\x0f", b"\x1a\x02\x0a\x7f", b"\x1a\x01\x80\x01\x01\x01"]
        {
            let more = [broken, &[0x08; 1_000]].concat();
            assert!(counted(&more, 3) <= broken.len() + 2, "{broken:x?}");
        }
    }
}
