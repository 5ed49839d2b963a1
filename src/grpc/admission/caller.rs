//! Who makes a call, and whether the caller may make it: decided by the call's headers and its
//! connection's certificate, before the call takes anything.

use http::Request;
use tonic::{Status, body::Body};

use crate::{
    access::{Access, Decision, Denied, Grant, QuotaExceeded, Quotas, StreamSlot},
    domain::TenantId,
    grpc::{
        admission::methods::{Demand, MethodLimits},
        call_log::CallRecord,
        peer::PeerNames,
        status,
    },
};

/// Who may use reflection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reflection {
    /// Every peer: the contract is public.
    Open,
    /// Every caller with a valid credential.
    Callers,
    /// No caller: the port doesn't have it.
    Off,
}

/// Decides about the callers of one port. Cheap to clone.
#[derive(Clone)]
pub struct CallerCheck {
    pub access: Access,
    pub reflection: Reflection,
    pub quotas: Quotas,
}

/// The decision about a call's caller.
pub enum Caller {
    /// The caller may make the call. There is no grant if the call demands no credential.
    Admitted(Option<Grant>),
    /// The caller may not make the call.
    Refused(Status),
    /// The caller's token names a key that is being fetched. Decided again once that has ended.
    Awaited(KeyFetch),
}

/// Ends once the key of a token has been fetched, or can't be.
pub type KeyFetch = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl CallerCheck {
    /// Decides about the caller of a method.
    pub fn decide(&self, method: MethodLimits, request: &Request<Body>) -> Caller {
        match (method.demand, self.reflection) {
            (Demand::Nothing, _) | (Demand::Reflection, Reflection::Open) => {
                return Caller::Admitted(None);
            }
            (Demand::Reflection | Demand::Permission(_), _) => {}
        }
        let names = request.extensions().get::<PeerNames>().map(PeerNames::names);
        let grant = match self.access.decide(request.headers(), names) {
            Decision::Granted(grant) => grant,
            Decision::Denied(denied) => return Caller::Refused(status::denied(denied)),
            Decision::KeyFetch(fetch) => return Caller::Awaited(fetch),
        };
        CallRecord::among(request.extensions()).granted(grant.clone());
        match method.demand {
            Demand::Permission(permission) if !grant.allows(permission) => {
                Caller::Refused(status::forbidden(permission))
            }
            Demand::Permission(_) => match self.quotas.begin_call(grant.tenant()) {
                Ok(()) => Caller::Admitted(Some(grant)),
                Err(exceeded) => Caller::Refused(over_quota(exceeded, grant.tenant())),
            },
            Demand::Nothing | Demand::Reflection => Caller::Admitted(Some(grant)),
        }
    }

    /// Counts a stream of a tenant as open.
    pub fn open_stream(&self, tenant: &TenantId) -> Result<StreamSlot, Status> {
        self.quotas.open_stream(tenant).map_err(|exceeded| over_quota(exceeded, tenant))
    }

    /// The final decision, after a key was fetched.
    pub fn decide_finally(&self, method: MethodLimits, request: &Request<Body>) -> Caller {
        match self.decide(method, request) {
            Caller::Awaited(_) => Caller::Refused(status::denied(Denied::Invalid)),
            decided => decided,
        }
    }
}

fn over_quota(exceeded: QuotaExceeded, tenant: &TenantId) -> Status {
    status::quota_exceeded(exceeded.limit, tenant, exceeded.retry_after)
}
