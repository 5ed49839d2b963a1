//! Drivers and keepers of photos among several replicas at one store.

use super::*;

#[tokio::test]
async fn a_driver_whose_hold_is_unsure_asks_nothing_and_goes_on_when_it_is_sure_again() {
    let mut house = House::shared();
    house.admit(naming_a_medium()).await;
    house.hears(AskKind::ReadFolder, folder()).await;
    house.hears(AskKind::StartAnalyses, started()).await;
    let poll = START.after(CONFIG.policy.poll_interval);
    eventually("it waits", || async { house.hand.next_wake() == Some(poll) }).await;
    house.hand.advance(LEASE);
    house.pass(LEASE, &[]).await;
    house.is_quiet();
    house.journal.pulse();
    house.pass(Duration::from_secs(1), &[]).await;
    house.next(AskKind::ReadAnalysis).await;
}

#[tokio::test]
async fn a_fact_whose_hold_is_unsure_is_written_once_it_is_sure_again() {
    let mut house = House::shared();
    let m = house.admit(naming_a_medium()).await;
    let look = house.next(AskKind::ReadFolder).await;
    house.hand.advance(LEASE);
    look.answer.send(Ok(folder())).unwrap();
    house.pass(Duration::from_secs(3), &[]).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Accepted);
    house.journal.pulse();
    house.pass(Duration::from_secs(1), &[]).await;
    house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
}

/// A match that one replica has lost by its lease, and another has as a loan: both have yet to be
/// answered by Oz.
async fn lost(house: &mut House, other: &mut House) -> (Match, Asked, Asked) {
    let m = house.admit(repeatable()).await;
    let look = house.next(AskKind::ReadFolder).await;
    house.hand.advance(LEASE.mul_f64(0.5));
    other.journal.pulse();
    house.hand.advance(LEASE.mul_f64(0.6));
    other.journal.pulse();
    other.worker.start().await.unwrap();
    let other_look = other.next(AskKind::ReadFolder).await;
    house.journal.pulse();
    (m, look, other_look)
}

#[tokio::test]
async fn a_driver_that_has_lost_its_match_keeps_the_photo_and_takes_it_back_when_it_is_lent() {
    let mut house = House::shared();
    let mut other = house.replica();
    let (m, look, other_look) = lost(&mut house, &mut other).await;
    look.answer.send(Ok(folder())).unwrap();
    house.hears(AskKind::ReadFolder, folder()).await;
    other_look.answer.send(Ok(folder())).unwrap();
    house.pass(CONFIG.policy.oz_settle, &[&house, &other]).await;
    house.hears(AskKind::ReadFolder, folder()).await;
    other.hears(AskKind::ReadFolder, folder()).await;
    let upload = house.next(AskKind::UploadPhoto).await;
    assert_eq!(upload.photo, Some(jpeg()));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    let _start = house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    house.pass(CONFIG.policy.photo_grace, &[&house, &other]).await;
    assert_eq!(other.worker.unfinished(), 0, "whoever waits for the photo finds that it is lost");
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    other.is_quiet();
}

/// Of a folder in which the photo of a match is.
fn folder_with_photo(m: &Match) -> Reply {
    let ours = Media { match_id: Some(m.id.to_string()), ..medium("ours", "IMAGE_FOLDER") };
    let media = vec![medium("v", "VIDEO_FOLDER"), ours];
    Reply::Folder(Folder { media, analyses: Vec::new() })
}

#[tokio::test]
async fn the_same_fact_of_another_replica_is_not_taken_for_a_write_whose_answer_was_lost() {
    let mut house = House::shared();
    let mut other = house.replica();
    let (m, look, other_look) = lost(&mut house, &mut other).await;
    look.answer.send(Ok(folder())).unwrap();
    house.hears(AskKind::ReadFolder, folder_with_photo(&m)).await;
    let _start = house.next(AskKind::StartAnalyses).await;
    other.loses.store(true, Ordering::Relaxed);
    other_look.answer.send(Ok(folder_with_photo(&m))).unwrap();
    other.pass(Duration::from_secs(2), &[&house, &other]).await;
    other.is_quiet();
    assert_eq!(other.worker.unfinished(), 0);
}

