//! A request of JSON while it arrives.
//!
//! The photo is a string of base64 in it: it is decoded as it arrives, and counts as photo memory
//! from its first byte on, so that the text itself is never kept. The rest of the text is short. It
//! becomes protobuf once it is complete, by a function that the second door hands in. The scanner
//! deliberately accepts text that isn't JSON: that function refuses it.

mod base64;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod scanner;

use tonic::Status;

use crate::grpc::{
    admission::{
        json::{
            base64::Base64Decoder,
            scanner::{JsonScanner, ScannedPart},
        },
        message::{IncomingMessage, REQUEST_BYTES_MAX},
    },
    second_door::JsonDecoder,
    status,
};

/// The first capacity of the text's buffer, in bytes: most texts are shorter.
const TEXT_BYTES_FIRST: usize = 512;

/// A request of JSON that is arriving.
pub struct JsonContent {
    scanner: JsonScanner,
    /// The text without the photo.
    text: Vec<u8>,
    photo: Base64Decoder,
    message: IncomingMessage,
    decoder: JsonDecoder,
}

impl JsonContent {
    /// A request of which nothing has arrived.
    pub fn new(message: IncomingMessage, decoder: JsonDecoder) -> Self {
        let (scanner, photo) = (JsonScanner::default(), Base64Decoder::default());
        Self { scanner, text: Vec::new(), photo, message, decoder }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// If the request exceeds a limit, finds no free memory, or its photo isn't base64.
    pub fn append(&mut self, mut piece: &[u8]) -> Result<(), Status> {
        while !piece.is_empty() {
            let taken = self.scanner.take(piece);
            let (now, rest) = piece.split_at(taken.bytes);
            piece = rest;
            match taken.part {
                ScannedPart::Text => self.keep(now)?,
                ScannedPart::PhotoBegins if !self.message.may_have_photo() => {
                    return Err(no_photos());
                }
                ScannedPart::PhotoBegins if self.message.has_photo() => {
                    return Err(given_twice("photo.content"));
                }
                ScannedPart::PhotoBegins => self.message.begin_photo(),
                ScannedPart::Photo => {
                    let id = &self.scanner.request_id;
                    let bytes = self.photo.decode(now).ok_or_else(not_base64)?;
                    self.message.append_photo(&bytes, id)?;
                }
                ScannedPart::PhotoCharacter(character) => {
                    let bytes = self.photo.decode(&[character]).ok_or_else(not_base64)?;
                    self.message.append_photo(&bytes, &self.scanner.request_id)?;
                }
                ScannedPart::Malformed => return Err(not_base64()),
                ScannedPart::Skipped => {}
            }
        }
        Ok(())
    }

    /// Keeps a part of the text, and counts its buffer.
    fn keep(&mut self, text: &[u8]) -> Result<(), Status> {
        // The decoder would take the last one of them, in which a photo need not be.
        if let Some(field) = self.scanner.repeated {
            return Err(given_twice(field));
        }
        let (length, capacity) = (self.text.len() + text.len(), self.text.capacity());
        let roomy = TEXT_BYTES_FIRST.max(capacity * 2).min(REQUEST_BYTES_MAX);
        let capacity = if length <= capacity { capacity } else { length.max(roomy) };
        self.message.append_text(length, capacity)?;
        self.text.reserve_exact(capacity - self.text.len());
        self.text.extend_from_slice(text);
        Ok(())
    }

    /// The message as far as it has arrived.
    pub fn message(&mut self) -> &mut IncomingMessage {
        &mut self.message
    }

    /// The message in protobuf, after the last piece has arrived.
    ///
    /// # Errors
    /// If the text isn't a request of the method.
    pub fn end(mut self) -> Result<IncomingMessage, Status> {
        if self.message.has_photo() {
            let last = self.photo.end().ok_or_else(not_base64)?;
            self.message.append_photo(&last, &self.scanner.request_id)?;
        }
        let rest = (self.decoder)(&self.text, self.message.has_photo())?;
        self.text = Vec::new();
        self.message.end_photo(&rest)?;
        Ok(self.message)
    }
}

fn not_base64() -> Status {
    status::field_invalid("photo.content", "is not base64")
}

fn no_photos() -> Status {
    status::field_invalid("photo", "is not a field of this request")
}

fn given_twice(field: &str) -> Status {
    status::field_invalid(field, "is given twice")
}

#[cfg(test)]
mod tests {
    use ::base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    use proptest::prelude::*;

