//! Our session at Oz: shared by all requests, and renewed by one request at a time.
//!
//! Facts from Oz's authentication page: a request carries the access token in one header, without
//! a prefix such as `Bearer`; a session lasts for some time after its last use; an expire token is
//! exchanged for the next pair of tokens, and the old pair stays valid until the new one is used.
//!
//! Some installations of Oz end a user's earlier sessions when that user logs in. Replicas that
//! share a login then end each other's sessions with every login. The pauses before these logins
//! grow, so that each session lasts long enough to be useful.
//!
//! A 401 doesn't say whether the session or the request is at fault: a gateway may refuse a path
//! whatever the token. If a request is refused even after a renewal, while the session works for
//! other requests, the request is at fault.
//!
//! The password or the token may be replaced at run time. When Oz refuses it, the keychain reads it
//! again; a changed secret is tried without a pause, since it doesn't repeat a refused guess.
//!
//! This module deliberately sends no request but logins and refreshes: the client repeats a refused
//! request, once.

mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use http::HeaderValue;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::{
    domain::{Failure, FailureKind, Timestamp},
    metrics::Endpoint,
    oz::{
        Credentials, Jitter, Keychain,
        exchange::{OzResponse, Transport},
        keychain::Fixed,
        refusals::RefusedRequest,
        session::state::{Blame, PairAge, SessionState, TokenPair, is_same},
        wire,
    },
    sync::lock,
};

pub use self::state::{YOUNG, renewal_pause};

/// The header that carries the access token. One of Oz's pages has it in the plural; all other
/// pages and all known clients have this name.
pub const TOKEN_HEADER: &str = "X-Forensic-Access-Token";

pub const LOGIN_PATH: &str = "/api/authorize/auth/";
pub const REFRESH_PATH: &str = "/api/authorize/refresh/";
const LOGIN: Endpoint = Endpoint { method: "POST", template: LOGIN_PATH };
const REFRESH: Endpoint = Endpoint { method: "POST", template: REFRESH_PATH };

/// The session that all requests share.
pub struct Session {
    /// Our account, with the secret that was configured when the process started.
    credentials: Credentials,
    keychain: Arc<dyn Keychain>,
    state: Mutex<SessionState>,
    chance: Jitter,
    /// Single flight: held by the request that renews the session, for the whole renewal. If its
    /// future is dropped, the lock is released, and the next waiting request renews instead.
    flight: tokio::sync::Mutex<()>,
}

/// The access token that a request is sent with.
#[derive(Clone)]
pub struct Credential {
    header: HeaderValue,
    generation: u64,
}

/// The remedy for a request that was answered with 401.
pub enum Remedy {
    /// Send it again with this credential, which was obtained since the refusal.
    Pass(Credential),
    /// No remedy: the request itself is at fault.
    None,
    /// No remedy: the session was at fault, and could not be renewed.
    Failed(Failure),
    /// No remedy here: the operator has to provide another service token.
    TokenRefused,
}

impl Session {
    /// Sends nothing to Oz yet: the first request opens the session.
    pub fn new(
        credentials: Credentials,
        keychain: Option<Arc<dyn Keychain>>,
        chance: Jitter,
    ) -> Self {
        let fixed = || -> Arc<dyn Keychain> { Arc::new(Fixed(credentials.secret().clone())) };
        Self {
            keychain: keychain.unwrap_or_else(fixed),
            credentials,
            chance,
            state: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
        }
    }

    /// A credential for a request. Opens or renews the session if necessary.
    pub async fn credential(&self, line: &Transport) -> Result<Credential, Failure> {
        if let Credentials::Token(_) = &self.credentials {
            return self.token_pass(line);
        }
        let current = self.state().current(line.clock.now());
        match current {
            None => self.renew(line, 0).await,
            Some((pass, PairAge::Over)) => self.renew(line, pass.generation).await,
            Some((pass, PairAge::Fresh)) => Ok(pass),
            // If the renewal fails, the old one is used: by Oz's clock it may still be valid.
            Some((pass, PairAge::Old)) => {
                Ok(self.renew(line, pass.generation).await.unwrap_or(pass))
            }
        }
    }

