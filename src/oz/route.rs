//! The routes of requests to Oz, without ids, and the trace context that goes along with them.

use reqwest::RequestBuilder;

use crate::{
    domain::Failure,
    oz::exchange::{OzResponse, Transport},
    trace::{AskTrace, RequestOutcome, RequestTrace},
};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The route of every poll.
const POLL: &str = "GET /api/analyses/{id}";

/// The method and the path of a request, with a placeholder for each id.
pub fn of(is_get: bool, path: &str) -> &'static str {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match (is_get, path.rsplit('/').nth(1).unwrap_or_default()) {
        (true, "analyses") if path.starts_with("/api/analyses/") => POLL,
        (true, "analyses") => "GET /api/folders/{id}/analyses/",
        (true, _) => "GET /api/folders/{id}",
        (false, "media") => "POST /api/folders/{id}/media/",
        (false, _) => "POST /api/folders/{id}/analyses/",
    }
}

/// Begins the trace of a request on this route. `repeats` counts its immediate repeats.
pub fn begin<'a>(
    trace: &AskTrace<'a>,
    route: &'static str,
    transport: &Transport,
    repeats: u32,
) -> RequestTrace<'a> {
    match route {
        POLL => trace.poll(),
        route => trace.request(route, transport.server(), repeats),
    }
}

/// Adds the headers of a trace. Baggage deliberately isn't among them: it may hold anything.
pub fn with_headers(request: RequestBuilder, trace: &RequestTrace<'_>) -> RequestBuilder {
    let Some(context) = trace.context() else { return request };
    let request = request.header(TRACEPARENT, context.to_string());
    match trace.state() {
        Some(state) => request.header(TRACESTATE, state),
        None => request,
    }
}

/// How a request has ended, as its span shows it.
pub fn outcome(answer: &Result<OzResponse, Failure>) -> RequestOutcome {
    match answer {
        Ok(answer) => RequestOutcome { status: Some(answer.status.as_u16()), error: None },
        Err(failure) => RequestOutcome {
            status: failure.http_status,
            error: Some(failure.kind.cause().as_str()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_no_id() {
        for (is_get, path, route) in [
            (true, "/api/folders/7e782ba3?with_analyses=true", "GET /api/folders/{id}"),
            (true, "/api/folders/7e782ba3/analyses/", "GET /api/folders/{id}/analyses/"),
            (false, "/api/folders/7e782ba3/media/", "POST /api/folders/{id}/media/"),
            (false, "/api/folders/7e782ba3/analyses/", "POST /api/folders/{id}/analyses/"),
            (true, "/api/analyses/7e782ba3", POLL),
        ] {
            assert_eq!(of(is_get, path), route);
        }
    }
}
