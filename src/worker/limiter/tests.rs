//! The limiter under a clock that the test moves: order, limits, and the circuit breaker.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all, poll};

use super::*;
use crate::{
    clock::Hand,
    domain::{Failure, FailureKind, Reply, Timestamp},
};

fn limiter(requests_max: usize) -> (Limiter, Hand) {
    limiter_with(OzLimits { requests_max, rate_max: None })
}

/// A limiter of so many requests at once, and so many per second.
fn limited(requests_max: usize, rate: u32) -> (Limiter, Hand) {
    limiter_with(OzLimits { requests_max, rate_max: NonZeroU32::new(rate) })
}

fn limiter_with(limits: OzLimits) -> (Limiter, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
    (Limiter::new(limits, clock, Arc::new(|| 0.0)), hand)
}

/// Moves the time on to the next wake-up.
fn move_on(limiter: &Limiter, hand: &Hand) {
    let next = hand.next_wake().expect("a request waits");
    hand.advance(next.since(limiter.clock.now()));
}

/// When each of so many requests gets its permit, if all arrive at once and are answered at
/// once.
async fn sent(limiter: &Limiter, hand: &Hand, count: usize) -> Vec<(usize, Timestamp)> {
    let order = Mutex::new(Vec::new());
    let all = (0..count).map(|nth| {
        let order = &order;
        async move {
            let permit = limiter.acquire(RequestTraits::default()).await.unwrap();
            order.lock().unwrap().push((nth, limiter.clock.now()));
            permit.report(&up());
        }
    });
    let mut all = std::pin::pin!(join_all(all));
    while all.as_mut().now_or_never().is_none() {
        move_on(limiter, hand);
    }
    order.lock().unwrap().clone()
}

