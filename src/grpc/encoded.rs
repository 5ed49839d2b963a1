//! Updates as they go over the wire: each is encoded once, however many streams show it.
//!
//! Streams send these bytes without copying them (see `update_body`), so a thousand streams that are
//! slow hold one copy of the update that they wait to send. The buffers of the other messages are
//! here too: there may be tens of thousands of calls.

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
/// The flag of a message that isn't compressed.
const UNCOMPRESSED: u8 = 0;
/// What each call has at first for its messages: most fit. tonic's own 8 KiB would be a third of
/// what a match in flight takes.
const BUFFER_BYTES: usize = 1024;
/// How much is encoded before it is handed on, where much is ready. As tonic has it.
const YIELD_BYTES: usize = 32 * 1024;

/// The server, with small buffers for each call.
pub mod server {
    #![allow(missing_docs, clippy::all, reason = "generated code, documented in the proto")]
    include!(concat!(env!("OUT_DIR"), "/server/facematch.v1.rs"));
}

/// A `MatchUpdate` as it goes over the wire: gRPC's prefix and the encoded message in one piece.
#[derive(Clone, PartialEq, Debug)]
pub struct Encoded(Bytes);

impl Encoded {
    /// An update as a stream shows it. A fact is encoded once for all streams that show it.
    pub fn shown(watch: &Watch, update: &Update) -> Self {
        let encode = || Self::of(&convert::update::update(watch, update));
        match update {
            Update::Event(entry) => Self(entry.shown(|| encode().0)),
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

    /// The bytes of the wire.
    pub fn bytes(self) -> Bytes {
        self.0
    }
}

/// prost's codec, with small buffers.
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
    fn an_encoded_update_is_the_update_behind_its_prefix() {
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
