//! Following one match: each update once and in order, wherever the watcher begins.

use std::sync::{Arc, atomic::Ordering};

use futures_util::FutureExt;

use super::{DrivenMatch, HEARTBEAT, Harness, MICROSECOND, events_to_the_end, name, settle, soon};
use crate::{
    domain::{Progress, Sequence},
    journal::{
        Error,
        suite::facts::{finished, match_id, started, trouble, uploaded},
    },
    metrics::Invariant,
    watch::{Ended, Follow, Update},
};

/// What a watcher is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    /// The event with this sequence.
    Event(u64),
    /// A heartbeat that names this sequence.
    Heartbeat(u64),
    /// Progress after this sequence, with this many polls.
    Progress(u64, u64),
    /// The stream has ended with this error.
    Ended(&'static str),
    /// The stream has ended after its last update.
    Over,
}

use Shown::{Event, Heartbeat, Over};

/// The next message.
async fn next(watch: &mut Follow) -> Shown {
    match soon(watch.next()).await {
        Some(Ok(Update::Event(entry))) => {
            assert_eq!(entry.recorded.sequence, entry.snapshot.sequence);
            Event(entry.recorded.sequence.0)
        }
        Some(Ok(Update::Progress { m, progress, .. })) => {
            Shown::Progress(m.sequence.0, progress.polls)
        }
        Some(Ok(Update::Heartbeat { m, cursor, .. })) => {
            assert_eq!(cursor, None);
            Heartbeat(m.expect("an update was shown").sequence.0)
        }
        Some(Err(ended)) => Shown::Ended(name(&ended)),
        None => Over,
    }
}

/// Asserts that the watcher has nothing to show.
async fn is_silent(watch: &mut Follow) {
    settle().await;
    assert!(watch.next().now_or_never().is_none(), "the watcher waits");
}

/// The messages of a watcher up to its end.
async fn all(watch: &mut Follow) -> Vec<Shown> {
    let mut shown = Vec::new();
    loop {
        match next(watch).await {
            Over => return shown,
            message => shown.push(message),
        }
    }
}

fn polls(polls: u64) -> Progress {
    Progress { polls, ..Progress::default() }
}

/// A watch of a match with two events, both shown, that wants progress.
async fn live(house: &Harness) -> (DrivenMatch, Follow) {
    let mut m = house.admit(0).await;
    m.append(uploaded()).await;
    let mut watch = house.watch.follow(m.id(), Sequence::ZERO, true).await.unwrap();
    assert_eq!([next(&mut watch).await, next(&mut watch).await], [Event(1), Event(2)]);
    (m, watch)
}

#[tokio::test]
async fn events_before_and_after_the_watch_opens_are_shown_once_and_in_order() {
    for before in 0..=3 {
        let house = Harness::started().await;
        let mut m = house.admit(0).await;
        let mut events = events_to_the_end(0).into_iter();
        for event in events.by_ref().take(before) {
            m.append(event).await;
        }
        let mut watch = house.follow(&m, 0).await;
        for event in events {
            m.append(event).await;
        }
        assert_eq!(all(&mut watch).await, (1..=4).map(Event).collect::<Vec<_>>(), "{before}");
    }
}