    use super::*;

    /// What a scanner finds in a text that arrives in pieces: the text without the photo, and the
    /// photo.
    fn scanned(text: &[u8], size: usize) -> Option<(String, Option<Vec<u8>>, Vec<u8>)> {
        let (mut scanner, mut base64) = (JsonScanner::default(), Base64Decoder::default());
        let (mut kept, mut photo) = (Vec::new(), None::<Vec<u8>>);
        for mut piece in text.chunks(size) {
            while !piece.is_empty() {
                let taken = scanner.take(piece);
                let (now, rest) = piece.split_at(taken.bytes);
                piece = rest;
                match taken.part {
                    ScannedPart::Text => kept.extend_from_slice(now),
                    ScannedPart::PhotoBegins => photo = Some(photo.unwrap_or_default()),
                    ScannedPart::Photo => photo.as_mut()?.extend(base64.decode(now)?),
                    ScannedPart::PhotoCharacter(byte) => {
                        photo.as_mut()?.extend(base64.decode(&[byte])?)
                    }
                    ScannedPart::Skipped => {}
                    ScannedPart::Malformed => return None,
                }
            }
        }
        if let Some(photo) = &mut photo {
            photo.extend(base64.end()?);
        }
        Some((String::from_utf8(kept).unwrap(), photo, scanner.request_id))
    }

    fn photo_of(text: &str) -> Option<Vec<u8>> {
        let whole = scanned(text.as_bytes(), text.len());
        for size in 1..12 {
            assert_eq!(scanned(text.as_bytes(), size), whole, "{text} by {size}");
        }
        whole.and_then(|(_, photo, _)| photo)
    }

