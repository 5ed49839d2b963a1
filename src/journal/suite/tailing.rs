//! The order of all events, and wake-ups for new ones.

#![expect(clippy::disallowed_methods, reason = "each test joins what it spawns")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::facts::*;
use crate::{
    domain::{MatchId, Position, Recorded, Sequence},
    journal::{Admitted, Appended, Chore, Reader, Start, Writer, suite::Engine},
};

/// In pages of any size.
pub async fn a_tail_sees_all_events_in_order(engine: impl Engine) {
    let reader = engine.reader();
    assert_eq!(position(&*reader, Start::Head).await, Position(0));
    assert_eq!(reader.tail(Position(0), 10).await.unwrap(), []);
    let mut all = Vec::new();
    for n in 0..5 {
        all.extend(run(&engine, match_id(0, n), plain_spec(), [uploaded(), trouble()]).await.0);
    }
    assert_eq!(reader.tail(Position(0), 1000).await.unwrap(), all);
    for size in 1..6 {
        assert_eq!(read_all(&*reader, size).await, all);
    }
    let head = position(&*reader, Start::Head).await;
    assert_eq!(reader.tail(head, 10).await.unwrap(), []);
    assert_eq!(reader.tail(Position(u64::MAX), 10).await.unwrap(), []);
}

async fn read_all(reader: &dyn Reader, size: usize) -> Vec<Recorded> {
    let (mut all, mut after) = (Vec::new(), Position(0));
    loop {
        let page = reader.tail(after, size).await.unwrap();
        let Some(last) = page.last() else { return all };
        assert!(page.len() <= size);
        after = last.position;
        all.extend(page);
    }
}

/// From memory and from the store, of any size and after any position.
pub async fn a_page_has_the_earlier_events_of_its_matches(mut engine: impl Engine) {
    let mut claims = Vec::new();
    for n in 0..3 {
        claims.push(admit(&engine, match_id(0, n), plain_spec()).await.1);
    }
    for (after, n) in [(1, 1), (1, 0), (2, 1), (1, 2), (3, 1), (2, 0)] {
        append(&engine, claims[n], Sequence(after), trouble()).await;
    }
    pages_agree(&*engine.reader()).await;
    engine.restart(START).await;
    pages_agree(&*engine.reader()).await;
}

async fn pages_agree(reader: &dyn Reader) {
    let all = reader.tail(Position(0), 1000).await.unwrap();
    for after in (0..=all.len() as u64).map(Position) {
        for limit in 1..=all.len() {
            let later = all.iter().filter(|recorded| recorded.position > after).take(limit);
            let is_of_page = |id| later.clone().any(|recorded| recorded.match_id == id);
            let earlier = all.iter().filter(|recorded| recorded.position <= after);
            let earlier = earlier.filter(|recorded| is_of_page(recorded.match_id));
            let expected: Vec<Recorded> = earlier.chain(later.clone()).cloned().collect();
            let page = reader.page(after, limit).await.unwrap();
            assert_eq!(page.events, expected, "{limit} after {after:?}");
        }
    }
}

/// A match that its caller has erased is skipped. Erasures by retention show in the floor.
pub async fn a_page_leaves_out_erased_matches_and_has_the_floor(mut engine: impl Engine) {
    for n in 0..3 {
        run(&engine, match_id(0, n), plain_spec(), [uploaded(), failed()]).await;
    }
    let (writer, reader) = (engine.writer(), engine.reader());
    writer.erase(&anna(), match_id(0, 1)).await.unwrap();
    let (late, _) = run(&engine, match_id(0, 3), plain_spec(), [uploaded()]).await;
    for after in (0..12).map(Position) {
        let page = reader.page(after, 1000).await.unwrap();
        assert!(page.events.iter().all(|recorded| recorded.match_id != match_id(0, 1)));
        assert!(page.floor.is_none_or(|floor| floor == Position(0)));
    }
    engine.hand().advance(KEEP);
    assert_eq!(writer.tidy(Chore::EraseExpired, 1000).await.unwrap(), 2);
    let floor = position(&*reader, Start::Floor).await;
    let page = reader.page(Position(0), 1000).await.unwrap();
    assert_eq!(page.events, late);
    assert_eq!(page.floor, Some(floor), "the cache doesn't reach back that far");
    engine.restart(START).await;
    let reader = engine.reader();
    for after in [Position(0), position(&*reader, Start::Head).await] {
        let page = reader.page(after, 1000).await.unwrap();
        assert!(page.floor.is_none_or(|told| told == floor));
    }
}

