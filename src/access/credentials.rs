//! All credentials of one callers file, each with its grant.
//!
//! Credentials don't change: another file makes others. They take over the grants of those before
//! that say the same, so that a reload ends only the streams whose credential has changed.

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    Denied, Grant,
    callers::{CallerTerms, CallersFile, LibraryTerms},
    certificate::{CertificateName, CertificateNames},
    jwt::Issuer,
    key::{self, Digest},
};
use crate::domain::{TenantId, Tenants, Timestamp};

/// The credentials of one callers file.
#[derive(Default)]
pub struct Credentials {
    pub tenants: Tenants,
    pub libraries: HashMap<TenantId, LibraryTerms>,
    pub issuers: HashMap<Box<str>, Arc<Issuer>>,
    keys: HashMap<Box<str>, ApiKey>,
    certificates: HashMap<CertificateName, Grant>,
}

struct ApiKey {
    digest: Digest,
    grant: Grant,
}

/// The callers that a certificate names.
pub enum NamedCallers {
    /// None.
    Unknown,
    /// One.
    One(Grant),
    /// Several, so that it is the credential of none of them.
    Several,
}

impl Credentials {
    /// The credentials of a file, whose issuers are open. Grants of `before` are taken over where
    /// they are equal.
    pub fn new(file: CallersFile, issuers: HashMap<Box<str>, Arc<Issuer>>, before: &Self) -> Self {
        let (mut keys, mut certificates) = (HashMap::new(), HashMap::new());
        for caller in &file.callers {
            keys.extend(api_keys(caller, before));
            for (name, _) in &caller.certificates {
                let grant = new_grant(caller, &name.to_string(), None);
                let grant = kept(grant, before.certificates.get(name));
                certificates.insert(name.clone(), grant);
            }
        }
        let CallersFile { tenants, libraries, .. } = file;
        Self { tenants, libraries, issuers, keys, certificates }
    }

    /// The grant of an API key.
    ///
    /// # Errors
    /// `Invalid` for an unknown or wrong key, `Expired` for a right one past its expiry.
    pub fn by_key(&self, text: &str, now: Timestamp) -> Result<Grant, Denied> {
        let known = self.keys.get(key::id_in(text).ok_or(Denied::Invalid)?);
        let known = known.filter(|known| known.digest == Digest::of(text));
        let grant = &known.ok_or(Denied::Invalid)?.grant;
        match grant.expires() {
            Some(expires) if now >= expires => Err(Denied::Expired),
            Some(_) | None => Ok(grant.clone()),
        }
    }

    /// The callers that a certificate names.
    pub fn by_certificate(&self, names: &CertificateNames) -> NamedCallers {
        let mut grants = names.as_slice().iter().filter_map(|name| self.certificates.get(name));
        let Some(first) = grants.next() else { return NamedCallers::Unknown };
        match grants.all(|other| other.caller() == first.caller()) {
            true => NamedCallers::One(first.clone()),
            false => NamedCallers::Several,
        }
    }

    /// Ends the grants that `next` has not taken over, and the issuers too.
    pub fn give_way_to(&self, next: &Self) {
        for (id, before) in &self.keys {
            let after = next.keys.get(id).map(|key| &key.grant);
            end_unless_kept(&before.grant, after);
        }
        for (name, before) in &self.certificates {
            end_unless_kept(before, next.certificates.get(name));
        }
        for (url, before) in &self.issuers {
            match next.issuers.get(url) {
                Some(after) if Arc::ptr_eq(before, after) => after.set_tenants(&next.tenants),
                Some(_) | None => before.retire(),
            }
        }
    }
}

fn api_keys<'a>(
    caller: &'a CallerTerms,
    before: &'a Credentials,
) -> impl Iterator<Item = (Box<str>, ApiKey)> + 'a {
    caller.keys.iter().map(|terms| {
        let same = before.keys.get(&terms.id).filter(|known| known.digest == terms.digest);
        let grant = new_grant(caller, &terms.id, terms.expires);
        let grant = kept(grant, same.map(|known| &known.grant));
        (terms.id.clone(), ApiKey { digest: terms.digest, grant })
    })
}

fn new_grant(caller: &CallerTerms, credential: &str, expires: Option<Timestamp>) -> Grant {
    let withdrawn = CancellationToken::new();
    let tenant = caller.tenant.clone();
    Grant::new(tenant, &caller.name, credential, caller.permissions, expires, withdrawn)
}

/// The grant from before, if it is equal to the new one.
fn kept(new: Grant, before: Option<&Grant>) -> Grant {
    match before {
        Some(before) if before.equals(&new) => before.clone(),
        Some(_) | None => new,
    }
}

fn end_unless_kept(before: &Grant, after: Option<&Grant>) {
    if !after.is_some_and(|after| after.is(before)) {
        before.withdraw();
    }
}
