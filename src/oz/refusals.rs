//! Requests that are refused with any session, and the renewals that are tried for them.
//!
//! Such a request fails alone: the session stays in use for all others. It deliberately doesn't
//! judge a session: `session` does, which knows the tokens.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::{FailureKind, Timestamp},
    oz::session::{YOUNG, renewal_pause},
};

/// How many requests are remembered, by their paths: more than one gateway that is wrong about a
/// few paths can cause. Beyond this number the oldest is forgotten, which costs a renewal.
const REQUESTS_MAX: usize = 1_024;

/// A request that was answered with 401.
pub struct RefusedRequest<'a> {
    pub path: &'a str,
    pub sent_at: Timestamp,
    pub kind: FailureKind,
}

/// The requests that a new session didn't help.
#[derive(Default)]
pub struct Refusals {
    /// When each request was last sent, by its path.
    requests: HashMap<String, Timestamp>,
    doubt: Doubt,
}

/// Renewals for requests for which it isn't known whether the session is at fault. The pauses
/// between these renewals grow. During a pause such a request fails, and all others go on.
#[derive(Default)]
struct Doubt {
    /// How many renewals in a row didn't help.
    renewals: u32,
    renewed_at: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Refusals {
    /// When the last request to this path was sent that was itself blamed for its refusal; `None`
    /// if there is none.
    pub fn last(&self, path: &str) -> Option<Timestamp> {
        self.requests.get(path).copied()
    }

    /// Notes a refusal for which the request is blamed, not the session.
    pub fn note(&mut self, path: &str, sent_at: Timestamp) {
        let is_full = self.requests.len() >= REQUESTS_MAX;
        if is_full && !self.requests.contains_key(path) {
            let oldest = self.requests.iter().min_by_key(|(_, sent_at)| **sent_at);
            if let Some(path) = oldest.map(|(path, _)| path.clone()) {
                self.requests.remove(&path);
            }
        }
        self.requests.insert(path.to_owned(), sent_at);
    }

    /// Forgets the refusals of a request that has succeeded.
    pub fn forget(&mut self, path: &str) {
        // Called after each answer, when there is hardly ever anything to forget.
        if !self.requests.is_empty() {
            self.requests.remove(path);
        }
    }

    /// Whether the session is renewed for a request that may itself be at fault. If it isn't, the
    /// refusal is noted.
    pub fn allow_renewal(
        &mut self,
        refusal: &RefusedRequest<'_>,
        now: Timestamp,
        chance: f64,
    ) -> bool {
        // A renewal that began after the request was sent may help the request, so the request
        // joins it.
        let is_joined = self.doubt.renewed_at.is_some_and(|renewed| refusal.sent_at <= renewed);
        let is_allowed = is_joined || self.doubt.allows_renewal(now, chance);
        if !is_allowed {
            self.note(refusal.path, refusal.sent_at);
        }
        is_allowed
    }

    /// Notes that the session was at fault: the next renewal may follow without a pause.
    pub fn end_doubt(&mut self) {
        self.doubt = Doubt::default();
    }
}

impl Doubt {
    /// Whether the session may be renewed now. If so, the next renewal has to wait for a longer
    /// pause.
    fn allows_renewal(&mut self, now: Timestamp, chance: f64) -> bool {
        if self.until.is_some_and(|until| now < until) {
            return false;
        }
        if self.renewed_at.is_some_and(|renewed_at| now.since(renewed_at) >= YOUNG) {
            self.renewals = 0;
        }
        self.renewals = self.renewals.saturating_add(1);
        self.renewed_at = Some(now);
        self.until =
            renewal_pause(self.renewals + 1, chance).map(|pause: Duration| now.after(pause));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_requests_are_bounded_and_the_oldest_is_forgotten() {
        let mut refusals = Refusals::default();
        let at = |n: usize| Timestamp::from_micros(n as i64);
        for n in 0..REQUESTS_MAX + 10 {
            refusals.note(&format!("/api/analyses/{n}"), at(n));
        }
        refusals.note("/api/analyses/10", at(REQUESTS_MAX * 2));
        assert_eq!(refusals.requests.len(), REQUESTS_MAX);
        assert!(refusals.requests.values().all(|time| *time >= at(10)));
        assert!(refusals.last("/api/analyses/11").is_some());
    }
}
