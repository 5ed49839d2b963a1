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

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::HeaderValue;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::{
    domain::{Failure, FailureKind, Timestamp, retry},
    oz::{
        Credentials, Jitter, Keychain,
        exchange::{OzResponse, Transport},
        keychain::Fixed,
        refusals::{Refusals, RefusedRequest},
        wire,
    },
    sync::lock,
};

/// The header that carries the access token. One of Oz's pages has it in the plural; all other
/// pages and all known clients have this name.
pub const TOKEN_HEADER: &str = "X-Forensic-Access-Token";

const LOGIN_PATH: &str = "/api/authorize/auth/";
const REFRESH_PATH: &str = "/api/authorize/refresh/";

/// The pause after a refused login, so that a wrong password doesn't lock the account.
const REFUSED_LOGIN_PAUSE: Duration = Duration::from_secs(5);

/// Below this age a session is young. The refusal of a young session may be the doing of a rival,
/// another client with our login, whose logins end our sessions. A rival that needs a session logs
/// in at least once in this time, so an older session wasn't refused because of a rival.
pub const YOUNG: Duration = Duration::from_secs(300);

/// The shortest pause between the refusal of a second young session and its renewal.
const RENEWAL_PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest such pause. With it, a few rivals still have sessions for minutes each before a
/// match's deadline, and a session lasts long enough to poll each match often.
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long before its end a session is renewed. For a session shorter than five times this, it is
/// a fifth of the session.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

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

#[derive(Default)]
struct SessionState {
    pair: Option<TokenPair>,
    /// The previous pair. It is still a secret to withhold, since an answer in flight may echo it.
    former: Option<TokenPair>,
    /// Grows with every new pair, so that a 401 to an earlier pair is recognised.
    generation: u64,
    /// Grows with every attempt to renew. By it, a request that has waited for another request's
    /// attempt knows that this attempt is over.
    attempts: u64,
    last_failure: Option<Failure>,
    /// How many pairs in a row were refused young.
    refused_young: u32,
    /// No renewal before this time, and why.
    pause: Option<(Timestamp, Pause)>,
    /// Requests that are refused with any session.
    refusals: Refusals,
}

/// Why the session isn't renewed now.
enum Pause {
    /// The login with this password was refused with this failure.
    LoginRefused(SecretString, Failure),
    /// Several young sessions in a row were refused.
    Unrest,
}

