//! Encodes updates: each one once, however many streams send it.
//!
//! Streams send these bytes without copying them (see `update_body`), so a thousand slow streams
//! hold one copy of the update that they wait to send. The buffer sizes of all other messages are
//! here too, because there may be tens of thousands of calls.

use std::marker::PhantomData;

use bytes::Bytes;
use prost::Message;
use tonic::codec::{self, BufferSettings};
use tonic_prost::ProstCodec;

use crate::{
    grpc::convert,
    pb,
    watch::{Update, Watch},
};

/// A gRPC message starts with a compression flag and its length, big-endian.
const PREFIX_BYTES: usize = 5;
/// The compression flag of an uncompressed message.
const UNCOMPRESSED: u8 = 0;
/// The initial size of a call's message buffers: most messages fit. tonic's default of 8 KiB would
/// be a third of the memory of a match in flight.
const BUFFER_BYTES: usize = 1024;
/// How many bytes tonic encodes before it yields to the transport. This is tonic's default.
const YIELD_BYTES: usize = 32 * 1024;

/// The generated server, with small buffers for each call and with updates that are encoded once.
pub mod server {
    #![allow(missing_docs, clippy::all, reason = "generated code, documented in the proto")]
    include!(concat!(env!("OUT_DIR"), "/server/facematch.v1.rs"));
}

/// A `MatchUpdate` in wire format: gRPC's prefix and the encoded message in one piece.
#[derive(Clone, PartialEq, Debug)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Encodes an update for a stream. A durable update is encoded once for all streams.
    pub fn shown(watch: &Watch, update: &Update) -> Self {
        let encode = || Self::of(&convert::update::update(watch, update));
        match update {
            Update::Event(entry) => Self(entry.encoded(|| encode().0)),
            Update::Progress { .. } | Update::Heartbeat { .. } => encode(),
        }
    }

    /// Encodes an update.
    pub fn of(update: &pb::MatchUpdate) -> Self {
        let length = update.encoded_len();
        let prefix = u32::try_from(length).expect("an update is far smaller than 4 GiB");
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
        bytes.push(UNCOMPRESSED);
        bytes.extend_from_slice(&prefix.to_be_bytes());
        update.encode_raw(&mut bytes);
        Self(bytes.into())
    }

    /// The encoded bytes, prefix included.
    pub fn bytes(self) -> Bytes {
        self.0
    }
}

/// prost's codec, with small buffers: one KiB at first, where tonic takes 8.
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as codec::Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as codec::Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(buffers())
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_update_is_a_prefix_and_the_update() {
        let update = pb::MatchUpdate {
            match_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            sequence: 3,
            event: Some(pb::match_update::Event::Heartbeat(pb::Heartbeat::default())),
            ..pb::MatchUpdate::default()
        };
        let sent = Encoded::of(&update).bytes();
        let (prefix, message) = sent.split_at(PREFIX_BYTES);
        assert_eq!(prefix[0], UNCOMPRESSED);
        assert_eq!(prefix[1..], u32::to_be_bytes(message.len() as u32));
        assert_eq!(pb::MatchUpdate::decode(message), Ok(update));
    }
}
