//! Adds to every answer the server's version, and to every retry delay its jitter.
//!
//! The layer wraps everything that answers, including refusals before a handler runs. It is the
//! only place where delays get their jitter, and where the transport's code for undecodable bytes
//! is corrected. It deliberately decides neither whether a call is refused nor whether a retry may
//! help: the status says so.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;
use tower::Service;

use crate::{grpc::status, worker::Jitter};

/// Carries the server's version in the initial metadata.
const VERSION: HeaderName = HeaderName::from_static("facematch-version");
/// Carries the retry delay in the trailers, in milliseconds, for client libraries that retry by
/// themselves (gRPC proposal A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// By how much jitter lengthens a delay at most, so that callers that were refused together don't
/// return together. Jitter never shortens a delay.
const JITTER_MAX: f64 = 0.5;

/// A service whose answers carry the version and jittered delays.
#[derive(Clone)]
pub struct ResponseMetadata<S> {
    inner: S,
    chance: Jitter,
}

impl<S> ResponseMetadata<S> {
    /// Wraps a service. `chance` returns 0..1 and is drawn once for each delay.
    pub const fn new(inner: S, chance: Jitter) -> Self {
        Self { inner, chance }
    }
}

impl<S> Service<Request<Body>> for ResponseMetadata<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let called = self.inner.call(request);
        let chance = self.chance.clone();
        Box::pin(async move { Ok(complete(called.await?, chance)) })
    }
}

/// Completes an answer: adds the version, and jitter to its retry delay.
pub fn complete(mut answer: Response<Body>, chance: Jitter) -> Response<Body> {
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    answer.headers_mut().insert(VERSION, version);
    // A refusal is a trailers-only response: its trailers are sent as headers.
    if answer.headers().contains_key(Status::GRPC_STATUS) {
        if let Some(mended) = finish(answer.headers_mut(), &chance) {
            // Outer layers, such as the call log, read the status from the extensions.
            answer.extensions_mut().insert(mended);
        }
        return answer;
    }
    answer.map(|body| Body::new(Trailed { body, chance }))
}

/// A body whose trailers pass through [`finish`].
struct Trailed {
    body: Body,
    chance: Jitter,
}

impl HttpBody for Trailed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let mut frame = frame?;
            if let Some(trailers) = frame.trailers_mut() {
                finish(trailers, &self.chance);
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Adds jitter to the final status of an answer, or corrects its code. Returns the status if its
/// code was corrected.
fn finish(trailers: &mut HeaderMap, chance: &Jitter) -> Option<Status> {
    // Fast path: nearly all answers are OK.
    if trailers.get(Status::GRPC_STATUS)?.as_bytes() == b"0" {
        return None;
    }
    let status = Status::from_header_map(trailers)?;
    if status.details().is_empty() {
        return correct_undecodable(trailers, &status);
    }
    add_jitter(trailers, &status, chance);
    None
}

/// Turns the transport's INTERNAL for undecodable bytes into INVALID_ARGUMENT, because INTERNAL
/// alerts operators. The service's own INTERNAL always has details, so it isn't affected.
fn correct_undecodable(trailers: &mut HeaderMap, status: &Status) -> Option<Status> {
    if status.code() != Code::Internal {
        return None;
    }
    let mended = status::undecodable(status.message());
    // The status came from a header map, so it fits into one again.
    mended.add_header(trailers).ok().map(|()| mended)
}

/// Adds jitter to a status's retry delay, and writes it both as `RetryInfo` and as pushback.
fn add_jitter(trailers: &mut HeaderMap, status: &Status, chance: &Jitter) {
    let mut details = status.get_error_details();
    let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) else { return };
    let millis = stretched(delay, chance());
    details.set_retry_info(Some(Duration::from_millis(millis)));
    let spread = Status::with_error_details(status.code(), status.message(), details);
    // The status came from a header map, so it fits into one again.
    if spread.add_header(trailers).is_ok() {
        trailers.insert(PUSHBACK, HeaderValue::from(millis));
    }
}

