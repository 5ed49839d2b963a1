//! Tokens: JWTs that issuers sign, and that name the tenant and the permissions of their bearer.
//!
//! The signature is checked by `jsonwebtoken` over ring; the algorithm is the key's, never the
//! token's. Times are checked here by the service's clock. This module deliberately issues no token
//! and can't: its provider has no signers.

mod cache;
pub(super) mod fetch;
mod issuer;
mod key_set;
mod provider;
mod token;

use jsonwebtoken::Algorithm;

pub use issuer::Issuer;
pub use token::issuer_of;
#[cfg(any(test, fuzzing))]
pub use {
    key_set::KeySet,
    provider::install as install_provider,
    token::{kid_of, verify},
};

/// The algorithms that an issuer may use. HMAC is deliberately missing: its key can sign, too.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The algorithm with this name, if an issuer may use it.
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}
