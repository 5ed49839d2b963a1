//! Sends one request, reads its whole answer within limits, and judges it by its status.
//!
//! It deliberately knows neither sessions nor what the answers mean, and it repeats nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use reqwest::{RequestBuilder, Response, Url};

use crate::{
    clock::Clock,
    domain::{Failure, FailureKind},
    metrics::{Endpoint, OzMetrics},
    oz::{
        Config, ConfigError,
        failure::{self, Stage},
    },
    trace::OzServer,
};

/// The longest answer that is read, in bytes. A folder of ten media and dozens of analyses is far
/// below it.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest error body that is read, in bytes; a longer one is a proxy's page.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// The way to Oz: one connection pool and the base address.
pub struct Transport {
    http: reqwest::Client,
    base: Url,
    pub clock: Clock,
    pub timeout: Duration,
    pub upload_stall: Duration,
    pub metrics: OzMetrics,
}

/// Why the body of an answer can't be read.
pub enum UnreadBody {
    /// It is longer than any answer of Oz.
    TooLong,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// A complete 2xx answer.
pub struct OzResponse {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Transport {
    /// A transport with these settings.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, ConfigError> {
        config.check()?;
        let base = config.base_url()?;
        Ok(Self {
            metrics: OzMetrics::new(base.host_str().unwrap_or_default()),
            base,
            http: config.http_client()?,
            clock,
            timeout: config.timeout,
            upload_stall: config.upload_stall,
        })
    }

    /// Where requests go.
    pub fn server(&self) -> OzServer<'_> {
        let host = self.base.host_str().unwrap_or_default();
        OzServer { host, port: self.base.port_or_known_default() }
    }

    /// A GET of this path, which begins with a slash.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.address(path)).timeout(self.timeout)
    }

    /// A POST to this path.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.upload(path).timeout(self.timeout)
    }

    /// A POST that may take as long as it makes progress.
    pub fn upload(&self, path: &str) -> RequestBuilder {
        self.http.post(self.address(path))
    }

    /// Sends the request and reads the answer. Anything but a complete 2xx answer is a failure.
    pub async fn exchange(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
    ) -> Result<OzResponse, Failure> {
        let steady = self.clock.steady();
        let sent = steady.now();
        let outcome = self.exchange_uncounted(request).await;
        let status = match &outcome {
            Ok(response) => Ok(response.status),
            Err(failure) => status_of(failure).ok_or(failure),
        };
        self.metrics.answered(endpoint, status, steady.now().since(sent));
        outcome
    }

    async fn exchange_uncounted(&self, request: RequestBuilder) -> Result<OzResponse, Failure> {
        let sent = request.header(http::header::ACCEPT, "application/json").send().await;
        let response = sent.map_err(|error| failure::from_transport(&error, Stage::Sending))?;
        let status = response.status();
        if status.is_success() {
            let body = read(response, ANSWER_BYTES_MAX).await?;
            return Ok(OzResponse { status, body });
        }
        let headers = response.headers().clone();
        // The status says enough, even if the body can't be read.
        let body = read(response, ERROR_BYTES_MAX).await.unwrap_or_default();
        Err(failure::from_answer(status, &headers, &body, self.clock.now()))
    }

    /// The address of a path, possibly with a query. Clones the base address, so that the host
    /// isn't parsed again for each request.
    fn address(&self, path: &str) -> Url {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let mut address = self.base.clone();
        address.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        address.set_query(query);
        address
    }
}

/// The status of a refusal; `None` if there was no answer.
fn status_of(failure: &Failure) -> Option<StatusCode> {
    failure.http_status.and_then(|status| StatusCode::from_u16(status).ok())
}

/// Reads the whole body of an answer of any status.
pub async fn read_whole(response: Response) -> Result<Bytes, UnreadBody> {
    read_bounded(response, ANSWER_BYTES_MAX).await
}

async fn read(response: Response, bytes_max: usize) -> Result<Bytes, Failure> {
    let status = response.status();
    let with_status = |failure| Failure { http_status: Some(status.as_u16()), ..failure };
    read_bounded(response, bytes_max).await.map_err(|unread| match unread {
        UnreadBody::TooLong => {
            let what = format!("answered with more than {bytes_max} bytes");
            with_status(Failure::new(FailureKind::Unreadable, what))
        }
        UnreadBody::Broken(error) => with_status(failure::from_transport(&error, Stage::Reading)),
    })
}

async fn read_bounded(mut response: Response, bytes_max: usize) -> Result<Bytes, UnreadBody> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await.map_err(UnreadBody::Broken)? {
            None => return Ok(body.freeze()),
            Some(chunk) if body.len() + chunk.len() <= bytes_max => body.extend_from_slice(&chunk),
            Some(_) => return Err(UnreadBody::TooLong),
        }
    }
}
