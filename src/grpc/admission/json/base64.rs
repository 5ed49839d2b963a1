//! Decodes base64 as it arrives.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

/// Base64 without its padding, which is dropped before. The bits that a last character has too many
/// are ignored, as many encoders leave them.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);
/// How many characters of base64 stand for three bytes.
const GROUP: usize = 4;
/// The most characters of padding.
const PADDING_MAX: u8 = 2;

/// Decodes base64 as it arrives, of both alphabets, with padding or without.
#[derive(Default)]
pub(super) struct Base64Decoder {
    /// The beginning of a group that has not arrived completely.
    pub rest: Vec<u8>,
    padding: u8,
}

impl Base64Decoder {
    /// The bytes of the next characters, as far as they are known; `None` if it isn't base64.
    pub(super) fn decode(&mut self, text: &[u8]) -> Option<Bytes> {
        let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
        let characters = &text[..text.len() - padding];
        self.padding = self.padding.saturating_add(u8::try_from(padding).unwrap_or(u8::MAX));
        let is_after_padding = usize::from(self.padding) > padding && !characters.is_empty();
        if is_after_padding || self.padding > PADDING_MAX {
            return None;
        }
        let standard = characters.iter().map(|character| match character {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        });
        // A buffer of its own: that of the rest would keep the size of the largest piece.
        let characters = self.rest.iter().copied().chain(standard).collect::<Vec<_>>();
        let (whole, rest) = characters.split_at(characters.len() / GROUP * GROUP);
        self.rest = rest.to_vec();
        BASE64.decode(whole).ok().map(Into::into)
    }

    /// The bytes of the last characters.
    pub(super) fn end(&mut self) -> Option<Bytes> {
        BASE64.decode(std::mem::take(&mut self.rest)).ok().map(Into::into)
    }
}
