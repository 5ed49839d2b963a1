//! The pages that streams of all matches share: which reads they save, and how much memory they
//! take.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future};

use super::{Harness, at, settle, soon};
use crate::{
    domain::{Position, Spec},
    journal::{
        Writer,
        suite::facts::{failed_kept, labels, plain_spec, uploaded},
    },
    watch::{
        TAIL_INTERVAL,
        all::PAGE_FIRST,
        pages::{BEHIND_MAX, EVENT_BYTES, Pages},
    },
};

/// The memory of a full first page.
const PAGE_BYTES: usize = PAGE_FIRST * EVENT_BYTES;

/// Pages over a journal of this many matches, each of one event.
async fn pages_of(events: u64) -> (Pages, Harness) {
    let house = Harness::new();
    house.admit_many(events).await;
    (Pages::new(house.reader.clone()), house)
}

fn bytes(pages: &Pages) -> usize {
    pages.bytes.load(Ordering::Relaxed)
}

#[tokio::test]
async fn readers_at_one_cursor_share_one_page() {
    let (pages, house) = pages_of(20).await;
    let page = || async { pages.after(at(4), PAGE_FIRST).await.unwrap() };
    let (first, second) = tokio::join!(page(), page());
    assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &page().await));
    assert_eq!(house.journal.reads(), 1);
    let positions: Vec<_> = first.entries.iter().map(|entry| entry.recorded.position.0).collect();
    assert_eq!(positions, (5..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn readers_at_other_cursors_read_pages_of_their_own() {
    let (pages, house) = pages_of(20).await;
    for start in 0..5 {
        let page = pages.after(at(start), PAGE_FIRST).await.unwrap();
        assert_eq!(page.entries[0].recorded.position, Position(start + 1));
    }
    assert_eq!(house.journal.reads(), 5);
}

#[tokio::test]
async fn a_page_is_full_only_if_it_has_as_many_events_as_were_asked_for() {
    let (pages, _house) = pages_of(10).await;
    for (start, is_full) in [(0, true), (2, true), (3, false), (10, false)] {
        let page = pages.after(at(start), PAGE_FIRST).await.unwrap();
        assert_eq!(page.is_full, is_full, "after {start}");
        assert_eq!(page.reached.position, Position(10.min(start + 8)));
    }
}

#[tokio::test]
async fn an_empty_page_is_read_again() {
    let (pages, house) = pages_of(3).await;
    for reads in 1..=3 {
        assert!(pages.after(at(3), PAGE_FIRST).await.unwrap().entries.is_empty());
        assert_eq!(house.journal.reads(), reads);
    }
}

#[tokio::test]
async fn a_signal_during_a_read_that_finds_nothing_makes_the_next_reader_read_again() {
    let (pages, house) = pages_of(3).await;
    let mut early = Box::pin(pages.after(at(3), PAGE_FIRST));
    assert!((&mut early).now_or_never().is_none(), "the read is in flight");
    house.admit(3).await;
    pages.signal(Position(4));
    // The late reader begins before the early one ends.
    let (late, early) = soon(future::join(pages.after(at(3), PAGE_FIRST), early)).await;
    assert_eq!((early.unwrap().entries.len(), late.unwrap().entries.len()), (0, 1));
}

#[tokio::test]
async fn a_signal_keeps_the_pages_that_have_events() {
    let (pages, house) = pages_of(3).await;
    pages.after(at(0), PAGE_FIRST).await.unwrap();
    pages.signal(Position(3));
    pages.after(at(0), PAGE_FIRST).await.unwrap();
    assert_eq!(house.journal.reads(), 1);
}

#[tokio::test]
async fn a_failed_read_is_repeated_by_the_next_reader() {
    let (pages, house) = pages_of(3).await;
    house.faults.is_failing.store(true, Ordering::Relaxed);
    assert!(pages.after(at(0), PAGE_FIRST).await.is_err());
    house.faults.is_failing.store(false, Ordering::Relaxed);
    assert_eq!(pages.after(at(0), PAGE_FIRST).await.unwrap().entries.len(), 3);
}

#[tokio::test]
async fn the_oldest_shared_pages_are_evicted_first() {
    let (mut pages, house) = pages_of(30).await;
    pages.limits.shared = 2 * PAGE_BYTES;
    for start in [16, 0, 8] {
        pages.after(at(start), PAGE_FIRST).await.unwrap();
    }
    for (start, reads) in [(0, 3), (8, 3), (16, 4), (8, 4), (0, 5)] {
        pages.after(at(start), PAGE_FIRST).await.unwrap();
        assert_eq!(house.journal.reads(), reads, "after {start}");
        assert_eq!(bytes(&pages), 2 * PAGE_BYTES);
    }
}

#[tokio::test]
async fn a_page_takes_memory_until_its_last_reader_drops_it() {
    let (mut pages, _house) = pages_of(30).await;
    pages.limits.shared = 0;
    let first = pages.after(at(0), PAGE_FIRST).await.unwrap();
    let second = Arc::clone(&first);
    assert_eq!((bytes(&pages), first.event_bytes()), (PAGE_BYTES, EVENT_BYTES));
    drop(first);
    assert_eq!(bytes(&pages), PAGE_BYTES);
    drop(second);
    assert_eq!(bytes(&pages), 0);
}

#[tokio::test]
async fn the_labels_of_a_match_take_memory_twice() {
    let house = Harness::new();
    let spec = Spec { labels: labels(&[("order", "12345")]), ..plain_spec() };
    house.admit_with(0, spec).await;
    let pages = Pages::new(house.reader.clone());
    let page = pages.after(at(0), PAGE_FIRST).await.unwrap();
    assert_eq!((page.entries.len(), bytes(&pages)), (1, EVENT_BYTES + 2 * "order12345".len()));
}

#[tokio::test]
async fn pages_may_be_held_and_may_grow_up_to_their_limits() {
    let (mut pages, _house) = pages_of(30).await;
    (pages.limits.held, pages.limits.growth) = (2 * PAGE_BYTES, PAGE_BYTES);
    let mut read = Vec::new();
    for (start, held, grown) in [(0, true, true), (8, true, false), (16, false, false)] {
        read.push(pages.after(at(start), PAGE_FIRST).await.unwrap());
        assert_eq!((pages.may_be_held(), pages.may_grow()), (held, grown), "after {start}");
    }
}

#[tokio::test]
async fn a_reader_is_far_behind_only_beyond_the_limit() {
    let (pages, _house) = pages_of(0).await;
    pages.signal(Position(BEHIND_MAX + 5));
    assert!(pages.is_far_behind(at(4)));
    assert!(!pages.is_far_behind(at(5)));
    assert!(!pages.is_far_behind(at(BEHIND_MAX + 6)), "the tail is behind the reader");
}

#[tokio::test]
async fn a_page_in_the_middle_of_a_match_shows_the_match_after_each_event() {
    let house = Harness::new();
    house.run(0).await;
    let mut other = house.admit(1).await;
    other.append(uploaded()).await;
    let pages = Pages::new(house.reader.clone());
    let page = pages.after(at(2), PAGE_FIRST).await.unwrap();
    let shown = page.entries.iter().map(|it| (it.recorded.position.0, it.snapshot.sequence.0));
    assert_eq!(shown.collect::<Vec<_>>(), [(3, 3), (4, 4), (5, 1), (6, 2)]);
}

#[tokio::test]
async fn an_erased_match_is_left_out_of_pages_that_were_shared_before() {
    let house = Harness::new();
    let m = house.run(0).await;
    house.admit(1).await;
    let page = || async { house.pages().after(at(0), PAGE_FIRST).await.unwrap().entries.len() };
    assert_eq!(page().await, 5);
    house.journal.erase(&plain_spec().tenant, m.id()).await.unwrap();
    house.watch.erased(m.id());
    assert_eq!(page().await, 1);
}

#[tokio::test]
async fn shared_pages_outlive_retention_by_no_more_than_the_interval_of_the_tail() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    m.append(failed_kept(Duration::ZERO)).await;
    house.admit(1).await;
    settle().await;
    let page = || async { house.pages().after(at(0), PAGE_FIRST).await.unwrap().entries.len() };
    assert_eq!(page().await, 3);
    house.retain().await;
    house.hand.advance(TAIL_INTERVAL);
    settle().await;
    assert_eq!(page().await, 1);
}