    #[test]
    fn the_photo_is_taken_out_of_the_text() {
        let text = r#"{ "requestId" : "a \" b", "photo": {"kind":1, "content" : "aGVsbG8="} }"#;
        for size in 1..=text.len() {
            let (kept, photo, id) = scanned(text.as_bytes(), size).unwrap();
            let rest = r#"{ "requestId" : "a \" b", "photo": {"kind":1, "content" : ""} }"#;
            assert_eq!((kept.as_str(), photo.as_deref()), (rest, Some(&b"hello"[..])), "{size}");
            assert_eq!(id, br#"a " b"#);
        }
    }

    #[test]
    fn only_the_content_of_the_photo_is_a_photo() {
        for text in [
            r#"{"content":"aGVsbG8="}"#,
            r#"{"photo":"content"}"#,
            r#"{"photo":{"fileName":"content"}}"#,
            r#"{"photo":{"kind":{"content":"aGVsbG8="}}}"#,
            r#"{"labels":{"photo":"x","content":"aGVsbG8="}}"#,
            r#"{"labels":{"content":"{\"photo\":{\"content\":\"aGVsbG8=\"}}"}}"#,
            r#"{"photo":[{"content":"aGVsbG8="}]}"#,
            r#"{"photo":{},"other":{"content":"aGVsbG8="}}"#,
            r#"{"photo":{"content":null}}"#,
            r#"{"photo":{"content":["aGVsbG8="]}}"#,
            r#"[{"photo":{"content":"aGVsbG8="}}]"#,
        ] {
            assert_eq!(photo_of(text), None, "{text}");
            assert_eq!(scanned(text.as_bytes(), 3).unwrap().0, text);
        }
        assert_eq!(photo_of(r#"{"photo":{"content":""}}"#), Some(vec![]));
    }

    #[test]
    fn escaped_keys_are_keys() {
        for (photo, content) in [(r"\u0070hoto", "content"), ("photo", r"\u0063\u006Fntent")] {
            let text = format!(r#"{{"{photo}":{{"{content}":"aGVsbG8="}}}}"#);
            assert_eq!(photo_of(&text), Some(b"hello".to_vec()), "{text}");
        }
        let escaped: String = "request_id".bytes().map(|byte| format!(r"\u{byte:04x}")).collect();
        let id_of = |text: &str| scanned(text.as_bytes(), 5).unwrap().2;
        assert_eq!(id_of(&format!(r#"{{"{escaped}":"order"}}"#)), b"order");
        assert_eq!(id_of(r#"{"requestId\u0000":"order"}"#), b"");
        assert_eq!(id_of(r#"{"request\x":"order","requestId\ud800":"order"}"#), b"");
    }

    #[test]
    fn a_request_id_is_what_its_text_means_or_none() {
        let id_of = |id: &str| {
            let text = format!(r#"{{"requestId":"{id}"}}"#);
            scanned(text.as_bytes(), 5).unwrap().2
        };
        assert_eq!(id_of(r"order\u002d17\/\u00e9"), "order-17/é".as_bytes());
        assert_eq!(id_of(&"x".repeat(128)), [b'x'; 128]);
        for none in ["x".repeat(129), r"\u0078".repeat(22), r"\ud800".into(), r"\q".into()] {
            assert_eq!(id_of(&none), b"", "{none}");
        }
    }

    #[test]
    fn a_field_with_two_keys_is_noted() {
        let repeated = |text: &str| {
            let mut scanner = JsonScanner::default();
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                rest = &rest[scanner.take(rest).bytes..];
            }
            scanner.repeated
        };
        for (text, field) in [
            (r#"{"photo":{"content":""},"photo":{"kind":1}}"#, Some("photo")),
            (r#"{"photo":{},"\u0070hoto":{}}"#, Some("photo")),
            (r#"{"requestId":"a","request_id":"b"}"#, Some("request_id")),
            (r#"{"labels":{"photo":"a"},"photo":{"photo":{}},"x":{"photo":1}}"#, None),
            (r#"{"requestId":"photo","photo":{"requestId":"a"}}"#, None),
        ] {
            assert_eq!(repeated(text), field, "{text}");
        }
    }

    #[test]
    fn every_form_of_base64_is_decoded() {
        let photo = [0xfb, 0xef, 0xff, 0x00, 0x10];
        let standard = STANDARD.encode(photo);
        assert!(standard.contains('+') && standard.contains('/'));
        let escaped = standard.replace('/', r"\/").replace('+', r"\u002B").replace('=', r"\u003d");
        for text in [standard.clone(), URL_SAFE_NO_PAD.encode(photo), escaped] {
            let text = format!(r#"{{"photo":{{"content":"{text}"}}}}"#);
            assert_eq!(photo_of(&text), Some(photo.to_vec()), "{text}");
        }
        for wrong in [
            "a",
            "aGVsb*==",
            "aG=sbG8=",
            "aGVsbG8===",
            r"aGVs\nbG8=",
            r"aGVs\u2028",
            "a GVs",
            "====",
            "=a",
        ] {
            let text = format!(r#"{{"photo":{{"content":"{wrong}"}}}}"#);
            assert_eq!(scanned(text.as_bytes(), 2), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_pieces_are_scanned_as_in_one(
            text in prop::collection::vec(prop::sample::select(
                b"{}[]:,\"\\/u0photocntre AQ==".to_vec()), 0..80),
            size in 1_usize..9,
        ) {
            let text = [&br#"{"photo":{"content":"#[..], &text].concat();
            prop_assert_eq!(scanned(&text, size), scanned(&text, text.len()));
        }

        #[test]
        fn any_photo_is_decoded(photo in prop::collection::vec(any::<u8>(), 0..50), size in 1_usize..9) {
            let text = format!(r#"{{"photo":{{"content":"{}"}}}}"#, STANDARD.encode(&photo));
            let (kept, found, _) = scanned(text.as_bytes(), size).unwrap();
            prop_assert_eq!(kept, r#"{"photo":{"content":""}}"#);
            prop_assert_eq!(found, Some(photo));
        }
    }
}
