//! Following all matches: where a stream begins, what its filter selects, and how it ends.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;

use super::{HEARTBEAT, Harness, MICROSECOND, at, name, settle, soon};
use crate::{
    domain::Spec,
    journal::{
        Filter,
        suite::facts::{
            failed_kept, finished, folder, labels, match_id, plain_spec, started, tenant, uploaded,
        },
    },
    watch::{
        FollowAll, Update,
        all::PAGE_FIRST,
        pages::{EVENT_BYTES, LIMITS, PageLimits},
        token,
    },
};

/// What a stream shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    /// The event at this position.
    Event(u64),
    /// A heartbeat whose cursor has this position.
    Heartbeat(u64),
    /// The stream has ended with this error.
    Ended(&'static str),
    /// The stream has ended before.
    Over,
}

use Shown::{Event, Heartbeat};

/// The next message.
async fn next(stream: &mut FollowAll) -> Shown {
    match soon(stream.next()).await {
        Some(Ok(Update::Event(entry))) => {
            assert_eq!(entry.recorded.match_id, entry.snapshot.id);
            Event(entry.recorded.position.0)
        }
        Some(Ok(Update::Heartbeat { cursor, .. })) => {
            Heartbeat(cursor.expect("a cursor").1.position.0)
        }
        Some(Ok(Update::Progress { .. })) => panic!("no stream of all matches shows progress"),
        Some(Err(ended)) => Shown::Ended(name(&ended)),
        None => Shown::Over,
    }
}

/// The next messages.
async fn some(stream: &mut FollowAll, count: usize) -> Vec<Shown> {
    let mut shown = Vec::new();
    while shown.len() < count {
        shown.push(next(stream).await);
    }
    shown
}

/// Asserts that the stream has nothing to show.
async fn is_silent(stream: &mut FollowAll) {
    for _ in 0..3 {
        assert!(stream.next().now_or_never().is_none(), "the stream waits");
        settle().await;
    }
}

/// The heartbeat at a position, and then events up to another one.
fn from_to(after: u64, last: u64) -> Vec<Shown> {
    [Heartbeat(after)].into_iter().chain((after + 1..=last).map(Event)).collect()
}

/// Why a token is refused.
async fn refused(house: &Harness, token: &str) -> &'static str {
    name(&house.follow_all(token).await.err().expect("the token is refused"))
}