#[tokio::test]
async fn an_event_at_the_moment_of_the_watch_s_read_is_shown_once() {
    let writer = Harness::new();
    let house = writer.replica();
    house.watch.start().await.unwrap();
    let mut m = writer.admit(0).await;
    let mut opening = Box::pin(house.watch.follow(m.id(), Sequence::ZERO, false));
    assert!((&mut opening).now_or_never().is_none(), "the read is in flight");
    for event in events_to_the_end(0) {
        m.append(event).await;
        house.journal.pulse();
        settle().await;
    }
    let mut watch = opening.await.unwrap();
    assert_eq!(all(&mut watch).await, (1..=4).map(Event).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_while_the_watcher_waits_wakes_it() {
    let house = Harness::started().await;
    let (mut m, mut watch) = live(&house).await;
    let (shown, _) = tokio::join!(next(&mut watch), m.append(started("a")));
    assert_eq!(shown, Event(3));
    is_silent(&mut watch).await;
}

#[tokio::test]
async fn a_watch_resumes_after_every_sequence() {
    let house = Harness::started().await;
    let m = house.run(0).await;
    for after in 0..=4 {
        let mut watch = house.follow(&m, after).await;
        let rest: Vec<_> = (after + 1..=4).map(Event).collect();
        assert_eq!(all(&mut watch).await, rest, "after {after}");
    }
}

#[tokio::test]
async fn a_watch_ahead_of_its_match_is_refused_with_the_sequence_reached() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    m.append(uploaded()).await;
    for ahead in [3, 4, u64::MAX] {
        let refused = house.watch.follow(m.id(), Sequence(ahead), false).await.err();
        assert!(matches!(refused, Some(Ended::Ahead { reached: Sequence(2) })), "{refused:?}");
    }
    assert_eq!(house.watch.watched(), 0);
}

#[tokio::test]
async fn a_watch_of_an_absent_match_is_refused_and_leaves_no_log() {
    let house = Harness::started().await;
    for after in [0, 1] {
        let refused = house.watch.follow(match_id(0, 9), Sequence(after), false).await.err();
        assert!(matches!(refused, Some(Ended::Absent)), "{refused:?}");
    }
    assert_eq!(house.watch.watched(), 0);
}

#[tokio::test]
async fn a_sequence_that_another_replica_has_shown_is_read_from_the_store() {
    let writer = Harness::new();
    let house = writer.replica();
    let mut m = writer.admit(0).await;
    house.journal.pulse();
    m.append(uploaded()).await;
    m.append(started("a")).await;
    let mut watch = house.follow(&m, 2).await;
    assert_eq!(next(&mut watch).await, Event(3));
}

#[tokio::test]
async fn watchers_of_one_match_are_shown_the_same_entries() {
    let house = Harness::started().await;
    let m = house.run(0).await;
    let (mut first, mut second) = (house.follow(&m, 0).await, house.follow(&m, 0).await);
    assert_eq!(house.watch.watched(), 1);
    for _ in 1..=4 {
        let (Some(Ok(Update::Event(one))), Some(Ok(Update::Event(other)))) =
            (first.next().await, second.next().await)
        else {
            panic!("no event");
        };
        assert!(Arc::ptr_eq(&one, &other), "the entry is encoded once for both");
    }
    drop((first, second));
    assert_eq!(house.watch.watched(), 0);
}

#[tokio::test]
async fn a_silent_watch_beats_when_the_clock_says_so_and_not_before() {
    let house = Harness::started().await;
    let (_m, mut watch) = live(&house).await;
    for _ in 0..3 {
        house.hand.advance(HEARTBEAT - MICROSECOND);
        is_silent(&mut watch).await;
        house.hand.advance(MICROSECOND);
        assert_eq!(next(&mut watch).await, Heartbeat(2));
        is_silent(&mut watch).await;
    }
}

#[tokio::test]
async fn an_update_postpones_the_heartbeat() {
    let house = Harness::started().await;
    let (mut m, mut watch) = live(&house).await;
    house.hand.advance(HEARTBEAT / 2);
    m.append(started("a")).await;
    assert_eq!(next(&mut watch).await, Event(3));
    house.watch.progress(m.id(), polls(1));
    house.hand.advance(HEARTBEAT / 2);
    assert_eq!(next(&mut watch).await, Shown::Progress(3, 1));
    house.hand.advance(HEARTBEAT - MICROSECOND);
    is_silent(&mut watch).await;
    house.hand.advance(MICROSECOND);
    assert_eq!(next(&mut watch).await, Heartbeat(3));
}

#[tokio::test]
async fn a_heartbeat_never_names_an_update_that_was_not_shown() {
    let house = Harness::started().await;
    let (mut m, _) = live(&house).await;
    let mut watch = house.follow(&m, 1).await;
    assert_eq!(next(&mut watch).await, Event(2));
    is_silent(&mut watch).await;
    m.append(started("a")).await;
    settle().await;
    house.hand.advance(HEARTBEAT);
    assert_eq!(next(&mut watch).await, Event(3), "an update comes before a heartbeat");
    is_silent(&mut watch).await;
    house.hand.advance(HEARTBEAT);
    assert_eq!(next(&mut watch).await, Heartbeat(3));
}

#[tokio::test]
async fn progress_is_shown_only_to_watchers_that_asked_for_it() {
    let house = Harness::started().await;
    let (m, mut asked) = live(&house).await;
    let mut other = house.follow(&m, 2).await;
    house.watch.progress(m.id(), polls(1));
    assert_eq!(next(&mut asked).await, Shown::Progress(2, 1));
    is_silent(&mut asked).await;
    is_silent(&mut other).await;
}

#[tokio::test]
async fn each_change_of_progress_is_shown_once_and_only_the_latest() {
    let house = Harness::started().await;
    let (m, mut watch) = live(&house).await;
    for count in [1, 2, 3] {
        house.watch.progress(m.id(), polls(count));
    }
    assert_eq!(next(&mut watch).await, Shown::Progress(2, 3));
    house.watch.progress(m.id(), polls(3));
    is_silent(&mut watch).await;
    let (shown, ()) = tokio::join!(next(&mut watch), async {
        settle().await;
        house.watch.progress(m.id(), polls(4));
    });
    assert_eq!(shown, Shown::Progress(2, 4));
}

#[tokio::test]
async fn events_come_before_progress() {
    let house = Harness::started().await;
    let (mut m, mut watch) = live(&house).await;
    house.watch.progress(m.id(), polls(1));
    m.append(started("a")).await;
    settle().await;
    assert_eq!(next(&mut watch).await, Event(3));
    assert_eq!(next(&mut watch).await, Shown::Progress(3, 1));
}

#[tokio::test]
async fn no_progress_follows_the_closing_update() {
    let house = Harness::started().await;
    let (mut m, mut watch) = live(&house).await;
    m.append(started("a")).await;
    m.append(finished()).await;
    settle().await;
    house.watch.progress(m.id(), polls(1));
    assert_eq!(all(&mut watch).await, [Event(3), Event(4)]);
    assert_eq!(next(&mut watch).await, Over);
    let mut resumed = house.watch.follow(m.id(), Sequence(4), true).await.unwrap();
    house.watch.progress(m.id(), polls(2));
    assert_eq!(next(&mut resumed).await, Over);
}

#[tokio::test]
async fn a_drain_shows_what_was_read_and_then_says_goodbye() {
    let house = Harness::started().await;
    let (mut m, mut watch) = live(&house).await;
    m.append(trouble()).await;
    m.append(started("a")).await;
    soon(house.watch.drain()).await;
    assert_eq!([next(&mut watch).await, next(&mut watch).await], [Event(3), Event(4)]);
    assert_eq!([next(&mut watch).await, next(&mut watch).await], [Shown::Ended("draining"), Over]);
}

#[tokio::test]
async fn a_drain_lets_a_match_that_has_ended_end_its_watch_normally() {
    let house = Harness::started().await;
    let (mut m, mut watch) = live(&house).await;
    m.append(started("a")).await;
    m.append(finished()).await;
    soon(house.watch.drain()).await;
    assert_eq!(all(&mut watch).await, [Event(3), Event(4)]);
}

#[tokio::test]
async fn a_draining_server_refuses_watches_and_still_shows_an_admitted_match() {
    let house = Harness::started().await;
    let m = house.admit(0).await;
    soon(house.watch.drain()).await;
    let refused = house.watch.follow(m.id(), Sequence::ZERO, false).await.err();
    assert!(matches!(refused, Some(Ended::Draining)), "{refused:?}");
    let admitted = house.find(&m).await;
    let mut watch = house.watch.follow_admitted(admitted, false).await.unwrap();
    assert_eq!(
        [next(&mut watch).await, next(&mut watch).await],
        [Event(1), Shown::Ended("draining")]
    );
}

#[tokio::test]
async fn an_erased_match_ends_its_watches_as_absent() {
    let house = Harness::started().await;
    let (m, mut watch) = live(&house).await;
    let mut behind = house.follow(&m, 0).await;
    house.watch.erased(m.id());
    for watch in [&mut watch, &mut behind] {
        assert_eq!([next(watch).await, next(watch).await], [Shown::Ended("absent"), Over]);
    }
}

#[tokio::test]
async fn a_store_whose_events_contradict_each_other_breaks_a_promise() {
    let house = Harness::started().await;
    let damaged = house.replica();
    let (mut m, _) = live(&house).await;
    m.append(started("a")).await;
    damaged.faults.is_damaged.store(true, Ordering::Relaxed);
    let refused = damaged.watch.follow(m.id(), Sequence::ZERO, false).await.err();
    assert!(matches!(refused, Some(Ended::Journal(Error::Corrupt(_)))), "{refused:?}");
    let broken =
        |house: &Harness| Invariant::ALL.map(|invariant| house.watch.invariants().count(invariant));
    assert_eq!((broken(&damaged), broken(&house)), ([1, 0, 0], [0, 0, 0]));
}
