//! Matches during abuse: each match ends with its verdict, every abuser gets the specified error,
//! and a match hardly takes longer than without abuse.
//!
//! The ratio is printed, and asserted in the best of a few rounds, because the machine may be busy
//! with something else in one of them. `FACEMATCH_ABUSE` sets how many matches run with and without
//! abuse. Abusers keep a fixed rate, so that the figure measures the service and not their speed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use facematch::{
    pb::{MatchState, MatchUpdate, Resolution, WatchMatchesRequest},
    simulator::{Simulator, sample},
};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch::Sender,
    task::JoinSet,
    time::{interval, timeout},
};
use tonic::{Code, Streaming, transport::Endpoint};

use crate::{
    bad_input::{self, Case},
    canary::{self, Client},
    checker::check_all_updates,
    process::Process,
    support::{
        PATIENCE, Refusal, collect, last_match, now, portrait_request, simulator, size_from_env,
    },
    transport::{self, announced},
};

/// The default of `FACEMATCH_ABUSE`.
const MATCHES: u64 = 40;

/// Matches run alone and beside abuse in turns, so that a busy spell of the machine affects both.
const TURNS: u64 = 4;

/// Each abuser sends one bad input per interval.
const ABUSERS: usize = 5;
const ABUSERS_PACE: Duration = Duration::from_millis(100);

/// Streams whose client doesn't read.
const UNREAD: usize = 50;
/// Senders that stop after their first bytes. The photos that they announce exceed the default
/// photo memory.
const STALLED: usize = 60;

/// The maximum ratio of the median duration beside abuse to the median alone.
const RATIO_MAX: f64 = 1.5;
/// The maximum number of measurements.
const ROUNDS: usize = 3;

/// By this time a stalled stream has ended: much longer than `--stream-stall` below.
const UNREAD_AT_MOST: Duration = Duration::from_secs(5);

const SETTINGS: [&str; 4] = ["--oz-poll-interval", "10ms", "--stream-stall", "1s"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_beside_abuse_ends_as_it_does_alone() {
    let turn = size_from_env("FACEMATCH_ABUSE", MATCHES).div_ceil(TURNS);
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&oz, directory.path(), &SETTINGS);
    let mut client = process.client().await;
    let cases = Arc::new(bad_input::cases());
    // Warms up caches and connections.
    run(&mut client, &oz, turn).await;
    let mut ratios = Vec::new();
    while ratios.len() < ROUNDS && ratios.last().is_none_or(|ratio| *ratio > RATIO_MAX) {
        let (mut alone, mut beside, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..TURNS {
            alone.extend(run(&mut client, &oz, turn).await);
            let abuse = Abuse::begin(process.address(), &cases).await;
            beside.extend(run(&mut client, &oz, turn).await);
            refused += abuse.end().await;
        }
        ratios.push(report(&Took::of(alone), &Took::of(beside), refused));
    }
    assert!(ratios.last().is_some_and(|ratio| *ratio <= RATIO_MAX), "{ratios:.2?}");
    process.stop();
}

/// Prints how long matches took, and returns the ratio of the medians.
fn report(alone: &Took, beside: &Took, refused: usize) -> f64 {
    let ratio = beside.median_ms / alone.median_ms;
    println!(
        "beside abuse: median {:.1} ms alone, {:.1} ms beside it, ratio {:.2}; the slowest of a \
         hundred {:.1} ms and {:.1} ms; {refused} bad inputs, {UNREAD} unread streams and \
         {STALLED} stalled senders meanwhile",
        alone.median_ms, beside.median_ms, ratio, alone.slowest_ms, beside.slowest_ms,
    );
    ratio
}

/// Runs `count` matches one after another, and returns how long each took.
async fn run(client: &mut Client, oz: &Simulator, count: u64) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..count {
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let begun = now();
        let updates = client.run_match(portrait_request(&folder)).await;
        let updates = collect(updates.expect("it is accepted").into_inner()).await;
        took.push(begun.elapsed());
        let updates = updates.expect("the stream ends without an error");
        check_all_updates(&updates);
        let m = last_match(&updates);
        assert_eq!(m.state(), MatchState::Finished, "{m:?}");
        assert_eq!(m.result.as_ref().expect("a verdict").resolution(), Resolution::Success);
    }
    took
}

/// How long matches took.
struct Took {
    median_ms: f64,
    /// The 99th percentile.
    slowest_ms: f64,
}

