//! Oz's behaviour behind its endpoints: one file for each kind of object.
//!
//! It deliberately knows no faults and none of the renaming in `dialect.rs`: both are applied
//! around it.

mod analyses;
mod auth;
mod filter;
mod folders;
mod media;
mod meta_data;

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::answer::{OzReply, Refusal};
use crate::simulator::clock::Millis;
use crate::simulator::director::RequestPlan;
use crate::simulator::endpoint::{Endpoint, Route};
use crate::simulator::lock;
use crate::simulator::script::Switches;
use crate::simulator::session::User;
use crate::simulator::wire::ViewContext;
use crate::simulator::world::{World, WorldState};

/// The only header that carries a token. One of Oz's documents has it in the plural: a misprint.
pub const TOKEN_HEADER: &str = "X-Forensic-Access-Token";

/// The header that carries a token with the switch `token_header_plural`.
const PLURAL_TOKEN_HEADER: &str = "X-Forensics-Access-Token";

/// One request to Oz, with everything needed to act on it.
#[derive(Debug)]
pub struct ApiCall {
    pub world: Arc<World>,
    /// The request's number in the record.
    pub n: u64,
    pub route: Route,
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Scheme and host that URLs in the answer begin with.
    pub base: String,
    /// The switches at the time of the request; a later change doesn't affect it.
    pub on: Arc<Switches>,
    /// The script's decision about the request.
    pub plan: RequestPlan,
}

/// Acts on a request as Oz would.
pub async fn act(call: &ApiCall) -> Result<OzReply, Refusal> {
    use Endpoint::*;
    if call.route.method_refused {
        return Err(Refusal::not_allowed());
    }
    if !call.is_spelt_right() {
        return Err(Refusal::not_exist());
    }
    if call.is_barred() {
        drop(call.authorised()?);
        return Err(Refusal::forbidden());
    }
    match call.route.endpoint {
        Login => auth::login(call),
        Refresh => auth::refresh(call),
        SessionToken => auth::session_token(call),
        Version => version(call),
        CreateFolder => folders::create(call).await,
        ListFolders => folders::list(call),
        GetFolder => folders::get(call),
        DeleteFolder => folders::delete(call),
        AddMedia => media::add(call).await,
        ListMedia => media::list(call),
        GetMedia => media::get(call),
        DeleteMedia => media::delete(call),
        StartAnalyses => analyses::start(call),
        ListAnalyses => analyses::list(call),
        GetAnalysis => analyses::get(call),
        DeleteAnalysis => analyses::delete(call),
        AllAnalyses => analyses::list_all(call),
        FolderMetaData | MediaMetaData | AnalysisMetaData => meta_data::serve(call),
        Static => media::download(call),
        Unknown => Err(Refusal::not_exist()),
    }
}

/// `GET /api/version`: its shape is made up, since no document shows it.
fn version(call: &ApiCall) -> Result<OzReply, Refusal> {
    if call.on.version_missing {
        return Err(Refusal::not_exist());
    }
    Ok(OzReply::Json(200, json!({ "version": call.on.api_version, "simulator": true })))
}

impl ApiCall {
    /// The token that the request carries.
    pub fn token(&self) -> Option<&str> {
        let header = if self.on.token_header_plural { PLURAL_TOKEN_HEADER } else { TOKEN_HEADER };
        self.headers.get(header).and_then(|token| token.to_str().ok())
    }

    /// Whether the path exists with, or without, its trailing slash.
    fn is_spelt_right(&self) -> bool {
        self.route.endpoint == Endpoint::Static || self.on.trailing_slash.fits(self.uri.path())
    }

    /// Whether the user lacks the right to read or to upload, which the request needs.
    fn is_barred(&self) -> bool {
        use Endpoint::*;
        match self.route.endpoint {
            ListFolders | GetFolder | ListMedia | GetMedia | ListAnalyses | GetAnalysis => {
                self.on.reading_forbidden
            }
            CreateFolder | AddMedia => self.on.uploading_forbidden,
            Login | Refresh | SessionToken | Version | DeleteFolder | FolderMetaData
            | DeleteMedia | MediaMetaData | StartAnalyses | DeleteAnalysis | AnalysisMetaData
            | AllAnalyses | Static | Unknown => false,
        }
    }

    /// The user of the request's session. A request without a valid session is refused.
    fn authorise(&self, state: &mut WorldState) -> Result<User, Refusal> {
        let token = self.token().ok_or_else(Refusal::auth_missing)?;
        state.sessions.check(token, self.now(), &self.on)
    }

    /// Locks the state, if the request has a valid session.
    fn authorised(&self) -> Result<MutexGuard<'_, WorldState>, Refusal> {
        let mut state = self.state();
        self.authorise(&mut state)?;
        Ok(state)
    }

    fn state(&self) -> MutexGuard<'_, WorldState> {
        lock(&self.world.state)
    }

    fn now(&self) -> Millis {
        self.world.clock.now()
    }

    fn look(&self) -> ViewContext<'_> {
        ViewContext { base: &self.base, on: &self.on, now: self.now() }
    }

    /// The id in the path. A path without a valid UUID means an object that does not exist.
    fn id(&self) -> Result<Uuid, Refusal> {
        self.route.id.ok_or_else(Refusal::not_exist)
    }

    fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body)
            .map_err(|_| Refusal::structure("Could not parse body as JSON object"))
    }

    fn created(&self, value: Value) -> OzReply {
        OzReply::Json(if self.on.created_is_200 { 200 } else { 201 }, value)
    }

    /// A list, wrapped as the switch `lists_as_items` says.
    fn listed(&self, items: Vec<Value>) -> Value {
        if self.on.lists_as_items { json!({ "items": items }) } else { Value::Array(items) }
    }

    /// The query as pairs; empty if it can't be decoded.
    fn query(&self) -> Vec<(String, String)> {
        axum::extract::Query::try_from_uri(&self.uri).map(|query| query.0).unwrap_or_default()
    }

    fn refuse_deletion(&self) -> Result<(), Refusal> {
        if self.on.deletion_forbidden { Err(Refusal::forbidden()) } else { Ok(()) }
    }
}
