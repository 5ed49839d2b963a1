//! Key sets (JWKS, RFC 7517): the public keys by which an issuer signs its tokens.
//!
//! Keys that can't sign a token of the issuer are left out: foreign kinds, keys for encryption, keys
//! of an algorithm that the callers file doesn't allow. It deliberately doesn't fetch anything.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::algorithm_named;
use crate::access::callers::IssuerTerms;

/// The most keys of a set. An issuer has two or three.
const KEYS_MAX: usize = 100;

/// The size of RSA keys, in bytes of their modulus: what ring accepts.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// The claims without which no token is accepted.
const REQUIRED_CLAIMS: [&str; 4] = ["exp", "iss", "aud", "sub"];

/// The usable keys of an issuer.
#[derive(Default)]
pub struct KeySet(Vec<VerifyingKey>);

/// A key that verifies tokens, and what it demands of them.
pub struct VerifyingKey {
    pub fingerprint: Fingerprint,
    pub key: DecodingKey,
    pub validation: Validation,
    kid: Option<String>,
}

/// Identifies a key by its material, its `kid` and its algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A key set that can't be used. Its text quotes nothing of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not JSON, or not an object with a list of keys.
    #[error("it is not a JSON object with a list of keys")]
    NotAKeySet,
    /// It has too many keys.
    #[error("it has more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// No key of the set can have signed a token that is accepted.
    #[error("it has no public key for the algorithms of this issuer")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<Value>,
}

/// A key as it is sent. Texts alone: a key with other values is left out.
#[derive(Deserialize)]
struct WireKey {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a key set of an issuer.
    ///
    /// # Errors
    /// If it is no key set, or has no usable key.
    pub fn parse(json: &[u8], terms: &IssuerTerms) -> Result<Self, KeySetError> {
        let set: WireSet = serde_json::from_slice(json).map_err(|_| KeySetError::NotAKeySet)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let wire = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<VerifyingKey> = wire.filter_map(|key| usable(key, terms)).collect();
        if keys.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// The keys that a token names: those of its `kid`. A token without one names the only key of a
    /// set, and none of several.
    pub fn named(&self, kid: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        let only = self.0.len() == 1;
        self.0.iter().filter(move |key| match kid {
            Some(kid) => key.kid.as_deref() == Some(kid),
            None => only,
        })
    }

    /// Whether the set has a key.
    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.0.iter().any(|key| key.fingerprint == *fingerprint)
    }

    /// Whether the set has no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn usable(wire: WireKey, terms: &IssuerTerms) -> Option<VerifyingKey> {
    let signs = wire.usage.as_deref().is_none_or(|usage| usage == "sig");
    let verifies = wire.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !signs || !verifies {
        return None;
    }
    let (key, can, material) = match wire.kty.as_str() {
        "RSA" => rsa(&wire)?,
        "EC" => elliptic(&wire)?,
        "OKP" => edwards(&wire)?,
        _ => return None,
    };
    let of_set = match &wire.alg {
        Some(name) => vec![algorithm_named(name)?],
        None => can.clone(),
    };
    let agreed = |algorithm: &Algorithm| can.contains(algorithm) && of_set.contains(algorithm);
    let algorithms: Vec<Algorithm> =
        terms.algorithms.iter().copied().filter(|algorithm| agreed(algorithm)).collect();
    let fingerprint = Fingerprint::of(wire.kid.as_deref(), &algorithms, &material);
    let validation = validation(algorithms, terms)?;
    Some(VerifyingKey { fingerprint, key, validation, kid: wire.kid })
}

type Material = (DecodingKey, Vec<Algorithm>, Vec<u8>);

fn rsa(wire: &WireKey) -> Option<Material> {
    let (n, e) = (decoded(wire.n.as_deref()?)?, decoded(wire.e.as_deref()?)?);
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    if !RSA_BYTES.contains(&n.len()) {
        return None;
    }
    let key = DecodingKey::from_rsa_raw_components(n, e);
    Some((key, AlgorithmFamily::Rsa.algorithms().to_vec(), [n, e].concat()))
}

fn elliptic(wire: &WireKey) -> Option<Material> {
    let (algorithm, bytes) = match wire.crv.as_deref()? {
        "P-256" => (Algorithm::ES256, 32),
        "P-384" => (Algorithm::ES384, 48),
        _ => return None,
    };
    let (x, y) = (decoded(wire.x.as_deref()?)?, decoded(wire.y.as_deref()?)?);
    if x.len() != bytes || y.len() != bytes {
        return None;
    }
    // An uncompressed point, which ring checks to be on the curve.
    let point = [&[4][..], &x, &y].concat();
    Some((DecodingKey::from_ec_der(&point), vec![algorithm], point))
}

fn edwards(wire: &WireKey) -> Option<Material> {
    let x = decoded(wire.x.as_deref()?)?;
    let fits = wire.crv.as_deref() == Some("Ed25519") && x.len() == 32;
    fits.then(|| (DecodingKey::from_ed_der(&x), vec![Algorithm::EdDSA], x))
}

/// What a key demands of a token, times apart: those are checked by the service's clock.
fn validation(algorithms: Vec<Algorithm>, terms: &IssuerTerms) -> Option<Validation> {
    let mut validation = Validation::new(*algorithms.first()?);
    validation.algorithms = algorithms;
    validation.set_required_spec_claims(&REQUIRED_CLAIMS);
    validation.set_issuer(&[&terms.url]);
    validation.set_audience(&terms.audiences);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    Some(validation)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number without leading zero bytes, which some issuers send and ring refuses.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

impl Fingerprint {
    fn of(kid: Option<&str>, algorithms: &[Algorithm], material: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{kid:?} {algorithms:?} ").as_bytes());
        hasher.update(material);
        Self(*hasher.finalize().as_bytes())
    }
}
