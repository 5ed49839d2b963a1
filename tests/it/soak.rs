//! A soak test: constant load on the built program, and its memory and descriptors during the load
//! and afterwards.
//!
//! `FACEMATCH_SOAK` sets the duration in seconds. Oz is a simulator in the test's own process, so
//! that the measurements cover the service alone.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use facematch::{
    pb::{MatchState, MatchUpdate, Resolution, WatchMatchesRequest},
    simulator::{Simulator, sample},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{
    canary::Client,
    checker::{MatchChecker, check_all_updates, check_updates_after, is_transient},
    process::{Process, assert_may_open},
    support::{
        collect, connect, eventually, last_match, read_until, request, simulator, size_from_env,
        watch_after,
    },
};

/// The default of `FACEMATCH_SOAK`.
const SECONDS: u64 = 5;

/// Matches per second, each with a photo of 100 KB and a second watcher.
const MATCHES_A_SECOND: u32 = 50;
const PHOTO_BYTES: usize = 100_000;

/// Concurrent matches: on a slow machine the rate falls instead of the number rising.
const AT_ONCE: usize = 200;

/// Watchers of all matches.
const WATCHERS: usize = 10;

/// Descriptors that a used journal keeps open: four readers with two files each.
const READERS_DESCRIPTORS: usize = 8;

/// Samples of the process in a tenth of the time.
const LOOKS: u32 = 60;

/// A short retention, so that growth of the journal is not measured.
const SETTINGS: [&str; 8] = [
    "--retention",
    "10s",
    "--oz-poll-interval",
    "100ms",
    "--oz-settle",
    "5s",
    "--log-level",
    "warn",
];

/// A sample of the process's memory and descriptors.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: u64,
    descriptors: usize,
}

