//! Admission: limits, ids, and the photo in memory.

use super::*;

#[tokio::test]
async fn the_id_of_a_match_tells_when_it_was_accepted() {
    let house = Harness::new();
    let m = house.admit(spec()).await;
    let (seconds, nanos) = m.id.as_uuid().get_timestamp().unwrap().to_unix();
    assert_eq!((seconds, nanos / 1_000_000), (1_764_000_000, 512));
}

#[tokio::test]
async fn no_more_matches_are_under_way_than_the_settings_allow() {
    let house = Harness::new();
    let first = house.admit(naming_a_medium()).await;
    house.admit(naming_a_medium()).await;
    assert_eq!(house.worker.unfinished(), 2);
    let refused = house.worker.admit(naming_a_medium(), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded(Limit::UnfinishedMatches)), "{refused}");
    house.worker.cancel(&first.spec.tenant, &Key::Match(first.id)).await.unwrap();
    eventually("its slot is free", || async { house.worker.unfinished() == 1 }).await;
    house.admit(naming_a_medium()).await;
}

#[tokio::test]
async fn the_limit_of_matches_and_the_retention_may_change_while_it_works() {
    let house = Harness::new();
    let admitted = [house.admit(naming_a_medium()).await, house.admit(naming_a_medium()).await];
    let limits = |unfinished_max| LiveLimits {
        retention: CONFIG.policy.retention * 3,
        unfinished_max,
        oz: CONFIG.oz,
    };
    house.worker.change(limits(3));
    house.admit(naming_a_medium()).await;
    house.worker.change(limits(1));
    let refused = house.worker.admit(naming_a_medium(), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded(Limit::UnfinishedMatches)), "{refused}");
    assert_eq!(house.worker.unfinished(), 3, "those that were admitted go on");
    let key = Key::Match(admitted[0].id);
    let CancelledAs::Now(m) = house.worker.cancel(&admitted[0].spec.tenant, &key).await.unwrap()
    else {
        panic!("it is cancelled");
    };
    assert_eq!(m.expire_time.unwrap().since(m.end_time.unwrap()), CONFIG.policy.retention * 3);
}

#[tokio::test]
async fn a_photo_leaves_memory_once_oz_has_it() {
    let mut house = Harness::new();
    house.admit(spec()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let upload = house.next(AskKind::UploadPhoto).await;
    assert_eq!((upload.photo, house.worker.photo_memory().photos()), (Some(jpeg()), 1));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    let start = house.next(AskKind::StartAnalyses).await;
    assert_eq!((start.photo, house.worker.photo_memory().photos()), (None, 0));
}

#[tokio::test]
async fn the_debug_form_of_a_photo_has_its_size_only() {
    let house = Harness::new();
    let photo = house.photo(&tenant("default"));
    assert_eq!(format!("{photo:?}"), "Photo(4 bytes)");
}
