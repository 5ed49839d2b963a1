//! `/sim/…`: the tester's side door. No token; unknown keys are refused.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::clock;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::fault::Answer;
use crate::simulator::lock;
use crate::simulator::respond::whole;
use crate::simulator::script::{self, Rule, Script, Switches};
use crate::simulator::view::FolderView;
use crate::simulator::world::World;

/// Bytes of a control request: a script of a thousand rules is far smaller.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Items of a page, unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

type Done = Result<Answer, Answer>;

/// Whether a path is the side door's.
pub fn is_meant(path: &str) -> bool {
    path == "/sim" || path.starts_with("/sim/")
}

/// Serves a control request.
pub async fn serve(world: &Arc<World>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Some(body) = whole(body, BODY_BYTES_MAX).await else {
        return refused(413, "the body is too large").closing().into_response();
    };
    let path = parts.uri.path().trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let done = match (&parts.method, segments.as_slice()) {
        (&Method::GET, ["health"]) => Ok(health(world)),
        (&Method::GET, ["record"]) => page(world, &parts.uri),
        (&Method::DELETE, ["record"]) => Ok(clear_record(world)),
        (&Method::GET, ["script"]) => Ok(show_script(world)),
        (&Method::PUT, ["script"]) => replace_script(world, &body),
        (&Method::POST, ["script"]) => add_rules(world, &body),
        (&Method::DELETE, ["script"]) => Ok(clear_script(world)),
        (&Method::PATCH, ["switches"]) => change_switches(world, &body),
        (&Method::GET, ["switches"]) => Ok(Answer::json(200, &json!(*world.switches()))),
        (&Method::GET, ["folders"]) => folders(world, &parts.uri),
        (&Method::GET, ["folders", id]) => folder(world, id),
        (&Method::POST, ["sessions", "expire"]) => expire(world, &body),
        (&Method::POST, ["clock"]) => skip(world, &body),
        (&Method::POST, ["reset"]) => reset(world, &body),
        _ => Err(refused(404, "no such /sim/ endpoint: the simulator's README lists them")),
    };
    done.unwrap_or_else(|refusal| refusal).into_response()
}

fn refused(status: u16, message: impl Into<String>) -> Answer {
    Answer::json(status, &json!({ "error": message.into() }))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    // An empty body means no keys.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| misread(&error))
}

fn misread(error: &serde_json::Error) -> Answer {
    refused(400, script::shortened(&error.to_string()))
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Answer> {
    let query = Query::<T>::try_from_uri(uri);
    query.map(|query| query.0).map_err(|error| refused(400, error.body_text()))
}

fn health(world: &World) -> Answer {
    let (requests, _) = world.record.counts();
    let state = lock(&world.state);
    Answer::json(
        200,
        &json!({
            "status": "ok",
            "schema_version": script::VERSION,
            "time": clock::seconds(world.clock.now()),
            "requests": requests,
            "folders": state.folders.len(),
            "sessions": state.sessions.len(),
        }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    endpoint: Option<Endpoint>,
    folder: Option<Uuid>,
}

fn page(world: &World, uri: &Uri) -> Done {
    let query: RecordQuery = query(uri)?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let items = world.record.page(query.after, limit, |request| {
        query.endpoint.is_none_or(|it| it == request.endpoint)
            && query.folder.is_none_or(|it| Some(it) == request.folder)
    });
    let (total, forgotten) = world.record.counts();
    let next_after = items.last().map_or(total.max(query.after), |request| request.n);
    let next_after = if items.len() < limit { total.max(query.after) } else { next_after };
    Ok(Answer::json(
        200,
        &json!({
            "total": total,
            "forgotten": forgotten,
            "next_after": next_after,
            "items": items,
        }),
    ))
}

fn clear_record(world: &World) -> Answer {
    world.record.clear();
    Answer::empty(204)
}

fn show_script(world: &World) -> Answer {
    let director = lock(&world.director);
    let counts = director.counts().into_iter();
    let counts = counts.map(|(seen, applied)| json!({ "seen": seen, "applied": applied }));
    let mut view = json!(director.script());
    view["counts"] = counts.collect();
    Answer::json(200, &view)
}

fn read_script(body: &[u8]) -> Result<Script, Answer> {
    let text = std::str::from_utf8(body).map_err(|_| refused(400, "the script is not UTF-8"))?;
    Script::from_json(text).map_err(|message| refused(400, message))
}

fn replace_script(world: &World, body: &[u8]) -> Done {
    let new = read_script(body)?;
    let mut director = lock(&world.director);
    director.clear_rules();
    director.switch(new.switches);
    director.add(new.rules);
    drop(director);
    Ok(show_script(world))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreRules {
    version: u32,
    rules: Vec<Rule>,
}

fn add_rules(world: &World, body: &[u8]) -> Done {
    let MoreRules { version, rules } = read(body)?;
    let script = Script { version, rules, ..Script::default() };
    let checked = script.checked().map_err(|message| refused(400, message))?;
    if !lock(&world.director).try_add(checked.rules) {
        return Err(refused(400, "rules: the script is full"));
    }
    Ok(show_script(world))
}

fn clear_script(world: &World) -> Answer {
    let mut director = lock(&world.director);
    director.clear_rules();
    director.switch(Switches::default());
    Answer::empty(204)
}

/// Keys that are left out keep their value.
fn change_switches(world: &World, body: &[u8]) -> Done {
    let Value::Object(changes) = read(body)? else {
        return Err(refused(400, "the body must be an object of switches"));
    };
    let mut director = lock(&world.director);
    let mut switches = json!(*director.switches());
    for (key, value) in changes {
        switches[key] = value;
    }
    let switches = serde_json::from_value(switches).map_err(|error| misread(&error))?;
    let script = Script { switches, ..Script::default() };
    let checked = script.checked().map_err(|message| refused(400, message))?;
    director.switch(checked.switches);
    Ok(Answer::json(200, &json!(*director.switches())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoldersQuery {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

fn folders(world: &World, uri: &Uri) -> Done {
    let query: FoldersQuery = query(uri)?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let state = lock(&world.state);
    let now = world.clock.now();
    let page = state.folders.iter().skip(query.offset).take(limit);
    let items: Vec<_> = page.map(|folder| FolderView::of(folder, now)).collect();
    Ok(Answer::json(200, &json!({ "total": state.folders.len(), "items": items })))
}

fn folder(world: &World, id: &str) -> Done {
    let state = lock(&world.state);
    let folder = Uuid::try_parse(id).ok().and_then(|id| state.folders.get(id));
    let folder = folder.ok_or_else(|| refused(404, "no such folder"))?;
    Ok(Answer::json(200, &json!(FolderView::of(folder, world.clock.now()))))
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
    Ok(Answer::json(200, &json!({ "expired": expired })))
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
    Ok(Answer::json(200, &json!({ "time": time })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {}

fn reset(world: &World, body: &[u8]) -> Done {
    let Reset {} = read(body)?;
    world.reset();
    Ok(clear_script(world))
}
