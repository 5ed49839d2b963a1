//! Single requests to Oz with their whole answers, for `facematch doctor`.
//!
//! They are built as the client's are: same settings, connections and requests, same reading of
//! answers. Unlike the client, a probe deliberately keeps no session, repeats nothing, and hides
//! nothing of an answer; it judges nothing either.

use std::{sync::Mutex, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::{
    RequestBuilder, Url,
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    domain::{
        Analysis, Failure, FailureKind, Folder, FolderId, Format, MatchId, MediaId, PhotoKind,
        Timestamp,
    },
    oz::{
        Config, ConfigError, Credentials, LinkFault,
        exchange::{self, Transport},
        failure, lenient_json, scrub,
        session::{LOGIN_PATH, REFRESH_PATH, TOKEN_HEADER},
        upload,
        wire::{self, UnusableAnswer},
    },
    sync::lock,
};

/// The header as one of Oz's documents has it.
const PLURAL_TOKEN_HEADER: &str = "X-Forensics-Access-Token";

/// The slowest upload that is waited for, in bytes a second: that of a bad mobile connection.
const UPLOAD_RATE_MIN: u64 = 16 * 1024;

/// The name of the form part that holds the liveness media.
const VIDEO_PART: &str = "video1";

/// Headers by which a server on the way gives itself away.
const TELLING_HEADERS: [&str; 4] = ["via", "x-cache", "proxy-authenticate", "x-squid-error"];

/// Sends requests to Oz, one at a time.
pub struct OzProbe {
    transport: Transport,
    credentials: Credentials,
    way: OzRoute,
    secrets: Mutex<Vec<SecretString>>,
}

/// The way to Oz, as far as the settings say, without secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OzRoute {
    /// The base address.
    pub url: String,
    /// The path of the base address; empty for most installations.
    pub path: String,
    /// Whether the connection is encrypted.
    pub is_https: bool,
    /// Whether a file says which certificate authorities to trust.
    pub has_ca_file: bool,
    /// The host and port of the proxy.
    pub proxy: Option<String>,
}

/// An access token.
#[derive(Clone)]
pub struct AccessToken(SecretString);

/// The tokens of a session.
pub struct ProbedSession {
    /// The token that requests carry.
    pub token: AccessToken,
    /// Whether the session can be refreshed.
    pub is_refreshable: bool,
    /// When it ends, by Oz's clock.
    pub expire_date: Option<Timestamp>,
    expire_token: Option<SecretString>,
}

/// How a request carries its token.
#[derive(Clone, Copy)]
pub enum Carried<'a> {
    /// It has none.
    No,
    /// In the header that the service uses.
    Token(&'a AccessToken),
    /// In the header with the name that one of Oz's documents has.
    Plural(&'a AccessToken),
}

/// A file for a new folder.
#[derive(Clone, Debug)]
pub struct LivenessFile {
    /// The name that Oz is told.
    pub name: String,
    /// The MIME type.
    pub content_type: String,
    /// The contents.
    pub bytes: Bytes,
}

/// A whole answer of any status.
pub struct WholeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Oz's time, by the `Date` header.
    pub date: Option<Timestamp>,
    /// The names of all headers, sorted.
    pub header_names: Vec<String>,
    /// Names of headers that a proxy or a cache adds.
    pub telling_headers: Vec<&'static str>,
    /// The scheme and host that a redirect leads to.
    pub leads_to: Option<String>,
    /// The body.
    pub body: Bytes,
    /// The body as JSON, if it is JSON.
    pub json: Option<Value>,
    /// How the service classifies the answer: `None` for a 2xx with JSON. Holds no secret.
    pub failure: Option<Failure>,
    /// When the request was sent, by this machine's clock.
    pub sent_at: Timestamp,
    /// When the answer was read.
    pub received_at: Timestamp,
}

/// Why there is no whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoAnswer {
    /// The kind of fault.
    pub fault: LinkFault,
    /// The chain of causes, for people. Holds no secret.
    pub causes: String,
}

/// An answer, or why there is none.
pub type ProbeOutcome = Result<WholeAnswer, NoAnswer>;

impl OzProbe {
    /// A probe with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// A setting that can't be used.
    pub fn new(config: Config, clock: Clock) -> Result<Self, ConfigError> {
        let transport = Transport::new(&config, clock)?;
        let mut secrets = vec![config.credentials.secret().clone()];
        if let Credentials::Login { email, .. } = &config.credentials {
            secrets.push(email.as_str().into());
        }
        Ok(Self {
            transport,
            way: way(&config)?,
            credentials: config.credentials,
            secrets: Mutex::new(secrets),
        })
    }

    /// The way to Oz.
    pub fn way(&self) -> &OzRoute {
        &self.way
    }

    /// The time by this machine's clock, for intervals.
    pub fn clock(&self) -> &Clock {
        &self.transport.clock
    }

    /// The token of the service account; `None` if the settings have a login.
    pub fn service_token(&self) -> Option<AccessToken> {
        match &self.credentials {
            Credentials::Login { .. } => None,
            Credentials::Token(token) => Some(AccessToken(token.clone())),
        }
    }

