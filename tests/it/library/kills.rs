//! Matches by key in a service that is killed, and whose callers never come back.

use facematch::{
    pb::{Match, MatchState},
    simulator::{Answered, Endpoint, RecordedRequest, Simulator, sample},
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    callers,
    checker::{check_one_photo_and_one_analysis, check_verdict},
    library::{Photos, by_key, key},
    process::Process,
    support::{PATIENCE, get, rule, simulator, wait},
};

/// Kills at each moment, and matches that are created before each.
const ROUNDS: usize = 4;
const MATCHES: usize = 4;

/// The grace of photos that callers send is of no use to these matches.
const SETTINGS: [&str; 4] = ["--oz-settle", "300ms", "--photo-grace", "1s"];

/// When the service is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// As soon as the matches are accepted.
    Accepted,
    /// Right before a photo is read: Oz has got the request to read the folder.
    BeforeRead,
    /// While a photo is read, or between its read and its upload: Oz has shown the folder.
    Read,
    /// While a photo is uploaded.
    Uploading,
    /// While the library is away.
    Away,
}

const MOMENTS: [Moment; 5] =
    [Moment::Accepted, Moment::BeforeRead, Moment::Read, Moment::Uploading, Moment::Away];

fn count(
    record: &[RecordedRequest],
    endpoint: Endpoint,
    of: impl Fn(&RecordedRequest) -> bool,
) -> usize {
    record.iter().filter(|request| request.endpoint == endpoint && of(request)).count()
}

/// Waits until Oz has got requests of the last of some matches.
async fn reached(oz: &Simulator, moment: Moment) {
    let is_answered = |request: &RecordedRequest| request.answered != Answered::Pending;
    let reached = |record: &[RecordedRequest]| match moment {
        Moment::Accepted => true,
        Moment::BeforeRead => count(record, Endpoint::GetFolder, |_| true) >= MATCHES,
        Moment::Read | Moment::Away => count(record, Endpoint::GetFolder, is_answered) >= MATCHES,
        Moment::Uploading => count(record, Endpoint::AddMedia, |_| true) >= MATCHES,
    };
    timeout(PATIENCE, oz.recorded(reached)).await.expect("the matches go on");
}

/// Creates matches by key, whose caller then goes away.
async fn create(process: &Process, oz: &Simulator) -> Vec<Match> {
    let mut client = process.client().await;
    let mut created = Vec::new();
    for _ in 0..MATCHES {
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let answer = client.create_match(by_key(&folder, &key())).await;
        created.push(answer.expect("it is accepted").into_inner());
    }
    created
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_by_key_survive_kills_at_every_moment_without_their_callers() {
    let (oz, photos, directory) = (simulator().await, Photos::new(), tempfile::tempdir().unwrap());
    oz.switch(|switches| switches.processing_ms = 0);
    let slow = json!({"match": {"endpoint": "add_media"}, "then": {"answer_delay_ms": 20}});
    oz.script([rule(slow)]);
    let url = photos.url();
    let settings = [&SETTINGS[..], &["--library", &url]].concat();
    let start = || Process::start(&oz, directory.path(), &settings);
    let (mut process, mut matches) = (start(), Vec::new());
    for moment in MOMENTS.into_iter().flat_map(|moment| [moment; ROUNDS]) {
        oz.clear_record();
        if moment == Moment::Away {
            photos.take_away();
        }
        matches.extend(create(&process, &oz).await);
        reached(&oz, moment).await;
        process.kill();
        process = start();
        if moment == Moment::Away {
            photos.bring_back();
        }
    }
    let mut client = process.client().await;
    for m in &matches {
        let ended = client.wait_match(wait(&m.match_id, PATIENCE)).await.unwrap().into_inner();
        assert_eq!(ended.state(), MatchState::Finished, "{ended:?}");
        check_one_photo_and_one_analysis(&oz, &ended);
        check_verdict(&oz, &ended);
    }
    assert_eq!(callers::list(&mut client).await.len(), matches.len());
    println!("kills: {}, matches by key: {}, lost: 0, doubled: 0", 5 * ROUNDS, matches.len());
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
}

#[tokio::test]
async fn a_service_that_drains_leaves_matches_by_key_to_its_next_start() {
    let (oz, photos, directory) = (simulator().await, Photos::new(), tempfile::tempdir().unwrap());
    oz.switch(|switches| switches.processing_ms = 0);
    let url = photos.url();
    let settings = [&SETTINGS[..], &["--library", &url]].concat();
    photos.take_away();
    let process = Process::start(&oz, directory.path(), &settings);
    let matches = create(&process, &oz).await;
    let mut client = process.client().await;
    let mut waits = false;
    while !waits {
        let m = client.get_match(get(&matches[0].match_id)).await.unwrap().into_inner();
        waits = m.trouble.is_some_and(|trouble| trouble.cause == "LIBRARY_UNREACHABLE");
        tokio::task::yield_now().await;
    }
    drop(client);
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    photos.bring_back();
    let process = Process::start(&oz, directory.path(), &settings);
    let mut client = process.client().await;
    for m in &matches {
        let ended = client.wait_match(wait(&m.match_id, PATIENCE)).await.unwrap().into_inner();
        assert_eq!(ended.state(), MatchState::Finished, "{ended:?}");
        check_one_photo_and_one_analysis(&oz, &ended);
    }
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
}
