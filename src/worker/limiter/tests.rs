//! The limiter under a clock that the test moves: order, limits, and the circuit breaker.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Wake},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all, poll};

use super::*;
use crate::{
    clock::Hand,
    domain::{Failure, FailureKind, Reply, TenantTerms, Tenants, fair_queue},
};

fn limiter(requests_max: usize) -> (Limiter, Hand) {
    limiter_with(OzLimits { requests_max, rate_max: None })
}

/// A limiter of so many requests at once, and so many per second.
fn limited(requests_max: usize, rate: u32) -> (Limiter, Hand) {
    limiter_with(OzLimits { requests_max, rate_max: NonZeroU32::new(rate) })
}

fn limiter_with(limits: OzLimits) -> (Limiter, Hand) {
    limiter_of(limits, Tenants::default())
}

fn limiter_of(limits: OzLimits, tenants: Tenants) -> (Limiter, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
    let tenants = Arc::new(move || tenants.clone());
    (Limiter::new(limits, tenants, clock, Arc::new(|| 0.0)), hand)
}

fn anna() -> TenantId {
    TenantId::from_stored("anna")
}

impl Limiter {
    /// A request of the tenant of most tests.
    async fn asks(&self) -> Result<SendPermit<'_>, Deferred> {
        self.asks_as(anna(), 1, RequestTraits::default()).await
    }

    async fn asks_as(
        &self,
        tenant: TenantId,
        cost: u32,
        traits: RequestTraits,
    ) -> Result<SendPermit<'_>, Deferred> {
        self.acquire(&tenant, cost, traits).await
    }
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
            let permit = limiter.asks().await.unwrap();
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
        limiter.asks().await.unwrap().report(&down());
    }
    assert!(limiter.asks().await.is_err());
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_in_flight_and_each_that_ends_makes_room() {
    let (limiter, _hand) = limiter(3);
    let mut through = Vec::new();
    for _ in 0..3 {
        through.push(limiter.asks().await.unwrap());
    }
    let mut fourth = std::pin::pin!(limiter.asks());
    assert!(poll!(&mut fourth).is_pending());
    // A permit that is dropped unreported counts as well.
    drop(through.pop());
    let fourth = fourth.await.unwrap();
    let mut fifth = std::pin::pin!(limiter.asks());
    assert!(poll!(&mut fifth).is_pending());
    fourth.report(&down());
    assert!(fifth.await.is_ok());
}

#[tokio::test]
async fn a_limit_of_zero_or_of_the_maximum_lets_a_request_through() {
    for requests_max in [0, usize::MAX] {
        let (limiter, _hand) = limiter(requests_max);
        assert!(limiter.asks().await.is_ok());
    }
}

