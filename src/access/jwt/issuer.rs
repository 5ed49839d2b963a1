//! One issuer while the service runs: its key set, kept fresh, and the grants of its tokens.
//!
//! A call never waits for a regular refresh. Only a token with an unknown `kid`, or without a `kid`
//! and not verified by the only key, makes a call wait, for one fetch that all such calls share.
//! They cause at most one fetch in 30 s, so that forged tokens can't make the service flood its
//! identity provider.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use blake3::Hash;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    cache::TokenCache,
    fetch::{FetchError, Fetched, Provider},
    key_set::{Fingerprint, KeySet, KeySetError},
    provider,
    token::{self, Verified},
};
use crate::{
    access::{
        Decision, Denied, Grant,
        callers::{Fault, IssuerTerms, KeySource, is_pipe, read_file},
        reloads::{ReloadKind, Reloads},
    },
    clock::Clock,
    domain::{TenantId, Tenants, Timestamp},
    outage::Outage,
    sync::lock,
};

const MINUTE: Duration = Duration::from_secs(60);

/// When a key set is refreshed, unless its server says otherwise within the limits.
const REFRESH: Duration = MINUTE.saturating_mul(5);
const REFRESH_MIN: Duration = MINUTE;
const REFRESH_MAX: Duration = MINUTE.saturating_mul(60);
/// The pause after a failed fetch, and between two fetches because of unknown `kid`s.
const FETCH_PAUSE: Duration = Duration::from_secs(30);
/// For how long the last good set is used while no other can be fetched.
const GOOD_FOR: Duration = MINUTE.saturating_mul(24 * 60);

/// How long a call waits for a key that is being fetched, at most.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How many calls wait for a key at the same time; the others are refused at once.
const WAITING_CALLS_MAX: usize = 256;

/// How often a token is verified again because keys or tenants have changed meanwhile.
const ROUNDS_MAX: usize = 3;

/// An issuer of tokens.
pub struct Issuer {
    terms: IssuerTerms,
    clock: Clock,
    /// Where the key set is fetched from; `None` if it is in a file.
    provider: Option<Provider>,
    outage: Outage,
    reloads: Arc<Reloads>,
    state: Mutex<State>,
    fetch_wanted: Notify,
    fetch_ended: watch::Sender<()>,
}

struct State {
    /// Changes with the keys and with the tenants: a token that was verified before is verified
    /// again.
    version: u64,
    /// Whether the callers file no longer has this issuer in this form.
    retired: bool,
    tenants: Tenants,
    keys: Arc<KeySet>,
    /// Cancelled when the tokens of a tenant that one key has signed are no longer accepted.
    withdrawals: HashMap<(Fingerprint, TenantId), CancellationToken>,
    cache: TokenCache,
    /// The bytes of the key set, as they were read last from the file.
    bytes: Vec<u8>,
    /// The fault of the file, if it was refused when it was read last.
    fault: Option<Fault>,
    fetch: FetchState,
    waiting: usize,
}

/// When the key set is fetched.
struct FetchState {
    /// Whether a fetch runs, or is due now.
    pending: bool,
    last_began: Option<Timestamp>,
    next: Timestamp,
    good_until: Timestamp,
}

impl Issuer {
    /// An issuer with these terms. A key set in a file is read now; any other is fetched by
    /// [`Self::keep_fresh`].
    ///
    /// # Errors
    /// The fault of the file, at its place in the callers file.
    pub fn open(
        terms: IssuerTerms,
        tenants: Tenants,
        clock: Clock,
        reloads: Arc<Reloads>,
    ) -> Result<Self, Fault> {
        provider::install();
        let (bytes, keys, provider) = match &terms.keys {
            KeySource::File(..) => {
                let bytes = read_set(&terms)?;
                let keys = parse_set(&bytes, &terms)?;
                (bytes, keys, None)
            }
            KeySource::Discovery(place) => {
                let provider = Provider::new(&terms.url).map_err(|what| place.fault(what))?;
                (Vec::new(), KeySet::default(), Some(provider))
            }
        };
        let (now, begin) = (clock.now(), provider.is_some());
        let fetch = FetchState { pending: begin, last_began: None, next: now, good_until: now };
        let state = State {
            version: 0,
            retired: false,
            tenants,
            keys: Arc::new(keys),
            withdrawals: HashMap::new(),
            cache: TokenCache::default(),
            bytes,
            fault: None,
            fetch,
            waiting: 0,
        };
        let outage = Outage::new("the identity provider", clock.clone());
        let (state, fetch_ended) = (Mutex::new(state), watch::Sender::new(()));
        let fetch_wanted = Notify::new();
        Ok(Self { terms, clock, provider, outage, reloads, state, fetch_wanted, fetch_ended })
    }

