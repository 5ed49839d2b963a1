//! The steps that only read: the link, sign-in, rights, sessions, and a folder.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    doctor::{
        DoctorStep, Finding, FindingVerdict,
        examiner::Examiner,
        judge::{self, clock, folder, reach, session, status, succeeded, version},
    },
    domain::FolderId,
    oz::{AccessToken, Carried, ProbeOutcome, ProbedSession},
};

const VERSION: &str = "/api/version";

/// The list of folders, in both spellings of its path.
const SLASHED: &str = "/api/folders/?limit=1";
const BARE: &str = "/api/folders?limit=1";

/// A folder, and its analyses, as the service reads it.
pub const FOLDER: &str = "/api/folders/{id}?with_analyses=true";
pub const ANALYSIS: &str = "/api/analyses/{id}";

/// Tries all that needs no folder, and returns a token for the rest; `None` if there is none.
pub async fn session(it: &mut Examiner<'_>) -> Option<AccessToken> {
    let without_token = reach(it).await?;
    let service_token = it.probe.service_token();
    let (token, logged_in) = match service_token {
        Some(token) => (token, None),
        None => {
            let session = log_in(it).await?;
            (session.token.clone(), Some(session))
        }
    };
    let slashed = it.get(SLASHED, "", Carried::Token(&token)).await;
    let bare = it.get(BARE, "", Carried::Token(&token)).await;
    let (list, path) = match succeeded(&bare) && !succeeded(&slashed) {
        true => (&bare, BARE),
        false => (&slashed, SLASHED),
    };
    token_accepted(it, list, path, &token, logged_in.is_none()).await?;
    let without_token = match path == SLASHED {
        true => without_token,
        false => it.get(path, "", Carried::No).await,
    };
    let unknown = match succeeded(list) {
        true => Some(it.get(FOLDER, &Uuid::new_v4().to_string(), Carried::Token(&token)).await),
        false => None,
    };
    it.tell(session::refusals(&without_token, unknown.as_ref()));
    it.tell(session::reading(&slashed, &bare));
    it.tell(session::paths(&slashed, &bare));
    match logged_in {
        Some(logged_in) => Some(sessions(it, logged_in, path).await),
        None => {
            let why = "a service token is not refreshed, and needs no login";
            it.tell(Finding::not_tried(DoctorStep::Refresh, why));
            Some(token)
        }
    }
}

/// Tries the link, and whether Oz answers. No secret is sent before that is known. Returns the
/// answer to a request without a token.
async fn reach(it: &mut Examiner<'_>) -> Option<ProbeOutcome> {
    let way = it.probe.way().clone();
    let version = it.get(VERSION, "", Carried::No).await;
    let link = reach::link(&way, &version);
    let is_broken = link.iter().any(|finding| finding.verdict == FindingVerdict::Differs);
    link.into_iter().for_each(|finding| it.tell(finding));
    if is_broken {
        return stop(it, "all that needs an answer of Oz");
    }
    let without_token = it.get(SLASHED, "", Carried::No).await;
    let oz = reach::oz(&way, &without_token);
    let is_oz = oz.verdict == FindingVerdict::Holds;
    it.tell(oz);
    if !is_oz {
        return stop(it, "all that needs an answer of Oz; neither login nor token was sent");
    }
    it.tell(version::version(&version));
    let dated = [&version, &without_token].into_iter().filter_map(|it| it.as_ref().ok());
    let dated: Vec<_> = dated.filter(|answer| answer.is_by_oz()).collect();
    if let Some(answer) = dated.first() {
        it.tell(clock::clock(answer));
    }
    Some(without_token)
}

fn stop<T>(it: &mut Examiner<'_>, rest: &str) -> Option<T> {
    it.tell(Finding::not_tried(DoctorStep::Rest, rest));
    None
}

async fn log_in(it: &mut Examiner<'_>) -> Option<ProbedSession> {
    let (outcome, session) = it.log_in().await;
    it.tell(session::log_in(&outcome, session.as_ref()));
    match session {
        Some(session) => Some(session),
        None => stop(it, "all that needs a session"),
    }
}

