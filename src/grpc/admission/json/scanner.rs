//! Finds the photo and the request id in a request of JSON, as it arrives. It accepts text that
//! isn't JSON.

use std::borrow::Cow;

/// The keys that the scanner knows are shorter than this, also with every character escaped.
const KEY_BYTES_MAX: usize = 64;
/// The most bytes of a request id that are kept, as they stand in the text: a longer one is invalid,
/// or has more escapes than any encoder makes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What the scanner has taken from a piece.
pub(super) struct ScannedPiece {
    pub bytes: usize,
    pub part: ScannedPart,
}

/// What a part of the text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScannedPart {
    /// Text to keep.
    Text,
    /// Nothing, before the first character of a photo.
    PhotoBegins,
    /// Characters of the photo.
    Photo,
    /// A character of the photo that was escaped.
    PhotoCharacter(u8),
    /// A part of an escape.
    Skipped,
    /// An escape that no base64 has.
    Malformed,
}

/// Finds the photo and the request id in a request of JSON.
#[derive(Default)]
pub(super) struct JsonScanner {
    at: ScanState,
    /// How many objects and arrays are open.
    depth: usize,
    /// Whether the next string is a value and not a key.
    after_colon: bool,
    /// The last key of the request, and the last one of its photo.
    keys: [KnownKey; 2],
    /// The key that is arriving, as far as it can be a known one.
    pub name: Vec<u8>,
    /// The request id; empty if there is none, or it is too long.
    pub request_id: Vec<u8>,
    has_request_id: bool,
    has_photo: bool,
    /// A field of the request that has a second key.
    pub repeated: Option<&'static str>,
}

/// A key that the scanner knows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum KnownKey {
    RequestId,
    Photo,
    Content,
    #[default]
    Other,
}

/// Where the scanner is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum ScanState {
    /// Outside of strings.
    #[default]
    Outside,
    /// In a string whose text is kept. `is_escaped` after a backslash.
    String { kind: StringKind, is_escaped: bool },
    /// Before the first character of the photo.
    PhotoBegin,
    /// In the photo.
    Photo,
    /// In an escape of the photo: after the backslash, or after the `u` and some digits.
    PhotoEscape { digits: Option<(u8, u32)> },
}

/// A string whose text is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum StringKind {
    Key,
    RequestId,
    Other,
}

impl JsonScanner {
    /// Takes the first part of a piece, which isn't empty.
    pub(super) fn take(&mut self, piece: &[u8]) -> ScannedPiece {
        match self.at {
            ScanState::Outside | ScanState::String { .. } => {
                let mut bytes = 0;
                for byte in piece {
                    self.pass(*byte);
                    bytes += 1;
                    if self.at == ScanState::PhotoBegin {
                        break;
                    }
                }
                ScannedPiece { bytes, part: ScannedPart::Text }
            }
            ScanState::PhotoBegin => {
                self.at = ScanState::Photo;
                ScannedPiece { bytes: 0, part: ScannedPart::PhotoBegins }
            }
            ScanState::Photo => self.photo(piece),
            ScanState::PhotoEscape { digits } => self.escape(piece[0], digits),
        }
    }

    fn photo(&mut self, piece: &[u8]) -> ScannedPiece {
        let end = piece.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        match end.map(|end| (end, piece[end])) {
            Some((0, b'"')) => {
                self.at = ScanState::Outside;
                ScannedPiece { bytes: 1, part: ScannedPart::Text }
            }
            Some((0, _)) => {
                self.at = ScanState::PhotoEscape { digits: None };
                ScannedPiece { bytes: 1, part: ScannedPart::Skipped }
            }
            Some((end, _)) => ScannedPiece { bytes: end, part: ScannedPart::Photo },
            None => ScannedPiece { bytes: piece.len(), part: ScannedPart::Photo },
        }
    }