#[tokio::test]
async fn an_outage_lets_one_probe_through_and_an_answer_lets_all() {
    let (limiter, hand) = limiter(10);
    open(&limiter).await;
    hand.advance(circuit_breaker::PAUSE_MIN);
    let probe = limiter.asks().await.unwrap();
    assert!(limiter.asks().await.is_err());
    probe.report(&Ok(Reply::Started(Vec::new())));
    let (one, other) = (limiter.asks().await, limiter.asks().await);
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn a_probe_that_is_dropped_holds_up_no_other_request() {
    let (limiter, hand) = limiter(10);
    open(&limiter).await;
    for _ in 0..3 {
        hand.advance(circuit_breaker::PAUSE_MIN);
        drop(limiter.asks().await.unwrap());
    }
    hand.advance(circuit_breaker::PAUSE_MIN);
    assert!(limiter.asks().await.is_ok());
}

#[tokio::test]
async fn a_request_that_waits_for_a_permit_as_an_outage_begins_is_held_back() {
    let (limiter, _hand) = limiter(1);
    for _ in 1..circuit_breaker::OPENS_AFTER {
        limiter.asks().await.unwrap().report(&down());
    }
    let last = limiter.asks().await.unwrap();
    let (waited, ()) = tokio::join!(limiter.asks(), async { last.report(&down()) });
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
    limiter.asks().await.unwrap().report(&up());
    let mut first = Box::pin(limiter.asks());
    let mut second = Box::pin(limiter.asks());
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
    limiter.asks().await.unwrap().report(&up());
    limiter.share_among(60);
    let mut next = Box::pin(limiter.asks());
    assert!(poll!(&mut next).is_pending());
    hand.advance(Duration::from_secs(1));
    assert!(poll!(&mut next).is_pending());
    limiter.share_among(1);
    assert!(next.now_or_never().is_some());
}

#[tokio::test]
async fn requests_that_wait_for_the_rate_hold_one_permit_among_them() {
    let (limiter, hand) = limited(2, 1);
    let under_way = limiter.asks().await.unwrap();
    let mut waiters: Vec<_> = (0..5).map(|_| Box::pin(limiter.asks())).collect();
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
        let asks = |traits| limiter.asks_as(anna(), 1, traits);
        let mut under_way = Some(limiter.asks().await.unwrap());
        let mut waiters: Vec<_> =
            (0..5).map(|_| Box::pin(asks(RequestTraits::default()))).collect();
        for waiter in &mut waiters {
            assert!(poll!(waiter).is_pending());
        }
        let mut looks: Vec<_> = (0..2).map(|_| Box::pin(asks(LAST_LOOK))).collect();
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
    let last = limiter.asks().await.unwrap();
    // No more than one poll of a task may take of tokio's budget.
    let mut waiters: Vec<_> = (0..30).map(|_| Box::pin(limiter.asks())).collect();
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
    assert!(limiter.asks().now_or_never().expect("its token was not spent").is_ok());
}

/// The tenants `anna` and `bert`, with these weights.
fn weighted(anna_has: u32, bert_has: u32) -> Tenants {
    let terms =
        |weight| TenantTerms { weight: NonZeroU32::new(weight).unwrap(), ..TenantTerms::default() };
    Tenants::new([(anna(), terms(anna_has)), (bert(), terms(bert_has))].into())
}

fn bert() -> TenantId {
    TenantId::from_stored("bert")
}

/// Requests of two tenants that arrive at the same time, Anna's first. Returns whose are sent, in
/// order, if each is answered after a second.
async fn order(limiter: &Limiter, hand: &Hand, requests: [(usize, u32); 2]) -> Vec<TenantId> {
    let order = Mutex::new(Vec::new());
    let [anna_asks, bert_asks] = requests.map(|(count, cost)| vec![cost; count]);
    let costs = anna_asks.into_iter().map(|cost| (anna(), cost));
    let all =
        costs.chain(bert_asks.into_iter().map(|cost| (bert(), cost))).map(|(tenant, cost)| {
            let order = &order;
            async move {
                let permit =
                    limiter.acquire(&tenant, cost, RequestTraits::default()).await.unwrap();
                order.lock().unwrap().push(tenant);
                limiter.clock.sleep(Duration::from_secs(1)).await;
                permit.report(&up());
            }
        });
    let mut all = std::pin::pin!(tokio::task::unconstrained(join_all(all)));
    while all.as_mut().now_or_never().is_none() {
        if let Some(next) = hand.next_wake() {
            hand.advance(next.since(limiter.clock.now()));
        }
    }
    order.lock().unwrap().clone()
}

#[tokio::test]
async fn two_tenants_share_permits_and_rate_by_their_weights() {
    let no_rate = OzLimits { requests_max: 2, rate_max: None };
    let by_rate = OzLimits { requests_max: 100, rate_max: NonZeroU32::new(1) };
    for limits in [no_rate, by_rate] {
        for (weights, berts) in [((1, 1), 20), ((1, 4), 32), ((4, 1), 8)] {
            let (limiter, hand) = limiter_of(limits, weighted(weights.0, weights.1));
            let sent = order(&limiter, &hand, [(100, 1), (100, 1)]).await;
            let got = sent[..40].iter().filter(|it| **it == bert()).count();
            assert!(got.abs_diff(berts) <= 2, "{got} of 40 at weights {weights:?}");
        }
    }
}

#[tokio::test]
async fn uploads_of_one_tenant_delay_another_by_one_upload() {
    let (limiter, hand) = limiter_with(OzLimits { requests_max: 1, rate_max: None });
    let upload = fair_queue::cost(10 << 20);
    let sent = order(&limiter, &hand, [(30, upload), (60, 1)]).await;
    let uploads = sent[..60].iter().filter(|it| **it == anna()).count();
    assert!(uploads <= 3, "the first one, and one in 41: {uploads}");
    assert_eq!(sent[2..40], vec![bert(); 38], "after one upload more");
}

#[tokio::test]
async fn a_tenants_only_request_waits_for_the_requests_in_flight_alone() {
    for (limiter, hand) in [limited(1, 1), limiter(1)] {
        let under_way = limiter.asks().await.unwrap();
        let mut crowd: Vec<_> = (0..20).map(|_| Box::pin(limiter.asks())).collect();
        for waiter in &mut crowd {
            assert!(poll!(waiter).is_pending());
        }
        let mut only =
            Box::pin(limiter.asks_as(bert(), fair_queue::cost(10 << 20), RequestTraits::default()));
        assert!(poll!(&mut only).is_pending());
        drop(under_way);
        hand.advance(Duration::from_secs(1));
        let next = crowd.remove(0).now_or_never().expect("it arrived first");
        drop(next);
        hand.advance(Duration::from_secs(1));
        assert!(only.now_or_never().expect("it is the next one").is_ok());
    }
}

#[tokio::test]
async fn last_looks_overtake_requests_of_their_own_tenant_only() {
    let (limiter, _hand) = limiter(1);
    let mut under_way = limiter.asks().await.ok();
    let arrivals = [
        ("anna 1", anna(), false),
        ("anna 2", anna(), false),
        ("anna 3", anna(), false),
        ("bert 1", bert(), false),
        ("bert 2", bert(), false),
        ("bert's look 1", bert(), true),
        ("bert's look 2", bert(), true),
    ];
    let mut waiters = std::collections::HashMap::new();
    for (name, tenant, is_last_look) in arrivals {
        let traits = RequestTraits { is_last_look, ..RequestTraits::default() };
        let mut waiter = Box::pin(limiter.asks_as(tenant, 1, traits));
        assert!(poll!(&mut waiter).is_pending());
        waiters.insert(name, waiter);
    }
    for next in ["anna 1", "bert 1", "anna 2", "bert's look 1", "anna 3", "bert's look 2", "bert 2"]
    {
        drop(under_way.take());
        let waiter = waiters.remove(next).unwrap();
        under_way = waiter.now_or_never().unwrap_or_else(|| panic!("{next} is the next")).ok();
        for (name, later) in &mut waiters {
            assert!(poll!(later).is_pending(), "{name} is later");
        }
    }
}

#[tokio::test]
async fn waiters_that_leave_lose_no_permit() {
    for (limiter, hand) in [limited(3, 1), limiter(3)] {
        for _ in 0..3 {
            let under_way: Vec<_> = [limiter.asks().now_or_never()].into_iter().flatten().collect();
            let mut waiters: Vec<_> = (0..10).map(|_| Box::pin(limiter.asks())).collect();
            for waiter in &mut waiters {
                let _ = poll!(waiter);
            }
            drop(under_way);
            for _ in 0..5 {
                drop(waiters.remove(0));
                waiters.pop();
            }
            hand.advance(Duration::from_secs(3_600));
        }
        let mut free = Vec::new();
        while let Some(permit) = limiter.asks().now_or_never() {
            free.push(permit);
            hand.advance(Duration::from_secs(1));
        }
        assert_eq!(free.len(), 3);
    }
}

#[tokio::test]
async fn a_new_rate_holds_at_once_for_a_request_that_waits() {
    let (limiter, hand) = limited(100, 1);
    limiter.asks().await.unwrap().report(&up());
    let mut next = Box::pin(limiter.asks());
    assert!(poll!(&mut next).is_pending());
    hand.advance(Duration::from_millis(100));
    limiter.set_limits(OzLimits { requests_max: 100, rate_max: NonZeroU32::new(2) });
    assert!(poll!(&mut next).is_pending(), "a tenth of a request is saved up");
    hand.advance(Duration::from_millis(450));
    assert!(next.now_or_never().is_some());
}

#[tokio::test]
async fn a_new_number_of_permits_holds_at_once_and_takes_none_back() {
    let (limiter, _hand) = limiter(1);
    let under_way = limiter.asks().await.unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(limiter.asks())).collect();
    for waiter in &mut waiters {
        assert!(poll!(waiter).is_pending());
    }
    limiter.set_limits(OzLimits { requests_max: 3, rate_max: None });
    let second = waiters.remove(0).now_or_never().expect("there is a permit");
    let third = waiters.remove(0).now_or_never().expect("there is a permit");
    limiter.set_limits(OzLimits { requests_max: 1, rate_max: None });
    drop((second, third));
    assert!(poll!(&mut waiters[0]).is_pending(), "one is under way");
    drop(under_way);
    assert!(waiters.remove(0).now_or_never().is_some());
}