/// The tokens of a session.
struct TokenPair {
    credential: Credential,
    access_token: SecretString,
    expire_token: Option<SecretString>,
    /// How long the session lasts after its last use. `None` if Oz gave no plausible end.
    lifetime: Option<Duration>,
    obtained_at: Timestamp,
    /// When the newest request that Oz accepted with this pair was sent; at first when the pair was
    /// obtained.
    used_at: Timestamp,
    /// Whether Oz has refused this pair.
    refused: bool,
    /// The same as `used_at`, but `None` until Oz has accepted a request. If Oz refuses a service
    /// token that it never accepted, the login counts as refused; if Oz has accepted the token
    /// before, the refusal counts as the request's own trouble.
    worked_at: Option<Timestamp>,
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
        match tokens(line.exchange(refresh).await) {
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
        let answer = line.exchange(line.post(LOGIN_PATH).json(&body)).await;
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

/// Whether a pair has to be renewed before its next use.
enum PairAge {
    Fresh,
    Old,
    /// Oz has refused it.
    Over,
}

impl SessionState {
    fn current(&self, now: Timestamp) -> Option<(Credential, PairAge)> {
        self.pair.as_ref().map(|pair| (pair.credential.clone(), pair.age(now)))
    }

    /// The credential of a service token: a new one if the token was replaced.
    fn adopt(&mut self, token: SecretString, now: Timestamp) -> Result<Credential, Failure> {
        if let Some(pair) = &self.pair
            && is_same(&pair.access_token, &token)
        {
            return Ok(pair.credential.clone());
        }
        let tokens = wire::Tokens { access_token: token, expire_token: None, expire_date: None };
        let pair = TokenPair::new(tokens, self.generation + 1, now)?;
        self.generation += 1;
        let pass = pair.credential.clone();
        self.former = self.pair.replace(pair);
        Ok(pass)
    }

    fn has_worked(&self, pass: &Credential) -> bool {
        // Nothing is known about a token that was replaced meanwhile: the next answer tells.
        self.pair.as_ref().is_none_or(|pair| {
            pair.credential.generation != pass.generation || pair.worked_at.is_some()
        })
    }

    /// Decides what is at fault for a refusal, and notes it for later requests.
    fn blame(
        &mut self,
        pass: &Credential,
        refusal: &RefusedRequest<'_>,
        now: Timestamp,
        chance: f64,
    ) -> Blame {
        let Some(pair) =
            self.pair.as_ref().filter(|pair| pair.credential.generation == pass.generation)
        else {
            // Another request was refused earlier, and the session has been renewed already.
            return Blame::Session;
        };
        let refused_before = self.refusals.last(refusal.path);
        if refused_before.is_some_and(|before| pair.worked_at >= Some(before)) {
            self.refusals.note(refusal.path, refusal.sent_at);
            return Blame::Request;
        }
        if refused_before.is_none() && refusal.kind == FailureKind::SessionRefused {
            self.refuse(pass.generation, now, chance);
            return Blame::Session;
        }
        match self.refusals.allow_renewal(refusal, now, chance) {
            true => Blame::Unknown,
            false => Blame::Request,
        }
    }

    /// The outcome of a renewal, if it is known without asking Oz: a newer pair, the failure of the
    /// attempt that this request has waited for, or a pause.
    fn settled(
        &self,
        stale: u64,
        attempts_seen: u64,
        password: &SecretString,
        now: Timestamp,
    ) -> Option<Result<Credential, Failure>> {
        if let Some(pair) = &self.pair
            && pair.credential.generation > stale
        {
            return Some(Ok(pair.credential.clone()));
        }
        let waited_for = self.last_failure.as_ref().filter(|_| self.attempts > attempts_seen);
        waited_for.cloned().or_else(|| self.paused(password, now)).map(Err)
    }

    /// The failure to return during a pause. A password that hasn't been refused yet is tried
    /// without a pause.
    fn paused(&self, password: &SecretString, now: Timestamp) -> Option<Failure> {
        let (until, why) = self.pause.as_ref().filter(|(until, _)| now < *until)?;
        match why {
            Pause::LoginRefused(refused, failure) => {
                Some(failure.clone()).filter(|_| is_same(refused, password))
            }
            Pause::Unrest => Some(Failure::without_session(until.since(now))),
        }
    }

    /// Notes that Oz has refused a pair. The first young pair, as after a restart of Oz, causes no
    /// pause.
    fn refuse(&mut self, generation: u64, now: Timestamp, chance: f64) {
        let Some(pair) = &mut self.pair else { return };
        if pair.refused || pair.credential.generation != generation {
            return;
        }
        pair.refused = true;
        if now.since(pair.obtained_at) >= YOUNG {
            self.refused_young = 0;
            return;
        }
        self.refused_young = self.refused_young.saturating_add(1);
        if let Some(pause) = renewal_pause(self.refused_young, chance) {
            let pause_ms = pause.as_millis() as u64;
            tracing::warn!(
                pause_ms,
                "Oz ends our sessions early: another client may use the same login"
            );
            self.pause = Some((now.after(pause), Pause::Unrest));
        }
    }

    /// Records the outcome of a renewal attempt.
    fn record(
        &mut self,
        outcome: Result<wire::Tokens, Failure>,
        password: &SecretString,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Result<Credential, Failure> {
        self.attempts += 1;
        let generation = self.generation + 1;
        let outcome = outcome.and_then(|tokens| TokenPair::new(tokens, generation, asked_at));
        match outcome {
            Ok(pair) => {
                self.generation = generation;
                self.last_failure = None;
                self.pause = None;
                let pass = pair.credential.clone();
                self.former = self.pair.replace(pair);
                Ok(pass)
            }
            Err(failure) => {
                self.last_failure = Some(failure.clone());
                if failure.kind == FailureKind::LoginRefused {
                    tracing::error!(
                        "Oz refuses the login: check --oz-login, and --oz-password or its file"
                    );
                    let why = Pause::LoginRefused(password.clone(), failure.clone());
                    self.pause = Some((now.after(REFUSED_LOGIN_PAUSE), why));
                }
                Err(failure)
            }
        }
    }
}

impl TokenPair {
    fn new(tokens: wire::Tokens, generation: u64, asked_at: Timestamp) -> Result<Self, Failure> {
        let header = secret_header(&tokens.access_token)?;
        // Oz's clock may differ from ours: an end in the past says only that, so it is ignored.
        let lifetime = tokens.expire_date.map(|end| end.since(asked_at));
        Ok(Self {
            credential: Credential { header, generation },
            access_token: tokens.access_token,
            expire_token: tokens.expire_token,
            lifetime: lifetime.filter(|lifetime| !lifetime.is_zero()),
            obtained_at: asked_at,
            used_at: asked_at,
            refused: false,
            worked_at: None,
        })
    }

    fn age(&self, now: Timestamp) -> PairAge {
        if self.refused {
            return PairAge::Over;
        }
        let Some(lifetime) = self.lifetime else { return PairAge::Fresh };
        let margin = RENEWAL_MARGIN.min(lifetime / 5);
        if now.since(self.used_at) < lifetime - margin { PairAge::Fresh } else { PairAge::Old }
    }
}

/// What is at fault for a 401.
enum Blame {
    /// The session: it has ended.
    Session,
    /// The request: the session works for others.
    Request,
    /// One of the two: a renewal is due, and will show which.
    Unknown,
}

/// The pause before a renewal after this many young pairs in a row were refused. `None` after the
/// first; then the longest possible pause doubles each time, up to `RENEWAL_PAUSE_MAX`. `chance`
/// (0..1) picks a pause in its upper half, so that rivals don't log in at the same times.
pub fn renewal_pause(refused_young: u32, chance: f64) -> Option<Duration> {
    let doublings = refused_young.checked_sub(2)?.min(20);
    let longest = RENEWAL_PAUSE_MIN.saturating_mul(2 << doublings).min(RENEWAL_PAUSE_MAX);
    Some(retry::spread(1, longest / 2, longest, chance))
}

/// Reads the answer to a login or a refresh.
fn tokens(answer: Result<OzResponse, Failure>) -> Result<wire::Tokens, Failure> {
    let OzResponse { status, body } = answer?;
    wire::tokens(&body).map_err(|error| error.into_failure(status, &body))
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

fn secret_header(token: &SecretString) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
        Failure::new(
            FailureKind::Incomplete,
            "the access token holds characters that no header can carry",
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
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
        | FailureKind::RateLimited => false,
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
        | FailureKind::Foreign => kind,
    }
}