fn millis(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn up() -> OzResult {
    Ok(Reply::Started(Vec::new()))
}

fn down() -> OzResult {
    Err(Failure::new(FailureKind::Unreachable, "trouble"))
}

async fn open(limiter: &Limiter) {
    for _ in 0..circuit_breaker::OPENS_AFTER {
        limiter.acquire(RequestTraits::default()).await.unwrap().report(&down());
    }
    assert!(limiter.acquire(RequestTraits::default()).await.is_err());
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_in_flight_and_each_that_ends_makes_room() {
    let (limiter, _hand) = limiter(3);
    let mut through = Vec::new();
    for _ in 0..3 {
        through.push(limiter.acquire(RequestTraits::default()).await.unwrap());
    }
    let mut fourth = std::pin::pin!(limiter.acquire(RequestTraits::default()));
    assert!(poll!(&mut fourth).is_pending());
    // A permit that is dropped unreported counts as well.
    drop(through.pop());
    let fourth = fourth.await.unwrap();
    let mut fifth = std::pin::pin!(limiter.acquire(RequestTraits::default()));
    assert!(poll!(&mut fifth).is_pending());
    fourth.report(&down());
    assert!(fifth.await.is_ok());
}

#[tokio::test]
async fn a_limit_of_zero_or_of_the_maximum_lets_a_request_through() {
    for requests_max in [0, usize::MAX] {
        let (limiter, _hand) = limiter(requests_max);
        assert!(limiter.acquire(RequestTraits::default()).await.is_ok());
    }
}

#[tokio::test]
async fn an_outage_lets_one_probe_through_and_an_answer_lets_all() {
    let (limiter, hand) = limiter(10);
    open(&limiter).await;
    hand.advance(circuit_breaker::PAUSE_MIN);
    let probe = limiter.acquire(RequestTraits::default()).await.unwrap();
    assert!(limiter.acquire(RequestTraits::default()).await.is_err());
    probe.report(&Ok(Reply::Started(Vec::new())));
    let (one, other) = (
        limiter.acquire(RequestTraits::default()).await,
        limiter.acquire(RequestTraits::default()).await,
    );
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn a_probe_that_is_dropped_holds_up_no_other_request() {
    let (limiter, hand) = limiter(10);
    open(&limiter).await;
    for _ in 0..3 {
        hand.advance(circuit_breaker::PAUSE_MIN);
        drop(limiter.acquire(RequestTraits::default()).await.unwrap());
    }
    hand.advance(circuit_breaker::PAUSE_MIN);
    assert!(limiter.acquire(RequestTraits::default()).await.is_ok());
}

#[tokio::test]
async fn a_request_that_waits_for_a_permit_as_an_outage_begins_is_held_back() {
    let (limiter, _hand) = limiter(1);
    for _ in 1..circuit_breaker::OPENS_AFTER {
        limiter.acquire(RequestTraits::default()).await.unwrap().report(&down());
    }
    let last = limiter.acquire(RequestTraits::default()).await.unwrap();
    let (waited, ()) =
        tokio::join!(limiter.acquire(RequestTraits::default()), async { last.report(&down()) });
    let hold = waited.err().expect("it is held back");
    assert_eq!(hold.why.map(|why| why.kind), Some(FailureKind::Unreachable));
    assert_eq!(hold.until.since(Timestamp::from_micros(0)), Duration::from_secs(1));
}

#[tokio::test]
async fn requests_that_arrive_together_are_sent_one_by_one_in_order() {
    let (limiter, hand) = limited(100, 10);
    let sent = sent(&limiter, &hand, 30).await;
    let expected: Vec<_> = (0..30).map(|nth| (nth, millis(nth as i64 * 100))).collect();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn each_replica_has_its_share_of_the_rate() {
    let (limiter, hand) = limited(100, 10);
    limiter.share_among(20);
    let sent = sent(&limiter, &hand, 3).await;
    // The credit that it saved while it was alone is a twentieth of what a request costs now.
    assert_eq!(sent, [(0, millis(1_900)), (1, millis(3_900)), (2, millis(5_900))]);
}

#[tokio::test]
async fn a_cancelled_waiter_passes_its_slot_on() {
    let (limiter, hand) = limited(100, 1);
    limiter.acquire(RequestTraits::default()).await.unwrap().report(&up());
    let mut first = Box::pin(limiter.acquire(RequestTraits::default()));
    let mut second = Box::pin(limiter.acquire(RequestTraits::default()));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    hand.advance(Duration::from_millis(900));
    drop(first);
    assert!(poll!(&mut second).is_pending());
    hand.advance(Duration::from_millis(100));
    assert!(second.now_or_never().is_some(), "it waits until the first one's time only");
}

#[tokio::test]
async fn a_waiter_learns_at_once_that_its_share_has_grown() {
    let (limiter, hand) = limited(100, 1);
    limiter.acquire(RequestTraits::default()).await.unwrap().report(&up());
    limiter.share_among(60);
    let mut next = Box::pin(limiter.acquire(RequestTraits::default()));
    assert!(poll!(&mut next).is_pending());
    hand.advance(Duration::from_secs(1));
    assert!(poll!(&mut next).is_pending());
    limiter.share_among(1);
    assert!(next.now_or_never().is_some());
}

#[tokio::test]
async fn requests_that_wait_for_the_rate_hold_one_permit_among_them() {
    let (limiter, hand) = limited(2, 1);
    let under_way = limiter.acquire(RequestTraits::default()).await.unwrap();
    let mut waiters: Vec<_> =
        (0..5).map(|_| Box::pin(limiter.acquire(RequestTraits::default()))).collect();
    for waiter in &mut waiters {
        assert!(poll!(waiter).is_pending());
    }
    hand.advance(Duration::from_secs(1));
    let second = waiters.remove(0).now_or_never().expect("the rate allows it").unwrap();
    // From now on the permits are short, while time goes by.
    assert!(poll!(&mut waiters[0]).is_pending());
    hand.advance(Duration::from_secs(1));
    assert!(poll!(&mut waiters[0]).is_pending(), "two are under way");
    drop(under_way);
    let third = waiters.remove(0).now_or_never().expect("a permit is free");
    assert!(third.is_ok());
    drop(second);
}

#[tokio::test]
async fn a_last_look_waits_behind_one_request_only() {
    const LAST_LOOK: RequestTraits =
        RequestTraits { retries: false, changes_oz: false, is_last_look: true };
    for (limiter, hand) in [limited(100, 1), limiter(1)] {
        let mut under_way = Some(limiter.acquire(RequestTraits::default()).await.unwrap());
        let mut waiters: Vec<_> =
            (0..5).map(|_| Box::pin(limiter.acquire(RequestTraits::default()))).collect();
        for waiter in &mut waiters {
            assert!(poll!(waiter).is_pending());
        }
        let mut looks: Vec<_> = (0..2).map(|_| Box::pin(limiter.acquire(LAST_LOOK))).collect();
        for look in &mut looks {
            assert!(poll!(look).is_pending());
        }
        for next in [waiters.remove(0), looks.remove(0), looks.remove(0), waiters.remove(0)] {
            drop(under_way.take());
            hand.advance(Duration::from_secs(1));
            under_way = Some(next.now_or_never().expect("it is the next one").unwrap());
            for later in looks.iter_mut().chain(&mut waiters) {
                assert!(poll!(later).is_pending());
            }
        }
    }
}

#[tokio::test]
async fn an_outage_holds_back_all_waiters_at_once_and_costs_no_token() {
    let (limiter, hand) = limited(100, 1);
    let last = limiter.acquire(RequestTraits::default()).await.unwrap();
    // No more than one poll of a task may take of tokio's budget.
    let mut waiters: Vec<_> =
        (0..30).map(|_| Box::pin(limiter.acquire(RequestTraits::default()))).collect();
    for waiter in &mut waiters {
        assert!(poll!(waiter).is_pending());
    }
    last.report(&down());
    for _ in 1..circuit_breaker::OPENS_AFTER {
        let ticket =
            limiter.circuit().enter(RequestTraits::default(), limiter.clock.now(), 0.0).unwrap();
        limiter.circuit().report(ticket, down().as_ref().err(), limiter.clock.now(), 0.0);
    }
    hand.advance(Duration::from_millis(999));
    assert!(poll!(&mut waiters[0]).is_pending());
    hand.advance(Duration::from_millis(1));
    let probe = waiters.remove(0).now_or_never().expect("it may be sent");
    let probe = probe.expect("as a probe");
    hand.advance(Duration::from_secs(1));
    for waiter in waiters.drain(..) {
        let held = waiter.now_or_never().expect("a request that may not be sent doesn't wait");
        assert!(held.is_err());
    }
    probe.report(&up());
    assert!(
        limiter
            .acquire(RequestTraits::default())
            .now_or_never()
            .expect("its token was not spent")
            .is_ok()
    );
}
