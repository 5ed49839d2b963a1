//! What was committed last, kept in memory: whoever follows live finds it here, and no statement
//! is run for it.
//!
//! It holds every event after a position, as the store does, or says that it doesn't know. Since
//! it is told of a commit only after the store has it, it may lack what is being committed at this
//! moment; whoever is woken by that commit finds it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{MatchId, Position, Recorded, Sequence};

/// How many events are kept: twice what a follower reads at once, so that one that is a page
/// behind needn't read the store either. An event has some hundred bytes, with the largest labels
/// that there may be 30 KB.
const EVENTS_MAX: usize = 1024;

/// The newest events. Nothing is known before the first commit.
#[derive(Default)]
pub(super) struct Recent(Mutex<Option<Stretch>>);

/// All events after a position and up to another.
struct Stretch {
    after: Position,
    reached: Position,
    events: VecDeque<Recorded>,
}

impl Recent {
    /// Nothing yet, but whatever comes after a position will be known.
    pub(super) fn after(position: Position) -> Self {
        let recent = Self::default();
        recent.restart(position);
        recent
    }

    /// Forgets all, and knows whatever comes after a position.
    pub(super) fn restart(&self, position: Position) {
        *self.lock() = Some(Stretch::after(position));
    }

    /// Takes what one commit has written, in any order: all that there is after `before`. False if
    /// that isn't where what is known ends.
    pub(super) fn follow(&self, before: Position, mut events: Vec<Recorded>) -> bool {
        events.sort_unstable_by_key(|recorded| recorded.position);
        match &mut *self.lock() {
            Some(known) if known.reached == before => known.extend(events),
            Some(_) | None => return false,
        }
        true
    }

    /// Takes what the only writer has committed; what was known before and isn't followed by it is
    /// forgotten.
    pub(super) fn add(&self, events: Vec<Recorded>) {
        let first = events.iter().map(|recorded| recorded.position.0).min();
        let Some(before) = first.map(|first| Position(first.saturating_sub(1))) else {
            return;
        };
        if self.reached() != Some(before) {
            self.restart(before);
        }
        self.follow(before, events);
    }

    /// How far it reaches, if anything is known.
    pub(super) fn reached(&self) -> Option<Position> {
        self.lock().as_ref().map(|known| known.reached)
    }

    /// Forgets everything: nobody knows what was written.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    /// Forgets what there has been, some of which was erased. What comes will be known.
    pub(super) fn clear(&self) {
        if let Some(known) = &mut *self.lock() {
            *known = Stretch::after(known.reached);
        }
    }