/// A rate may be set or lifted whatever the requests do at that moment: granted and not yet sent,
/// waiting for a token, waiting for a permit, or about to leave.
#[tokio::test]
async fn setting_and_lifting_a_rate_loses_and_doubles_no_permit() {
    let limits = |rate| OzLimits { requests_max: 3, rate_max: NonZeroU32::new(rate) };
    for (before, after) in [(0, 1), (1, 0), (1, 5)] {
        for polled_again in [false, true] {
            let (limiter, hand) = limiter_with(limits(before));
            let under_way: Vec<_> = (0..3).map(|_| limiter.asks().now_or_never()).collect();
            let mut waiters: Vec<_> = (0..8).map(|_| Box::pin(limiter.asks())).collect();
            for waiter in &mut waiters {
                assert!(poll!(waiter).is_pending());
            }
            // Some are granted their permits, of which they don't know yet.
            drop(under_way);
            limiter.set_limits(limits(after));
            let mut sent = Vec::new();
            if polled_again {
                for waiter in &mut waiters {
                    if let task::Poll::Ready(permit) = poll!(waiter) {
                        sent.push(permit.unwrap());
                    }
                }
            }
            assert!(sent.len() <= 3);
            drop((sent, waiters));
            let mut free = Vec::new();
            for _ in 0..10 {
                hand.advance(Duration::from_secs(10));
                free.extend(limiter.asks().now_or_never());
            }
            assert_eq!(free.len(), 3, "from {before} to {after} a second, {polled_again}");
        }
    }
}

/// Counts how often a waiter is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_permit_that_comes_back_wakes_only_the_waiter_that_gets_it() {
    let (limiter, _hand) = limiter(2);
    let mut under_way = vec![limiter.asks().await.unwrap(), limiter.asks().await.unwrap()];
    let wakes: Vec<_> = (0..10).map(|_| Arc::<Wakes>::default()).collect();
    let mut waiters: Vec<_> = (0..10).map(|_| Box::pin(limiter.asks())).collect();
    for (waiter, wakes) in waiters.iter_mut().zip(&wakes) {
        let waker = Arc::clone(wakes).into();
        assert!(waiter.as_mut().poll(&mut task::Context::from_waker(&waker)).is_pending());
    }
    for nth in 0..10 {
        drop(under_way.remove(0));
        let woken = wakes.iter().map(|it| it.0.load(Ordering::Relaxed));
        let expected = (0..10).map(|it| usize::from(it <= nth));
        assert!(woken.eq(expected), "each is woken once, at its turn");
        under_way.push(waiters.remove(0).await.unwrap());
    }
}
