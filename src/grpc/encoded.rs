//! Updates as they go over the wire: each is encoded once, however many are shown it.
//!
//! To the generated server an [`Encoded`] is a message like any other; it writes bytes that it was
//! made with. What is here too are the buffers of streams, of which there may be tens of thousands.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, skip_field},
};
use tonic::codec::{self, BufferSettings};
use tonic_prost::ProstCodec;

use crate::{
    grpc::convert,
    pb,
    watch::{Update, Watch},
};

/// What each call has at first for its messages: most updates fit, and a stream that waits holds
/// no more. tonic's own 8 KiB would be a third of what a match in flight takes.
const BUFFER_BYTES: usize = 1024;
/// How much is encoded before it is handed on, where much is ready. As tonic has it.
const YIELD_BYTES: usize = 32 * 1024;

/// The server, with updates that are encoded already.
pub mod server {
    #![allow(missing_docs, clippy::all, reason = "generated code, documented in the proto")]
    include!(concat!(env!("OUT_DIR"), "/server/facematch.v1.rs"));
}

/// A `MatchUpdate`, encoded.
#[derive(Clone, PartialEq, Debug)]
pub struct Encoded(Bytes);

impl Encoded {
    /// An update as a stream shows it. A fact is the same for everybody who is shown it.
    pub fn shown(watch: &Watch, update: &Update) -> Self {
        let encode = || Self::of(&convert::update::update(watch, update));
        match update {
            Update::Event(entry) => Self::again(entry.shown(|| encode().bytes())),
            Update::Progress { .. } | Update::Heartbeat { .. } => encode(),
        }
    }

    /// Encodes an update.
    pub fn of(update: &pb::MatchUpdate) -> Self {
        Self(update.encode_to_vec().into())
    }

    /// An update that [`Encoded::bytes`] was made of.
    pub const fn again(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The encoded update.
    pub fn bytes(self) -> Bytes {
        self.0
    }
}

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    /// Nothing decodes one.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
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
    fn an_encoded_update_is_the_update() {
        let update = pb::MatchUpdate {
            match_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            sequence: 3,
            event: Some(pb::match_update::Event::Heartbeat(pb::Heartbeat::default())),
            ..pb::MatchUpdate::default()
        };
        let encoded = Encoded::of(&update);
        assert_eq!(encoded.encoded_len(), update.encoded_len());
        let sent = Encoded::again(encoded.bytes()).encode_to_vec();
        assert_eq!(pb::MatchUpdate::decode(sent.as_slice()), Ok(update));
    }
}
