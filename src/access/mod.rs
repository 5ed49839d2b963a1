//! Who may call: callers and their credentials, what each caller may do, and the tenant for which
//! it acts.
//!
//! It decides by a call's headers and its connection's certificate alone, before anything of a
//! request's body is read. It deliberately knows no call, no match and no gRPC status; only the
//! records of the [`audit`] file name them.

pub mod audit;
mod bearer;
mod callers;
mod certificate;
mod credentials;
mod file;
mod grant;
mod jwt;
mod key;
mod quota;
mod reloads;
pub mod tls;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::{
    collections::HashMap, future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration,
};

use http::HeaderMap;

pub use callers::{Fault, KeyExpiry, LibraryTerms, check_name};
pub use certificate::{CertificateName, CertificateNames, expiry as certificate_expiry};
pub use grant::{Grant, Permission, Permissions};
pub use key::{NewKey, NoRandomness};
pub use quota::{QuotaExceeded, Quotas, StreamSlot};
pub use reloads::{ReloadCount, ReloadCounts, ReloadKind, Reloads};

use credentials::{Credentials, NamedCallers};
use file::WatchedFile;

use crate::{
    clock::Clock,
    domain::{TenantId, Tenants},
};

/// The caller of all calls while callers aren't authenticated.
const ANONYMOUS: &str = "anonymous";

/// Decides who calls. Cheap to clone.
#[derive(Clone)]
pub struct Access(Basis);

#[derive(Clone)]
enum Basis {
    /// There is no callers file: all calls have this grant.
    Anonymous(Grant),
    File(Arc<WatchedFile>),
}

/// The decision about the credentials of a call.
pub enum Decision {
    /// The caller is known.
    Granted(Grant),
    /// The call is refused.
    Denied(Denied),
    /// The token names a key that is being fetched. Once the future has ended, decide again; the
    /// decision is final then, and another `KeyFetch` means `Invalid`.
    KeyFetch(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// Why the credentials of a call are refused. Each is a reason of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// The call has neither an `authorization` header nor a client certificate.
    #[error("the call has no credential")]
    Missing,
    /// The credential is malformed, unknown or withdrawn, or is no valid token.
    #[error("the credential is invalid")]
    Invalid,
    /// The key or token is past its expiry.
    #[error("the credential has expired")]
    Expired,
}

impl Access {
    /// Access without a callers file: each call may do everything, for the tenant `default`.
    pub fn anonymous() -> Self {
        let tenant = TenantId::default_tenant();
        Self(Basis::Anonymous(Grant::unlimited(tenant, ANONYMOUS, Permissions::all())))
    }

    /// Access by a callers file, in which no retention may be longer than `retention_max`. The file
    /// and the files of key sets that it names are read now.
    ///
    /// # Errors
    /// The first fault of the files, with its place.
    pub fn open(
        callers_file: PathBuf,
        retention_max: Duration,
        clock: Clock,
    ) -> Result<Self, Fault> {
        let file = WatchedFile::open(callers_file, retention_max, clock)?;
        Ok(Self(Basis::File(Arc::new(file))))
    }

    /// Decides who makes a call, by its headers and the names in the certificate of its connection.
    pub fn decide(&self, headers: &HeaderMap, certificate: Option<&CertificateNames>) -> Decision {
        match &self.0 {
            Basis::Anonymous(grant) => Decision::Granted(grant.clone()),
            Basis::File(file) => decide(file, headers, certificate),
        }
    }

    /// The tenants of this moment.
    pub fn tenants(&self) -> Tenants {
        match &self.0 {
            Basis::Anonymous(_) => Tenants::default(),
            Basis::File(file) => file.current().tenants.clone(),
        }
    }

    /// The photo libraries that the callers file gives to tenants.
    pub fn libraries(&self) -> HashMap<TenantId, LibraryTerms> {
        match &self.0 {
            Basis::Anonymous(_) => HashMap::new(),
            Basis::File(file) => file.current().libraries.clone(),
        }
    }

