//! Inspects each answer before tonic does: an answer that isn't gRPC ends the call with a
//! [`Foreign`].
//!
//! Without this layer, such an answer becomes "protocol error: invalid compression flag", which
//! looks like a broken connection. It deliberately doesn't decide whether to retry.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{body::Body, transport::Channel};
use tower::Service;

use crate::cli::call::client::{first_bytes::FirstBytes, foreign::Foreign};

/// A channel whose answers are inspected.
#[derive(Debug, Clone)]
pub struct Answers {
    channel: Channel,
    first_bytes: FirstBytes,
}

impl Answers {
    /// Wraps a channel whose connections note their first bytes in `first_bytes`.
    pub fn new(channel: Channel, first_bytes: FirstBytes) -> Self {
        Self { channel, first_bytes }
    }
}

type BoxError = Box<dyn Error + Send + Sync>;
type AnswerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

impl Service<Request<Body>> for Answers {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> AnswerFuture {
        let (answer, first_bytes) = (self.channel.call(request), self.first_bytes.clone());
        Box::pin(async move {
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(error) => match first_bytes.foreign() {
                    Some(met) => return Err(met.into_status().into()),
                    None => return Err(error.into()),
                },
            };
            match Foreign::of_answer(&answer) {
                Some(met) => Err(met.into_status().into()),
                None => Ok(answer),
            }
        })
    }
}