fn stretched(delay: Duration, chance: f64) -> u64 {
    let stretched = delay.mul_f64(1.0 + JITTER_MAX * chance.clamp(0.0, 1.0));
    u64::try_from(stretched.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Arc, Mutex},
    };

    use futures_util::{FutureExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{domain::Limit, grpc::status};

    fn seeded() -> Jitter {
        let random = Mutex::new(StdRng::seed_from_u64(1));
        Arc::new(move || random.lock().unwrap().random())
    }

    fn certain(chance: f64) -> Jitter {
        Arc::new(move || chance)
    }

    fn delay(trailers: &HeaderMap) -> Option<Duration> {
        let status = Status::from_header_map(trailers).unwrap();
        status.get_error_details().retry_info().and_then(|info| info.retry_delay)
    }

    fn refused(status: &Status, chance: Jitter) -> HeaderMap {
        complete(status.clone().into_http(), chance).headers().clone()
    }

    #[test]
    fn jitter_adds_at_most_half_to_a_delay_which_is_sent_in_both_forms() {
        let status = status::overloaded(Limit::Calls);
        let asked = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
        for (chance, factor) in [(0.0, 1.0), (0.5, 1.25), (1.0, 1.5)] {
            let told = refused(&status, certain(chance));
            let expected = asked.mul_f64(factor);
            assert_eq!(delay(&told), Some(expected));
            assert_eq!(told[PUSHBACK], expected.as_millis().to_string());
            assert_eq!(told["grpc-status"], "8");
        }
    }

    #[test]
    fn callers_refused_together_get_different_retry_delays() {
        let chance = seeded();
        let status = status::draining();
        let told = |_| delay(&refused(&status, Arc::clone(&chance)));
        let times: BTreeSet<_> = (0..100).map(told).collect();
        assert!(times.len() > 80, "{} times", times.len());
    }

    #[test]
    fn jitter_changes_only_the_delay() {
        let status = status::overloaded(Limit::PhotoMemory);
        let told = refused(&status, certain(0.3));
        let told = Status::from_header_map(&told).unwrap();
        assert_eq!((told.code(), told.message()), (status.code(), status.message()));
        let (told, before) = (told.get_error_details(), status.get_error_details());
        assert_eq!(format!("{:?}", told.error_info()), format!("{:?}", before.error_info()));
    }

    #[test]
    fn without_a_delay_there_is_no_pushback() {
        for status in [status::not_found("m"), Status::unimplemented("foreign")] {
            let told = refused(&status, certain(0.5));
            assert!(!told.contains_key(PUSHBACK), "{told:?}");
            let told_status = Status::from_header_map(&told).unwrap();
            assert!(told_status.get_error_details().retry_info().is_none(), "{told:?}");
            assert_eq!(
                told.contains_key(Status::GRPC_STATUS_DETAILS),
                !status.details().is_empty()
            );
        }
    }

    #[test]
    fn undecodable_bytes_are_invalid_argument_and_bugs_stay_internal() {
        let told = refused(&Status::internal("failed to decode Protobuf message"), certain(0.5));
        let told = Status::from_header_map(&told).unwrap();
        assert_eq!(told.code(), Code::InvalidArgument);
        assert!(told.message().contains("failed to decode Protobuf message"), "{told:?}");
        let told = refused(&status::internal("a bug"), certain(0.5));
        assert_eq!(Status::from_header_map(&told).unwrap().code(), Code::Internal);
    }

    #[test]
    fn every_answer_has_the_version_and_a_stream_has_its_delay_in_the_trailers() {
        let mut trailers = HeaderMap::new();
        status::updates_unread().add_header(&mut trailers).unwrap();
        let frames = [Frame::data(Bytes::from_static(b"update")), Frame::trailers(trailers)];
        let frames = stream::iter(frames.map(Ok::<_, Status>));
        let stream = Response::new(Body::new(StreamBody::new(frames)));
        let answered = complete(stream, certain(0.5));
        assert_eq!(answered.headers()[VERSION], env!("CARGO_PKG_VERSION"));
        let all = answered.into_body().collect().now_or_never().unwrap().unwrap();
        let trailers = all.trailers().unwrap();
        assert_eq!(trailers[PUSHBACK], "1250");
        assert_eq!(delay(trailers), Some(Duration::from_millis(1_250)));
        let refused = refused(&status::not_found("m"), certain(0.5));
        assert_eq!(refused[VERSION], env!("CARGO_PKG_VERSION"));
    }
}
