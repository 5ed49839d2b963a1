//! Drivers and standbys among several replicas at one store.

use uuid::Uuid;

use super::*;
use crate::{
    domain::event::Unknown,
    journal::{Appended, Claim},
};

#[tokio::test]
async fn a_driver_asks_nothing_while_its_claim_is_unsure_and_resumes_once_it_is_held() {
    let mut house = Harness::shared();
    house.admit(naming_a_medium()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    house.answers(AskKind::StartAnalyses, started()).await;
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
async fn an_event_under_an_unsure_claim_is_written_once_the_claim_is_held() {
    let mut house = Harness::shared();
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

/// A match that `house` has lost with its lease, and that `other` holds as a lent claim. Both have
/// a request to Oz that is not answered yet.
async fn lost(house: &mut Harness, other: &mut Harness) -> (Match, Asked, Asked) {
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
async fn a_driver_that_lost_its_claim_keeps_the_photo_and_takes_a_lent_match_back() {
    let mut house = Harness::shared();
    let mut other = house.replica();
    let (m, look, other_look) = lost(&mut house, &mut other).await;
    look.answer.send(Ok(folder())).unwrap();
    house.answers(AskKind::ReadFolder, folder()).await;
    other_look.answer.send(Ok(folder())).unwrap();
    house.pass(CONFIG.policy.oz_settle, &[&house, &other]).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    other.answers(AskKind::ReadFolder, folder()).await;
    let upload = house.next(AskKind::UploadPhoto).await;
    assert_eq!(upload.photo, Some(jpeg()));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    let _start = house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    house.pass(CONFIG.policy.photo_grace, &[&house, &other]).await;
    assert_eq!(
        other.worker.unfinished(),
        0,
        "the replica that waits for the photo finds its claim lost"
    );
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    other.is_quiet();
}

/// The answer of a folder that holds the photo of a match.
fn folder_with_photo(m: &Match) -> Reply {
    let ours = Media { match_id: Some(m.id.to_string()), ..medium("ours", "IMAGE_FOLDER") };
    let media = vec![medium("v", "VIDEO_FOLDER"), ours];
    Reply::Folder(Folder { media, analyses: Vec::new() })
}

#[tokio::test]
async fn the_same_event_of_another_replica_is_not_taken_for_a_write_whose_answer_was_lost() {
    let mut house = Harness::shared();
    let mut other = house.replica();
    let (m, look, other_look) = lost(&mut house, &mut other).await;
    look.answer.send(Ok(folder())).unwrap();
    house.answers(AskKind::ReadFolder, folder_with_photo(&m)).await;
    let _start = house.next(AskKind::StartAnalyses).await;
    other.faults.loses.store(true, Ordering::Relaxed);
    other_look.answer.send(Ok(folder_with_photo(&m))).unwrap();
    other.pass(Duration::from_secs(2), &[&house, &other]).await;
    other.is_quiet();
    assert_eq!(other.worker.unfinished(), 0);
}

#[tokio::test]
async fn a_driver_that_lost_its_claim_drops_the_photo_once_it_is_at_oz() {
    let mut house = Harness::shared();
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
async fn a_photo_sent_to_another_replica_is_kept_until_it_is_at_oz_and_not_uploaded() {
    let mut house = Harness::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
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
async fn a_photo_sent_to_another_replica_is_uploaded_there_if_the_first_replica_dies() {
    let mut house = Harness::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let _upload = house.next(AskKind::UploadPhoto).await;
    other.worker.start().await.unwrap();
    other.admit(repeatable()).await;
    other.pass(LEASE - Duration::from_secs(1), &[&other]).await;
    other.is_quiet();
    other.pass(Duration::from_secs(3), &[&other]).await;
    other.answers(AskKind::ReadFolder, folder()).await;
    other.pass(CONFIG.policy.oz_settle, &[&other]).await;
    other.answers(AskKind::ReadFolder, folder()).await;
    let upload = other.next(AskKind::UploadPhoto).await;
    assert_eq!(upload.photo, Some(jpeg()));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    other.next(AskKind::StartAnalyses).await;
    assert_eq!(other.find(&m).await.unwrap().state, State::Uploaded);
    house.is_quiet();
}

#[tokio::test]
async fn a_lent_claim_is_confirmed_before_the_photo_is_uploaded() {
    let house = Harness::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    house.journal.leave().await;
    other.worker.start().await.unwrap();
    other.answers(AskKind::ReadFolder, folder()).await;
    other.pass(CONFIG.policy.oz_settle, &[&other]).await;
    other.answers(AskKind::ReadFolder, folder()).await;
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
async fn a_match_cancelled_at_another_replica_sends_nothing_more_to_oz() {
    let mut house = Harness::shared();
    let other = house.replica();
    let m = house.admit(naming_a_medium()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    house.answers(AskKind::StartAnalyses, started()).await;
    other.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    house.journal.pulse();
    house.pass(Duration::from_secs(3), &[&house]).await;
    house.is_quiet();
    assert_eq!(house.worker.unfinished(), 0);
}

#[tokio::test]
async fn a_match_cancelled_elsewhere_drops_its_photo_at_once_even_if_it_is_erased_meanwhile() {
    let mut house = Harness::shared();
    let mut other = house.replica();
    let m = house.admit(repeatable()).await;
    let look = house.next(AskKind::ReadFolder).await;
    other.admit(repeatable()).await;
    assert_eq!(other.worker.photo_memory().photos(), 1);
    let third = house.replica();
    third.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    third.worker.delete(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    house.journal.pulse();
    other.journal.pulse();
    let photos = |it: &Harness| it.worker.photo_memory().photos();
    eventually("no photo is held", || async { photos(&house) + photos(&other) == 0 }).await;
    drop(look);
    house.pass(Duration::from_secs(60), &[&house, &other]).await;
    house.is_quiet();
    other.is_quiet();
}

/// A replica of a later version that holds a match which needs its photo.
struct LaterReplica {
    journal: Memory,
    claim: Claim,
}

impl LaterReplica {
    async fn beside(house: &Harness) -> Self {
        let journal = house.replica().journal;
        let admitted = journal.admit(MatchId::from_uuid(Uuid::from_u128(1)), repeatable().into());
        match admitted.await.unwrap() {
            Admitted::New(_, claim) => Self { journal, claim },
            Admitted::Known(m) => panic!("{} is known", m.id),
        }
    }

    /// Writes an event that this version doesn't know.
    async fn write(&self) {
        let event = Event::Unknown(Unknown::default());
        let written = self.journal.append(self.claim, Sequence::FIRST, event).await;
        assert!(matches!(written, Ok(Appended::Done(_))), "{written:?}");
    }
}

/// Asserts that a replica drops all photos, and sends nothing to Oz.
async fn drops_its_photos(house: &mut Harness) {
    let photos = || house.worker.photo_memory().photos();
    eventually("no photo is held", || async { photos() == 0 }).await;
    assert_eq!(house.worker.photo_memory().bytes(), 0);
    house.is_quiet();
}

#[tokio::test]
async fn the_photo_of_a_match_is_dropped_at_an_event_of_a_later_version() {
    let mut house = Harness::shared();
    let later = LaterReplica::beside(&house).await;
    house.admit(repeatable()).await;
    assert_eq!(house.worker.photo_memory().photos(), 1);
    later.write().await;
    house.journal.pulse();
    drops_its_photos(&mut house).await;
}

#[tokio::test]
async fn the_photo_of_a_match_of_a_later_version_is_dropped_when_the_match_could_be_claimed() {
    let mut house = Harness::shared();
    house.worker.start().await.unwrap();
    let later = LaterReplica::beside(&house).await;
    house.admit(repeatable()).await;
    house.pass(Duration::from_secs(5), &[&house]).await;
    assert_eq!(house.worker.photo_memory().photos(), 1);
    later.write().await;
    later.journal.leave().await;
    // It asks which matches it may claim, and reads no events meanwhile.
    house.pass(Duration::from_secs(8), &[]).await;
    drops_its_photos(&mut house).await;
}

#[tokio::test]
async fn a_photo_is_dropped_if_an_event_of_a_later_version_comes_just_before_its_standby() {
    let mut house = Harness::shared();
    let later = LaterReplica::beside(&house).await;
    let journal = house.journal.clone();
    let meanwhile = async move {
        later.write().await;
        journal.pulse();
    };
    *lock(&house.faults.meanwhile) = Some(Box::pin(meanwhile));
    house.admit(repeatable()).await;
    drops_its_photos(&mut house).await;
}

/// How often a replica asks the store in a minute, with so many photos of matches that another
/// replica drives.
async fn asked_in_a_minute(photos: usize) -> usize {
    let config = Config { unfinished_max: photos, photo_bytes_max: 4 * photos, ..CONFIG };
    let house = Harness::shared_with(config);
    let other = house.replica_with(config);
    other.worker.start().await.unwrap();
    for n in 0..photos {
        let request_id = Some(format!("order-{n}").parse().unwrap());
        let named = Spec { request_id, ..spec() };
        let m = house.admit(named.clone()).await;
        assert_eq!(other.admit(named).await.id, m.id);
    }
    assert_eq!(other.worker.photo_memory().photos(), photos);
    let before = other.faults.takes.load(Ordering::Relaxed);
    other.pass(Duration::from_secs(60), &[&house, &other]).await;
    assert_eq!(other.worker.photo_memory().photos(), photos, "all are kept");
    other.faults.takes.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn thousands_of_standbys_ask_the_store_no_more_often_than_ten() {
    let [few, many] = [asked_in_a_minute(10).await, asked_in_a_minute(5_000).await];
    println!("statements in a minute for kept photos: {few} for 10 of them, {many} for 5,000");
    assert_eq!((few, many), (6, 6));
}

#[tokio::test]
async fn all_matches_of_a_dead_replica_are_claimed_by_the_standbys() {
    const PHOTOS: usize = 250;
    let config = Config { unfinished_max: PHOTOS, photo_bytes_max: 4 * PHOTOS, ..CONFIG };
    let house = Harness::shared_with(config);
    // With a limit of 0, the replica gets matches only through its standbys.
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
async fn a_draining_server_drops_the_photos_of_its_standbys_and_releases_its_matches() {
    let mut house = Harness::shared();
    let mut other = house.replica();
    house.admit(repeatable()).await;
    let _look = house.next(AskKind::ReadFolder).await;
    other.admit(repeatable()).await;
    let second = other.admit(naming_a_medium()).await;
    let _other_look = other.next(AskKind::ReadFolder).await;
    drains(&mut other).await;
    assert_eq!(other.worker.photo_memory().photos(), 0);
    let claimed = house.journal.claim(10).await.unwrap();
    assert!(claimed.iter().map(|(m, _)| m.id).eq([second.id]));
}

#[tokio::test]
async fn an_upload_is_given_up_when_its_lease_has_expired() {
    let mut house = Harness::shared();
    house.worker.start().await.unwrap();
    house.admit(spec()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let mut upload = house.next(AskKind::UploadPhoto).await;
    house.pass(LEASE.mul_f64(0.5), &[&house]).await;
    assert!(!upload.answer.is_closed(), "the lease is renewed");
    house.pass(LEASE + Duration::from_secs(2), &[]).await;
    timeout(PATIENCE, upload.answer.closed()).await.expect("the upload is given up");
    house.journal.pulse();
    house.pass(CONFIG.policy.oz_settle, &[&house]).await;
    // The photo may be at Oz, so it is looked for first.
    house.next(AskKind::ReadFolder).await;
}

#[tokio::test]
async fn a_replica_that_joins_a_fleet_keeps_to_its_share_from_the_first_request() {
    let config = Config { unfinished_max: 20, ..CONFIG };
    let first = Harness::shared_with(config);
    let (mut second, third) = (first.replica_with(config), first.replica_with(config));
    for _ in 0..CONFIG.oz.requests_max {
        first.admit(naming_a_medium()).await;
    }
    first.pass(LEASE + Duration::from_secs(1), &[&second, &third]).await;
    second.worker.start().await.unwrap();
    for _ in 0..CONFIG.oz.requests_max / 2 {
        second.next(AskKind::ReadFolder).await;
    }
    second.is_quiet();
}