    /// The remedy for a request that was refused with this credential.
    pub async fn remedy(
        &self,
        line: &Transport,
        pass: &Credential,
        refusal: &RefusedRequest<'_>,
    ) -> Remedy {
        if let Credentials::Token(_) = &self.credentials {
            return self.another_token(line, pass, refusal).await;
        }
        let (now, chance) = (line.clock.now(), (self.chance)());
        let blame = self.state().blame(pass, refusal, now, chance);
        match blame {
            Blame::Request => Remedy::None,
            // If the renewal fails, the session is kept, since it works for other requests.
            Blame::Unknown => {
                self.renew(line, pass.generation).await.map_or(Remedy::None, Remedy::Pass)
            }
            Blame::Session => match self.renew(line, pass.generation).await {
                Ok(renewed) => Remedy::Pass(renewed),
                Err(failure) => Remedy::Failed(failure),
            },
        }
    }

    /// Notes that a request was refused although its credential was new.
    pub fn refused_again(&self, path: &str, sent_at: Timestamp) {
        let mut state = self.state();
        state.refusals.note(path, sent_at);
        // The previous session worked for other requests, so it doesn't count as refused young:
        // this request was at fault.
        if state.former.as_ref().is_some_and(|former| former.worked_at.is_some()) {
            state.refused_young = state.refused_young.saturating_sub(1);
        }
    }

    /// Notes that a renewal helped a request: if the session before it was not young, that session
    /// was at fault. After a young one the pauses continue, since a gateway may refuse at random.
    pub fn renewal_helped(&self, now: Timestamp) {
        let mut state = self.state();
        let has_lived = |former: &TokenPair| now.since(former.obtained_at) >= YOUNG;
        if state.former.as_ref().is_some_and(has_lived) {
            state.refusals.end_doubt();
        }
    }

    async fn another_token(
        &self,
        line: &Transport,
        pass: &Credential,
        refusal: &RefusedRequest<'_>,
    ) -> Remedy {
        self.keychain.reread().await;
        match self.token_pass(line) {
            Ok(other) if other.generation != pass.generation => Remedy::Pass(other),
            // A gateway's 401 says nothing about the token.
            Ok(_) if refusal.kind == FailureKind::Foreign || self.state().has_worked(pass) => {
                Remedy::None
            }
            Ok(_) => {
                tracing::error!("Oz refuses the service token: check --oz-token or its file");
                Remedy::TokenRefused
            }
            Err(failure) => Remedy::Failed(failure),
        }
    }

    /// How often the password or the token has been replaced.
    pub fn credentials_version(&self) -> u64 {
        self.keychain.version()
    }

    /// Resolves once the password or the token has another version than this one.
    pub async fn credentials_replaced(&self, version: u64) {
        self.keychain.replaced(version).await;
    }

    /// The credential of the current service token.
    fn token_pass(&self, line: &Transport) -> Result<Credential, Failure> {
        self.state().adopt(self.keychain.current(), line.clock.now())
    }

    /// Notes that Oz accepted a request, sent at this time with this credential: that prolongs the
    /// session.
    pub fn used(&self, pass: &Credential, path: &str, sent_at: Timestamp) {
        let mut state = self.state();
        state.refusals.forget(path);
        if let Some(pair) = &mut state.pair
            && pair.credential.generation == pass.generation
        {
            pair.used_at = pair.used_at.max(sent_at);
            pair.worked_at = pair.worked_at.max(Some(sent_at));
        }
    }

