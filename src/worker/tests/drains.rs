//! What a drain still does, and what it leaves.

use super::*;

#[tokio::test]
async fn a_draining_server_sends_no_request_that_waits_for_a_permit() {
    let oz = OzLimits { requests_max: 1, ..CONFIG.oz };
    let mut house = Harness::with(Config { oz, ..CONFIG });
    for _ in 0..2 {
        house.admit(naming_a_medium()).await;
    }
    house.answers(AskKind::ReadFolder, folder()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let start = house.next(AskKind::StartAnalyses).await;
    let worker = house.worker.clone();
    let answers = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        start.answer.send(Ok(started())).unwrap();
    };
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, answers);
    assert!(down.is_ok(), "the drain waits for something");
    house.is_quiet();
}

#[tokio::test]
async fn a_draining_server_brings_its_photos_to_oz_and_leaves_the_rest() {
    let mut house = Harness::new();
    let m = house.admit(spec()).await;
    let look = house.next(AskKind::ReadFolder).await;
    let worker = house.worker.clone();
    let brought = async {
        look.answer.send(Ok(folder())).unwrap();
        house.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("ours"))).await;
    };
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, brought);
    assert!(down.is_ok(), "the drain waits for something");
    assert!(house.asked.try_recv().is_err(), "another request was sent to Oz");
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    let refused = worker.admit(spec(), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Draining), "{refused}");
}

#[tokio::test]
async fn a_draining_server_awaits_no_answer_about_a_match_without_a_photo() {
    let mut house = Harness::new();
    house.admit(naming_a_medium()).await;
    let _look = house.next(AskKind::ReadFolder).await;
    drains(&mut house).await;
}

#[tokio::test]
async fn a_draining_server_awaits_the_answer_to_a_request_that_changes_oz() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.answers(AskKind::ReadFolder, folder()).await;
    let start = house.next(AskKind::StartAnalyses).await;
    let worker = house.worker.clone();
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, async { start.answer.send(Ok(started())).unwrap() });
    assert!(down.is_ok(), "the drain waits for something");
    assert_eq!(house.find(&m).await.unwrap().state, State::Processing);
}

#[tokio::test]
async fn a_draining_server_waits_for_no_photo_to_arrive() {
    let first = Harness::new();
    first.admit(spec()).await;
    let mut second = first.next_process();
    second.worker.start().await.unwrap();
    let _look = second.next(AskKind::ReadFolder).await;
    drains(&mut second).await;
}

#[tokio::test]
async fn a_match_claimed_during_a_drain_sends_nothing_to_oz() {
    let first = Harness::new();
    first.admit(spec()).await;
    let mut second = first.next_process();
    second.admit(spec()).await;
    let look = second.next(AskKind::ReadFolder).await;
    let worker = second.worker.clone();
    let claimed = async {
        worker.start().await.unwrap();
        eventually("the claimed match is left", || async { worker.unfinished() == 1 }).await;
        assert!(second.asked.try_recv().is_err(), "a request to Oz was sent");
        look.answer.send(Ok(folder())).unwrap();
        second.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("ours"))).await;
    };
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let (down, ()) = tokio::join!(down, claimed);
    assert!(down.is_ok(), "the drain waits for something");
}
