//! API keys: `fm_<id>_<secret>`.
//!
//! The id is public: the audit file and the callers file name a key by it. The secret has 256
//! random bits, so that its SHA-256 can be kept in a file: no search finds a preimage, and a slow
//! hash would only cost processor time at each call.

use std::fmt;

use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};

/// How every key begins, so that scanners for leaked secrets can find it.
const PREFIX: &str = "fm_";

/// The longest id, in characters.
const ID_CHARACTERS_MAX: usize = 32;
/// The longest key that is looked up, in bytes: several times as long as any that is made here.
const KEY_BYTES_MAX: usize = 512;

/// How many characters a new id has: 5 bits each, and a file has a few keys.
const NEW_ID_CHARACTERS: usize = 8;
/// The letters of new ids: lower case, without those that are read as digits.
const ID_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const SECRET_BYTES: usize = 32;

/// The SHA-256 of a key. Digests are compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(blake3::Hash);

impl Digest {
    /// The digest of a text.
    pub fn of(text: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let bytes = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        // Used for its comparison alone, which takes constant time.
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// A digest in the form of the callers file: 64 hexadecimal digits in lower case.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        blake3::Hash::from_hex(text).ok().map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// A key that was just made. Its text is shown once.
pub struct NewKey {
    id: String,
    text: String,
}

impl NewKey {
    /// Makes a key from the system's random numbers.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn make() -> Result<Self, NoRandomness> {
        let (mut letters, mut secret) = ([0; NEW_ID_CHARACTERS], [0; SECRET_BYTES]);
        let random = SystemRandom::new();
        random.fill(&mut letters).map_err(|_| NoRandomness)?;
        random.fill(&mut secret).map_err(|_| NoRandomness)?;
        let id: String =
            letters.iter().map(|byte| char::from(ID_LETTERS[usize::from(byte % 32)])).collect();
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{PREFIX}{id}_{secret}");
        Ok(Self { id, text })
    }

    /// The public id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole key, which only its caller may have.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The SHA-256 of the key, in the form of the callers file.
    pub fn sha256(&self) -> String {
        Digest::of(&self.text).to_string()
    }
}

/// The system has no random numbers.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandomness;

/// Whether a bearer credential has the form of a key. A credential that begins like a key is no token.
pub fn is_key(credential: &str) -> bool {
    credential.starts_with(PREFIX)
}

/// The id in a key; `None` if the key is malformed.
pub fn id_in(key: &str) -> Option<&str> {
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (is_id(id) && !secret.is_empty()).then_some(id)
}

/// Whether a text has the form of a key's id.
pub fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric();
    (1..=ID_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_new_key_has_the_documented_form() {
        let key = NewKey::make().unwrap();
        assert_eq!(id_in(key.text()), Some(key.id()));
        let secret = key.text().rsplit('_').next().unwrap();
        assert_eq!(secret.len(), 2 * SECRET_BYTES);
        assert!(secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{secret}");
        assert_eq!(key.text(), format!("fm_{}_{secret}", key.id()));
    }

    #[test]
    fn new_keys_differ() {
        let keys: BTreeSet<String> = (0..1_000).map(|_| NewKey::make().unwrap().text).collect();
        assert_eq!(keys.len(), 1_000);
    }

    #[test]
    fn the_digest_is_that_of_sha256sum() {
        let key = NewKey::make().unwrap();
        let mut child = Command::new("sha256sum")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sha256sum, as every Linux has it");
        child.stdin.take().unwrap().write_all(key.text().as_bytes()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(output.split(' ').next(), Some(key.sha256().as_str()));
        assert_eq!(Digest::from_hex(&key.sha256()), Some(Digest::of(key.text())));
    }

    #[test]
    fn malformed_keys_have_no_id() {
        let long = format!("fm_k7_{}", "0".repeat(KEY_BYTES_MAX));
        for key in ["", "fm_", "fm_k7", "fm_k7_", "fm__s", "fm_k-7_s", "fm_é_s", "FM_k7_s", &long]
        {
            assert_eq!(id_in(key), None, "{key:?}");
        }
        assert_eq!(id_in("fm_k7_se_cr-et"), Some("k7"));
    }

    #[test]
    fn only_64_digits_in_lower_case_are_a_digest() {
        let digest = "00ff".repeat(16);
        assert_eq!(Digest::from_hex(&digest).unwrap().to_string(), digest);
        for wrong in
            [digest.to_uppercase(), digest[1..].into(), format!("{digest}0"), "g".repeat(64)]
        {
            assert_eq!(Digest::from_hex(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_debug_output_shows_a_digest() {
        assert_eq!(format!("{:?}", Digest::of("fm_k7_s")), "Digest(..)");
    }
}
