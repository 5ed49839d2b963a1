//! What is known of our session: its tokens, which of them Oz has refused, and when it may be
//! renewed.
//!
//! It deliberately sends nothing: the [`Session`](crate::oz::session::Session) does.

use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{Failure, FailureKind, Timestamp, retry},
    oz::{
        refusals::{Refusals, RefusedRequest},
        session::Credential,
        wire,
    },
};

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

/// The tokens, and what is known of them.
#[derive(Default)]
pub struct SessionState {
    pub pair: Option<TokenPair>,
    /// The previous pair. It is still a secret to withhold, since an answer in flight may echo it.
    pub former: Option<TokenPair>,
    /// Grows with every new pair, so that a 401 to an earlier pair is recognised.
    generation: u64,
    /// Grows with every attempt to renew. By it, a request that has waited for another request's
    /// attempt knows that this attempt is over.
    pub attempts: u64,
    last_failure: Option<Failure>,
    /// How many pairs in a row were refused young.
    pub refused_young: u32,
    /// No renewal before this time, and why.
    pause: Option<(Timestamp, Pause)>,
    /// Requests that are refused with any session.
    pub refusals: Refusals,
}

/// Why the session isn't renewed now.
enum Pause {
    /// The login with this password was refused with this failure.
    LoginRefused(SecretString, Failure),
    /// Several young sessions in a row were refused.
    Unrest,
}

/// The tokens of a session.
pub struct TokenPair {
    pub credential: Credential,
    pub access_token: SecretString,
    pub expire_token: Option<SecretString>,
    /// How long the session lasts after its last use. `None` if Oz gave no plausible end.
    lifetime: Option<Duration>,
    pub obtained_at: Timestamp,
    /// When the newest request that Oz accepted with this pair was sent; at first when the pair was
    /// obtained.
    pub used_at: Timestamp,
    /// Whether Oz has refused this pair.
    refused: bool,
    /// The same as `used_at`, but `None` until Oz has accepted a request. If Oz refuses a service
    /// token that it never accepted, the login counts as refused; if Oz has accepted the token
    /// before, the refusal counts as the request's own trouble.
    pub worked_at: Option<Timestamp>,
}

/// Whether a pair has to be renewed before its next use.
pub enum PairAge {
    Fresh,
    Old,
    /// Oz has refused it.
    Over,
}

impl SessionState {
    pub fn current(&self, now: Timestamp) -> Option<(Credential, PairAge)> {
        self.pair.as_ref().map(|pair| (pair.credential.clone(), pair.age(now)))
    }

    /// The credential of a service token: a new one if the token was replaced.
    pub fn adopt(&mut self, token: SecretString, now: Timestamp) -> Result<Credential, Failure> {
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

    pub fn has_worked(&self, pass: &Credential) -> bool {
        // Nothing is known about a token that was replaced meanwhile: the next answer tells.
        self.pair.as_ref().is_none_or(|pair| {
            pair.credential.generation != pass.generation || pair.worked_at.is_some()
        })
    }

    /// Decides what is at fault for a refusal, and notes it for later requests.
    pub fn blame(
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
    pub fn settled(
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
    pub fn record(
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
pub enum Blame {
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

pub fn is_same(one: &SecretString, other: &SecretString) -> bool {
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
