//! The reception of a request of JSON, and the properties of its memory that hold for any text.
//!
//! What the text means is compared with the decoder where the decoder is: in the second door.

use std::sync::Arc;

use super::JsonContent;
use crate::{
    domain::{TenantId, Tenants},
    grpc::{
        admission::{
            message::{IncomingMessage, MessageLength, MessagePhoto, Whole},
            share::{CallLimits, Shares},
        },
        second_door::JsonDecoder,
    },
    worker::photo_memory::PhotoMemory,
};

/// More request memory and photo memory than any input needs, in bytes.
const PLENTY: usize = 64 * 1024 * 1024;
/// The request memory that the call itself takes, in bytes.
const BASE_BYTES: usize = 1;
/// The most bytes that are held and not counted, in buffers that double: a key, a request id, and a
/// part of a group.
const ASIDE_BYTES_MAX: usize = 64 + 2 * 128 + 4;

/// What has become of a text.
#[derive(Debug)]
pub struct ReceivedText {
    /// The request in protobuf.
    pub message: Vec<u8>,
    /// The request id, as it is known while the photo arrives.
    pub request_id: Vec<u8>,
    /// The memory that counts as the photo's.
    pub photo_bytes: usize,
}

/// Receives a text in pieces of some size. An error is the message of the refusal.
///
/// # Errors
/// If the text is refused.
pub fn received(
    text: &[u8],
    size: usize,
    may_have_photo: bool,
    decoder: JsonDecoder,
) -> Result<ReceivedText, String> {
    let memory = PhotoMemory::new(PLENTY, Arc::new(Tenants::default));
    let shares = Shares::new(CallLimits {
        memory_bytes: PLENTY,
        calls: 1,
        photo_bytes: PLENTY,
        connections: 1,
        by_address: false,
    });
    let share = shares.connection(&shares.address());
    let photo = || {
        let reservation = memory.reservation(&TenantId::default_tenant());
        MessagePhoto::new(reservation, share.photo())
    };
    let lease = share.memory(BASE_BYTES).expect("there is plenty");
    let photo = may_have_photo.then(photo);
    let message = IncomingMessage::new(MessageLength::AtMost(PLENTY), lease, BASE_BYTES, photo);
    let mut content = JsonContent::new(message, decoder);
    for piece in text.chunks(size) {
        content.append(piece).map_err(|refusal| refusal.message().to_owned())?;
        check(&content, memory.bytes());
    }
    let request_id = content.scanner.request_id.clone();
    let message = content.end().map_err(|refusal| refusal.message().to_owned())?;
    let Whole { bytes, reservation, .. } = message.whole();
    let photo_bytes = memory.bytes();
    drop(reservation);
    assert_eq!(memory.bytes(), 0, "all is given back");
    Ok(ReceivedText { message: bytes.into(), request_id, photo_bytes })
}

/// Checks that what is held is counted.
fn check(content: &JsonContent, photo_bytes: usize) {
    let JsonContent { scanner, text, photo, message, .. } = content;
    assert!(text.capacity() <= message.leased_bytes() - BASE_BYTES, "the text is counted");
    assert!(message.photo_alone_bytes() <= photo_bytes, "the photo is counted");
    let aside = [&scanner.name, &scanner.request_id, &photo.rest].map(Vec::capacity);
    assert!(aside.iter().sum::<usize>() <= ASIDE_BYTES_MAX, "{aside:?}");
}