    /// Up to `limit` events after a position; none if not all of them are known.
    pub(super) fn tail(&self, after: Position, limit: usize) -> Option<Vec<Recorded>> {
        let stretch = self.lock();
        let known = stretch.as_ref().filter(|known| known.after <= after)?;
        let skip = known.events.partition_point(|recorded| recorded.position <= after);
        Some(known.events.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Leaves out of what the store has after a position whatever isn't known here yet: whoever
    /// follows would go on behind it, and who then begins with what is known would miss it.
    pub(super) fn bound(&self, mut events: Vec<Recorded>) -> Vec<Recorded> {
        if let Some(known) = &*self.lock() {
            events.retain(|recorded| recorded.position <= known.reached);
        }
        events
    }

    /// The events of a match, if its first one is known, and so all that followed.
    pub(super) fn events(&self, id: MatchId) -> Option<Vec<Recorded>> {
        let stretch = self.lock();
        let mut events = Vec::new();
        // Who asks has just admitted it, so it is among the last.
        for recorded in stretch.as_ref()?.events.iter().rev() {
            if recorded.match_id == id {
                events.push(recorded.clone());
                if recorded.sequence == Sequence::FIRST {
                    events.reverse();
                    return Some(events);
                }
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stretch>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stretch {
    const fn after(position: Position) -> Self {
        Self { after: position, reached: position, events: VecDeque::new() }
    }

    /// Takes what follows, and lets go of the oldest.
    fn extend(&mut self, events: Vec<Recorded>) {
        self.events.extend(events);
        let too_many = self.events.len().saturating_sub(EVENTS_MAX);
        if let Some(gone) = self.events.drain(..too_many).next_back() {
            self.after = gone.position;
        }
        self.reached = self.events.back().map_or(self.reached, |last| last.position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::suite::facts::{match_id, plain_spec, trouble};

    fn event(n: u64, sequence: u64, position: u64) -> Recorded {
        Recorded {
            match_id: match_id(0, n),
            sequence: Sequence(sequence),
            position: Position(position),
            incarnation: 0,
            time: crate::domain::Timestamp::from_micros(0),
            event: match sequence {
                1 => crate::domain::Event::Accepted(plain_spec().into()),
                _ => trouble(),
            },
        }
    }

    fn positions(events: Option<Vec<Recorded>>) -> Option<Vec<u64>> {
        events.map(|events| events.iter().map(|recorded| recorded.position.0).collect())
    }

    #[test]
    fn nothing_is_known_before_the_first_commit() {
        let recent = Recent::default();
        recent.add(Vec::new());
        assert_eq!(recent.tail(Position(0), 10), None);
        assert_eq!(recent.events(match_id(0, 0)), None);
    }

    #[test]
    fn what_is_known_is_told_in_the_order_of_positions() {
        let recent = Recent::default();
        recent.add(vec![event(0, 3, 8), event(1, 1, 7)]);
        recent.add(vec![event(1, 2, 9)]);
        assert_eq!(positions(recent.tail(Position(5), 10)), None, "the sixth isn't known");
        assert_eq!(positions(recent.tail(Position(6), 10)), Some(vec![7, 8, 9]));
        assert_eq!(positions(recent.tail(Position(6), 2)), Some(vec![7, 8]));
        assert_eq!(positions(recent.tail(Position(8), 10)), Some(vec![9]));
        for nothing_yet in [9, 10, u64::MAX] {
            assert_eq!(positions(recent.tail(Position(nothing_yet), 10)), Some(vec![]));
        }
    }

    #[test]
    fn a_match_is_known_from_its_first_event_on_or_not_at_all() {
        let recent = Recent::default();
        recent.add(vec![event(0, 3, 7), event(1, 1, 8), event(0, 4, 9), event(1, 2, 10)]);
        assert_eq!(positions(recent.events(match_id(0, 1))), Some(vec![8, 10]));
        assert_eq!(recent.events(match_id(0, 0)), None);
        assert_eq!(recent.events(match_id(0, 2)), None);
    }

    #[test]
    fn what_the_file_has_earlier_waits_until_it_is_known() {
        let in_file = || vec![event(0, 1, 6), event(0, 2, 7), event(0, 3, 8)];
        let recent = Recent::default();
        assert_eq!(recent.bound(in_file()).len(), 3, "nothing is known");
        recent.add(vec![event(0, 2, 7)]);
        assert_eq!(positions(Some(recent.bound(in_file()))), Some(vec![6, 7]));
        recent.add(vec![event(0, 3, 8)]);
        assert_eq!(recent.bound(in_file()).len(), 3);
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let recent = Recent::default();
        recent.add(vec![event(0, 1, 1)]);
        recent.add(vec![event(0, 3, 3)]);
        assert_eq!(positions(recent.tail(Position(0), 10)), None);
        assert_eq!(positions(recent.tail(Position(2), 10)), Some(vec![3]));
        assert_eq!(recent.events(match_id(0, 0)), None);
    }

    #[test]
    fn the_oldest_is_let_go_of() {
        let recent = Recent::default();
        let max = EVENTS_MAX as u64;
        for position in 1..=max + 1 {
            recent.add(vec![event(position, 1, position)]);
        }
        assert_eq!(positions(recent.tail(Position(0), 1)), None);
        assert_eq!(positions(recent.tail(Position(1), 1)), Some(vec![2]));
        assert_eq!(positions(recent.tail(Position(max), 10)), Some(vec![max + 1]));
        assert_eq!(recent.events(match_id(0, 1)), None);
        assert!(recent.events(match_id(0, 2)).is_some());
    }

    #[test]
    fn what_is_forgotten_is_not_known_and_what_follows_is() {
        let recent = Recent::default();
        recent.add(vec![event(0, 1, 1)]);
        recent.forget();
        assert_eq!(positions(recent.tail(Position(0), 10)), None);
        assert_eq!(recent.events(match_id(0, 0)), None);
        recent.add(vec![event(1, 1, 2)]);
        assert_eq!(positions(recent.tail(Position(1), 10)), Some(vec![2]));
        assert_eq!(positions(recent.tail(Position(0), 10)), None);
    }
}
