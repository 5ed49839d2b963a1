//! What holds of a request for a match whatever its bytes are.

use prost::Message;

use super::{At, Beside};
use crate::pb::MatchRequest;

/// A key and a length, for what is empty.
const FIELD_BYTES_MIN: usize = 2;

/// Counts a message whole and in pieces, and compares with what is decoded.
pub fn request(message: &[u8]) {
    let mut whole = Beside::new(0);
    let counted = whole.see(message);
    for pieces in [1, 3, 64] {
        let mut beside = Beside::new(0);
        let in_pieces = message.chunks(pieces).map(|piece| beside.see(piece)).last();
        assert_eq!(in_pieces.unwrap_or(0), counted, "in pieces of {pieces}");
    }
    if let Ok(request) = MatchRequest::decode(message) {
        assert_ne!(whole.at, At::Lost, "it is decoded");
        let fields = request.liveness_media_ids.len() + request.labels.len();
        assert!(counted >= FIELD_BYTES_MIN * fields, "{fields} fields in {counted} bytes");
    }
}