    /// An escape in the photo: encoders may escape the slash, and any character by its number.
    fn escape(&mut self, byte: u8, digits: Option<(u8, u32)>) -> ScannedPiece {
        let part = match (byte, digits) {
            (b'/', None) => ScannedPart::PhotoCharacter(b'/'),
            (b'u', None) => {
                self.at = ScanState::PhotoEscape { digits: Some((0, 0)) };
                return ScannedPiece { bytes: 1, part: ScannedPart::Skipped };
            }
            (_, None) => ScannedPart::Malformed,
            (digit, Some((count, number))) => match char::from(digit).to_digit(16) {
                Some(digit) if count < 3 => {
                    let digits = Some((count + 1, number * 16 + digit));
                    self.at = ScanState::PhotoEscape { digits };
                    return ScannedPiece { bytes: 1, part: ScannedPart::Skipped };
                }
                Some(digit) => match u8::try_from(number * 16 + digit) {
                    Ok(character) => ScannedPart::PhotoCharacter(character),
                    Err(_) => ScannedPart::Malformed,
                },
                None => ScannedPart::Malformed,
            },
        };
        self.at = ScanState::Photo;
        ScannedPiece { bytes: 1, part }
    }

    fn pass(&mut self, byte: u8) {
        match self.at {
            ScanState::String { kind, is_escaped } => self.in_string(byte, kind, is_escaped),
            _ => self.outside(byte),
        }
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => self.string(),
            b':' => self.after_colon = true,
            b'{' | b'[' => {
                self.depth += 1;
                self.after_colon = false;
                self.set_key(KnownKey::Other);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.after_colon = false;
            }
            b',' => self.after_colon = false,
            _ => {}
        }
    }

    fn string(&mut self) {
        let kind = match (self.after_colon, self.depth, self.keys) {
            (true, 2, [KnownKey::Photo, KnownKey::Content]) => {
                self.at = ScanState::PhotoBegin;
                return;
            }
            (true, 1, [KnownKey::RequestId, _]) => {
                self.request_id.clear();
                StringKind::RequestId
            }
            (true, ..) => StringKind::Other,
            (false, ..) => {
                self.name.clear();
                StringKind::Key
            }
        };
        self.at = ScanState::String { kind, is_escaped: false };
    }

    fn in_string(&mut self, byte: u8, kind: StringKind, is_escaped: bool) {
        if byte == b'"' && !is_escaped {
            self.at = ScanState::Outside;
            self.end_string(kind);
            return;
        }
        match kind {
            StringKind::Key if self.name.len() < KEY_BYTES_MAX => self.name.push(byte),
            // One byte too many, so that an id that is cut is known to be.
            StringKind::RequestId if self.request_id.len() <= REQUEST_ID_BYTES_MAX => {
                self.request_id.push(byte);
            }
            StringKind::Key | StringKind::RequestId | StringKind::Other => {}
        }
        self.at = ScanState::String { kind, is_escaped: byte == b'\\' && !is_escaped };
    }

    fn end_string(&mut self, kind: StringKind) {
        match kind {
            StringKind::Key => {
                let key = KnownKey::of(&unescaped(&self.name));
                self.set_key(key);
                self.note(key);
            }
            StringKind::RequestId if self.request_id.len() > REQUEST_ID_BYTES_MAX => {
                self.request_id.clear();
            }
            StringKind::RequestId => self.request_id = unescaped(&self.request_id).into_owned(),
            StringKind::Other => {}
        }
    }

    /// Notes that a field of the request has a key.
    fn note(&mut self, key: KnownKey) {
        let (has, field) = match key {
            _ if self.depth != 1 => return,
            KnownKey::RequestId => (&mut self.has_request_id, "request_id"),
            KnownKey::Photo => (&mut self.has_photo, "photo"),
            KnownKey::Content | KnownKey::Other => return,
        };
        if std::mem::replace(has, true) {
            self.repeated = Some(field);
        }
    }

    /// Notes the key of the value that follows, at the depths that matter.
    fn set_key(&mut self, key: KnownKey) {
        if let Some(place) = self.depth.checked_sub(1).and_then(|depth| self.keys.get_mut(depth)) {
            *place = key;
        }
    }
}

/// What a string means, whose text may have escapes; empty if the text is malformed.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    // Fast path: encoders escape no character of the keys and ids that matter.
    if !text.contains(&b'\\') {
        return text.into();
    }
    let string = serde_json::from_slice::<String>(&[b"\"", text, b"\""].concat());
    string.unwrap_or_default().into_bytes().into()
}

impl KnownKey {
    /// Both names of a field in JSON are known.
    fn of(name: &[u8]) -> Self {
        match name {
            b"requestId" | b"request_id" => Self::RequestId,
            b"photo" => Self::Photo,
            b"content" => Self::Content,
            _ => Self::Other,
        }
    }
}
