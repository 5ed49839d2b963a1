//! One request from its arrival to its end: received, recorded, planned, acted on, answered.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::simulator::answer::Refusal;
use crate::simulator::api::{self, ApiCall};
use crate::simulator::control;
use crate::simulator::director::RequestPlan;
use crate::simulator::endpoint::{Endpoint, Route};
use crate::simulator::fault::{self, HttpAnswer};
use crate::simulator::lock;
use crate::simulator::record::{Answered, RecordLine, RecordedRequest};
use crate::simulator::script::Action;
use crate::simulator::subject::Subject;
use crate::simulator::upload::Upload;
use crate::simulator::world::World;

/// Characters of path and query that the record keeps.
const PATH_SHOWN_MAX: usize = 2_048;

/// How a request ends.
enum Fate {
    Answered(HttpAnswer),
    /// The connection is reset.
    Dropped,
    /// The connection stays open without an answer.
    Left,
}

/// Serves one request. Cancelling `cut` resets its connection.
pub async fn respond(
    world: Arc<World>,
    cut: CancellationToken,
    request: Request<Incoming>,
) -> Response<Body> {
    if control::is_control_path(request.uri().path()) {
        return control::serve(&world, request).await;
    }
    let line = open_line(&world, &request);
    let fate = match receive(&world, &line, request).await {
        Ok(call) => decide(call).await,
        Err(answer) => Fate::Answered(answer),
    };
    let now_ms = world.clock.elapsed_ms();
    match fate {
        Fate::Answered(answer) => {
            line.close(Answered::Status(answer.status), now_ms);
            answer.into_response()
        }
        Fate::Dropped => {
            line.close(Answered::Dropped, now_ms);
            cut.cancel();
            std::future::pending().await
        }
        // The line stays open until the caller leaves.
        Fate::Left => std::future::pending().await,
    }
}

fn open_line(world: &Arc<World>, request: &Request<Incoming>) -> RecordLine {
    let route = Route::read(request.method(), request.uri().path());
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    world.record.open(RecordedRequest {
        n: 0,
        at_ms: world.clock.elapsed_ms(),
        answered_at_ms: None,
        method: request.method().to_string(),
        path: path.chars().take(PATH_SHOWN_MAX).collect(),
        endpoint: route.endpoint,
        folder: route.folder(),
        answered: Answered::Pending,
        acted: false,
        rules: Vec::new(),
        body_bytes: 0,
        uploads: Vec::new(),
        asked: None,
        analyses: Vec::new(),
    })
}

async fn receive(
    world: &Arc<World>,
    line: &RecordLine,
    request: Request<Incoming>,
) -> Result<ApiCall, HttpAnswer> {
    let on = world.switches();
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, on.request_bytes_max).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(HttpAnswer::page(413).closing()),
        Err(_) => {
            return Err(HttpAnswer::refused(&Refusal::structure("Broken body"), &on).closing());
        }
    };
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let base = host.map_or_else(|| world.url(), |host| world.url_at(host));
    let mut call = ApiCall {
        world: world.clone(),
        n: line.n(),
        route: Route::read(&parts.method, parts.uri.path()),
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body,
        base,
        on,
        plan: RequestPlan::default(),
    };
    plan(&mut call).await;
    Ok(call)
}

/// Lets the script decide what happens to a request. Parses an upload only if a rule matches by
/// metadata or media: parsing takes time.
async fn plan(call: &mut ApiCall) {
    let world = call.world.clone();
    let is_about_contents = lock(&world.director).is_about_contents();
    let brought = if is_about_contents { brought(call).await } else { None };
    let subject = {
        let state = lock(&world.state);
        let subject = Subject::of(&call.route, &call.body, &state.folders);
        match is_about_contents {
            true => {
                subject.with_contents(&call.route, &call.body, &state.folders, brought.as_ref())
            }
            false => subject,
        }
    };
    let now = world.clock.now();
    call.plan = lock(&world.director).plan(call.route.endpoint, &subject, now);
    world.record.note(call.n, |request| {
        request.body_bytes = call.body.len() as u64;
        request.rules.clone_from(&call.plan.rules);
        request.folder = subject.folder;
    });
}

/// The upload in a request, if there is one and it can be parsed.
async fn brought(call: &ApiCall) -> Option<Upload> {
    match call.route.endpoint {
        Endpoint::CreateFolder | Endpoint::AddMedia => {
            Upload::read(&call.headers, call.body.clone(), &call.on).await.ok()
        }
        _ => None,
    }
}

async fn decide(call: ApiCall) -> Fate {
    let action = call.plan.action.clone();
    if let (true, Some(token)) = (action.expire_session, call.token()) {
        lock(&call.world.state).sessions.expire(token, call.world.clock.now());
    }
    if action.drop_before_acting {
        return Fate::Dropped;
    }
    if let Some(after_ms) = action.act_after_drop_ms {
        detach(call, after_ms);
        return Fate::Dropped;
    }
    let answer = match action.delay_ms {
        Some(delay_ms) => match detach(call, delay_ms).await {
            Ok(answer) => answer,
            // The simulator is stopping.
            Err(_) => return Fate::Left,
        },
        None => perform(&call).await,
    };
    if action.drop_after_acting {
        return Fate::Dropped;
    }
    wait(action.answer_delay_ms).await;
    if action.never_answer { Fate::Left } else { Fate::Answered(answer) }
}

/// Acts after a delay, in a separate task: Oz carries a request out even if its caller leaves.
fn detach(call: ApiCall, delay_ms: u64) -> tokio::task::JoinHandle<HttpAnswer> {
    let world = call.world.clone();
    world.tasks.clone().spawn(async move {
        let acting = async {
            wait(Some(delay_ms)).await;
            perform(&call).await
        };
        tokio::select! {
            () = world.stopping.cancelled() => HttpAnswer::page(503),
            answer = acting => answer,
        }
    })
}

/// Acts on a request, unless a rule answers instead, and applies the rule to the answer.
async fn perform(call: &ApiCall) -> HttpAnswer {
    let action = &call.plan.action;
    if is_answered_by_rule(action) && !action.act {
        return fault::shaped(HttpAnswer::empty(200), action, &call.on);
    }
    let answer = match api::act(call).await {
        Ok(reply) => {
            call.world.record.note(call.n, |request| request.acted = true);
            HttpAnswer::replied(reply, &call.on)
        }
        Err(refusal) => HttpAnswer::refused(&refusal, &call.on),
    };
    fault::shaped(answer, action, &call.on).dated(call.world.clock.now(), &call.on)
}

fn is_answered_by_rule(action: &Action) -> bool {
    action.status.is_some() || action.html.is_some()
}

async fn wait(duration_ms: Option<u64>) {
    if let Some(duration_ms) = duration_ms {
        tokio::time::sleep(Duration::from_millis(duration_ms)).await;
    }
}
