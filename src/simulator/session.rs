//! Sessions: their user, their pair of tokens, and when they expire.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::answer::Refusal;
use crate::simulator::clock::{Millis, seconds};
use crate::simulator::script::Switches;
use crate::simulator::seed::Random;

/// Sessions kept at once. Beyond that the oldest is dropped, and its token is then an unknown one.
const SESSIONS_MAX: usize = 10_000;

/// The user of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Logs in with e-mail and password.
    Ordinary,
    /// The service account, with a long-lived token.
    Service,
}

#[derive(Clone, Debug)]
struct Session {
    id: Uuid,
    user: User,
    expire_token: String,
    expires_at: Millis,
    /// The access token that this session was refreshed from. That session ends when this one is
    /// first used.
    replaces: Option<String>,
}

/// All sessions, by their access token.
#[derive(Debug, Default)]
pub struct Sessions {
    by_access: HashMap<String, Session>,
    by_expire: HashMap<String, String>,
    oldest_first: VecDeque<String>,
}

impl Sessions {
    /// Starts the service account's session, with this access token.
    pub fn start_service(&mut self, access: &str, random: &mut Random, expires_at: Millis) {
        self.insert(access.to_owned(), User::Service, random, expires_at, None);
        // The token is configured, so it must stay valid: the session is never dropped for others.
        self.oldest_first.pop_back();
    }

    /// Starts a session for a login, and returns the answer with its pair of tokens.
    pub fn start(&mut self, user: User, random: &mut Random, now: Millis, on: &Switches) -> Value {
        if on.login_ends_earlier_sessions {
            self.end_all(user);
        }
        self.open(user, random, now + ttl_ms(user, on), None)
    }

    /// The user of a valid token. Prolongs the session, and ends the one it was refreshed from.
    pub fn check(&mut self, access: &str, now: Millis, on: &Switches) -> Result<User, Refusal> {
        let session = self.by_access.get_mut(access).ok_or_else(Refusal::auth_invalid)?;
        if session.expires_at <= now {
            return Err(Refusal::auth_expired());
        }
        if on.session_sliding {
            session.expires_at = session.expires_at.max(now + ttl_ms(session.user, on));
        }
        let user = session.user;
        if let Some(replaced) = session.replaces.take() {
            self.end(&replaced);
        }
        Ok(user)
    }

    /// Exchanges a pair of tokens for a new one. The old pair is valid until the new one is used.
    pub fn refresh(
        &mut self,
        access: &str,
        expire_token: &str,
        random: &mut Random,
        now: Millis,
        on: &Switches,
    ) -> Result<Value, Refusal> {
        let user = self.check(access, now, on)?;
        let old = self.by_expire.get(expire_token).ok_or_else(Refusal::session_unknown)?.clone();
        let owner = self.by_access.get(&old).ok_or_else(Refusal::session_unknown)?.user;
        if owner != user {
            return Err(Refusal::session_foreign());
        }
        Ok(self.open(user, random, now + ttl_ms(user, on), Some(old)))
    }

    /// Expires one session now.
    pub fn expire(&mut self, access: &str, now: Millis) {
        if let Some(session) = self.by_access.get_mut(access) {
            session.expires_at = now;
        }
    }

    /// Expires all sessions of the ordinary user now, on request the service account's too. Returns
    /// their number.
    pub fn expire_all(&mut self, now: Millis, service_too: bool) -> usize {
        let expiring = |session: &&mut Session| {
            session.expires_at > now && (service_too || session.user == User::Ordinary)
        };
        let sessions = self.by_access.values_mut().filter(expiring);
        sessions.map(|session| session.expires_at = now).count()
    }

    /// The number of sessions, expired ones included.
    pub fn len(&self) -> usize {
        self.by_access.len()
    }

    fn open(
        &mut self,
        user: User,
        random: &mut Random,
        expires_at: Millis,
        replaces: Option<String>,
    ) -> Value {
        let access = random.token();
        let session = self.insert(access.clone(), user, random, expires_at, replaces);
        let user_id = match user {
            User::Ordinary => Uuid::from_u128(1),
            User::Service => Uuid::from_u128(2),
        };
        json!({
            "session_id": session.id,
            "user_id": user_id,
            "expire_date": seconds(expires_at),
            "access_token": access,
            "expire_token": session.expire_token,
        })
    }

    fn insert(
        &mut self,
        access: String,
        user: User,
        random: &mut Random,
        expires_at: Millis,
        replaces: Option<String>,
    ) -> Session {
        self.make_room();
        let expire_token = random.token();
        let session = Session { id: random.id(), user, expire_token, expires_at, replaces };
        self.by_expire.insert(session.expire_token.clone(), access.clone());
        self.oldest_first.push_back(access.clone());
        self.by_access.insert(access, session.clone());
        session
    }

    fn make_room(&mut self) {
        while self.oldest_first.len() >= SESSIONS_MAX {
            let Some(oldest) = self.oldest_first.pop_front() else {
                return;
            };
            self.end(&oldest);
        }
    }

    fn end(&mut self, access: &str) {
        if let Some(session) = self.by_access.remove(access) {
            self.by_expire.remove(&session.expire_token);
        }
    }

    fn end_all(&mut self, user: User) {
        self.by_access.retain(|_, session| session.user != user);
        let Sessions { by_access, by_expire, oldest_first } = self;
        by_expire.retain(|_, access| by_access.contains_key(access));
        oldest_first.retain(|access| by_access.contains_key(access));
    }
}

fn ttl_ms(user: User, on: &Switches) -> u64 {
    match user {
        User::Ordinary => on.session_ttl_seconds * 1_000,
        User::Service => on.service_ttl_seconds * 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_in() -> (Sessions, Random, Value) {
        let (mut sessions, mut random) = (Sessions::default(), Random::new(Some(1)));
        let pair = sessions.start(User::Ordinary, &mut random, 0, &Switches::default());
        (sessions, random, pair)
    }

    fn access(pair: &Value) -> &str {
        pair["access_token"].as_str().expect("a pair has an access token")
    }

    #[test]
    fn use_prolongs_a_session_and_an_unused_one_expires() {
        let (mut sessions, _, pair) = signed_in();
        let on = Switches::default();
        assert!(sessions.check(access(&pair), 800_000, &on).is_ok());
        assert!(sessions.check(access(&pair), 1_600_000, &on).is_ok());
        let refused = sessions.check(access(&pair), 2_500_000, &on);
        assert_eq!(refused, Err(Refusal::auth_expired()));
    }

    #[test]
    fn the_old_pair_is_valid_until_the_new_one_is_used() {
        let (mut sessions, mut random, old) = signed_in();
        let on = Switches::default();
        let expire_token = old["expire_token"].as_str().expect("a pair has an expire token");
        let new = sessions
            .refresh(access(&old), expire_token, &mut random, 0, &on)
            .expect("the pair can be refreshed");
        assert!(sessions.check(access(&old), 1, &on).is_ok());
        assert!(sessions.check(access(&new), 1, &on).is_ok());
        assert_eq!(sessions.check(access(&old), 1, &on), Err(Refusal::auth_invalid()));
    }

    #[test]
    fn sessions_are_bounded() {
        let (mut sessions, mut random, first) = signed_in();
        let on = Switches::default();
        for _ in 0..SESSIONS_MAX {
            sessions.start(User::Ordinary, &mut random, 0, &on);
        }
        assert_eq!(sessions.len(), SESSIONS_MAX);
        assert_eq!(sessions.check(access(&first), 1, &on), Err(Refusal::auth_invalid()));
    }
}