#[tokio::test]
async fn a_stream_without_a_token_begins_now() {
    let house = Harness::started().await;
    house.run(0).await;
    let mut stream = house.follow_all("").await.unwrap();
    assert_eq!(next(&mut stream).await, Heartbeat(4));
    is_silent(&mut stream).await;
    house.run(1).await;
    assert_eq!(some(&mut stream, 4).await, (5..=8).map(Event).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_from_the_earliest_update_shows_what_is_there_and_what_follows() {
    let house = Harness::started().await;
    house.run(0).await;
    let mut stream = house.follow_all("earliest").await.unwrap();
    house.run(1).await;
    assert_eq!(some(&mut stream, 9).await, from_to(0, 8));
    is_silent(&mut stream).await;
}

#[tokio::test]
async fn a_stream_resumes_after_every_token() {
    let house = Harness::started().await;
    let (first, second) = (house.run(0).await, house.run(1).await);
    for recorded in first.events.iter().chain(&second.events) {
        let token = house.watch.token(&plain_spec().tenant, recorded.place());
        let after = recorded.position.0;
        let mut stream = house.follow_all(&token).await.unwrap();
        assert_eq!(some(&mut stream, 9 - after as usize).await, from_to(after, 8));
        is_silent(&mut stream).await;
    }
}

#[tokio::test]
async fn a_token_below_the_floor_has_expired_and_one_at_the_floor_has_not() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    m.append(failed_kept(Duration::ZERO)).await;
    house.admit(1).await;
    house.retain().await;
    let [below, floor] =
        [&m.events[0], &m.events[1]].map(|it| house.watch.token(&plain_spec().tenant, it.place()));
    assert_eq!(refused(&house, &below).await, "expired");
    let mut stream = house.follow_all(&floor).await.unwrap();
    assert_eq!(some(&mut stream, 2).await, from_to(2, 3));
}

#[tokio::test]
async fn foreign_damaged_and_page_tokens_are_refused() {
    let (house, other) = (Harness::started().await, Harness::at_store(2));
    let place = house.run(0).await.events[1].place();
    other.run(0).await;
    assert_eq!(
        refused(&house, &other.watch.token(&plain_spec().tenant, place)).await,
        "invalid token"
    );
    let (token, spec) = (house.watch.token(&plain_spec().tenant, place), plain_spec());
    let keys = &house.watch.0.identity.keys;
    let page = token::write_page(keys, &spec.tenant, &Filter::default(), match_id(0, 0));
    for damaged in [&token[1..], &token[..token.len() - 1], "latest", "%", &page] {
        assert_eq!(refused(&house, damaged).await, "invalid token", "{damaged}");
    }
}

#[tokio::test]
async fn a_token_for_a_position_that_the_store_has_not_reached_is_refused() {
    let house = Harness::started().await;
    let m = house.run(0).await;
    let mut place = m.events[3].place();
    house.follow_all(&house.watch.token(&plain_spec().tenant, place)).await.unwrap();
    place.position.0 += 1;
    assert_eq!(
        refused(&house, &house.watch.token(&plain_spec().tenant, place)).await,
        "invalid token"
    );
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused() {
    let house = Harness::started().await;
    let names = ["default", "other", "third"];
    for (owner, user) in names.iter().flat_map(|owner| names.map(|user| (*owner, user))) {
        let token = house.watch.token(&tenant(owner), at(0));
        let opened = house.watch.follow_all(tenant(user), Filter::default(), &token).await;
        assert_eq!(opened.is_ok(), owner == user, "{owner}'s token, used by {user}");
    }
}

#[tokio::test]
async fn a_stream_shows_only_the_folder_the_labels_and_the_tenant_it_asks_for() {
    let house = Harness::started().await;
    let right = Spec { folder_id: folder(2), labels: labels(&[("a", "1")]), ..plain_spec() };
    let more = labels(&[("a", "1"), ("b", "2")]);
    let specs = [
        Spec { folder_id: folder(1), ..right.clone() },
        Spec { labels: labels(&[("a", "2")]), ..right.clone() },
        Spec { labels: labels(&[("b", "1")]), ..right.clone() },
        Spec { tenant: tenant("other"), ..right.clone() },
        Spec { labels: more, ..right.clone() },
        right,
    ];
    for (n, spec) in (0..).zip(specs) {
        house.admit_with(n, spec).await;
    }
    let labels = labels(&[("a", "1")]);
    let filter = Filter { folder_id: Some(folder(2)), labels, ..Filter::default() };
    let mut stream = house.watch.follow_all(plain_spec().tenant, filter, "earliest").await.unwrap();
    assert_eq!(some(&mut stream, 3).await, [Heartbeat(0), Event(5), Event(6)]);
    is_silent(&mut stream).await;
}

#[tokio::test]
async fn a_silent_stream_beats_when_the_clock_says_so_with_all_that_it_has_read() {
    let house = Harness::started().await;
    let other = tenant("other");
    let mut stream = house.watch.follow_all(other, Filter::default(), "").await.unwrap();
    assert_eq!(next(&mut stream).await, Heartbeat(0));
    house.run(0).await;
    is_silent(&mut stream).await;
    for _ in 0..3 {
        house.hand.advance(HEARTBEAT - MICROSECOND);
        is_silent(&mut stream).await;
        house.hand.advance(MICROSECOND);
        assert_eq!(next(&mut stream).await, Heartbeat(4));
    }
}

#[tokio::test]
async fn a_heartbeat_does_not_pass_an_event_that_was_not_shown() {
    let house = Harness::started().await;
    let mut stream = house.follow_all("").await.unwrap();
    assert_eq!(next(&mut stream).await, Heartbeat(0));
    house.run(0).await;
    settle().await;
    for position in 1..=4 {
        house.hand.advance(HEARTBEAT);
        let mut shown = next(&mut stream).await;
        if shown == Heartbeat(position - 1) {
            shown = next(&mut stream).await;
        }
        assert_eq!(shown, Event(position));
    }
}

#[tokio::test]
async fn a_drain_shows_what_was_read_and_then_says_goodbye() {
    let house = Harness::started().await;
    let mut stream = house.follow_all("").await.unwrap();
    assert_eq!(next(&mut stream).await, Heartbeat(0));
    is_silent(&mut stream).await;
    house.run(0).await;
    soon(house.watch.drain()).await;
    assert_eq!(some(&mut stream, 4).await, (1..=4).map(Event).collect::<Vec<_>>());
    assert_eq!(some(&mut stream, 2).await, [Shown::Ended("draining"), Shown::Over]);
    assert_eq!(refused(&house, "").await, "draining");
}

#[tokio::test]
async fn a_failed_read_ends_the_stream_and_its_last_cursor_resumes_it() {
    let house = Harness::started().await;
    let mut stream = house.follow_all("").await.unwrap();
    assert_eq!(next(&mut stream).await, Heartbeat(0));
    let m = house.run(0).await;
    assert_eq!(some(&mut stream, 4).await, (1..=4).map(Event).collect::<Vec<_>>());
    house.faults.is_failing.store(true, Ordering::Relaxed);
    assert_eq!(some(&mut stream, 2).await, [Shown::Ended("journal"), Shown::Over]);
    house.faults.is_failing.store(false, Ordering::Relaxed);
    house.admit(1).await;
    let token = house.watch.token(&plain_spec().tenant, m.events[3].place());
    assert_eq!(some(&mut house.follow_all(&token).await.unwrap(), 2).await, from_to(4, 5));
}

#[tokio::test]
async fn a_stream_that_retention_overtakes_ends_as_expired() {
    for retained in [1, PAGE_FIRST as u64] {
        let house = Harness::started().await;
        let mut stream = house.follow_all("earliest").await.unwrap();
        assert_eq!(next(&mut stream).await, Heartbeat(0));
        house.admit(0).await.append(failed_kept(Duration::ZERO)).await;
        for n in 1..=retained {
            house.admit(n).await;
        }
        house.retain().await;
        assert_eq!(next(&mut stream).await, Shown::Ended("expired"), "{retained} events remain");
        assert_eq!(next(&mut stream).await, Shown::Over);
    }
}

#[tokio::test]
async fn a_stream_that_has_read_the_erased_events_goes_on() {
    let house = Harness::started().await;
    let mut stream = house.follow_all("earliest").await.unwrap();
    let mut m = house.admit(0).await;
    m.append(failed_kept(Duration::ZERO)).await;
    assert_eq!(some(&mut stream, 3).await, from_to(0, 2));
    house.retain().await;
    house.admit(1).await;
    assert_eq!(next(&mut stream).await, Event(3));
}

#[tokio::test]
async fn a_stream_from_the_earliest_update_is_not_overtaken_by_earlier_erasures() {
    let house = Harness::started().await;
    let mut running = house.admit(0).await;
    let mut m = house.admit(1).await;
    m.append(failed_kept(Duration::ZERO)).await;
    house.retain().await;
    let mut stream = house.follow_all("earliest").await.unwrap();
    assert_eq!(some(&mut stream, 2).await, [Heartbeat(0), Event(1)]);
    running.append(uploaded()).await;
    running.append(started("a")).await;
    running.append(finished()).await;
    assert_eq!(some(&mut stream, 3).await, [Event(4), Event(5), Event(6)]);
}

#[tokio::test]
async fn streams_at_one_cursor_are_shown_the_same_entries() {
    let house = Harness::started().await;
    house.run(0).await;
    settle().await;
    let mut first = house.follow_all("earliest").await.unwrap();
    let mut second = house.follow_all("earliest").await.unwrap();
    assert_eq!([next(&mut first).await, next(&mut second).await], [Heartbeat(0); 2]);
    for _ in 1..=4 {
        let (Some(Ok(Update::Event(one))), Some(Ok(Update::Event(other)))) =
            (first.next().await, second.next().await)
        else {
            panic!("no event");
        };
        assert!(Arc::ptr_eq(&one, &other), "the entry is encoded once for both");
    }
}

#[tokio::test]
async fn beyond_the_memory_limit_a_stream_reads_one_event_at_a_time() {
    let mut house = Harness::new();
    house.limit_pages(PageLimits { held: 0, ..LIMITS });
    house.admit_many(20).await;
    let _other = house.pages().after(at(10), PAGE_FIRST).await.unwrap();
    let mut stream = house.follow_all("earliest").await.unwrap();
    assert_eq!(next(&mut stream).await, Heartbeat(0));
    let bytes = || house.pages().bytes.load(Ordering::Relaxed);
    for position in 1..=10 {
        let before = bytes();
        assert_eq!(next(&mut stream).await, Event(position));
        assert_eq!(bytes() - before, EVENT_BYTES);
    }
}