    /// A text of Oz without secrets, file names and control characters.
    pub fn clean(&self, text: &str) -> String {
        scrub::clean(text, &lock(&self.secrets))
    }

    /// Whether a text holds a secret that was sent or received, or enough of one.
    pub fn holds_secret(&self, text: &str) -> bool {
        scrub::holds(text, &lock(&self.secrets))
    }

    /// Sends a GET of a path, which may have a query.
    pub async fn get(&self, path: &str, carried: Carried<'_>) -> ProbeOutcome {
        self.send(carried.by(self.transport.get(path))).await
    }

    /// Sends a POST of JSON.
    pub async fn post(&self, path: &str, body: &Value, carried: Carried<'_>) -> ProbeOutcome {
        self.send(carried.by(self.transport.post(path)).json(body)).await
    }

    /// Logs in, and returns the answer and the session in it.
    pub async fn log_in(&self) -> (ProbeOutcome, Option<ProbedSession>) {
        let Credentials::Login { email, password } = &self.credentials else {
            panic!("a service token needs no login");
        };
        let body =
            json!({ "credentials": { "email": email, "password": password.expose_secret() } });
        self.session(self.post(LOGIN_PATH, &body, Carried::No).await)
    }

    /// Exchanges a pair of tokens for the next one.
    pub async fn refresh(&self, session: &ProbedSession) -> (ProbeOutcome, Option<ProbedSession>) {
        let expire_token = session.expire_token.as_ref().map(ExposeSecret::expose_secret);
        let body = json!({ "expire_token": expire_token });
        self.session(self.post(REFRESH_PATH, &body, Carried::Token(&session.token)).await)
    }

    /// Makes a folder that holds this file, with this metadata.
    pub async fn make_folder(
        &self,
        file: &LivenessFile,
        tags: &[&str],
        meta_data: &Value,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let payload = json!({ "folder:meta_data": meta_data, "media:tags": { VIDEO_PART: tags } });
        let mut headers = HeaderMap::new();
        if let Ok(content_type) = file.content_type.parse() {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        let part = Part::stream_with_length(file.bytes.clone(), file.bytes.len() as u64)
            .file_name(file.name.clone())
            .headers(headers);
        let form = Form::new().text("payload", payload.to_string()).part(VIDEO_PART, part);
        self.upload("/api/folders/", form, file.bytes.len(), carried).await
    }

    /// Adds a photo to a folder, by the request that the service sends.
    pub async fn add_photo(
        &self,
        folder: FolderId,
        id: MatchId,
        photo: &(Bytes, Format),
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let (bytes, format) = photo;
        let (form, _) = upload::form(bytes.clone(), id, PhotoKind::Selfie, *format);
        let path = format!("/api/folders/{folder}/media/");
        self.upload(&path, form, bytes.len(), carried).await
    }

    /// Starts analyses, by the request that the service sends.
    pub async fn start(
        &self,
        folder: FolderId,
        biometry: &[MediaId],
        quality: Option<&[MediaId]>,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let path = format!("/api/folders/{folder}/analyses/");
        self.post(&path, &wire::start_body(biometry, quality), carried).await
    }

    async fn upload(
        &self,
        path: &str,
        form: Form,
        bytes: usize,
        carried: Carried<'_>,
    ) -> ProbeOutcome {
        let slowest = Duration::from_secs(bytes as u64 / UPLOAD_RATE_MIN);
        let request = self.transport.upload(path).timeout(self.transport.timeout + slowest);
        self.send(carried.by(request).multipart(form)).await
    }

    /// The session in an answer. Its tokens are secrets from then on.
    fn session(&self, outcome: ProbeOutcome) -> (ProbeOutcome, Option<ProbedSession>) {
        let tokens = outcome.as_ref().ok().filter(|answer| answer.failure.is_none());
        let tokens = tokens.and_then(|answer| wire::tokens(&answer.body).ok());
        let session = tokens.map(|tokens| {
            let mut secrets = lock(&self.secrets);
            secrets.push(tokens.access_token.clone());
            secrets.extend(tokens.expire_token.clone());
            ProbedSession {
                token: AccessToken(tokens.access_token),
                is_refreshable: tokens.expire_token.is_some(),
                expire_date: tokens.expire_date,
                expire_token: tokens.expire_token,
            }
        });
        (outcome, session)
    }

    async fn send(&self, request: RequestBuilder) -> ProbeOutcome {
        let sent_at = self.transport.clock.now();
        let request = request.header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = exchange::read_whole(response).await.map_err(|unread| match unread {
            exchange::UnreadBody::TooLong => {
                NoAnswer { fault: LinkFault::TooLong, causes: "the answer is too long".to_owned() }
            }
            exchange::UnreadBody::Broken(error) => self.no_answer(&error),
        })?;
        Ok(self.answer(status, &headers, body, sent_at))
    }

    fn answer(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        sent_at: Timestamp,
    ) -> WholeAnswer {
        let times = (sent_at, self.transport.clock.now());
        let answer = WholeAnswer::of(status, headers, body, times, &self.way.url);
        let clean = |failure: Failure| Failure { message: self.clean(&failure.message), ..failure };
        WholeAnswer { failure: answer.failure.map(clean), ..answer }
    }

    fn no_answer(&self, error: &reqwest::Error) -> NoAnswer {
        NoAnswer { fault: LinkFault::of(error), causes: self.clean(&failure::chain(error)) }
    }
}

impl Carried<'_> {
    fn by(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::No => request,
            Self::Token(token) => request.header(TOKEN_HEADER, token.header()),
            Self::Plural(token) => request.header(PLURAL_TOKEN_HEADER, token.header()),
        }
    }
}