impl Held {
    fn by(process: &Process) -> Self {
        Self { resident_kib: process.resident_kib(), descriptors: process.descriptors() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_descriptors_stay_flat_under_constant_load() {
    assert_may_open(4 * AT_ONCE + 1_000);
    let seconds = size_from_env("FACEMATCH_SOAK", SECONDS);
    let oz = Arc::new(simulator().await);
    oz.switch(|switches| switches.processing_ms = 150);
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&oz, directory.path(), &SETTINGS);
    run(process.client().await, Arc::clone(&oz)).await;
    let before = Held::by(&process);

    let (over, mut others) = (CancellationToken::new(), JoinSet::new());
    for _ in 0..WATCHERS {
        // Opened before the first match begins, so that each match is seen from its start.
        let all = process.client().await.watch_matches(WatchMatchesRequest::default()).await;
        others.spawn(watch_all(all.expect("the stream opens").into_inner(), over.clone()));
    }
    let load = load(&oz, process.address(), Duration::from_secs(seconds));
    let (matches, held) = tokio::join!(load, look(&process, Duration::from_secs(seconds)));
    over.cancel();
    others.join_all().await;
    let end = Held::by(&process);
    let flat = Flat::of(&held);
    let descriptors: Vec<_> = held.iter().map(|held| held.descriptors).collect();
    println!(
        "soak: {seconds} s, {matches} matches, resident {:.1} MiB after the first tenth, {:.1} MiB \
         at most after it, {:.1} MiB in the last tenth, {:.1} MiB at the end; descriptors {}..{}, \
         {} before",
        mib(flat.early),
        mib(flat.most),
        mib(flat.late),
        mib(end.resident_kib),
        descriptors.iter().min().unwrap(),
        descriptors.iter().max().unwrap(),
        before.descriptors,
    );
    flat.check();
    // Stopping the simulator closes idle connections sooner than their timeout.
    drop(oz);
    let open = || process.descriptors();
    let may_be_open = before.descriptors + READERS_DESCRIPTORS;
    eventually(|| open() <= may_be_open, || format!("{} descriptors are open", open())).await;
    process.stop();
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Starts matches at a constant rate for this long, waits for their ends, and returns their number.
async fn load(oz: &Arc<Simulator>, address: &str, lasts: Duration) -> usize {
    let client = connect(address).await;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut matches = JoinSet::new();
    let mut pace = interval(Duration::from_secs(1) / MATCHES_A_SECOND);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = 0;
    let starting = async {
        loop {
            pace.tick().await;
            let room = Arc::clone(&room).acquire_owned().await.unwrap();
            let run = run(client.clone(), Arc::clone(oz));
            matches.spawn(async move {
                run.await;
                drop(room);
            });
            while let Some(done) = matches.try_join_next() {
                done.expect("a match runs to its end");
                ended += 1;
            }
        }
    };
    // The loop ends only by the timeout.
    let _: Result<(), _> = tokio::time::timeout(lasts, starting).await;
    ended + matches.join_all().await.len()
}

/// Runs a match from its photo to its verdict, with a second watcher from the upload on.
async fn run(mut client: Client, oz: Arc<Simulator>) {
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let mut photo = sample::portrait_jpeg().to_vec();
    photo.resize(PHOTO_BYTES, 0);
    let asked = request(&folder, Bytes::from(photo));
    let mut updates = client.run_match(asked).await.expect("it is accepted").into_inner();
    let mut seen = read_until(&mut updates, "photo_uploaded").await;
    let reached = last_match(&seen).sequence;
    let watched = client.watch_match(watch_after(&last_match(&seen).match_id, reached)).await;
    let watched = watched.expect("it is watched").into_inner();
    let (rest, other) = tokio::join!(collect(updates), collect(watched));
    check_updates_after(reached, &other.expect("the other stream ends without an error"));
    seen.extend(rest.expect("the stream ends without an error"));
    check_all_updates(&seen);
    let m = last_match(&seen);
    assert_eq!(m.state(), MatchState::Finished, "{m:?}");
    assert_eq!(m.result.as_ref().expect("a verdict").resolution(), Resolution::Success);
}

/// Watches all matches until `over` is cancelled, and checks their updates.
async fn watch_all(mut updates: Streaming<MatchUpdate>, over: CancellationToken) {
    let mut checkers: HashMap<String, MatchChecker> = HashMap::new();
    while let Some(update) = over.run_until_cancelled(updates.message()).await {
        let update: MatchUpdate = update.expect("the stream stays open").expect("it doesn't end");
        if !is_transient(&update) {
            let checker = checkers.entry(update.match_id.clone()).or_default();
            checker.check(&update);
            if checker.has_closed() {
                checkers.remove(&update.match_id);
            }
        }
    }
}

/// Samples the process periodically for this long.
async fn look(process: &Process, lasts: Duration) -> Vec<Held> {
    let mut pace = interval(lasts / 10 / LOOKS);
    let mut held = Vec::new();
    for _ in 0..10 * LOOKS {
        pace.tick().await;
        held.push(Held::by(process));
    }
    held
}

/// Medians of memory in the second and the last tenth of the time, and the maximum after the
/// first. Memory is flat if the last tenth hardly exceeds the second.
#[derive(Debug)]
struct Flat {
    early: u64,
    most: u64,
    late: u64,
}

/// Allowed growth beyond a tenth, for memory that the allocator keeps under any load. In the
/// shortest run it is half of what leaking each match's photo would cost, in ten minutes 300 bytes
/// a match.
const SLACK_KIB: u64 = 8 * 1024;

impl Flat {
    fn of(held: &[Held]) -> Self {
        let tenth = LOOKS as usize;
        let resident: Vec<u64> = held.iter().map(|held| held.resident_kib).collect();
        let early = median(&resident[tenth..2 * tenth]);
        let late = median(&resident[9 * tenth..]);
        let most = *resident[tenth..].iter().max().expect("there are samples");
        Self { early, most, late }
    }

    fn check(&self) {
        assert!(self.late <= self.early + self.early / 10 + SLACK_KIB, "memory grows: {self:?}");
    }
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}