impl Took {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let ms = |index: usize| 1_000.0 * took[index].as_secs_f64();
        let (half, hundredth) = (took.len() / 2, took.len().div_ceil(100));
        Self { median_ms: ms(half), slowest_ms: ms(took.len() - hundredth) }
    }
}

/// Abuse in progress.
struct Abuse {
    abusers: JoinSet<()>,
    unread: Vec<Streaming<MatchUpdate>>,
    unread_since: Instant,
    refused: Arc<Sender<usize>>,
}

impl Abuse {
    /// Begins the abuse, and returns once there were as many refusals as there are abusers.
    async fn begin(address: &str, cases: &Arc<Vec<Case>>) -> Self {
        let (mut abusers, refused) = (JoinSet::new(), Arc::new(Sender::default()));
        let next = Arc::new(AtomicUsize::new(rand::random_range(0..cases.len())));
        for _ in 0..ABUSERS {
            let (address, cases) = (address.to_owned(), Arc::clone(cases));
            abusers.spawn(abuse(address, cases, Arc::clone(&next), Arc::clone(&refused)));
        }
        for _ in 0..STALLED {
            abusers.spawn(stall(address.to_owned()));
        }
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            unread.push(unread_stream(address).await);
        }
        let mut seen = refused.subscribe();
        let begun = timeout(PATIENCE, seen.wait_for(|refused| *refused >= ABUSERS)).await;
        begun.expect("abusers are refused in time").expect("the abusers hold the sender");
        Self { abusers, unread, unread_since: now(), refused }
    }

    /// Ends the abuse, and returns the number of refusals, each of which was as specified.
    async fn end(mut self) -> usize {
        self.abusers.abort_all();
        while let Some(ended) = self.abusers.join_next().await {
            let failure = ended.expect_err("abusers don't stop by themselves");
            assert!(failure.is_cancelled(), "{failure}");
        }
        let is_overdue = self.unread_since.elapsed() > UNREAD_AT_MOST;
        for updates in self.unread {
            let told = timeout(PATIENCE, first_error(updates, is_overdue)).await;
            let told = told.expect("an update or an error was in flight");
            assert!(told.is_some() || !is_overdue, "an unread stream is still open");
        }
        *self.refused.borrow()
    }
}

/// Sends one bad input after another; all abusers share one position in the list.
async fn abuse(
    address: String,
    cases: Arc<Vec<Case>>,
    next: Arc<AtomicUsize>,
    refused: Arc<Sender<usize>>,
) {
    let mut pace = interval(ABUSERS_PACE);
    loop {
        pace.tick().await;
        let number = next.fetch_add(1, Ordering::Relaxed);
        cases[number % cases.len()].check(&address).await;
        refused.send_modify(|refused| *refused += 1);
    }
}

/// Announces a large photo and sends no byte of it; repeats that each time the service gives up.
async fn stall(address: String) {
    loop {
        let mut channel = transport::channel(&address).await;
        // Announces a photo of 10 MiB.
        let head = b"\x1a\x85\x80\x80\x05\x0a\x80\x80\x80\x05";
        let body = stream::iter([Ok(announced(10 + (10 << 20), head))]).chain(stream::pending());
        let told = transport::call(&mut channel, "RunMatch", body).await;
        let status = told.expect_err("the photo never arrives");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    }
}

/// A stream of all matches whose window is smaller than one update.
async fn unread_stream(address: &str) -> Streaming<MatchUpdate> {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    let channel = endpoint.initial_stream_window_size(16).connect().await.unwrap();
    let all = WatchMatchesRequest { resume_token: "earliest".into(), ..Default::default() };
    let opened = canary::client(channel).watch_matches(all).await;
    opened.expect("the stream opens").into_inner()
}

/// Reads a stream that was left unread: first the updates in flight, then the error of a stalled
/// stream. Without `to_the_end` returns `None` after the first update.
async fn first_error(mut updates: Streaming<MatchUpdate>, to_the_end: bool) -> Option<()> {
    loop {
        match updates.message().await {
            Ok(update) => assert!(update.is_some(), "a stream of all matches doesn't end"),
            Err(status) => {
                Refusal::of(status).assert(Code::ResourceExhausted, "UPDATES_UNREAD");
                return Some(());
            }
        }
        if !to_the_end {
            return None;
        }
    }
}
