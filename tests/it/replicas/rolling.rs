//! A rolling restart: one replica after another is shut down gracefully, under load, and restarted.

use facematch::pb::Match;
use tokio::task::JoinSet;

use crate::{
    callers::{self, Tally, caller::Caller},
    replicas::fleet::{Fleet, NEVER_MS, Plan},
    support::size_from_env,
};

/// Concurrent callers, each of which runs one match after another.
const CALLERS: u64 = 6;

/// Matches per replica that are being analysed throughout.
const MATCHES: usize = 30;

/// The lease and the maximum gap between polls: a released match is taken over far sooner than
/// `GAP_MS_MAX`, and an unreleased match waits far longer, for the end of the lease.
const LEASE: &str = "10s";
const GAP_MS_MAX: u64 = 5_000;

/// The processing time of callers' matches.
const PROCESSING_MS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_invisible_to_callers_that_retry() {
    let seed = size_from_env("FACEMATCH_SEED", rand::random());
    println!("FACEMATCH_SEED={seed}");
    let settings = vec![("--lease", LEASE)];
    let mut fleet = Fleet::start_by_plan(Plan { settings, ..Plan::default() }).await;
    let mut matches = Vec::new();
    for number in 0..fleet.len() {
        matches.extend(fleet.create(number, MATCHES).await);
    }
    fleet.oz().switch(|switches| switches.processing_ms = PROCESSING_MS);
    fleet.oz().clear_record();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(Caller::new(number, seed, &fleet.storm).run_until_quiet());
    }
    for number in 0..fleet.len() {
        fleet.wait_until_polled(&matches, fleet.clock_ms(), 3).await;
        fleet.stop(number).await;
        fleet.wait_until_polled(&matches, fleet.clock_ms(), 3).await;
        fleet.start(number);
    }
    fleet.wait_until_polled(&matches, fleet.clock_ms(), 3).await;
    fleet.storm.storm_is_over();
    let ended = callers::gather(callers).await;
    check_gaps(&fleet, &matches);

    fleet.oz().skip(std::time::Duration::from_millis(NEVER_MS));
    fleet.check_finished(&matches).await;
    let mut listed = callers::list(&mut fleet.client(0).await).await;
    listed.retain(|m| !m.request_id.is_empty());
    let Tally { matches, cancelled, lost, doubled } = Tally::of(fleet.oz(), &ended, &listed);
    println!(
        "rolling restart: matches: {matches}, cancelled: {cancelled}, lost: {lost}, doubled: {doubled}"
    );
    assert_eq!((lost, doubled), (0, 0), "with FACEMATCH_SEED={seed}");
    ended.iter().for_each(|ended| callers::check(fleet.oz(), ended));
    fleet.shut_down_all().await;
}

/// Checks how long matches were not polled while they moved from one replica to another.
fn check_gaps(fleet: &Fleet, matches: &[Match]) {
    let (polls, count) = (fleet.polls(0), matches.len());
    let gap = |times: &Vec<u64>| times.windows(2).map(|pair| pair[1] - pair[0]).max();
    let times = matches.iter().filter_map(|m| polls.get(&m.folder_id));
    let mut gaps: Vec<u64> = times.filter_map(gap).collect();
    assert_eq!(gaps.len(), count, "a match is no longer polled");
    gaps.sort_unstable();
    let [p50, p99, max] = [count / 2, count * 99 / 100, count - 1].map(|n| gaps[n]);
    println!(
        "rolling restart: longest gap between two polls of {count} matches: p50 {p50} ms, p99 \
         {p99} ms, max {max} ms, polled every 100 ms"
    );
    assert!(max <= GAP_MS_MAX, "a match waited for the end of a lease");
}
