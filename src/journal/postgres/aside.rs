//! Remembers matches that this replica has claimed but can't drive, because a later version wrote
//! events that it can't read, or because their journal is damaged. It releases them for replicas
//! that can drive them, and doesn't claim them again for a while.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use uuid::Uuid;

use crate::{
    domain::{MatchId, Timestamp},
    sync::lock,
};

/// How long this replica doesn't claim such a match again.
const PAUSE: Duration = Duration::from_secs(300);

/// How many matches are remembered. Beyond that the oldest may be claimed again earlier.
const MATCHES_MAX: usize = 10_000;

/// The matches that were set aside, and until when.
#[derive(Default)]
pub(super) struct Aside(Mutex<Set>);

#[derive(Default)]
struct Set {
    until: HashMap<MatchId, Timestamp>,
    oldest_first: VecDeque<MatchId>,
}

impl Aside {
    /// Sets a match aside, and logs it the first time.
    pub(super) fn add(&self, id: MatchId, now: Timestamp) {
        let mut set = lock(&self.0);
        if set.until.insert(id, now.after(PAUSE)).is_some() {
            return;
        }
        tracing::warn!(
            match.id = %id,
            "unfinished match not driven here: its journal has events that this version can't read"
        );
        set.oldest_first.push_back(id);
        if set.oldest_first.len() > MATCHES_MAX
            && let Some(oldest) = set.oldest_first.pop_front()
        {
            set.until.remove(&oldest);
        }
    }

    /// The matches that are not to be claimed at this time.
    pub(super) fn ids(&self, now: Timestamp) -> Vec<Uuid> {
        let set = lock(&self.0);
        let is_aside = |(_, until): &(&MatchId, &Timestamp)| **until > now;
        set.until.iter().filter(is_aside).map(|(id, _)| *id.as_uuid()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::suite::facts::{START, match_id};

    #[test]
    fn a_match_stays_aside_for_a_while_and_their_number_is_bounded() {
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
