//! The canaries, the forms in which they may appear, and one search for all of them.

use std::{fmt, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use facematch::simulator::sample;

pub const PHOTO: &str = "canary-of-the-photo-8f14e45f";
pub const FILE_NAME: &str = "canary-of-the-file-name-c9f0f895";
pub const PASSWORD: &str = "canary-of-the-password-45c48cce";
pub const SERVICE_TOKEN: &str = "canary-of-the-token-d3d94468";
/// A part of keys of the photo library. Unlike the others it is stored with its match.
pub const KEY: &str = "canary-of-the-key-1679091c";

/// Larger photos get no canary: they test the size limit, and stretches of the sample pictures are
/// found anyway.
const MARKED_BYTES_MAX: usize = 9 * 1024 * 1024;

/// The length of a stretch in bytes: enough to identify a picture.
const STRETCH_BYTES: usize = 24;

/// Stretches per picture. A leaked piece that lies between two stretches isn't found.
const STRETCHES: usize = 16;

/// This many hexadecimal digits in a row are a token: the simulator's tokens have 128. The longest
/// harmless row, the digest of a photo in the journal, has 64.
const TOKEN_DIGITS: usize = 96;

/// A row with this few different digits is no token, but a test's own `aaaaa…`.
const TOKEN_DIGITS_ALIKE: u32 = 7;

/// The kind of a leaked secret, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    Photo,
    FileName,
    Password,
    Token,
    Key,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Photo => "a piece of a photo",
            Self::FileName => "a file's name",
            Self::Password => "a password",
            Self::Token => "a token",
            Self::Key => "a key of the photo library",
        })
    }
}

/// The photo with a canary in it: in a comment at the front of a JPEG, or after the end of a PNG,
/// where decoders ignore it. Other bytes stay as they are.
pub fn marked(photo: Bytes) -> Bytes {
    let is_png = photo.starts_with(b"\x89PNG") && photo.ends_with(b"IEND\xae\x42\x60\x82");
    if photo.len() > MARKED_BYTES_MAX {
        photo
    } else if is_png {
        [&photo, PHOTO.as_bytes()].concat().into()
    } else if photo.starts_with(b"\xff\xd8\xff") {
        let length = u16::try_from(PHOTO.len() + 2).expect("a short comment").to_be_bytes();
        let (start, rest) = photo.split_at(2);
        [start, b"\xff\xfe", &length, PHOTO.as_bytes(), rest].concat().into()
    } else {
        photo
    }
}

/// A search through a text that arrives in pieces.
#[derive(Default)]
pub struct Search {
    /// The end of the earlier pieces: a canary may span two pieces.
    seen: Vec<u8>,
    /// Whether keys of the photo library may be there.
    may_hold_keys: bool,
}

impl Search {
    /// A search through a store, where the keys of its matches are.
    pub fn of_store() -> Self {
        Self { may_hold_keys: true, ..Self::default() }
    }

    /// Searches the next piece, together with the end of the earlier ones.
    pub fn feed(&mut self, piece: &[u8]) -> Option<Secret> {
        self.seen.extend_from_slice(piece);
        let found = first(&self.seen, |secret| !self.may_hold_keys || secret != Secret::Key);
        let end = self.seen.len().saturating_sub(NEEDLES.longest - 1);
        self.seen.drain(..end);
        found
    }
}

/// Searches a whole text.
pub fn search(text: &[u8]) -> Option<Secret> {
    first(text, |_| true)
}

/// The first secret in a text that counts.
fn first(text: &[u8], counts: impl Fn(Secret) -> bool) -> Option<Secret> {
    let found = NEEDLES.automaton.find_iter(text);
    let mut named = found.map(|needle| NEEDLES.secrets[needle.pattern().as_usize()]);
    named.find(|secret| counts(*secret)).or_else(|| holds_token(text).then_some(Secret::Token))
}

/// Whether the text holds `TOKEN_DIGITS` hexadecimal digits in a row. Such a row covers a multiple
/// of half its length, so only these positions are tested.
fn holds_token(text: &[u8]) -> bool {
    let step = TOKEN_DIGITS / 2;
    (0..text.len()).step_by(step).any(|at| {
        text[at].is_ascii_hexdigit() && {
            let is_digit = |byte: &&u8| byte.is_ascii_hexdigit();
            let before = text[..at].iter().rev().take_while(is_digit).count();
            let behind = text[at..].iter().take_while(is_digit).count();
            before + behind >= TOKEN_DIGITS && is_mixed(&text[at - before..at + behind])
        }
    })
}

fn is_mixed(digits: &[u8]) -> bool {
    let seen = digits.iter().fold(0_u128, |seen, digit| seen | 1 << (digit & 0x7f));
    seen.count_ones() > TOKEN_DIGITS_ALIKE
}

struct Needles {
    automaton: AhoCorasick,
    /// The kind of secret of each needle, in the automaton's order.
    secrets: Vec<Secret>,
    longest: usize,
}

static NEEDLES: LazyLock<Needles> = LazyLock::new(|| {
    let words = [
        (Secret::Photo, PHOTO),
        (Secret::FileName, FILE_NAME),
        (Secret::Password, PASSWORD),
        (Secret::Token, SERVICE_TOKEN),
        (Secret::Key, KEY),
    ];
    let words = words.map(|(secret, word)| (secret, word.as_bytes()));
    let pictures = [sample::portrait_jpeg(), sample::stranger_jpeg(), sample::portrait_png()];
    let stretches = pictures.into_iter().flat_map(stretches).map(|piece| (Secret::Photo, piece));
    let (secrets, needles): (Vec<_>, Vec<_>) = words
        .into_iter()
        .chain(stretches)
        .flat_map(|(secret, bytes)| forms(bytes).map(|form| (secret, form)))
        .unzip();
    let longest = needles.iter().map(Vec::len).max().expect("there are needles");
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        // Takes some megabytes, and is the fastest by far.
        .kind(Some(AhoCorasickKind::DFA))
        .build(needles);
    Needles { automaton: automaton.expect("an automaton"), secrets, longest }
});

/// Stretches spread over a picture, except for its beginning, whose tables other pictures share.
fn stretches(picture: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = picture.len() / (STRETCHES + 1);
    (1..=STRETCHES).map(move |number| &picture[number * step..][..STRETCH_BYTES])
}

/// Bytes as they are, in hexadecimal, as a list of decimal numbers, and in base64 at each of the
/// three alignments that preceding bytes can cause.
fn forms(bytes: &[u8]) -> [Vec<u8>; 6] {
    let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    let base64 = |skipped: usize| {
        let rest = &bytes[skipped..];
        STANDARD_NO_PAD.encode(&rest[..rest.len() / 3 * 3])
    };
    let written = [hexadecimal, decimal.join(", "), base64(0), base64(1), base64(2)];
    let [a, b, c, d, e] = written.map(String::into_bytes);
    [bytes.to_vec(), a, b, c, d, e]
}