const MATCHES: u64 = 40;
pub(super) const EVENTS: u64 = 12;

/// The reader continues after its last position while forty writers append.
pub async fn a_tail_during_concurrent_writes_misses_and_repeats_none(engine: impl Engine) {
    let (reader, mut wake) = (engine.reader(), engine.handles().feed.wake);
    let writers = (0..MATCHES).map(|n| tokio::spawn(live(engine.writer(), match_id(0, n))));
    let writing = tokio::spawn(join_all(writers));
    let (mut seen, mut after) = (Vec::new(), Position(0));
    while seen.len() < usize::try_from(MATCHES * EVENTS).unwrap() {
        wake.borrow_and_update();
        let page = reader.tail(after, 7).await.unwrap();
        match page.last() {
            Some(last) => after = last.position,
            None => heard(&mut wake).await,
        }
        seen.extend(page);
    }
    assert!(writing.await.unwrap().into_iter().all(|written| written.is_ok()));
    assert!(seen.is_sorted_by(|a, b| a.position < b.position));
    let mut sequences = BTreeMap::<MatchId, Vec<Sequence>>::new();
    for recorded in seen {
        sequences.entry(recorded.match_id).or_default().push(recorded.sequence);
    }
    let dense: Vec<_> = (1..=EVENTS).map(Sequence).collect();
    assert!(sequences.values().all(|sequences| *sequences == dense));
}

pub(super) async fn live(writer: Arc<dyn Writer>, id: MatchId) {
    let admitted = writer.admit(id, Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("{id} is known") };
    for after in 1..EVENTS {
        let appended = writer.append(claim, Sequence(after), trouble()).await.unwrap();
        assert!(matches!(appended, Appended::Done(_)));
    }
}

/// A reader that subscribes, then reads, then waits misses none: the hint is there when the write
/// returns, or a moment later.
pub async fn a_wake_up_follows_every_event(engine: impl Engine) {
    let (id, writer) = (match_id(0, 1), engine.writer());
    let mut wake = engine.handles().feed.wake;
    let (_, claim) = admit(&engine, id, plain_spec()).await;
    heard(&mut wake).await;
    append(&engine, claim, Sequence(1), uploaded()).await;
    heard(&mut wake).await;
    writer.cancel(&anna(), &crate::journal::Key::Match(id), KEEP).await.unwrap();
    heard(&mut wake).await;
}

/// Waits rather than checks, since an engine may learn of the write from its store a moment later.
pub(super) async fn heard(wake: &mut tokio::sync::watch::Receiver<()>) {
    tokio::time::timeout(Duration::from_secs(10), wake.changed()).await.unwrap().unwrap();
}

/// For a match that was written just now: either all of its events, or `None`.
pub async fn recent_events_of_a_match_are_complete_or_unknown(engine: impl Engine) {
    let (reader, writer) = (engine.reader(), engine.writer());
    assert_eq!(reader.recent(match_id(0, 0)), None);
    for n in 0..3 {
        run(&engine, match_id(0, n), plain_spec(), [uploaded(), failed()]).await;
        for known in 0..=n {
            let events = reader.events(match_id(0, known)).await.unwrap();
            let recent = reader.recent(match_id(0, known));
            assert!(recent.is_none_or(|recent| recent == events));
        }
    }
    writer.erase(&anna(), match_id(0, 1)).await.unwrap();
    assert_eq!(reader.recent(match_id(0, 1)), None);
}
