//! What requests to Oz and sessions count.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::StatusCode;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::{
    domain::{Failure, FailureKind},
    metrics::{
        HistogramFamily, Register,
        labels::{HttpLabels, ResultLabels},
        seconds, table,
    },
};

/// The bounds of requests in seconds: those of OpenTelemetry's convention for HTTP clients, and two
/// for uploads.
const REQUEST_BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0];

/// What a request to Oz is, apart from its ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with names in place of ids.
    pub template: &'static str,
}

/// Counts requests to Oz. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct OzMetrics {
    server: Arc<str>,
    durations: HistogramFamily<HttpLabels>,
    logins: Family<ResultLabels, Counter>,
}

impl OzMetrics {
    /// Metrics of an Oz on this host.
    pub fn new(server: &str) -> Self {
        Self {
            server: server.into(),
            durations: Family::new_with_constructor(|| Histogram::new(REQUEST_BOUNDS)),
            logins: Family::default(),
        }
    }

    /// Observes a request that was answered with a status, or failed without one.
    pub fn answered(
        &self,
        endpoint: Endpoint,
        outcome: Result<StatusCode, &Failure>,
        took: Duration,
    ) {
        let labels = HttpLabels {
            http_request_method: endpoint.method,
            url_template: endpoint.template,
            http_response_status_code: outcome.ok().and_then(known),
            error_type: error_type(outcome),
            server_address: Arc::clone(&self.server),
        };
        self.durations.get_or_create(&labels).observe(seconds(took));
    }

    /// Counts a login or a renewal of the session.
    pub fn login(&self, failure: Option<FailureKind>) {
        let result = match failure {
            None => "ok",
            Some(FailureKind::LoginRefused) => "refused",
            Some(_) => "failed",
        };
        self.logins.get_or_create(&ResultLabels { result }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for result in ["ok", "refused", "failed"] {
            drop(self.logins.get_or_create(&ResultLabels { result }));
        }
        registry.add(&table::HTTP_DURATION, self.durations.clone());
        registry.add(&table::OZ_LOGINS, self.logins.clone());
    }
}

/// The number of a status that is registered: an answer must not add series of its own.
fn known(status: StatusCode) -> Option<u16> {
    status.canonical_reason().map(|_| status.as_u16())
}

/// The status of a refusal, as OpenTelemetry's convention has it; the cause of a request without an
/// answer; empty for a success.
fn error_type(outcome: Result<StatusCode, &Failure>) -> Cow<'static, str> {
    match outcome {
        Ok(status) if status.is_success() => Cow::Borrowed(""),
        Ok(status) => match known(status) {
            Some(code) => Cow::Owned(code.to_string()),
            None => Cow::Borrowed("_OTHER"),
        },
        Err(failure) => Cow::Borrowed(failure.kind.cause().as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_status_adds_no_series_of_its_own() {
        let odd = |code| error_type(Ok(StatusCode::from_u16(code).unwrap()));
        assert_eq!(odd(200), "");
        assert_eq!(odd(503), "503");
        for code in [299_u16, 599, 799, 999] {
            assert_eq!(known(StatusCode::from_u16(code).unwrap()), None, "{code}");
        }
        assert_eq!([odd(599), odd(999)], ["_OTHER", "_OTHER"]);
        let failure = Failure::new(FailureKind::TimedOut, "no answer in time");
        assert_eq!(error_type(Err(&failure)), "OZ_TIMEOUT");
    }
}
