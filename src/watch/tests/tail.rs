//! The tail, and the calls that use what it reads: no lost hint and no failed read loses an event.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::FutureExt;

use super::{Harness, settle, soon};
use crate::{
    domain::{Match, MatchId, State, TenantId},
    journal::{
        Key,
        suite::facts::{finished, plain_spec, started, tenant, uploaded},
    },
    watch::{Ended, Follow, TAIL_INTERVAL, Update},
};

/// The sequence of the next event, if it is there already.
async fn shown(watch: &mut Follow) -> Option<u64> {
    settle().await;
    match watch.next().now_or_never()?? {
        Ok(Update::Event(entry)) => Some(entry.recorded.sequence.0),
        Ok(Update::Progress { .. } | Update::Heartbeat { .. }) => None,
        Err(ended) => panic!("{ended}"),
    }
}

fn anna() -> TenantId {
    plain_spec().tenant
}

#[tokio::test]
async fn a_lost_wake_up_delays_an_event_by_no_more_than_the_interval() {
    let house = Harness::deaf();
    house.watch.start().await.unwrap();
    let mut m = house.admit(0).await;
    let mut watch = house.follow(&m, 1).await;
    settle().await;
    m.append(uploaded()).await;
    assert_eq!(shown(&mut watch).await, None);
    house.hand.advance(TAIL_INTERVAL);
    assert_eq!(shown(&mut watch).await, Some(2));
}

#[tokio::test]
async fn the_last_read_of_a_drain_covers_every_event_before_it() {
    let house = Harness::deaf();
    house.watch.start().await.unwrap();
    let mut m = house.admit(0).await;
    let mut watch = house.follow(&m, 1).await;
    settle().await;
    m.append(uploaded()).await;
    soon(house.watch.drain()).await;
    assert_eq!(shown(&mut watch).await, Some(2));
    let ended = soon(watch.next()).await;
    assert!(matches!(ended, Some(Err(Ended::Draining))), "{ended:?}");
}

#[tokio::test]
async fn a_failed_read_of_the_tail_is_repeated_and_loses_no_event() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    let mut watch = house.follow(&m, 1).await;
    house.faults.is_failing.store(true, Ordering::Relaxed);
    m.append(uploaded()).await;
    m.append(started("a")).await;
    assert_eq!(shown(&mut watch).await, None);
    house.faults.is_failing.store(false, Ordering::Relaxed);
    house.hand.advance(TAIL_INTERVAL);
    assert_eq!(shown(&mut watch).await, Some(2));
    assert_eq!(shown(&mut watch).await, Some(3));
}

#[tokio::test]
async fn a_match_that_another_replica_has_erased_ends_its_watches() {
    let house = Harness::started().await;
    let m = house.admit(0).await;
    let mut watch = house.follow(&m, 1).await;
    settle().await;
    house.watch.0.erased.add([m.id()]);
    house.hand.advance(TAIL_INTERVAL);
    let ended = soon(watch.next()).await;
    assert!(matches!(ended, Some(Err(Ended::Absent))), "{ended:?}");
}

#[tokio::test]
async fn a_wait_returns_the_match_once_it_is_done() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    let is_uploaded = |m: &Match| m.state == State::Uploaded;
    let waiting = house.watch.wait(house.find(&m).await, Duration::from_secs(60), is_uploaded);
    let (waited, _) = tokio::join!(soon(waiting), m.append(uploaded()));
    assert_eq!(waited.unwrap().state, State::Uploaded);
    assert_eq!(house.watch.watched(), 0);
}

#[tokio::test]
async fn a_wait_for_a_state_that_never_comes_ends_with_the_match() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    let never = |_: &Match| false;
    let waiting = house.watch.wait(house.find(&m).await, Duration::from_secs(60), never);
    let (waited, ()) = tokio::join!(soon(waiting), async {
        for event in [uploaded(), started("a"), finished()] {
            m.append(event).await;
        }
    });
    assert_eq!(waited.unwrap().state, State::Finished);
}

#[tokio::test]
async fn a_wait_that_times_out_returns_the_match_as_it_is() {
    const TIMEOUT: Duration = Duration::from_secs(60);
    let house = Harness::started().await;
    let m = house.admit(0).await;
    let mut waiting = Box::pin(house.watch.wait(house.find(&m).await, TIMEOUT, |_| false));
    for second in 0..TIMEOUT.as_secs() {
        assert!((&mut waiting).now_or_never().is_none(), "it waits after {second} s");
        house.hand.advance(Duration::from_secs(1));
        settle().await;
    }
    assert_eq!(soon(waiting).await.unwrap().state, State::Accepted);
}

#[tokio::test]
async fn a_running_match_that_is_watched_is_found_without_the_store_by_its_tenant_only() {
    let house = Harness::started().await;
    let mut m = house.admit(0).await;
    let running = |tenant: &TenantId, m: MatchId| house.watch.running(tenant, &Key::Match(m));
    assert_eq!(running(&anna(), m.id()), None, "it is not watched");
    let _watch = house.follow(&m, 0).await;
    settle().await;
    let before = house.journal.reads();
    assert_eq!(running(&anna(), m.id()), Some(m.id()));
    assert_eq!(running(&tenant("other"), m.id()), None);
    assert_eq!(house.journal.reads(), before);
    for event in [uploaded(), started("a"), finished()] {
        m.append(event).await;
    }
    settle().await;
    assert_eq!(running(&anna(), m.id()), None, "it has ended");
}
