//! One token: its signature, its claims and its times.

use std::time::Duration;

use jsonwebtoken::{dangerous, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::key_set::{Fingerprint, KeySet, VerifyingKey};
use crate::{
    access::{Denied, Permission, Permissions, callers::IssuerTerms},
    domain::Timestamp,
};

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// The longest subject, in characters: OpenID Connect's own limit.
const SUBJECT_CHARACTERS_MAX: usize = 255;

/// By how much the clocks of issuer and service may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// What a token with a good signature says.
pub struct Verified {
    /// The key by which it is signed.
    pub signed_by: Fingerprint,
    /// Its bearer, as the issuer names it.
    pub subject: String,
    /// The name of the tenant for which the bearer acts.
    pub tenant: String,
    /// What the bearer may do.
    pub permissions: Permissions,
    /// From when on it is refused.
    pub expires: Timestamp,
    not_before: Option<Timestamp>,
}

impl Verified {
    /// Whether the token is valid now.
    ///
    /// # Errors
    /// `Expired` after its end, `Invalid` before its beginning.
    pub fn check_times(&self, now: Timestamp) -> Result<(), Denied> {
        if now >= self.expires {
            return Err(Denied::Expired);
        }
        match self.not_before {
            Some(not_before) if now < not_before => Err(Denied::Invalid),
            Some(_) | None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct IssuerClaim {
    iss: String,
}

/// The issuer that a token claims. Nothing is verified yet: it only says whose keys to try. `None`
/// for a token that is too long or malformed.
pub fn issuer_of(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    dangerous::insecure_decode_claims::<IssuerClaim>(token).ok().map(|claims| claims.iss)
}

/// The `kid` in the header of a token.
///
/// # Errors
/// `Invalid` if the header is malformed or names an unknown algorithm, such as `none`.
pub fn kid_of(token: &str) -> Result<Option<String>, Denied> {
    decode_header(token).map(|header| header.kid).map_err(|_| Denied::Invalid)
}

/// Verifies a token by the keys that its `kid` names. Times aren't checked yet.
///
/// # Errors
/// `Invalid`.
pub fn verify(
    token: &str,
    kid: Option<&str>,
    keys: &KeySet,
    terms: &IssuerTerms,
) -> Result<Verified, Denied> {
    let verified = keys.named(kid).find_map(|key| verify_by(token, key, terms));
    verified.ok_or(Denied::Invalid)
}

fn verify_by(token: &str, key: &VerifyingKey, terms: &IssuerTerms) -> Option<Verified> {
    let claims = decode::<Map<String, Value>>(token, &key.key, &key.validation).ok()?.claims;
    // A list of issuers would pass the validation.
    if text(&claims, "iss")? != &*terms.url {
        return None;
    }
    let expires = time(claims.get("exp")?)?.after(LEEWAY);
    let not_before = match claims.get("nbf") {
        Some(value) => Some(time(value)?.before(LEEWAY)),
        None => None,
    };
    Some(Verified {
        signed_by: key.fingerprint,
        subject: subject(&claims)?,
        tenant: text(&claims, &terms.tenant_claim)?.to_owned(),
        permissions: permissions(claims.get(&terms.permissions_claim)),
        expires,
        not_before,
    })
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// The subject is logged and audited, so it must be one line of a reasonable length.
fn subject(claims: &Map<String, Value>) -> Option<String> {
    let subject = text(claims, "sub")?;
    let fits = (1..=SUBJECT_CHARACTERS_MAX).contains(&subject.chars().count())
        && !subject.contains(char::is_control);
    fits.then(|| subject.to_owned())
}

/// A `NumericDate`: seconds since 1970, which may have a fraction.
fn time(value: &Value) -> Option<Timestamp> {
    let micros = match value.as_i64() {
        Some(seconds) => seconds.saturating_mul(1_000_000),
        // Beyond the range of the result, the conversion takes its nearest end.
        None => (value.as_f64()? * 1_000_000.0) as i64,
    };
    Some(Timestamp::from_micros(micros))
}

/// The permissions in a claim: a list of words, or words separated by spaces. Unknown words are
/// ignored, since a scope may hold words for other services.
fn permissions(claim: Option<&Value>) -> Permissions {
    match claim {
        Some(Value::String(words)) => words.split(' ').filter_map(Permission::from_word).collect(),
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).filter_map(Permission::from_word).collect()
        }
        Some(_) | None => Permissions::default(),
    }
}