impl AccessToken {
    /// The value of its header. A token that no header can carry is sent as an empty one, which Oz
    /// refuses.
    fn header(&self) -> http::HeaderValue {
        let value = http::HeaderValue::from_str(self.0.expose_secret());
        let mut value = value.unwrap_or(http::HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

impl WholeAnswer {
    /// The answer with this status, these headers and this body, by the times of its request and
    /// of its end. The message of a failure is Oz's own.
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        (sent_at, received_at): (Timestamp, Timestamp),
        base: &str,
    ) -> Self {
        let json = lenient_json::read(&body).ok();
        let failure = match (status.is_success(), &json) {
            (true, Some(_)) => None,
            (true, None) => Some(failure::unreadable(status, &body)),
            (false, _) => Some(failure::from_answer(status, headers, &body, received_at)),
        };
        let mut header_names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        header_names.sort();
        Self {
            status: status.as_u16(),
            date: failure::date_header(headers, header::DATE),
            telling_headers: telling(headers),
            header_names,
            leads_to: leads_to(headers, base),
            json,
            failure,
            body,
            sent_at,
            received_at,
        }
    }

    /// Whether Oz itself gave it: JSON with a 2xx, or an Oz error object.
    pub fn is_by_oz(&self) -> bool {
        let Some(failure) = &self.failure else { return true };
        match failure.kind {
            FailureKind::SessionRefused
            | FailureKind::Unauthorized
            | FailureKind::LoginRefused
            | FailureKind::Forbidden
            | FailureKind::NotFound
            | FailureKind::TooLarge
            | FailureKind::Rejected => true,
            FailureKind::ServerError | FailureKind::RateLimited => failure.error_code.is_some(),
            FailureKind::Unreachable
            | FailureKind::TimedOut
            | FailureKind::Interrupted
            | FailureKind::Redirected
            | FailureKind::Unreadable
            | FailureKind::Incomplete
            | FailureKind::Foreign
            | FailureKind::Library(_) => false,
        }
    }

    /// The folder in it, as the service reads it.
    ///
    /// # Errors
    /// What the answer lacks.
    pub fn folder(&self) -> Result<Folder, &'static str> {
        wire::folder(&self.body).map(|(folder, _)| folder).map_err(lacks)
    }

    /// The analyses in a list, as the service reads it.
    ///
    /// # Errors
    /// What the answer lacks.
    pub fn analyses(&self) -> Result<Vec<Analysis>, &'static str> {
        wire::analyses(&self.body).map_err(lacks)
    }

    /// The medium that an uploaded photo became, as the service finds it.
    ///
    /// # Errors
    /// What the answer lacks.
    pub fn uploaded(&self, id: MatchId) -> Result<MediaId, &'static str> {
        wire::uploaded(&self.body, id, PhotoKind::Selfie).map_err(lacks)
    }

    /// The analyses that were started, as the service reads them.
    ///
    /// # Errors
    /// What the answer lacks.
    pub fn started(&self) -> Result<Vec<Analysis>, &'static str> {
        wire::started(&self.body).map_err(lacks)
    }
}

fn lacks(unusable: UnusableAnswer) -> &'static str {
    match unusable {
        UnusableAnswer::NotJson => "it is not JSON",
        UnusableAnswer::Lacks(what) => what,
    }
}

fn way(config: &Config) -> Result<OzRoute, ConfigError> {
    let base = config.base_url()?;
    let proxy = config.proxy_url()?;
    let place = |url: Url| {
        let host = url.host_str().unwrap_or_default().to_owned();
        url.port_or_known_default().map_or(host.clone(), |port| format!("{host}:{port}"))
    };
    Ok(OzRoute {
        path: base.path().trim_end_matches('/').to_owned(),
        is_https: base.scheme() == "https",
        url: base.as_str().trim_end_matches('/').to_owned(),
        has_ca_file: config.ca_file.is_some(),
        proxy: proxy.map(place),
    })
}

fn telling(headers: &HeaderMap) -> Vec<&'static str> {
    TELLING_HEADERS.into_iter().filter(|name| headers.contains_key(*name)).collect()
}

/// The scheme and host of a redirect. The rest may hold a token.
fn leads_to(headers: &HeaderMap, base: &str) -> Option<String> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let there = Url::parse(base).ok()?.join(location).ok()?;
    let port = there.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", there.scheme(), there.host_str()?))
}
