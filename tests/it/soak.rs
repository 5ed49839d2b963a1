//! A soak: constant load on the built program, and what it holds meanwhile and afterwards.
//!
//! `FACEMATCH_SOAK` says for how many seconds. Oz is a simulator in the test's own process, so that
//! what is looked at is the service alone.

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
    checker::{Checker, check_rest, check_whole, is_passing},
    process::{Process, assert_may_open},
    support::{
        collect, connect, eventually, last, request, setting, simulator, until, watch_after,
    },
};

/// Unless the environment says otherwise.
const SECONDS: u64 = 5;

/// Of 100 KB each, and watched by another caller as well.
const MATCHES_A_SECOND: u32 = 50;
const PHOTO_BYTES: usize = 100_000;

/// Matches at once: on a slow machine there are fewer a second, not ever more under way.
const AT_ONCE: usize = 200;

/// Watchers of all matches.
const WATCHERS: usize = 10;

/// What the journal keeps open once it was busy: four readers with two files each.
const READERS_DESCRIPTORS: usize = 8;

/// Looks at the process in a tenth of the time.
const LOOKS: u32 = 60;

/// Erased soon, so that what grows isn't the journal.
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

/// What the process holds at a moment.
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
async fn what_the_service_holds_under_constant_load_stays_and_is_let_go() {
    assert_may_open(4 * AT_ONCE + 1_000);
    let seconds = setting("FACEMATCH_SOAK", SECONDS);
    let oz = Arc::new(simulator().await);
    oz.switch(|switches| switches.processing_ms = 150);
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&oz, directory.path(), &SETTINGS);
    run(process.client().await, Arc::clone(&oz)).await;
    let before = Held::by(&process);

    let (over, mut others) = (CancellationToken::new(), JoinSet::new());
    for _ in 0..WATCHERS {
        // Before the first match begins, so that each is seen whole.
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
    // Connections that are kept for the next request go with Oz, sooner than they would.
    drop(oz);
    let open = || process.descriptors();
    let may_be_open = before.descriptors + READERS_DESCRIPTORS;
    eventually(|| open() <= may_be_open, || format!("{} stay open", open())).await;
    process.stop();
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that much memory")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Starts matches at a constant rate, for so long, and returns how many have ended by then, all
/// of them.
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
    // It only ends by the time that it lasts.
    let _: Result<(), _> = tokio::time::timeout(lasts, starting).await;
    ended + matches.join_all().await.len()
}

/// Runs a match from its photo to its verdict, and lets somebody else watch it on the way.
async fn run(mut client: Client, oz: Arc<Simulator>) {
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let mut photo = sample::portrait_jpeg().to_vec();
    photo.resize(PHOTO_BYTES, 0);
    let asked = request(&folder, Bytes::from(photo));
    let mut updates = client.run_match(asked).await.expect("it is accepted").into_inner();
    let mut seen = until(&mut updates, "photo_uploaded").await;
    let reached = last(&seen).sequence;
    let watched = client.watch_match(watch_after(&last(&seen).match_id, reached)).await;
    let watched = watched.expect("it is watched").into_inner();
    let (rest, other) = tokio::join!(collect(updates), collect(watched));
    check_rest(reached, &other.expect("the other stream ends in order"));
    seen.extend(rest.expect("the stream ends in order"));
    check_whole(&seen);
    let m = last(&seen);
    assert_eq!(m.state(), MatchState::Finished, "{m:?}");
    assert_eq!(m.result.as_ref().expect("a verdict").resolution(), Resolution::Success);
}

/// Watches everything until it is over, and checks what it sees.
async fn watch_all(mut updates: Streaming<MatchUpdate>, over: CancellationToken) {
    let mut checkers: HashMap<String, Checker> = HashMap::new();
    while let Some(update) = over.run_until_cancelled(updates.message()).await {
        let update: MatchUpdate = update.expect("the stream goes on").expect("it doesn't end");
        if !is_passing(&update) {
            let checker = checkers.entry(update.match_id.clone()).or_default();
            checker.see(&update);
            if checker.has_closed() {
                checkers.remove(&update.match_id);
            }
        }
    }
}

/// Looks again and again, for so long, at what the process holds.
async fn look(process: &Process, lasts: Duration) -> Vec<Held> {
    let mut pace = interval(lasts / 10 / LOOKS);
    let mut held = Vec::new();
    for _ in 0..10 * LOOKS {
        pace.tick().await;
        held.push(Held::by(process));
    }
    held
}

/// Whether memory stays: in the last tenth of the time it is hardly more than in the second.
#[derive(Debug)]
struct Flat {
    early: u64,
    most: u64,
    late: u64,
}

/// What may come on top of a tenth: what the allocator keeps, whatever the load. In the shortest
/// run it is half of what a photo kept of every match would be, in ten minutes 300 bytes a match.
const SLACK_KIB: u64 = 8 * 1024;

impl Flat {
    fn of(held: &[Held]) -> Self {
        let tenth = LOOKS as usize;
        let resident: Vec<u64> = held.iter().map(|held| held.resident_kib).collect();
        let early = median(&resident[tenth..2 * tenth]);
        let late = median(&resident[9 * tenth..]);
        let most = *resident[tenth..].iter().max().expect("it was looked at");
        Self { early, most, late }
    }

    fn check(&self) {
        assert!(self.late <= self.early + self.early / 10 + SLACK_KIB, "it grows: {self:?}");
    }
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}
