//! Tells a caller which calls it may make, by the rules that decide about its calls.
//!
//! The page of the second door asks, so that it offers nothing that would be refused. It reads
//! neither the request's body nor the journal.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response};
use tonic::{Status, body::Body};
use tower::Service;

use crate::{
    domain::TenantId,
    grpc::{
        admission::{
            AdmissionShared, ConnectionAdmission, caller::Caller, methods::Demand, too_many_calls,
        },
        second_door::{Answering, CallerAccess},
    },
};

/// Tells whether a tenant has a photo library.
pub type HasLibrary = Arc<dyn Fn(&TenantId) -> bool + Send + Sync>;

/// Answers each request with what its caller may do, in the extensions of an empty answer.
pub struct AccessAnswers<S> {
    admission: ConnectionAdmission<S>,
    has_library: HasLibrary,
}

impl<S> AccessAnswers<S> {
    /// Answers the requests of one connection.
    pub const fn new(admission: ConnectionAdmission<S>, has_library: HasLibrary) -> Self {
        Self { admission, has_library }
    }
}

impl<S> Clone for AccessAnswers<S> {
    fn clone(&self) -> Self {
        Self::new(self.admission.clone(), Arc::clone(&self.has_library))
    }
}

impl<S: Send + Sync + 'static> Service<Request<Body>> for AccessAnswers<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let asked = self.clone();
        Box::pin(
            async move { Ok(asked.access(request).await.map_or_else(Status::into_http, told)) },
        )
    }
}

impl<S> AccessAnswers<S> {
    async fn access(&self, request: Request<Body>) -> Result<CallerAccess, Status> {
        let AdmissionShared { callers, methods, .. } = &*self.admission.shared;
        // Held while a key is fetched.
        let _open = self.admission.share.call().ok_or_else(too_many_calls)?;
        let decided = callers.decide(Demand::Credential, &request);
        let grant = match decided {
            Caller::Awaited(fetch) => {
                fetch.await;
                callers.decide_finally(Demand::Credential, &request)?
            }
            Caller::Admitted(grant) => grant,
            Caller::Refused(refusal) => return Err(refusal),
        };
        let Some(grant) = grant else { return Ok(CallerAccess::default()) };
        let may = |demand| callers.check(&grant, demand, &request).is_ok();
        Ok(CallerAccess {
            methods: methods.of_face_match(may),
            has_library: (self.has_library)(grant.tenant()),
        })
    }
}

/// An answer without a message, whose status is OK.
fn told(access: CallerAccess) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    answer.headers_mut().insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    answer.extensions_mut().insert(access);
    answer
}