    /// What the callers file says of the issuer.
    pub fn terms(&self) -> &IssuerTerms {
        &self.terms
    }

    /// The grant of a token that was verified before; `Expired` if it has expired meanwhile.
    pub fn remembered(&self, token: &Hash) -> Option<Result<Grant, Denied>> {
        let grant = self.state().cache.get(token)?;
        let expired = grant.expires().is_some_and(|expires| self.clock.now() >= expires);
        Some(if expired { Err(Denied::Expired) } else { Ok(grant) })
    }

    /// Decides about a token that claims to be of this issuer.
    pub fn decide(self: &Arc<Self>, token: &str, hash: Hash) -> Decision {
        let kid = match token::kid_of(token) {
            Ok(kid) => kid,
            Err(denied) => return Decision::Denied(denied),
        };
        for _ in 0..ROUNDS_MAX {
            let (version, keys) = {
                let state = self.state();
                (state.version, Arc::clone(&state.keys))
            };
            if keys.named(kid.as_deref()).next().is_none() {
                return self.without_key();
            }
            // No lock is held meanwhile: a signature check takes up to a millisecond.
            let verified = token::verify(token, kid.as_deref(), &keys, &self.terms);
            if verified.is_err() && kid.is_none() {
                // The issuer may have replaced its only key, which its tokens need not name.
                return self.without_key();
            }
            let granted =
                verified.and_then(|verified| self.grant(&verified, hash, version).transpose());
            match granted {
                Ok(Some(grant)) => return Decision::Granted(grant),
                Ok(None) => {}
                Err(denied) => return Decision::Denied(denied),
            }
        }
        Decision::Denied(Denied::Invalid)
    }

    /// The grant of a verified token. `None` if keys or tenants have changed since the version by
    /// which it was verified.
    fn grant(
        &self,
        verified: &Verified,
        hash: Hash,
        version: u64,
    ) -> Option<Result<Grant, Denied>> {
        let tenant = TenantId::from_stored(&verified.tenant);
        let mut state = self.state();
        if state.version != version {
            return None;
        }
        if state.retired || !state.tenants.has(&tenant) {
            return Some(Err(Denied::Invalid));
        }
        if let Err(denied) = verified.check_times(self.clock.now()) {
            return Some(Err(denied));
        }
        let withdrawn = state.withdrawals.entry((verified.signed_by, tenant.clone()));
        let grant = Grant::new(
            tenant,
            &verified.subject,
            &format!("{} {}", self.terms.url, verified.subject),
            verified.permissions,
            Some(verified.expires),
            withdrawn.or_default().clone(),
        );
        state.cache.insert(hash, grant.clone());
        Some(Ok(grant))
    }

    /// Decides about a token whose key is, or may be, unknown: its call waits for a fetch, if there is one.
    fn without_key(self: &Arc<Self>) -> Decision {
        let mut state = self.state();
        let invalid = Decision::Denied(Denied::Invalid);
        if self.provider.is_none() || state.retired || state.waiting >= WAITING_CALLS_MAX {
            return invalid;
        }
        let now = self.clock.now();
        if !state.fetch.pending {
            let paused = state.fetch.last_began.is_some_and(|at| now.since(at) < FETCH_PAUSE);
            if paused {
                return invalid;
            }
            state.fetch.pending = true;
            self.fetch_wanted.notify_one();
        }
        state.waiting += 1;
        // Subscribed under the lock under which the end of a fetch is told, so it isn't missed.
        let mut ended = self.fetch_ended.subscribe();
        let waiting = Waiting(Arc::clone(self));
        Decision::KeyFetch(Box::pin(async move {
            // The sender is a part of the issuer, which `waiting` holds.
            let _ = waiting.0.clock.before(now.after(WAIT_MAX), ended.changed()).await;
        }))
    }

    /// Takes new tenants. Grants for tenants that are gone end.
    pub fn set_tenants(&self, tenants: &Tenants) {
        let mut state = self.state();
        state.version += 1;
        state.tenants = tenants.clone();
        state.withdraw(|_, tenant| tenants.has(tenant));
    }

    /// Ends all grants: the callers file no longer has this issuer in this form.
    pub fn retire(&self) {
        let mut state = self.state();
        state.version += 1;
        state.retired = true;
        state.withdraw(|_, _| false);
        self.fetch_ended.send_replace(());
    }