/// Tries whether the token is accepted in the header that the service uses; `None` if not.
async fn token_accepted(
    it: &mut Examiner<'_>,
    list: &ProbeOutcome,
    path: &str,
    token: &AccessToken,
    is_service_token: bool,
) -> Option<()> {
    let plural = match status(list) {
        Some(401) => Some(it.get(path, "", Carried::Plural(token)).await),
        _ => None,
    };
    let takes_plural = plural.as_ref().is_some_and(succeeded);
    if is_service_token {
        let shown = plural.as_ref().filter(|_| takes_plural).unwrap_or(list);
        it.tell(session::token(shown));
    }
    let is_refused = status(list) == Some(401);
    // A service token that is refused in both headers says nothing about the header.
    if takes_plural || !is_refused || !is_service_token {
        it.tell(session::header(list, plural.as_ref()));
    }
    match is_refused {
        true => stop(it, "all that needs a token that Oz accepts"),
        false => Some(()),
    }
}

/// Tries to refresh the session and to log in beside it. Returns a token that works.
async fn sessions(it: &mut Examiner<'_>, first: ProbedSession, path: &str) -> AccessToken {
    let mut current = first.token.clone();
    if first.is_refreshable {
        let (outcome, next) = it.refresh(&first).await;
        let old_before = it.get(path, "", Carried::Token(&first.token)).await;
        let new = match &next {
            Some(next) => Some(it.get(path, "", Carried::Token(&next.token)).await),
            None => None,
        };
        let refreshed =
            session::Refreshed { outcome: &outcome, old_before: &old_before, new: new.as_ref() };
        it.tell(session::refresh(&refreshed));
        if let (Some(next), Some(true)) = (next, new.as_ref().map(judge::is_accepted)) {
            current = next.token;
        }
    } else {
        let why = "a login brings no expire_token, so FaceMatch logs in again";
        it.tell(Finding::not_tried(DoctorStep::Refresh, why));
    }
    let (_, second) = it.log_in().await;
    let still = it.get(path, "", Carried::Token(&current)).await;
    it.tell(session::sessions(&still));
    let why = "whether use prolongs a session shows only after its whole life";
    it.tell(Finding::not_tried(DoctorStep::Extension, why));
    match second {
        Some(second) if !judge::is_accepted(&still) => second.token,
        _ => current,
    }
}

/// Reads a folder of the operator's.
pub async fn folder(it: &mut Examiner<'_>, id: FolderId, token: &AccessToken) {
    let outcome = it.get(FOLDER, &id.to_string(), Carried::Token(token)).await;
    let (finding, folder) = folder::read(id, &outcome);
    it.tell(finding);
    let (Some(folder), Ok(answer)) = (folder, &outcome) else { return };
    it.tell(folder::liveness_media(&folder));
    it.tell(folder::room(&folder));
    let json = answer.json.as_ref().unwrap_or(&Value::Null);
    it.tell(folder::media(json));
    let mut analyses = listed(json);
    if let Some(id) = folder.analyses.first().and_then(|analysis| analysis.id.as_ref()) {
        let one = it.get(ANALYSIS, id.as_str(), Carried::Token(token)).await;
        analyses.extend(one.as_ref().ok().and_then(|one| one.json.as_ref()).map(single));
    }
    it.tell(folder::analyses(&analyses));
}

/// The analyses that an answer lists.
fn listed(folder: &Value) -> Vec<Value> {
    let list = folder.get("analyses");
    let items = list.and_then(|list| list.get("items")).or(list);
    items.and_then(Value::as_array).cloned().unwrap_or_default()
}

/// One analysis: an object, or the last of an array as in old versions.
pub fn single(answer: &Value) -> Value {
    match answer {
        Value::Array(items) => items.last().cloned().unwrap_or(Value::Null),
        other => other.clone(),
    }
}
