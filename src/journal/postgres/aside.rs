//! Matches that this replica has claimed and can't drive, since a later version wrote what it doesn't
//! know, or their journal is damaged: let go of for replicas that can, and left alone for a while.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use crate::domain::{MatchId, Timestamp};

/// How long this replica doesn't claim such a match again.
const PAUSE: Duration = Duration::from_secs(300);

/// How many are kept in mind. Beyond that the oldest may be claimed again earlier.
const MATCHES_MAX: usize = 10_000;

/// What was set aside, and until when.
#[derive(Default)]
pub(super) struct Aside(Mutex<Set>);

#[derive(Default)]
struct Set {
    until: HashMap<MatchId, Timestamp>,
    oldest_first: VecDeque<MatchId>,
}

impl Aside {
    /// Sets a match aside, and tells of it the first time.
    pub(super) fn add(&self, id: MatchId, now: Timestamp) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if set.until.insert(id, now.after(PAUSE)).is_some() {
            return;
        }
        tracing::warn!(
            match.id = %id,
            "unfinished match not driven here: its journal has what this version doesn't know"
        );
        set.oldest_first.push_back(id);
        if set.oldest_first.len() > MATCHES_MAX
            && let Some(oldest) = set.oldest_first.pop_front()
        {
            set.until.remove(&oldest);
        }
    }

    /// What isn't claimed at this time.
    pub(super) fn ids(&self, now: Timestamp) -> Vec<Uuid> {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_aside = |(_, until): &(&MatchId, &Timestamp)| **until > now;
        set.until.iter().filter(is_aside).map(|(id, _)| *id.as_uuid()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::suite::facts::{START, match_id};

    #[test]
    fn a_match_is_aside_for_a_while_and_not_too_many_are() {
        let aside = Aside::default();
        aside.add(match_id(0, 0), START);
        assert_eq!(aside.ids(START), [*match_id(0, 0).as_uuid()]);
        assert_eq!(aside.ids(START.after(PAUSE)), Vec::<Uuid>::new());
        for n in 1..=MATCHES_MAX as u64 {
            aside.add(match_id(0, n), START);
        }
        let ids = aside.ids(START);
        assert_eq!(ids.len(), MATCHES_MAX);
        assert!(!ids.contains(match_id(0, 0).as_uuid()));
    }
}
