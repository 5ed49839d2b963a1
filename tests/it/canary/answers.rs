//! Searches the responses to callers as they arrive: updates, statuses and their details.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body, transport::Channel};
use tower::Service;

use crate::canary::{
    Findings,
    needles::{Search, search},
};

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

/// A connection, or a test double of one, whose responses are searched.
#[derive(Clone)]
pub struct Searched<S = Channel> {
    inner: S,
    found: &'static Findings,
}

impl<S> Searched<S> {
    pub(super) fn new(inner: S, found: &'static Findings) -> Self {
        Self { inner, found }
    }
}

impl<S> Service<Request<Body>> for Searched<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let place = format!("an answer of {}", request.uri().path());
        let (answer, found) = (self.inner.call(request), self.found);
        Box::pin(async move {
            let (head, inner) = answer.await?.into_parts();
            let mut body = Searching { inner, place, found, search: Search::default() };
            body.see_headers(&head.headers);
            Ok(Response::from_parts(head, Body::new(body)))
        })
    }
}

struct Searching {
    inner: Body,
    place: String,
    found: &'static Findings,
    search: Search,
}

impl Searching {
    fn see(&mut self, data: &[u8]) {
        if let Some(secret) = self.search.feed(data) {
            self.found.report(secret, self.place.clone());
        }
    }

    /// Searches headers as they are, and the status that they may encode, with its details.
    fn see_headers(&mut self, headers: &HeaderMap) {
        let status = Status::from_header_map(headers);
        let said = status.iter().flat_map(|status| [status.message().as_bytes(), status.details()]);
        let values = headers.values().map(|value| value.as_bytes());
        let found: Vec<_> = values.chain(said).filter_map(search).collect();
        for secret in found {
            self.found.report(secret, format!("{}, in its status", self.place));
        }
    }
}

impl http_body::Body for Searching {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(data) = frame.data_ref() {
                self.see(data);
            }
            if let Some(trailers) = frame.trailers_ref() {
                self.see_headers(trailers);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
