//! A cache of the newest events, so that followers near the head cost no statements.
//!
//! It holds every event after a position, or answers that it doesn't know. It learns of a commit
//! only after the store has it, so it may lack events that are being committed at this moment; the
//! wake-up for a commit is sent after its events are here.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::{Mutex, MutexGuard, OnceLock},
};

use crate::{
    domain::{Event, MatchId, Position, Recorded, Sequence, event::Metadata},
    journal::{Listener, MatchChange},
    sync::lock,
};

/// How much memory the cached events may take, in bytes. It is enough for the last six seconds at a
/// thousand matches a second, each with four events of some 600 bytes. So even a follower that is
/// seconds behind finds nearly all live matches here from their first event on.
const BYTES_MAX: usize = 16 << 20;

/// About how many bytes an event takes beside its texts: the event, its entries in `events` and
/// `by_match`, and its small allocations.
const EVENT_BYTES: usize = mem::size_of::<Recorded>() + 192;

/// The cache. It is empty, and knows no range, before the first commit.
#[derive(Default)]
pub(super) struct Recent {
    range: Mutex<Option<CachedRange>>,
    ear: OnceLock<Listener>,
}

/// All events after one position, up to another one included.
struct CachedRange {
    after: Position,
    reached: Position,
    events: VecDeque<Recorded>,
    /// How many events were evicted so far. It is the number of the oldest event here: events are
    /// numbered in the order in which they were cached.
    gone: u64,
    /// The numbers of each match's events, in their order.
    by_match: HashMap<MatchId, VecDeque<u64>>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    /// An empty cache of the events after a position.
    pub(super) fn after(position: Position) -> Self {
        let recent = Self::default();
        recent.restart(position);
        recent
    }

    /// Forgets all events, and starts again after a position.
    pub(super) fn restart(&self, position: Position) {
        *self.lock() = Some(CachedRange::after(position));
    }

    /// Adds the events that come directly after `before`, in any order, and passes the changes in
    /// them to the callback. Returns false, and adds nothing, if the cache doesn't end at `before`.
    pub(super) fn follow(&self, before: Position, mut events: Vec<Recorded>) -> bool {
        events.sort_unstable_by_key(|recorded| recorded.position);
        let heard: Vec<_> = events.iter().filter_map(heard).collect();
        match &mut *self.lock() {
            Some(known) if known.reached == before => known.extend(events),
            Some(_) | None => return false,
        }
        self.tell(heard);
        true
    }

    /// Registers the callback for changes of matches.
    pub(super) fn hear(&self, ear: Listener) {
        // A second callback, which a second worker over the same journal would bring, is ignored.
        let _ = self.ear.set(ear);
    }

    /// Calls the callback with changes of matches.
    pub(super) fn tell(&self, heard: impl IntoIterator<Item = MatchChange>) {
        if let Some(ear) = self.ear.get() {
            heard.into_iter().for_each(|heard| ear(heard));
        }
    }

    /// Adds the events of a commit of the store's only writer. If there is a gap before them, the
    /// cached events are forgotten first.
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

    /// The position up to which events are cached; `None` if no range is known.
    pub(super) fn reached(&self) -> Option<Position> {
        self.lock().as_ref().map(|known| known.reached)
    }

    /// Forgets the events and the range, since the outcome of a write is unknown.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    /// Forgets all events, since some of them were erased. Later ones are cached as before.
    pub(super) fn clear(&self) {
        if let Some(known) = &mut *self.lock() {
            *known = CachedRange::after(known.reached);
        }
    }

