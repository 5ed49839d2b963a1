//! Who may call: callers and their credentials, what each caller may do, and the tenant for which
//! it acts.
//!
//! It decides by a call's headers and its connection's certificate alone, before anything of a
//! request's body is read. It deliberately knows no call, no match and no gRPC status; only the
//! records of the [`audit`] file name them.

pub mod audit;
mod grant;

use std::{future::Future, pin::Pin};

use http::HeaderMap;

pub use grant::{Grant, Permission, Permissions};

use crate::domain::{TenantId, Tenants};

/// The caller of all calls while callers aren't authenticated.
const ANONYMOUS: &str = "anonymous";

/// Decides who calls. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    anonymous: Grant,
}

/// The decision about the credentials of a call.
pub enum Decision {
    /// The caller is known.
    Granted(Grant),
    /// The call is refused.
    Denied(Denied),
    /// The token names a key that is being fetched. Once the future has ended, decide again; the
    /// decision is final then.
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
        Self { anonymous: Grant::unlimited(tenant, ANONYMOUS, Permissions::all()) }
    }

    /// Decides who makes a call, by its headers and the certificate of its connection, in DER.
    pub fn decide(&self, _headers: &HeaderMap, _certificate: Option<&[u8]>) -> Decision {
        Decision::Granted(self.anonymous.clone())
    }

    /// The tenants of this moment.
    pub fn tenants(&self) -> Tenants {
        Tenants::default()
    }
}
