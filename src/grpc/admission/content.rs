//! The bytes of a message as they are sent: plain, or compressed with gzip.
//!
//! Compressed ones are inflated as they arrive, so that every limit is one of inflated bytes, and
//! a bomb is refused where it goes off. tonic's own gzip would hold the whole compressed message
//! first, and bound only what it inflates to.

use std::io::Write;

use flate2::write::GzDecoder;
use tonic::Status;

use crate::grpc::{admission::message::IncomingMessage, status};

/// What inflating takes: a window of 32 KiB, as much of output, and its tables.
const INFLATER_BYTES: usize = 80 * 1024;

/// The content of a message on its way.
pub enum MessageContent {
    /// As it is.
    Plain(IncomingMessage),
    /// Compressed.
    Gzip(Box<GzDecoder<IncomingMessage>>),
}

impl MessageContent {
    /// What a message with this flag in front holds.
    ///
    /// # Errors
    /// There is no request memory for inflating it.
    pub fn new(is_compressed: bool, mut message: IncomingMessage) -> Result<Self, Status> {
        if !is_compressed {
            return Ok(Self::Plain(message));
        }
        message.lease_aside(INFLATER_BYTES)?;
        Ok(Self::Gzip(Box::new(GzDecoder::new(message))))
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// Why it can't be taken.
    pub fn append(&mut self, piece: &[u8]) -> Result<(), Status> {
        match self {
            Self::Plain(message) => message.append(piece),
            Self::Gzip(gzip) => {
                // The head of a gzip stream may hold names and comments, which the inflater keeps.
                if gzip.header().is_none() {
                    gzip.get_mut().lease_aside(piece.len())?;
                }
                let written = gzip.write_all(piece);
                written.map_err(|_| refusal(gzip.get_mut()))
            }
        }
    }

    /// The message so far.
    pub fn message(&mut self) -> &mut IncomingMessage {
        match self {
            Self::Plain(message) => message,
            Self::Gzip(gzip) => gzip.get_mut(),
        }
    }

    /// The message, whose last byte has come.
    ///
    /// # Errors
    /// It was cut off, or is not what its checksum says.
    pub fn end(self) -> Result<IncomingMessage, Status> {
        match self {
            Self::Plain(message) => Ok(message),
            Self::Gzip(mut gzip) => {
                gzip.try_finish().map_err(|_| refusal(gzip.get_mut()))?;
                gzip.finish().map_err(|_| undecodable())
            }
        }
    }
}

/// Why inflating ended: the message took no more, or there was nothing to inflate.
fn refusal(message: &mut IncomingMessage) -> Status {
    message.take_refusal().unwrap_or_else(undecodable)
}

fn undecodable() -> Status {
    status::undecodable("it is not the gzip stream that its flag says")
}
