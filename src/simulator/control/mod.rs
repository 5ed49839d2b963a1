//! `/sim/…`: the control API for testers. It needs no token, and refuses unknown keys.
//!
//! It is a public interface: endpoints and keys are added, never removed or given another meaning.

mod folder_request;
mod folders;
mod record;
mod rules;
mod script;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::info;

use crate::simulator::fault::HttpAnswer;
use crate::simulator::world::World;
use crate::simulator::{clock, lock, sample, script as schema};

/// Bytes of a control request: a script of a thousand rules is far smaller.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Items of a page: the default, and the largest that a query may ask for.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

type Done = Result<HttpAnswer, HttpAnswer>;

/// The answer of `GET /sim`.
const ENDPOINTS: [&str; 23] = [
    "GET /sim/health",
    "GET /sim/record",
    "DELETE /sim/record",
    "GET /sim/script",
    "PUT /sim/script",
    "POST /sim/script",
    "DELETE /sim/script",
    "GET /sim/rules",
    "GET /sim/rules/{name}",
    "PUT /sim/rules/{name}",
    "DELETE /sim/rules/{name}",
    "GET /sim/switches",
    "PATCH /sim/switches",
    "GET /sim/folders",
    "POST /sim/folders",
    "GET /sim/folders/{id}",
    "DELETE /sim/folders/{id}",
    "POST /sim/folders/{id}/reset",
    "GET /sim/samples/{name}",
    "POST /sim/sessions/expire",
    "POST /sim/clock",
    "POST /sim/reset",
    "GET /sim",
];

/// Whether a path belongs to the control API.
pub fn is_control_path(path: &str) -> bool {
    path == "/sim" || path.starts_with("/sim/")
}

/// Serves a control request, and logs it.
pub async fn serve(world: &Arc<World>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let answer = route(world, &parts.method, &parts.uri, body).await;
    let answer = answer.unwrap_or_else(|refusal| refusal);
    info!(
        http.method = %parts.method,
        http.path = parts.uri.path(),
        http.status = answer.status,
        "control request answered"
    );
    answer.into_response()
}

async fn route(world: &Arc<World>, method: &Method, uri: &Uri, body: Incoming) -> Done {
    let path = uri.path().trim_matches('/');
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect::<Result<_, _>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if (method, segments.as_slice()) == (&Method::POST, &["folders"]) {
        return folders::make(world, &whole(body, folders::BODY_BYTES_MAX).await?).await;
    }
    let body = whole(body, BODY_BYTES_MAX).await?;
    match (method, segments.as_slice()) {
        (&Method::GET, []) => Ok(index()),
        (&Method::GET, ["health"]) => Ok(health(world)),
        (&Method::GET, ["record"]) => record::page(world, uri),
        (&Method::DELETE, ["record"]) => Ok(record::clear(world)),
        (&Method::GET, ["script"]) => Ok(script::show(world)),
        (&Method::PUT, ["script"]) => script::replace(world, &body),
        (&Method::POST, ["script"]) => script::add_rules(world, &body),
        (&Method::DELETE, ["script"]) => Ok(script::clear(world)),
        (&Method::GET, ["rules"]) => Ok(rules::list(world)),
        (&Method::GET, ["rules", name]) => rules::get(world, name),
        (&Method::PUT, ["rules", name]) => rules::put(world, name, &body),
        (&Method::DELETE, ["rules", name]) => rules::remove(world, name),
        (&Method::GET, ["switches"]) => Ok(HttpAnswer::json(200, &json!(*world.switches()))),
        (&Method::PATCH, ["switches"]) => script::change_switches(world, &body),
        (&Method::GET, ["folders"]) => folders::list(world, uri),
        (&Method::GET, ["folders", id]) => folders::get(world, id),
        (&Method::DELETE, ["folders", id]) => folders::remove(world, id),
        (&Method::POST, ["folders", id, "reset"]) => folders::reset(world, id, &body),
        (&Method::GET, ["samples", name]) => sample_file(name),
        (&Method::POST, ["sessions", "expire"]) => expire(world, &body),
        (&Method::POST, ["clock"]) => skip(world, &body),
        (&Method::POST, ["reset"]) => reset(world, &body),
        _ => Err(refused(404, "no such /sim/ endpoint: GET /sim lists them")),
    }
}

/// The whole body, if it is not too large.
async fn whole(body: Incoming, bytes_max: usize) -> Result<Bytes, HttpAnswer> {
    let body = Limited::new(body, bytes_max).collect().await;
    let refusal = || refused(413, format!("the body has more than {bytes_max} bytes")).closing();
    body.map(|body| body.to_bytes()).map_err(|_| refusal())
}

fn decoded(segment: &str) -> Result<String, HttpAnswer> {
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| refused(400, "the path is not UTF-8"))
}

fn refused(status: u16, message: impl Into<String>) -> HttpAnswer {
    HttpAnswer::json(status, &json!({ "error": message.into() }))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpAnswer> {
    // An empty body means no keys.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| misread(&error))
}

fn misread(error: &serde_json::Error) -> HttpAnswer {
    refused(400, schema::shortened(&error.to_string()))
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, HttpAnswer> {
    let query = Query::<T>::try_from_uri(uri);
    query.map(|query| query.0).map_err(|error| refused(400, error.body_text()))
}

fn index() -> HttpAnswer {
    HttpAnswer::json(
        200,
        &json!({
            "schema_version": schema::VERSION,
            "documentation": "docs/simulator.md",
            "endpoints": ENDPOINTS,
        }),
    )
}

/// The pictures that the sample folders are made from.
fn sample_file(name: &str) -> Done {
    let (content_type, bytes) = match name {
        "portrait.jpg" => ("image/jpeg", sample::portrait_jpeg()),
        "portrait.png" => ("image/png", sample::portrait_png()),
        "stranger.jpg" => ("image/jpeg", sample::stranger_jpeg()),
        _ => return Err(refused(404, "no such sample: portrait.jpg, portrait.png, stranger.jpg")),
    };
    Ok(HttpAnswer::file(content_type, bytes))
}

fn health(world: &World) -> HttpAnswer {
    let (requests, _) = world.record.counts();
    let state = lock(&world.state);
    HttpAnswer::json(
        200,
        &json!({
            "status": "ok",
            "schema_version": schema::VERSION,
            "time": clock::seconds(world.clock.now()),
            "requests": requests,
            "folders": state.folders.len(),
            "sessions": state.sessions.len(),
        }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    #[serde(default)]
    service: bool,
}

fn expire(world: &World, body: &[u8]) -> Done {
    let Expire { service } = read(body)?;
    let expired = lock(&world.state).sessions.expire_all(world.clock.now(), service);
    Ok(HttpAnswer::json(200, &json!({ "expired": expired })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    skip_ms: u64,
}

fn skip(world: &World, body: &[u8]) -> Done {
    let Skip { skip_ms } = read(body)?;
    world.clock.skip(Duration::from_millis(skip_ms));
    let time = clock::seconds(world.clock.now());
    Ok(HttpAnswer::json(200, &json!({ "time": time })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {}

fn reset(world: &World, body: &[u8]) -> Done {
    let Reset {} = read(body)?;
    world.reset();
    Ok(script::clear(world))
}
