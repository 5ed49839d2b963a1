//! Takes the content of a message: plain, compressed with gzip, or JSON.
//!
//! Compressed content is inflated as it arrives, so that every limit counts inflated bytes, and a
//! decompression bomb is refused as soon as it reaches a limit. tonic's own gzip would first hold
//! the whole compressed message, and would bound only its inflated size.

use std::io::Write;

use flate2::write::GzDecoder;
use tonic::Status;

use crate::grpc::{
    admission::{json::JsonContent, message::IncomingMessage},
    status,
};

/// The memory of an inflater: a window of 32 KiB, an output buffer of 32 KiB, and its tables.
const INFLATER_BYTES: usize = 80 * 1024;

/// The content of a message that is arriving.
pub enum MessageContent {
    /// Uncompressed.
    Plain(IncomingMessage),
    /// Compressed with gzip, and inflated into the message.
    Gzip(Box<GzDecoder<IncomingMessage>>),
    /// JSON, which is turned into the message.
    Json(Box<JsonContent>),
}

impl MessageContent {
    /// Begins the content of a message, by its compression flag.
    ///
    /// # Errors
    /// If there is no request memory for an inflater.
    pub fn new(is_compressed: bool, mut message: IncomingMessage) -> Result<Self, Status> {
        if !is_compressed {
            return Ok(Self::Plain(message));
        }
        message.lease_aside(INFLATER_BYTES)?;
        Ok(Self::Gzip(Box::new(GzDecoder::new(message))))
    }

    /// Takes the next piece, as it was sent.
    ///
    /// # Errors
    /// If the message exceeds a limit, or can't be inflated.
    pub fn append(&mut self, piece: &[u8]) -> Result<(), Status> {
        match self {
            Self::Plain(message) => message.append(piece),
            Self::Gzip(gzip) => {
                // A gzip header may hold a name and a comment, which the inflater keeps in memory.
                if gzip.header().is_none() {
                    gzip.get_mut().lease_aside(piece.len())?;
                }
                let written = gzip.write_all(piece);
                written.map_err(|_| refusal(gzip.get_mut()))
            }
            Self::Json(json) => json.append(piece),
        }
    }

    /// The message as far as it has arrived.
    pub fn message(&mut self) -> &mut IncomingMessage {
        match self {
            Self::Plain(message) => message,
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Json(json) => json.message(),
        }
    }

    /// The message after its last byte has arrived.
    ///
    /// # Errors
    /// If the gzip stream is cut off, its checksum is wrong, or the JSON is no request.
    pub fn end(self) -> Result<IncomingMessage, Status> {
        match self {
            Self::Plain(message) => Ok(message),
            Self::Gzip(mut gzip) => {
                gzip.try_finish().map_err(|_| refusal(gzip.get_mut()))?;
                gzip.finish().map_err(|_| undecodable())
            }
            Self::Json(json) => json.end(),
        }
    }
}

/// The reason why inflating failed: the message's own refusal, or an invalid gzip stream.
fn refusal(message: &mut IncomingMessage) -> Status {
    message.take_refusal().unwrap_or_else(undecodable)
}

fn undecodable() -> Status {
    status::undecodable("its compression flag is set, but it is not a valid gzip stream")
}
