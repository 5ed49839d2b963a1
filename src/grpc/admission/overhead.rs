//! Counts what a request for a match holds beside its photo's bytes, while it comes in, and reads
//! its `request_id`.
//!
//! A photo is large and cheap: it is taken as it is. A message of the same size that is millions of
//! empty fields takes ten times its size in memory once it is decoded, and keeps a processor busy
//! meanwhile. What this deliberately does not do: judge anything else. What is no protobuf is
//! counted no further, and told.

/// The number of `MatchRequest.request_id`.
const REQUEST_ID: u64 = 1;
/// The number of `MatchRequest.photo`.
const PHOTO: u64 = 3;
/// The number of `ReferencePhoto.content`.
const CONTENT: u64 = 1;

/// The most bytes of an id that are kept: a longer one is none.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// A count that goes on with every piece of a message.
#[derive(Default, Debug)]
pub struct OverheadCounter {
    at: At,
    number: Number,
    /// How much of the photo's message is to come, while it does.
    photo_bytes: Option<usize>,
    /// Groups that are open. No field of ours is one: what is in them is passed over when decoded.
    groups: u32,
    counted_bytes: usize,
    request_id: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum At {
    /// The number and the type of a field.
    #[default]
    Key,
    /// How long this field is.
    Length { field: u64 },
    /// A number that is a field's value.
    Value,
    /// So many bytes that are a field's value.
    Bytes { left: usize, of: Of },
    /// Nothing that is decoded.
    Lost,
}

/// What bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    /// A photo's, which aren't counted.
    Photo,
    RequestId,
    Other,
}

/// A varint on its way.
#[derive(Clone, Copy, Default, Debug)]
struct Number {
    value: u64,
    shift: u32,
}

impl OverheadCounter {
    /// Takes the next piece, and tells how much there was so far.
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

    /// Whether what has come is no protobuf, so that nothing can decode it.
    pub fn is_lost(&self) -> bool {
        self.at == At::Lost
    }

    /// The request's id, as far as it has come.
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

    /// An id begins; of two, the last one counts.
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

    /// What follows a whole number.
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

    /// A group begins or ends, and has nothing of its own.
    fn group(&mut self, more: i32) -> At {
        match self.groups.checked_add_signed(more) {
            Some(groups) => {
                self.groups = groups;
                At::Key
            }
            None => At::Lost,
        }
    }

    /// So many bytes of the photo's message have been passed. What begins in it ends in it.
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
    /// Takes a byte: the number if it is whole, or nothing at all if it is none.
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
    fn the_request_id_is_known_before_the_photo_comes() {
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
        assert_eq!(overhead.request_id(), b"", "the last one is too long");
        overhead.count(b"\x1a\x04\x0a\x02cd\x7b\x0a\x01e\x7c");
        assert_eq!(overhead.request_id(), b"", "neither a photo nor a group is one");
    }

    #[test]
    fn everything_but_the_photos_bytes_is_counted_in_whatever_pieces_it_comes() {
        for content in [0, 1, 127, 128, 100_000] {
            let message = request(content).encode_to_vec();
            for pieces in [1, 2, 3, 7, 1_000, message.len()] {
                assert_eq!(counted(&message, pieces), message.len() - content, "{content}");
            }
        }
    }

    #[test]
    fn empty_fields_count_wherever_they_are() {
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
    fn what_is_passed_over_in_a_group_hides_nothing() {
        let group = b"\x7b\x1a\x02\x0f\x0f\x7c";
        let message = [group, &b"\x2a\0".repeat(1_000)[..]].concat();
        let decoded = MatchRequest::decode(&*message).expect("groups are passed over");
        assert_eq!(decoded.liveness_media_ids.len(), 1_000);
        assert_eq!(counted(&message, 64), message.len());
    }

    #[test]
    fn what_is_no_protobuf_is_counted_no_further() {
        for broken in [&[0xff; 100][..], b"\x0f", b"\x1a\x02\x0a\x7f", b"\x1a\x01\x80\x01\x01\x01"]
        {
            let more = [broken, &[0x08; 1_000]].concat();
            assert!(counted(&more, 3) <= broken.len() + 2, "{broken:x?}");
        }
    }
}