    /// All secrets that must not appear in any text.
    pub fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = vec![self.credentials.secret().clone(), self.keychain.current()];
        if let Credentials::Login { email, .. } = &self.credentials {
            secrets.push(email.as_str().into());
        }
        let state = self.state();
        for pair in [&state.pair, &state.former].into_iter().flatten() {
            secrets.push(pair.access_token.clone());
            secrets.extend(pair.expire_token.clone());
        }
        secrets
    }

    /// Renews the session, unless another request has just renewed it or just failed to.
    async fn renew(&self, line: &Transport, stale: u64) -> Result<Credential, Failure> {
        let attempts_seen = self.state().attempts;
        let _flight = self.flight.lock().await;
        let (now, password) = (line.clock.now(), self.keychain.current());
        if let Some(settled) = self.state().settled(stale, attempts_seen, &password, now) {
            return settled;
        }
        let outcome = self.fetch_tokens(line, &password).await;
        line.metrics.login(outcome.as_ref().err().map(|failure| failure.kind));
        let outcome = self.state().record(outcome, &password, now, line.clock.now());
        match outcome {
            Err(failure) if failure.kind == FailureKind::LoginRefused => {
                self.retry_login(line, &password, failure).await
            }
            outcome => outcome,
        }
    }

    /// Logs in once more after a refused login, if the password has been replaced meanwhile.
    async fn retry_login(
        &self,
        line: &Transport,
        refused: &SecretString,
        failure: Failure,
    ) -> Result<Credential, Failure> {
        self.keychain.reread().await;
        let password = self.keychain.current();
        if is_same(&password, refused) {
            return Err(failure);
        }
        let asked_at = line.clock.now();
        let outcome = self.login(line, &password).await;
        line.metrics.login(outcome.as_ref().err().map(|failure| failure.kind));
        self.state().record(outcome, &password, asked_at, line.clock.now())
    }

    /// Obtains a new pair: with the expire token if there is one and Oz accepts it, else by logging
    /// in.
    async fn fetch_tokens(
        &self,
        line: &Transport,
        password: &SecretString,
    ) -> Result<wire::Tokens, Failure> {
        let Some(refresh) = self.refresh_request(line) else {
            return self.login(line, password).await;
        };
        match tokens(line.exchange(REFRESH, refresh).await) {
            Ok(tokens) => Ok(tokens),
            Err(failure) if ends_refresh(failure.kind) => self.login(line, password).await,
            Err(failure) => Err(failure),
        }
    }

    fn refresh_request(&self, line: &Transport) -> Option<RequestBuilder> {
        let state = self.state();
        let pair = state.pair.as_ref()?;
        let expire_token = pair.expire_token.as_ref()?.expose_secret();
        let request = line.post(REFRESH_PATH).header(TOKEN_HEADER, pair.credential.header.clone());
        Some(request.json(&json!({ "expire_token": expire_token })))
    }

    async fn login(
        &self,
        line: &Transport,
        password: &SecretString,
    ) -> Result<wire::Tokens, Failure> {
        let Credentials::Login { email, .. } = &self.credentials else {
            return Err(Failure::new(FailureKind::SessionRefused, "a token can't be renewed"));
        };
        tracing::debug!("logging in to Oz");
        let body =
            json!({ "credentials": { "email": email, "password": password.expose_secret() } });
        let answer = line.exchange(LOGIN, line.post(LOGIN_PATH).json(&body)).await;
        tokens(answer).map_err(|failure| Failure { kind: login_kind(failure.kind), ..failure })
    }

    /// No code under this lock can panic halfway, so the state behind a poisoned lock is sound.
    fn state(&self) -> MutexGuard<'_, SessionState> {
        lock(&self.state)
    }
}

impl Credential {
    /// The request with the access token.
    pub fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(TOKEN_HEADER, self.header.clone())
    }
}

/// Reads the answer to a login or a refresh.
fn tokens(answer: Result<OzResponse, Failure>) -> Result<wire::Tokens, Failure> {
    let OzResponse { status, body } = answer?;
    wire::tokens(&body).map_err(|error| error.into_failure(status, &body))
}

/// Whether a login may succeed after a refresh has failed in this way. It may if there was an
/// answer: a gateway may refuse the refresh but pass the login.
const fn ends_refresh(kind: FailureKind) -> bool {
    match kind {
        FailureKind::SessionRefused
        | FailureKind::Unauthorized
        | FailureKind::Foreign
        | FailureKind::Forbidden
        | FailureKind::NotFound
        | FailureKind::TooLarge
        | FailureKind::Rejected
        | FailureKind::LoginRefused
        | FailureKind::ServerError
        | FailureKind::Redirected
        | FailureKind::Unreadable
        | FailureKind::Incomplete => true,
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::Interrupted
        | FailureKind::RateLimited
        | FailureKind::Library(_) => false,
    }
}

/// The kind of a failed login: a refusal, or trouble like that of any other request.
const fn login_kind(kind: FailureKind) -> FailureKind {
    match kind {
        FailureKind::SessionRefused
        | FailureKind::Unauthorized
        | FailureKind::LoginRefused
        | FailureKind::Forbidden
        | FailureKind::NotFound
        | FailureKind::TooLarge
        | FailureKind::Rejected => FailureKind::LoginRefused,
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::Interrupted
        | FailureKind::RateLimited
        | FailureKind::ServerError
        | FailureKind::Redirected
        | FailureKind::Unreadable
        | FailureKind::Incomplete
        | FailureKind::Foreign
        | FailureKind::Library(_) => kind,
    }
}
