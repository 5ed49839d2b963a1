//! Housekeeping: retention, and rounds that panic.

use super::*;
use crate::domain::photo;

#[tokio::test]
async fn housekeeping_goes_on_after_a_panic() {
    let house = Harness::new();
    house.worker.start().await.unwrap();
    let m = house.admit(naming_a_medium()).await;
    house.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    house.faults.panics.store(true, Ordering::Relaxed);
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    house.faults.panics.store(false, Ordering::Relaxed);
    let late = MatchId::from_uuid(uuid::Uuid::now_v7());
    let admitted = house.journal.admit(late, Arc::new(naming_a_medium())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("the match is new") };
    house.journal.release(vec![claim]).await.unwrap();
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    assert_eq!(house.worker.unfinished(), 1, "the late match is claimed");
    house.hand.advance(CONFIG.policy.retention);
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    assert!(house.find(&m).await.is_none(), "it is erased");
}

#[tokio::test]
async fn matches_claimed_before_a_panic_of_housekeeping_are_driven() {
    let mut house = Harness::new();
    house.worker.start().await.unwrap();
    house.faults.panics_after_claim.store(true, Ordering::Relaxed);
    let id = MatchId::from_uuid(uuid::Uuid::now_v7());
    let admitted = house.journal.admit(id, Arc::new(naming_a_medium())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("the match is new") };
    house.journal.release(vec![claim]).await.unwrap();
    house.pass(CLAIMING_PAUSE, &[]).await;
    assert_eq!(house.worker.unfinished(), 1);
    house.answers(AskKind::ReadFolder, folder()).await;
}

#[tokio::test]
async fn a_buffer_that_no_photo_uses_any_more_is_dropped() {
    let house = Harness::new();
    house.worker.start().await.unwrap();
    let memory = house.worker.photo_memory();
    let reservation = memory.reservation(&TenantId::default_tenant());
    drop(reservation.buffer(photo::BYTES_MAX));
    assert_eq!(memory.spare_buffers_kept(), 1);
    house.pass(HOUSEKEEPING_INTERVAL * 3, &[]).await;
    assert_eq!(memory.spare_buffers_kept(), 0);
}

#[tokio::test]
async fn a_match_is_erased_when_its_retention_ends() {
    let house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    house.worker.start().await.unwrap();
    house.hand.advance(CONFIG.policy.retention - HOUSEKEEPING_INTERVAL * 2);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(house.find(&m).await.is_some(), "it is kept");
    eventually("it is erased", || async {
        house.hand.advance(HOUSEKEEPING_INTERVAL);
        house.find(&m).await.is_none()
    })
    .await;
}
