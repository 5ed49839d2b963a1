//! The properties of [`OverheadCounter`] that hold for any bytes.

use prost::Message;

use super::OverheadCounter;
use crate::pb::MatchRequest;

/// The size of an empty field: its tag and its length.
const FIELD_BYTES_MIN: usize = 2;

/// Checks that counting a message whole and in pieces agrees, and agrees with the decoder.
pub fn request(message: &[u8]) {
    let mut whole = OverheadCounter::default();
    let counted = whole.count(message);
    for pieces in [1, 3, 64] {
        let mut overhead = OverheadCounter::default();
        let in_pieces = message.chunks(pieces).map(|piece| overhead.count(piece)).last();
        assert_eq!(in_pieces.unwrap_or(0), counted, "in pieces of {pieces}");
        assert_eq!(overhead.request_id(), whole.request_id(), "in pieces of {pieces}");
    }
    if let Ok(request) = MatchRequest::decode(message) {
        assert!(!whole.is_lost(), "a message that decodes is protobuf");
        assert!(
            whole.request_id().is_empty() || whole.request_id() == request.request_id.as_bytes()
        );
        let fields = request.liveness_media_ids.len() + request.labels.len();
        assert!(counted >= FIELD_BYTES_MIN * fields, "{fields} fields in {counted} bytes");
    }
}
