//! Claims: of matches that other processes left, of cancelled ones, and after a panic.

use super::*;

#[tokio::test]
async fn of_two_claims_observed_out_of_order_the_later_one_is_driven() {
    let first = Harness::new();
    let m = first.admit(naming_a_medium()).await;
    let mut house = first.next_process();
    let (earlier, early) = house.journal.claim(1).await.unwrap().remove(0);
    house.journal.release(vec![early]).await.unwrap();
    let (later, late) = house.journal.claim(1).await.unwrap().remove(0);
    let supervisor = Arc::clone(&house.worker.supervisor);
    let driver = supervisor.revive(later, late).unwrap();
    assert!(supervisor.revive(earlier, early).is_none());
    supervisor.spawn(driver, supervisor.slots.take(&tenant("default")));
    house.answers(AskKind::ReadFolder, folder()).await;
    eventually("the driver proceeds", || async {
        house.find(&m).await.unwrap().state != State::Accepted
    })
    .await;
}

/// A match of a former process, and the next process, not started: it is cancelled at the moment at
/// which its claim has been written and isn't known to this process yet.
async fn cancelled_while_claimed() -> Harness {
    let first = Harness::new();
    let m = first.admit(Spec { photo: naming_a_medium().photo, ..repeatable() }).await;
    let next = first.next_process();
    let worker = next.worker.clone();
    *lock(&next.faults.meanwhile) = Some(Box::pin(async move {
        worker.cancel(&TenantId::default_tenant(), &Key::Match(m.id)).await.unwrap();
    }));
    next
}

#[tokio::test]
async fn a_match_cancelled_while_it_is_claimed_sends_nothing_to_oz() {
    let mut claims = cancelled_while_claimed().await;
    claims.worker.start().await.unwrap();
    let mut takes = cancelled_while_claimed().await;
    takes.admit(Spec { photo: naming_a_medium().photo, ..repeatable() }).await;
    for house in [&mut claims, &mut takes] {
        eventually("the driver has left", || async { house.worker.unfinished() == 0 }).await;
        assert!(lock(&house.faults.meanwhile).is_none(), "it was cancelled");
        house.is_quiet();
    }
}

#[tokio::test]
async fn a_stop_before_a_claim_was_made_stops_no_driver_of_it() {
    let first = Harness::new();
    let m = first.admit(naming_a_medium()).await;
    let mut house = first.next_process();
    drop(house.worker.supervisor.registry.expect_claim());
    house.worker.supervisor.registry.stop(m.id);
    house.worker.start().await.unwrap();
    house.next(AskKind::ReadFolder).await;
}

#[tokio::test]
async fn a_match_whose_driver_panicked_is_driven_again_after_a_pause() {
    let mut house = Harness::new();
    house.worker.start().await.unwrap();
    let m = house.admit(naming_a_medium()).await;
    for _ in 0..3 {
        let look = house.next(AskKind::ReadFolder).await;
        look.answer.send(Err(Failure::new(FailureKind::Interrupted, PANIC))).unwrap();
        eventually("the driver has ended", || async { house.worker.unfinished() == 0 }).await;
        house.pass(PANIC_PAUSE - HOUSEKEEPING_INTERVAL, &[]).await;
        house.is_quiet();
        house.pass(HOUSEKEEPING_INTERVAL * 2, &[]).await;
    }
    house.answers(AskKind::ReadFolder, folder()).await;
    house.answers(AskKind::StartAnalyses, started()).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
}

#[tokio::test]
async fn a_draining_server_releases_the_claims_of_panicked_drivers_at_once() {
    let mut house = Harness::shared();
    house.admit(naming_a_medium()).await;
    let look = house.next(AskKind::ReadFolder).await;
    look.answer.send(Err(Failure::new(FailureKind::Interrupted, PANIC))).unwrap();
    eventually("the driver has ended", || async { house.worker.unfinished() == 0 }).await;
    let mut other = house.replica();
    drains(&mut house).await;
    other.worker.start().await.unwrap();
    other.answers(AskKind::ReadFolder, folder()).await;
}

#[tokio::test]
async fn claims_stop_at_the_limit_and_new_matches_wait_for_unclaimed_ones() {
    let house = Harness::new();
    let mut all = Vec::new();
    for _ in 0..5 {
        let id = MatchId::from_uuid(uuid::Uuid::now_v7());
        house.journal.admit(id, Arc::new(naming_a_medium())).await.unwrap();
        all.push(id);
    }
    let next = house.next_process();
    next.worker.start().await.unwrap();
    for left in (0..5).rev() {
        assert_eq!(next.worker.unfinished(), 2.min(left + 1));
        // The oldest driven match ends. Its slot is not for a new match.
        let caller = TenantId::default_tenant();
        next.worker.cancel(&caller, &Key::Match(all[4 - left])).await.unwrap();
        eventually("its slot is free", || async { next.worker.unfinished() < 2 }).await;
        if left > 1 {
            let refused = next.worker.admit(naming_a_medium(), None).await.unwrap_err();
            assert!(matches!(refused, Refused::Overloaded(Limit::UnfinishedMatches)));
        }
        next.pass(CLAIMING_PAUSE * 2, &[]).await;
    }
    next.admit(naming_a_medium()).await;
}

#[tokio::test]
async fn oz_is_asked_only_after_all_unclaimed_matches_are_claimed() {
    let house = Harness::new();
    for _ in 0..=CLAIM_PAGE {
        let id = MatchId::from_uuid(uuid::Uuid::now_v7());
        house.journal.admit(id, Arc::new(naming_a_medium())).await.unwrap();
    }
    let mut next = house.next_process_with(Config { unfinished_max: 2_000, ..CONFIG });
    next.worker.start().await.unwrap();
    assert_eq!(next.worker.unfinished(), CLAIM_PAGE + 1);
    assert!(next.asked.try_recv().is_err(), "the first page waited for the second");
    assert_eq!(next.asked.recv().await.unwrap().kind, AskKind::ReadFolder);
}