#[tokio::test]
async fn a_driver_that_has_lost_its_match_lets_go_of_the_photo_once_it_is_at_oz() {
    let mut house = House::shared();
    let mut other = house.replica();
    let (m, look, other_look) = lost(&mut house, &mut other).await;
    other_look.answer.send(Ok(folder_with_photo(&m))).unwrap();
    other.next(AskKind::StartAnalyses).await;
    look.answer.send(Ok(folder())).unwrap();
    let held = || (house.worker.unfinished(), house.worker.photo_memory().photos());
    eventually("nothing is held", || async { held() == (0, 0) }).await;
    house.is_quiet();
}

#[tokio::test]
async fn a_photo_that_comes_to_another_replica_is_kept_until_it_is_at_oz_and_not_uploaded() {
    let mut house = House::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    house.hears(AskKind::ReadFolder, folder()).await;
    let upload = house.next(AskKind::UploadPhoto).await;
    assert_eq!(other.admit(repeatable()).await.id, m.id);
    other.pass(Duration::from_secs(3), &[&house, &other]).await;
    assert_eq!(other.worker.photo_memory().photos(), 1);
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    let _start = house.next(AskKind::StartAnalyses).await;
    other.pass(Duration::from_secs(1), &[&house, &other]).await;
    assert_eq!(other.worker.photo_memory().photos(), 0);
    other.is_quiet();
    house.is_quiet();
}

#[tokio::test]
async fn a_photo_that_came_to_another_replica_is_uploaded_there_if_the_first_one_dies() {
    let mut house = House::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    house.hears(AskKind::ReadFolder, folder()).await;
    let _upload = house.next(AskKind::UploadPhoto).await;
    other.worker.start().await.unwrap();
    other.admit(repeatable()).await;
    other.pass(LEASE - Duration::from_secs(1), &[&other]).await;
    other.is_quiet();
    other.pass(Duration::from_secs(3), &[&other]).await;
    other.hears(AskKind::ReadFolder, folder()).await;
    other.pass(CONFIG.policy.oz_settle, &[&other]).await;
    other.hears(AskKind::ReadFolder, folder()).await;
    let upload = other.next(AskKind::UploadPhoto).await;
    assert_eq!(upload.photo, Some(jpeg()));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    other.next(AskKind::StartAnalyses).await;
    assert_eq!(other.find(&m).await.unwrap().state, State::Uploaded);
    house.is_quiet();
}

#[tokio::test]
async fn a_lent_match_is_secured_before_its_photo_is_uploaded() {
    let house = House::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    house.journal.leave().await;
    other.worker.start().await.unwrap();
    other.hears(AskKind::ReadFolder, folder()).await;
    other.pass(CONFIG.policy.oz_settle, &[&other]).await;
    other.hears(AskKind::ReadFolder, folder()).await;
    other.pass(Duration::from_secs(3), &[&other]).await;
    other.is_quiet();
    other.admit(repeatable()).await;
    let upload = other.next(AskKind::UploadPhoto).await;
    let third = other.replica();
    assert_eq!(third.journal.take(m.id, true).await.unwrap(), journal::Takeover::Held);
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    other.next(AskKind::StartAnalyses).await;
}

#[tokio::test]
async fn a_match_that_is_cancelled_at_another_replica_asks_nothing_more() {
    let mut house = House::shared();
    let other = house.replica();
    let m = house.admit(naming_a_medium()).await;
    house.hears(AskKind::ReadFolder, folder()).await;
    house.hears(AskKind::StartAnalyses, started()).await;
    other.worker.cancel(&m.spec.caller, &Key::Match(m.id)).await.unwrap();
    house.journal.pulse();
    house.pass(Duration::from_secs(3), &[&house]).await;
    house.is_quiet();
    assert_eq!(house.worker.unfinished(), 0);
}