    /// Reads the callers file and the files of key sets again. A bad file is logged once, and leaves
    /// everything as it was. Reads files, so it blocks its thread for a moment.
    pub fn look_again(&self) {
        match &self.0 {
            Basis::Anonymous(_) => {}
            Basis::File(file) => file.look_again(),
        }
    }

    /// Checks the callers file in use against another maximum of the tenants' retentions.
    ///
    /// # Errors
    /// The tenant whose retention is longer.
    pub fn check_retention(&self, retention_max: Duration) -> Result<(), Fault> {
        match &self.0 {
            Basis::Anonymous(_) => Ok(()),
            Basis::File(file) => file.check_retention(retention_max),
        }
    }

    /// Refuses callers files with longer retentions from now on.
    pub fn set_retention_max(&self, retention_max: Duration) {
        match &self.0 {
            Basis::Anonymous(_) => {}
            Basis::File(file) => file.set_retention_max(retention_max),
        }
    }

    /// Keeps the key sets fresh that are fetched from issuers; never ends. Without it, no token of
    /// such an issuer is accepted.
    pub async fn keep_key_sets_fresh(&self) {
        match &self.0 {
            Basis::Anonymous(_) => std::future::pending().await,
            Basis::File(file) => file.keep_key_sets_fresh().await,
        }
    }

    /// How often files and key sets were read again; `None` without a callers file.
    pub fn reloads(&self) -> Option<&Reloads> {
        match &self.0 {
            Basis::Anonymous(_) => None,
            Basis::File(file) => Some(file.reloads()),
        }
    }
}

fn decide(
    file: &WatchedFile,
    headers: &HeaderMap,
    certificate: Option<&CertificateNames>,
) -> Decision {
    let credentials = file.current();
    let named = certificate.map(|names| credentials.by_certificate(names));
    let bearer = match bearer::bearer(headers) {
        Ok(bearer) => bearer,
        Err(denied) => return Decision::Denied(denied),
    };
    match (bearer, named) {
        (None, None) => Decision::Denied(Denied::Missing),
        (None, Some(NamedCallers::One(grant))) => Decision::Granted(grant),
        (None, Some(NamedCallers::Unknown | NamedCallers::Several)) => {
            Decision::Denied(Denied::Invalid)
        }
        (Some(bearer), named) => match by_bearer(file, &credentials, bearer) {
            Decision::Granted(grant) => confirmed(grant, named.as_ref()),
            other => other,
        },
    }
}

fn by_bearer(file: &WatchedFile, credentials: &Credentials, bearer: &str) -> Decision {
    if key::is_key(bearer) {
        return credentials
            .by_key(bearer, file.now())
            .map_or_else(Decision::Denied, Decision::Granted);
    }
    let hash = blake3::hash(bearer.as_bytes());
    if let Some(known) = credentials.issuers.values().find_map(|issuer| issuer.remembered(&hash)) {
        return known.map_or_else(Decision::Denied, Decision::Granted);
    }
    let issuer = jwt::issuer_of(bearer).and_then(|url| credentials.issuers.get(url.as_str()));
    let Some(issuer) = issuer else { return Decision::Denied(Denied::Invalid) };
    issuer.decide(bearer, hash)
}

/// The grant of a bearer credential, unless the certificate beside it names another tenant. A
/// certificate that the file doesn't name names no tenant.
fn confirmed(grant: Grant, named: Option<&NamedCallers>) -> Decision {
    match named {
        None | Some(NamedCallers::Unknown) => Decision::Granted(grant),
        Some(NamedCallers::One(other)) if other.tenant() == grant.tenant() => {
            Decision::Granted(grant)
        }
        Some(NamedCallers::One(_) | NamedCallers::Several) => Decision::Denied(Denied::Invalid),
    }
}

#[cfg(test)]
mod tests;
