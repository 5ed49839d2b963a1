//! An issuer's table: whose tokens are accepted, for which audience, and where its keys are.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;

use super::{
    fault::{Fault, Place, shown},
    reader::{Item, Section, suggestion},
};
use crate::access::jwt::{ALGORITHMS, algorithm_named, fetch};

/// The longest URL of an issuer, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// The claim with the permissions, if the table names none.
const PERMISSIONS_CLAIM: &str = "scope";

/// What the file says of one issuer.
#[derive(Debug)]
pub struct IssuerTerms {
    /// The value of `iss` in its tokens.
    pub url: Box<str>,
    /// The values of `aud` of which a token needs one.
    pub audiences: Vec<String>,
    /// The algorithms by which its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that lists the permissions.
    pub permissions_claim: String,
    /// Where its keys are.
    pub keys: KeySource,
}

/// Where the keys of an issuer are.
#[derive(Debug)]
pub enum KeySource {
    /// In a file, which the callers file names at this place.
    File(PathBuf, Place),
    /// At the address that the discovery document of the issuer, which stands at this place, names.
    Discovery(Place),
}

impl IssuerTerms {
    /// Whether other terms say the same, wherever they stand in the file.
    pub fn same_as(&self, other: &Self) -> bool {
        self.url == other.url
            && self.audiences == other.audiences
            && self.algorithms == other.algorithms
            && self.tenant_claim == other.tenant_claim
            && self.permissions_claim == other.permissions_claim
            && self.keys.file() == other.keys.file()
    }
}

impl KeySource {
    /// The file, if the keys are in one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path, _) => Some(path),
            Self::Discovery(_) => None,
        }
    }
}

/// Reads the table of one issuer.
pub fn read(url: &str, item: &Item<'_>) -> Result<IssuerTerms, Fault> {
    let issuer = item.section()?;
    issuer.only(&["audiences", "algorithms", "tenant-claim", "permissions-claim", "jwks-file"])?;
    let permissions_claim = issuer.get("permissions-claim").map(|item| claim(&item)).transpose()?;
    let keys = match issuer.get("jwks-file") {
        Some(file) => KeySource::File(PathBuf::from(file.line()?), file.place()),
        None => KeySource::Discovery(item.place()),
    };
    check_url(url, &keys, item)?;
    Ok(IssuerTerms {
        url: url.into(),
        audiences: audiences(&issuer)?,
        algorithms: algorithms(&issuer)?,
        tenant_claim: claim(&issuer.required("tenant-claim")?)?,
        permissions_claim: permissions_claim.unwrap_or_else(|| PERMISSIONS_CLAIM.to_owned()),
        keys,
    })
}

fn check_url(url: &str, keys: &KeySource, item: &Item<'_>) -> Result<(), Fault> {
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if url.is_empty() || url.len() > URL_BYTES_MAX || !is_plain {
        return Err(item.fault("the issuer must be 1 to 2048 printable characters without spaces"));
    }
    match keys {
        KeySource::File(..) => Ok(()),
        KeySource::Discovery(_) if fetch::discovery_url(url).is_some() => Ok(()),
        KeySource::Discovery(_) => Err(item.fault(
            "the issuer must be an https:// URL without login, query or fragment (http:// on \
             loopback only), or its table needs jwks-file",
        )),
    }
}

fn audiences(issuer: &Section<'_>) -> Result<Vec<String>, Fault> {
    let item = issuer.required("audiences")?;
    let list = item.list()?;
    if list.is_empty() {
        return Err(item.fault("is empty: tokens for other services would be accepted"));
    }
    list.iter().map(|audience| audience.line().map(str::to_owned)).collect()
}

fn algorithms(issuer: &Section<'_>) -> Result<Vec<Algorithm>, Fault> {
    let item = issuer.required("algorithms")?;
    let list = item.list()?;
    if list.is_empty() {
        return Err(item.fault("is empty, so no token would be accepted"));
    }
    list.iter().map(algorithm).collect()
}

fn algorithm(item: &Item<'_>) -> Result<Algorithm, Fault> {
    let name = item.text()?;
    if let Some(algorithm) = algorithm_named(name) {
        return Ok(algorithm);
    }
    if ["HS256", "HS384", "HS512"].iter().any(|hmac| name.eq_ignore_ascii_case(hmac)) {
        return Err(item.fault(format!(
            "{name} is refused: with a shared secret, this service could issue tokens itself"
        )));
    }
    let known = ALGORITHMS.map(|(known, _)| known);
    let meant = suggestion(name, known.into_iter());
    Err(item.fault(format!("{} is none of {}{meant}", shown(name), known.join(", "))))
}

fn claim(item: &Item<'_>) -> Result<String, Fault> {
    item.line().map(str::to_owned)
}