#[tokio::test]
async fn what_is_cancelled_elsewhere_lets_go_of_its_photo_at_once_whatever_is_erased_meanwhile() {
    let mut house = House::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    let look = house.next(AskKind::ReadFolder).await;
    other.admit(repeatable()).await;
    assert_eq!(other.worker.photo_memory().photos(), 1);
    let third = house.replica();
    third.worker.cancel(&m.spec.caller, &Key::Match(m.id)).await.unwrap();
    third.worker.delete(&m.spec.caller, &Key::Match(m.id)).await.unwrap();
    house.journal.pulse();
    other.journal.pulse();
    let photos = |it: &House| it.worker.photo_memory().photos();
    eventually("no photo is held", || async { photos(&house) + photos(&other) == 0 }).await;
    drop(look);
    house.pass(Duration::from_secs(60), &[&house, &other]).await;
    house.is_quiet();
    other.is_quiet();
}

/// How often the store is asked in a minute by a replica with so many photos of matches that another
/// one drives.
async fn asked_in_a_minute(photos: usize) -> usize {
    let config = Config { unfinished_max: photos, photo_bytes_max: 4 * photos, ..CONFIG };
    let house = House::shared_with(config);
    let other = house.replica_with(config);
    other.worker.start().await.unwrap();
    for n in 0..photos {
        let request_id = Some(format!("order-{n}").parse().unwrap());
        let named = Spec { request_id, ..spec() };
        let m = house.admit(named.clone()).await;
        assert_eq!(other.admit(named).await.id, m.id);
    }
    assert_eq!(other.worker.photo_memory().photos(), photos);
    let before = other.takes.load(Ordering::Relaxed);
    other.pass(Duration::from_secs(60), &[&house, &other]).await;
    assert_eq!(other.worker.photo_memory().photos(), photos, "all are kept");
    other.takes.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn thousands_of_kept_photos_ask_the_store_no_more_often_than_ten() {
    let [few, many] = [asked_in_a_minute(10).await, asked_in_a_minute(5_000).await];
    println!("statements in a minute for kept photos: {few} for 10 of them, {many} for 5,000");
    assert_eq!((few, many), (6, 6));
}

#[tokio::test]
async fn the_photos_of_a_dead_replica_are_taken_over_all_of_them() {
    const PHOTOS: usize = 250;
    let config = Config { unfinished_max: PHOTOS, photo_bytes_max: 4 * PHOTOS, ..CONFIG };
    let house = House::shared_with(config);
    // Whose matches are its own only as its keepers take them.
    let other = house.replica_with(Config { unfinished_max: 0, ..config });
    other.worker.start().await.unwrap();
    for n in 0..PHOTOS {
        let request_id = Some(format!("order-{n}").parse().unwrap());
        let named = Spec { request_id, ..spec() };
        house.admit(named.clone()).await;
        other.admit(named).await;
    }
    house.journal.die();
    other.pass(LEASE * 3, &[&other]).await;
    assert_eq!(other.worker.unfinished(), PHOTOS);
}

#[tokio::test]
async fn a_server_that_goes_down_keeps_no_photo_for_others_and_leaves_its_matches_to_them() {
    let mut house = House::shared();
    let mut other = house.replica();
    house.admit(repeatable()).await;
    let _look = house.next(AskKind::ReadFolder).await;
    other.admit(repeatable()).await;
    let second = other.admit(naming_a_medium()).await;
    let _other_look = other.next(AskKind::ReadFolder).await;
    goes_down(&mut other).await;
    assert_eq!(other.worker.photo_memory().photos(), 0);
    let claimed = house.journal.claim(10).await.unwrap();
    assert!(claimed.iter().map(|(m, _)| m.id).eq([second.id]));
}
