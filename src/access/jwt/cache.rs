//! The grants of tokens that were verified, so that a caller's next call costs no signature check.
//!
//! A token is remembered by its BLAKE3 hash. The bound holds for any tokens: once half of it
//! is filled with new tokens, the older half is forgotten.

use std::{collections::HashMap, mem};

use blake3::Hash;

use crate::access::Grant;

/// The most tokens of one issuer that are remembered. A grant takes some 300 bytes.
const TOKENS_MAX: usize = 20_000;

/// Grants by the hashes of their tokens.
#[derive(Default)]
pub struct TokenCache {
    young: HashMap<Hash, Grant>,
    old: HashMap<Hash, Grant>,
}

impl TokenCache {
    /// The grant of a token.
    pub fn get(&mut self, token: &Hash) -> Option<Grant> {
        if let Some(grant) = self.young.get(token) {
            return Some(grant.clone());
        }
        let grant = self.old.remove(token)?;
        self.insert(*token, grant.clone());
        Some(grant)
    }

    /// Remembers the grant of a token.
    pub fn insert(&mut self, token: Hash, grant: Grant) {
        if self.young.len() >= TOKENS_MAX / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(token, grant);
    }

    /// Forgets grants that were withdrawn.
    pub fn forget_withdrawn(&mut self) {
        self.young.retain(|_, grant| !grant.is_withdrawn());
        self.old.retain(|_, grant| !grant.is_withdrawn());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Permissions, domain::TenantId};

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let grant = Grant::unlimited(TenantId::default_tenant(), "a", Permissions::all());
        let mut cache = TokenCache::default();
        let used = blake3::hash(b"used");
        cache.insert(used, grant.clone());
        for number in 0..3 * TOKENS_MAX {
            cache.insert(blake3::hash(&number.to_le_bytes()), grant.clone());
            assert!(cache.get(&used).is_some(), "after {number} others");
        }
        assert!(cache.young.len() + cache.old.len() <= TOKENS_MAX);
        assert!(cache.get(&blake3::hash(&0_usize.to_le_bytes())).is_none());
    }
}
