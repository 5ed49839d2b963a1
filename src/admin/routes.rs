//! The paths of the admin port and their answers.
//!
//! Only GET is answered, and HEAD likewise without a body. It deliberately reads no request body.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use crate::admin::{
    Metrics,
    pulse::Pulse,
    readiness::{Readiness, Report},
    version::version,
};

/// The answer to an unknown path.
const PATHS: &str = "404: there are /livez, /readyz, /metrics and /version\n";

/// What the paths answer from.
#[derive(Clone)]
pub(super) struct Routes {
    pub pulse: Pulse,
    pub readiness: Readiness,
    pub metrics: Arc<OnceLock<Metrics>>,
}

impl Routes {
    /// The service that answers.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/readyz/{name}", get(readyz_of_one))
            .route("/metrics", get(metrics))
            .route("/version", get(told_version))
            .fallback(|| async { text(StatusCode::NOT_FOUND, PATHS.to_owned()) })
            .with_state(self)
    }
}

/// Whether a restart is due. Nothing that a restart doesn't cure counts.
async fn livez(State(routes): State<Routes>) -> Response {
    match routes.pulse.is_felt() {
        true => text(StatusCode::OK, "ok\n".to_owned()),
        false => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the runtime has run no task for 10 s\n".to_owned(),
        ),
    }
}

async fn readyz(State(routes): State<Routes>, uri: Uri) -> Response {
    let query = ReadyzQuery::parse(uri.query().unwrap_or_default());
    let (report, unknown) = routes.readiness.report().await.without(&query.excluded);
    let mut answer = readiness(&report, query.is_verbose);
    if query.is_verbose && !unknown.is_empty() {
        let warning = format!("warning: no check is named {}\n", unknown.join(", "));
        answer = text(answer.status(), format!("{warning}{report}"));
    }
    answer
}

async fn readyz_of_one(
    State(routes): State<Routes>,
    Path(name): Path<String>,
    uri: Uri,
) -> Response {
    let query = ReadyzQuery::parse(uri.query().unwrap_or_default());
    match routes.readiness.report().await.only(&name) {
        Some(report) => readiness(&report, query.is_verbose),
        None => text(StatusCode::NOT_FOUND, "404: no check has this name\n".to_owned()),
    }
}

/// A failure is always told in full.
fn readiness(report: &Report, is_verbose: bool) -> Response {
    match (report.is_ready(), is_verbose) {
        (true, false) => text(StatusCode::OK, "ok\n".to_owned()),
        (true, true) => text(StatusCode::OK, report.to_string()),
        (false, _) => text(StatusCode::SERVICE_UNAVAILABLE, report.to_string()),
    }
}

async fn metrics(State(routes): State<Routes>, headers: HeaderMap) -> Response {
    match routes.metrics.get() {
        Some(metrics) => metrics(&headers).map(Body::from),
        None => text(StatusCode::NOT_FOUND, "404: there are no metrics yet\n".to_owned()),
    }
}

async fn told_version() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], format!("{}\n", version())).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

/// The query of `/readyz`: `verbose`, and `exclude=NAME` any number of times. Other keys have no
/// effect, as with Kubernetes' own checks.
#[derive(Default)]
struct ReadyzQuery {
    is_verbose: bool,
    excluded: Vec<String>,
}

impl ReadyzQuery {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            match key {
                "verbose" => parsed.is_verbose = true,
                "exclude" => parsed.excluded.push(value.to_owned()),
                _ => {}
            }
        }
        parsed
    }
}
