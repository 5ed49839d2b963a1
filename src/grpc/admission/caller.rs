//! Who makes a call, and whether the caller may make it: decided by the call's headers and its
//! connection's certificate, before the call takes anything.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use http::Request;
use tonic::{Status, body::Body};

use crate::{
    access::{Access, Decision, Denied, Grant, Permission, QuotaExceeded, Quotas, StreamSlot},
    domain::TenantId,
    grpc::{
        admission::methods::Demand, call_log::CallRecord, peer::PeerNames, second_door::CallForm,
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

/// Who may use reflection at this moment. Clones share the setting.
#[derive(Clone, Debug)]
pub struct LiveReflection(Arc<AtomicU8>);

impl LiveReflection {
    /// Begins with this setting.
    pub fn new(reflection: Reflection) -> Self {
        Self(Arc::new(AtomicU8::new(reflection as u8)))
    }

    /// Changes the setting, for calls that begin from now on.
    pub fn set(&self, reflection: Reflection) {
        self.0.store(reflection as u8, Ordering::Relaxed);
    }

    /// The setting of this moment.
    pub fn now(&self) -> Reflection {
        let all = [Reflection::Open, Reflection::Callers, Reflection::Off];
        let now = self.0.load(Ordering::Relaxed);
        all.into_iter().find(|one| *one as u8 == now).unwrap_or(Reflection::Off)
    }
}

/// Decides about the callers of both doors. Cheap to clone.
#[derive(Clone)]
pub struct CallerCheck {
    pub access: Access,
    pub reflection: LiveReflection,
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
    /// Decides about the caller of a method that demands this.
    pub fn decide(&self, demand: Demand, request: &Request<Body>) -> Caller {
        match (demand, self.reflection.now()) {
            (Demand::Nothing, _) | (Demand::Reflection, Reflection::Open) => {
                return Caller::Admitted(None);
            }
            (Demand::Reflection | Demand::Credential | Demand::Permission(_), _) => {}
        }
        let names = request.extensions().get::<PeerNames>().map(PeerNames::names);
        let grant = match self.access.decide(request.headers(), names) {
            Decision::Granted(grant) => grant,
            Decision::Denied(denied) => return Caller::Refused(status::denied(denied)),
            Decision::KeyFetch(fetch) => return Caller::Awaited(fetch),
        };
        CallRecord::among(request.extensions()).granted(grant.clone());
        let admitted = self.check(&grant, demand, request).and_then(|()| match demand {
            Demand::Nothing | Demand::Reflection => Ok(()),
            Demand::Credential | Demand::Permission(_) => {
                let counted = self.quotas.begin_call(grant.tenant());
                counted.map_err(|exceeded| over_quota(exceeded, grant.tenant()))
            }
        });
        match admitted {
            Ok(()) => Caller::Admitted(Some(grant)),
            Err(refusal) => Caller::Refused(refusal),
        }
    }

    /// Checks whether a known caller may make the calls that demand this, as far as its permissions
    /// and the door say.
    pub fn check(
        &self,
        grant: &Grant,
        demand: Demand,
        request: &Request<Body>,
    ) -> Result<(), Status> {
        match demand {
            Demand::Permission(permission) if !grant.allows(permission) => {
                Err(status::forbidden(permission))
            }
            Demand::Permission(permission @ (Permission::Match | Permission::Erase))
                if is_read_only(request) =>
            {
                Err(status::read_only(permission))
            }
            Demand::Nothing | Demand::Reflection | Demand::Credential | Demand::Permission(_) => {
                Ok(())
            }
        }
    }

    /// Counts a stream of a tenant as open.
    pub fn open_stream(&self, tenant: &TenantId) -> Result<StreamSlot, Status> {
        self.quotas.open_stream(tenant).map_err(|exceeded| over_quota(exceeded, tenant))
    }

    /// The final decision, after a key was fetched: a token whose key is still unknown is invalid.
    pub fn decide_finally(
        &self,
        demand: Demand,
        request: &Request<Body>,
    ) -> Result<Option<Grant>, Status> {
        match self.decide(demand, request) {
            Caller::Admitted(grant) => Ok(grant),
            Caller::Refused(refusal) => Err(refusal),
            Caller::Awaited(_) => Err(status::denied(Denied::Invalid)),
        }
    }
}

fn is_read_only(request: &Request<Body>) -> bool {
    request.extensions().get::<CallForm>().is_some_and(|form| form.is_read_only)
}

fn over_quota(exceeded: QuotaExceeded, tenant: &TenantId) -> Status {
    status::quota_exceeded(exceeded.limit, tenant, exceeded.retry_after)
}
