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

use http::{Request, Response, header::AUTHORIZATION};
use tonic::{Status, body::Body, transport::Channel};
use tower::Service;

use crate::cli::call::client::{first_bytes::FirstBytes, foreign::Foreign, token::Token};

/// A channel whose answers are inspected, and whose calls carry the caller's token if it has one.
#[derive(Debug, Clone)]
pub struct Answers {
    channel: Channel,
    first_bytes: FirstBytes,
    token: Option<Token>,
}

impl Answers {
    /// Wraps a channel whose connections note their first bytes in `first_bytes`.
    pub fn new(channel: Channel, first_bytes: FirstBytes, token: Option<Token>) -> Self {
        Self { channel, first_bytes, token }
    }

    /// Adds the token that the file holds now.
    fn authorize(&self, request: &mut Request<Body>) -> Result<(), Status> {
        if let Some(token) = &self.token {
            let bearer =
                token.bearer().map_err(|error| Status::invalid_argument(error.to_string()))?;
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(())
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

    fn call(&mut self, mut request: Request<Body>) -> AnswerFuture {
        if let Err(unusable) = self.authorize(&mut request) {
            return Box::pin(async { Err(unusable.into()) });
        }
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