    /// Up to `limit` events after a position; `None` if the cache lacks some of them.
    pub(super) fn tail(&self, after: Position, limit: usize) -> Option<Vec<Recorded>> {
        let stretch = self.lock();
        let known = stretch.as_ref().filter(|known| known.after <= after)?;
        let skip = known.events.partition_point(|recorded| recorded.position <= after);
        Some(known.events.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Drops events, read from the store, that are newer than the cache. Otherwise a follower's
    /// cursor would overtake the cache, and its next read from the cache would skip events.
    pub(super) fn bound(&self, mut events: Vec<Recorded>) -> Vec<Recorded> {
        if let Some(known) = &*self.lock() {
            events.retain(|recorded| recorded.position <= known.reached);
        }
        events
    }

    /// The events of [`Recent::tail`], preceded by the earlier events of their matches; `None` if
    /// the cache lacks any of these events.
    pub(super) fn page(&self, after: Position, limit: usize) -> Option<Vec<Recorded>> {
        let stretch = self.lock();
        let known = stretch.as_ref().filter(|known| known.after <= after)?;
        let skip = known.events.partition_point(|recorded| recorded.position <= after);
        let page = known.events.iter().skip(skip).take(limit);
        let (mut seen, mut earlier) = (HashSet::new(), Vec::new());
        for recorded in page.clone().filter(|recorded| recorded.sequence != Sequence::FIRST) {
            if seen.insert(recorded.match_id) {
                let before = |earlier: &&Recorded| earlier.position <= after;
                let journal = known.journal(recorded.match_id)?;
                earlier.extend(journal.take_while(before).cloned());
            }
        }
        earlier.sort_unstable_by_key(|recorded| recorded.position);
        earlier.extend(page.cloned());
        Some(earlier)
    }

    /// The events of a match; `None` unless its first event is cached. If it is, all later ones are
    /// cached too.
    pub(super) fn events(&self, id: MatchId) -> Option<Vec<Recorded>> {
        Some(self.lock().as_ref()?.journal(id)?.cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Option<CachedRange>> {
        lock(&self.range)
    }
}

impl CachedRange {
    fn after(position: Position) -> Self {
        Self {
            after: position,
            reached: position,
            events: VecDeque::new(),
            gone: 0,
            by_match: HashMap::new(),
            bytes: 0,
            bytes_max: BYTES_MAX,
        }
    }

    /// The events of a match, if its first event is cached.
    fn journal(&self, id: MatchId) -> Option<impl Iterator<Item = &Recorded>> {
        let numbers = self.by_match.get(&id)?;
        let mut events = numbers.iter().filter_map(|number| self.numbered(*number)).peekable();
        events.peek().is_some_and(|first| first.sequence == Sequence::FIRST).then_some(events)
    }

    fn numbered(&self, number: u64) -> Option<&Recorded> {
        self.events.get(usize::try_from(number.checked_sub(self.gone)?).ok()?)
    }

    /// Adds the events that follow, and evicts the oldest beyond the limit.
    fn extend(&mut self, events: Vec<Recorded>) {
        for recorded in events {
            let number = self.gone + self.events.len() as u64;
            self.by_match.entry(recorded.match_id).or_default().push_back(number);
            self.bytes += bytes(&recorded);
            self.reached = recorded.position;
            self.events.push_back(recorded);
        }
        while self.bytes > self.bytes_max {
            self.let_go();
        }
    }

    /// Evicts the oldest event.
    fn let_go(&mut self) {
        let Some(oldest) = self.events.pop_front() else { return };
        self.gone += 1;
        self.after = oldest.position;
        self.bytes -= bytes(&oldest);
        if let Some(numbers) = self.by_match.get_mut(&oldest.match_id) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_match.remove(&oldest.match_id);
            }
        }
    }
}

/// What an event means for a replica that drives its match or keeps its photo.
pub(super) fn heard(recorded: &Recorded) -> Option<MatchChange> {
    let id = recorded.match_id;
    if !recorded.event.is_known() {
        return Some(MatchChange::Gone(id));
    }
    match &recorded.event {
        Event::Cancelled(_) | Event::Unknown(_) => Some(MatchChange::Gone(id)),
        Event::PhotoUploaded(_) | Event::Finished(_) | Event::Failed(_) => {
            Some(MatchChange::PhotoDone(id))
        }
        Event::Accepted(_) | Event::AnalysisStarted(_) | Event::AttemptFailed(_) => None,
    }
}

/// About how much memory an event takes, in bytes.
fn bytes(recorded: &Recorded) -> usize {
    let texts = match &recorded.event {
        Event::Accepted(spec) => {
            let media: usize = spec.liveness_media.iter().map(|id| id.as_str().len()).sum();
            media + spec.labels.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
        }
        Event::PhotoUploaded(fact) => {
            let media: usize = fact.liveness_media.iter().map(|id| id.as_str().len()).sum();
            media + fact.earlier_analyses.iter().map(|id| id.as_str().len()).sum::<usize>()
        }
        Event::AttemptFailed(fact) => fact.message.len() + texts(&fact.metadata),
        Event::Failed(fact) => fact.error.message.len() + texts(&fact.error.metadata),
        Event::AnalysisStarted(_)
        | Event::Finished(_)
        | Event::Cancelled(_)
        | Event::Unknown(_) => 0,
    };
    EVENT_BYTES + texts
}

fn texts(metadata: &Metadata) -> usize {
    metadata.iter().map(|(key, value)| key.len() + value.len()).sum()
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
    fn cached_events_are_returned_in_the_order_of_positions() {
        let recent = Recent::default();
        recent.add(vec![event(0, 3, 8), event(1, 1, 7)]);
        recent.add(vec![event(1, 2, 9)]);
        assert_eq!(positions(recent.tail(Position(5), 10)), None, "the sixth isn't cached");
        assert_eq!(positions(recent.tail(Position(6), 10)), Some(vec![7, 8, 9]));
        assert_eq!(positions(recent.tail(Position(6), 2)), Some(vec![7, 8]));
        assert_eq!(positions(recent.tail(Position(8), 10)), Some(vec![9]));
        for nothing_yet in [9, 10, u64::MAX] {
            assert_eq!(positions(recent.tail(Position(nothing_yet), 10)), Some(vec![]));
        }
    }

    #[test]
    fn a_match_is_cached_from_its_first_event_on_or_not_at_all() {
        let recent = Recent::default();
        recent.add(vec![event(0, 3, 7), event(1, 1, 8), event(0, 4, 9), event(1, 2, 10)]);
        assert_eq!(positions(recent.events(match_id(0, 1))), Some(vec![8, 10]));
        assert_eq!(recent.events(match_id(0, 0)), None);
        assert_eq!(recent.events(match_id(0, 2)), None);
    }

    #[test]
    fn events_from_the_store_are_held_back_until_they_are_cached() {
        let in_store = || vec![event(0, 1, 6), event(0, 2, 7), event(0, 3, 8)];
        let recent = Recent::default();
        assert_eq!(recent.bound(in_store()).len(), 3, "no range is known");
        recent.add(vec![event(0, 2, 7)]);
        assert_eq!(positions(Some(recent.bound(in_store()))), Some(vec![6, 7]));
        recent.add(vec![event(0, 3, 8)]);
        assert_eq!(recent.bound(in_store()).len(), 3);
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

    /// A cache of that many bytes.
    fn of(bytes_max: usize) -> Recent {
        let stretch = CachedRange { bytes_max, ..CachedRange::after(Position(0)) };
        Recent { range: Mutex::new(Some(stretch)), ..Recent::default() }
    }

    #[test]
    fn the_oldest_events_are_evicted() {
        let max = 10;
        let recent = of(bytes(&event(1, 1, 1)) * 10);
        for position in 1..=max + 1 {
            recent.add(vec![event(position, 1, position)]);
        }
        assert_eq!(positions(recent.tail(Position(0), 1)), None);
        assert_eq!(positions(recent.tail(Position(1), 1)), Some(vec![2]));
        assert_eq!(positions(recent.tail(Position(max), 10)), Some(vec![max + 1]));
        assert_eq!(recent.events(match_id(0, 1)), None);
        assert!(recent.events(match_id(0, 2)).is_some());
        assert_eq!(recent.lock().as_ref().unwrap().by_match.len(), 10);
    }

    #[test]
    fn fewer_events_are_cached_if_they_are_large() {
        let mut large = plain_spec();
        large.labels = [("note".to_owned(), "x".repeat(100_000))].into();
        let large = Recorded { event: Event::Accepted(large.into()), ..event(7, 1, 7) };
        let recent = of(bytes(&large) + bytes(&event(1, 1, 1)));
        recent.add((1..7).map(|n| event(n, 1, n)).collect());
        assert_eq!(positions(recent.tail(Position(0), 10)), Some((1..7).collect()));
        recent.add(vec![large]);
        assert_eq!(positions(recent.tail(Position(5), 10)), Some(vec![6, 7]));
        assert_eq!(positions(recent.tail(Position(4), 10)), None);
    }

    #[test]
    fn a_page_has_the_earlier_events_of_its_matches_or_is_not_known() {
        let recent = Recent::default();
        recent.add(vec![event(0, 2, 4), event(1, 1, 5), event(2, 1, 6)]);
        recent.add(vec![event(1, 2, 7), event(2, 2, 8), event(1, 3, 9), event(0, 3, 10)]);
        assert_eq!(positions(recent.page(Position(2), 2)), None, "the third isn't cached");
        assert_eq!(positions(recent.page(Position(4), 3)), Some(vec![5, 6, 7]));
        assert_eq!(positions(recent.page(Position(6), 3)), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(positions(recent.page(Position(7), 1)), Some(vec![6, 8]));
        assert_eq!(positions(recent.page(Position(6), 4)), None, "its first event isn't cached");
        assert_eq!(positions(recent.page(Position(10), 4)), Some(vec![]));
    }

    #[test]
    fn forgotten_events_are_not_known_and_later_ones_are() {
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