    /// Reads the file of the key set again, if the set is in a file that isn't a pipe. A bad file
    /// leaves the keys as they were.
    pub fn look_again(&self) {
        if self.terms.keys.file().is_none_or(|path| is_pipe(path)) {
            return;
        }
        let read = read_set(&self.terms);
        let mut state = self.state();
        if read.as_ref().is_ok_and(|bytes| *bytes == state.bytes) {
            state.fault = None;
            return;
        }
        let read = read.and_then(|bytes| Ok((parse_set(&bytes, &self.terms)?, bytes)));
        match read {
            Ok((keys, bytes)) => {
                state.bytes = bytes;
                state.fault = None;
                state.publish(keys);
                drop(state);
                self.reloads.count(ReloadKind::Jwks).succeeded(self.clock.now());
                info!(issuer = &*self.terms.url, "key set read again");
            }
            Err(fault) => {
                if state.fault.as_ref() == Some(&fault) {
                    return;
                }
                state.fault = Some(fault.clone());
                drop(state);
                self.reloads.count(ReloadKind::Jwks).failed();
                warn!(error = %fault, "key set not read again: the last good one stays in use");
            }
        }
    }

    /// Fetches the key set at once and then again and again; never ends. Returns at once if the set
    /// is in a file.
    pub async fn keep_fresh(&self) {
        let Some(provider) = &self.provider else { return };
        loop {
            if self.begin_fetch() {
                let fetched = provider.fetch().await;
                self.end_fetch(fetched);
            }
            let next = self.state().fetch.next;
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = self.fetch_wanted.notified() => {}
            }
        }
    }

    /// Whether a fetch is due. A fetch that was interrupted is due again.
    fn begin_fetch(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        if !state.fetch.pending && now < state.fetch.next {
            return false;
        }
        state.fetch.pending = true;
        state.fetch.last_began = Some(now);
        true
    }

    fn end_fetch(&self, fetched: Result<Fetched, FetchError>) {
        let keys = fetched
            .map_err(FetchFault::Fetch)
            .and_then(|fetched| Ok((KeySet::parse(&fetched.set, &self.terms)?, fetched.max_age)));
        let now = self.clock.now();
        let mut state = self.state();
        match keys {
            Ok((keys, max_age)) => {
                let pause = max_age.unwrap_or(REFRESH).clamp(REFRESH_MIN, REFRESH_MAX);
                state.fetch.next = now.after(pause);
                state.fetch.good_until = now.after(GOOD_FOR);
                state.publish(keys);
                self.outage.worked();
                self.reloads.count(ReloadKind::Jwks).succeeded(self.clock.now());
            }
            Err(error) => {
                state.fetch.next = now.after(FETCH_PAUSE);
                self.outage.failed(&OfIssuer { issuer: self.terms.url.clone(), source: error });
                self.reloads.count(ReloadKind::Jwks).failed();
                if now >= state.fetch.good_until && !state.keys.is_empty() {
                    warn!(issuer = &*self.terms.url, "key set dropped: it is a day old");
                    state.publish(KeySet::default());
                }
            }
        }
        state.fetch.pending = false;
        self.fetch_ended.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Replaces the keys. Grants by keys that are gone end.
    fn publish(&mut self, keys: KeySet) {
        self.version += 1;
        self.keys = Arc::new(keys);
        let keys = Arc::clone(&self.keys);
        self.withdraw(|key, _| keys.has(key));
    }

    /// Ends all grants but those to keep.
    fn withdraw(&mut self, keep: impl Fn(&Fingerprint, &TenantId) -> bool) {
        self.withdrawals.retain(|(key, tenant), withdrawn| {
            let keep = keep(key, tenant);
            if !keep {
                withdrawn.cancel();
            }
            keep
        });
        self.cache.forget_withdrawn();
    }
}

/// A call that waits for a key.
struct Waiting(Arc<Issuer>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// Why there is no new key set.
#[derive(Debug, thiserror::Error)]
enum FetchFault {
    #[error(transparent)]
    Fetch(FetchError),
    #[error("the key set can't be used")]
    KeySet(#[from] KeySetError),
}

/// Names the issuer whose key set can't be fetched.
#[derive(Debug, thiserror::Error)]
#[error("no key set of {issuer}")]
struct OfIssuer {
    issuer: Box<str>,
    source: FetchFault,
}

fn read_set(terms: &IssuerTerms) -> Result<Vec<u8>, Fault> {
    match &terms.keys {
        KeySource::File(path, place) => read_file(path)
            .map_err(|error| place.fault(format!("can't read {}: {error}", path.display()))),
        KeySource::Discovery(_) => Ok(Vec::new()),
    }
}

fn parse_set(bytes: &[u8], terms: &IssuerTerms) -> Result<KeySet, Fault> {
    KeySet::parse(bytes, terms).map_err(|error| match &terms.keys {
        KeySource::File(path, place) => {
            place.fault(format!("can't use {}: {error}", path.display()))
        }
        KeySource::Discovery(place) => place.fault(error.to_string()),
    })
}
