//! The properties of requests of JSON that hold for any text.
//!
//! A photo is taken out of the text while it arrives, before the text is decoded. So what is found
//! then is compared with what the decoder finds in the whole text.

use std::{fmt::Debug, sync::Arc};

use prost::Message;

use crate::{
    grpc::{JsonDecoder, fuzzing::received},
    pb::{MatchRequest, WatchMatchRequest, reference_photo::Source, watch_match_request::Id},
    web::schema::JsonMethod,
};

/// The bytes of a request id that is recognised while the photo arrives.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// How many bytes an escaped character takes at most for each of its own.
const ESCAPE_BYTES_MAX: usize = 6;

/// Receives a text as a request with a photo and as one without, and compares both with the decoder.
pub fn json(text: &[u8]) {
    let request = compare("RunMatch", true, text, |request: &MatchRequest| &request.request_id);
    if let Some((request, photo_bytes)) = request {
        let source = request.photo.and_then(|photo| photo.source);
        let content = source.map_or(0, |source| match source {
            Source::Content(content) => content.len(),
            Source::FolderMediaId(_) | Source::ReferenceKey(_) => 0,
        });
        assert!(content <= photo_bytes, "a photo of {content} bytes counts {photo_bytes}");
    }
    compare("WatchMatch", false, text, |watch: &WatchMatchRequest| match &watch.id {
        Some(Id::RequestId(id)) => id,
        Some(Id::MatchId(_)) | None => "",
    });
}

/// Compares the reception of a request with its decoder, and returns the request with the memory that
/// counts as its photo's; `None` if it is refused.
fn compare<M: Message + Default + PartialEq + Debug>(
    method: &str,
    may_have_photo: bool,
    text: &[u8],
    request_id: impl Fn(&M) -> &str,
) -> Option<(M, usize)> {
    let method = JsonMethod::find(method).expect("the service has it");
    let decoded = |bytes: Vec<u8>| M::decode(&*bytes).expect("what is encoded can be decoded");
    let expected = method.request(text, false, None).ok().map(decoded);
    let decoder: JsonDecoder =
        Arc::new(move |text, without_content| method.request(text, without_content, None));
    let receive = |size: usize| received(text, size, may_have_photo, Arc::clone(&decoder));
    let whole = receive(text.len().max(1));
    for size in [1, 7] {
        let pieces = receive(size);
        assert_eq!(pieces.is_ok(), whole.is_ok(), "in pieces of {size}: {pieces:?}, {whole:?}");
        if let (Ok(pieces), Ok(whole)) = (pieces, &whole) {
            let [pieces, whole] = [pieces.message, whole.message.clone()].map(decoded);
            assert_eq!(pieces, whole, "in pieces of {size}");
        }
    }
    match (whole, expected) {
        (Ok(whole), Some(expected)) => {
            let id = String::from_utf8(whole.request_id).expect("the decoder has accepted it");
            let known = request_id(&expected);
            let escaped = if text.contains(&b'\\') { ESCAPE_BYTES_MAX } else { 1 };
            let is_long = known.len() > REQUEST_ID_BYTES_MAX / escaped;
            assert!(id == known || id.is_empty() && is_long, "{id:?} instead of {known:?}");
            let request = decoded(whole.message);
            assert_eq!(request, expected, "what is received is what the text says");
            Some((request, whole.photo_bytes))
        }
        // The decoder takes the last one of several fields of the same name.
        (Err(refusal), Some(_)) => {
            assert!(refusal.ends_with("is given twice"), "{refusal}");
            None
        }
        // Base64 of both alphabets at once, or with too much padding, is understood.
        (Ok(_) | Err(_), None) => None,
    }
}
