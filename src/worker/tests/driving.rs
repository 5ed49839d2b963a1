//! What a driver does about Oz and about a store that fails.

use super::*;

#[tokio::test]
async fn oz_may_take_its_time_until_the_deadline() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    let look = house.next(AskKind::ReadFolder).await;
    house.hand.advance(Duration::from_secs(600));
    tokio::task::yield_now().await;
    look.answer.send(Ok(folder())).unwrap();
    house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
}

#[tokio::test]
async fn an_event_written_despite_a_store_failure_is_found_and_built_on() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.faults.loses.store(true, Ordering::Relaxed);
    house.answers(AskKind::ReadFolder, folder()).await;
    let again = START.after(Duration::from_secs(1));
    eventually("the driver pauses", || async { house.hand.next_wake() == Some(again) }).await;
    house.hand.advance(Duration::from_secs(1));
    house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.find(&m).await.unwrap().sequence, Sequence(2));
}

#[tokio::test]
async fn an_event_that_the_store_refuses_for_good_ends_its_match() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    house.faults.refuses.store(true, Ordering::Relaxed);
    house.answers(AskKind::ReadFolder, folder()).await;
    eventually("it ends", || async { house.find(&m).await.unwrap().has_ended() }).await;
    let error = house.find(&m).await.unwrap().error.unwrap();
    assert_eq!((error.reason.as_str(), error.message.as_str()), ("OZ_PROTOCOL", UNWRITABLE));
}

#[tokio::test]
async fn a_request_unsent_for_lack_of_a_session_is_held_back_and_not_blamed_on_oz() {
    let mut house = Harness::new();
    let m = house.admit(naming_a_medium()).await;
    let again = Duration::from_secs(20);
    for round in 1..=50 {
        let look = house.next(AskKind::ReadFolder).await;
        look.answer.send(Err(Failure::without_session(again))).unwrap();
        let due = START.after(again * round);
        eventually("the request is held back", || async { house.hand.next_wake() == Some(due) })
            .await;
        house.hand.advance(again);
    }
    house.answers(AskKind::ReadFolder, folder()).await;
    house.next(AskKind::StartAnalyses).await;
    let found = house.find(&m).await.unwrap();
    assert_eq!((found.troubles, found.state), (1, State::Uploaded), "the trouble is reported once");
}

#[tokio::test]
async fn a_cancelled_match_drops_its_request_and_its_photo() {
    let mut house = Harness::new();
    let m = house.admit(spec()).await;
    let mut look = house.next(AskKind::ReadFolder).await;
    house.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    timeout(PATIENCE, look.answer.closed()).await.unwrap();
    let held = || (house.worker.unfinished(), house.worker.photo_memory().photos());
    eventually("nothing is held", || async { held() == (0, 0) }).await;
}

/// The answers of an Oz that goes on processing: each folder has an analysis of its own.
fn processing(ask: &Ask) -> Reply {
    let analysis = |id: AnalysisId| Analysis {
        id: Some(id),
        kind: Some("BIOMETRY".into()),
        state: Some("PROCESSING".into()),
        ..Analysis::default()
    };
    match ask {
        Ask::ReadFolder { .. } => folder(),
        Ask::UploadPhoto { .. } => Reply::Photo(medium_id("ours")),
        Ask::StartAnalyses { folder_id, .. } => {
            Reply::Started(vec![analysis(folder_id.to_string().parse().unwrap())])
        }
        Ask::ReadAnalysis { analysis_id } => Reply::Analysis(analysis(analysis_id.clone())),
        Ask::ReadReference { .. } => panic!("Oz has no library"),
    }
}

#[tokio::test]
async fn a_replica_at_its_share_of_the_rate_stretches_the_polls_of_all_matches_alike() {
    let oz = OzLimits { rate_max: std::num::NonZeroU32::new(2), ..CONFIG.oz };
    let mut house = Harness::shared_with(Config { unfinished_max: 6, oz, ..CONFIG });
    let other = house.replica();
    house.journal.pulse();
    house.worker.start().await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for folder in 1..=6 {
        let folder_id = crate::domain::FolderId::from_uuid(uuid::Uuid::from_u128(folder));
        house.admit(Spec { folder_id, ..naming_a_medium() }).await;
    }
    let (until, mut times, mut polls) =
        (START.after(Duration::from_secs(120)), vec![], BTreeMap::new());
    while house.clock.now() < until {
        eventually("all wait", || async { house.hand.next_wake().is_some() }).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        while let Ok(asked) = house.asked.try_recv() {
            times.push(house.clock.now());
            if let Ask::ReadAnalysis { analysis_id } = &asked.ask {
                *polls.entry(analysis_id.clone()).or_insert(0) += 1;
            }
            asked.answer.send(Ok(processing(&asked.ask))).unwrap();
        }
        house.hand.advance(Duration::from_millis(100));
        house.journal.pulse();
        other.journal.pulse();
    }
    // One request a second: the share of one of two replicas.
    assert!((118..=120).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(900)));
    assert_eq!(polls.len(), 6);
    assert!(polls.values().all(|polls| (17..=19).contains(polls)), "{polls:?}");
}
