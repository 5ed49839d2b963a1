//! A rolling restart: one replica after the other is asked to stop, under load, and started again.

use facematch::pb::Match;
use tokio::task::JoinSet;

use crate::{
    callers::{self, Tally, caller::Caller},
    replicas::fleet::{Fleet, NEVER_MS, Plan},
    support::setting,
};

/// Callers at once, each with one match after the other.
const CALLERS: u64 = 6;

/// Matches of each replica that are being analysed all the time.
const MATCHES: usize = 30;

/// Far from what a match waits for if it is let go of, and from what it waits for if it isn't.
const LEASE: &str = "10s";
const GAP_MS_MAX: u64 = 5_000;

/// What callers' own matches take.
const PROCESSING_MS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_noticed_by_nobody_who_comes_back() {
    let seed = setting("FACEMATCH_SEED", rand::random());
    println!("FACEMATCH_SEED={seed}");
    let settings = vec![("--lease", LEASE)];
    let mut fleet = Fleet::gather_as(Plan { settings, ..Plan::default() }).await;
    let mut matches = Vec::new();
    for number in 0..fleet.len() {
        matches.extend(fleet.create(number, MATCHES).await);
    }
    fleet.oz().switch(|switches| switches.processing_ms = PROCESSING_MS);
    fleet.oz().clear_record();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(Caller::new(number, seed, &fleet.stage).run_until_quiet());
    }
    for number in 0..fleet.len() {
        fleet.polled(&matches, fleet.clock_ms(), 3).await;
        fleet.stop(number).await;
        fleet.polled(&matches, fleet.clock_ms(), 3).await;
        fleet.start(number);
    }
    fleet.polled(&matches, fleet.clock_ms(), 3).await;
    fleet.stage.calms_down();
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
    assert_eq!((lost, doubled), (0, 0), "the seed was {seed}");
    ended.iter().for_each(|ended| callers::check(fleet.oz(), ended));
    fleet.disband().await;
}

/// How long matches were not polled while the replica changed that drives them.
fn check_gaps(fleet: &Fleet, matches: &[Match]) {
    let (polls, count) = (fleet.polls(0), matches.len());
    let gap = |times: &Vec<u64>| times.windows(2).map(|pair| pair[1] - pair[0]).max();
    let times = matches.iter().filter_map(|m| polls.get(&m.folder_id));
    let mut gaps: Vec<u64> = times.filter_map(gap).collect();
    assert_eq!(gaps.len(), count, "all of them are polled on");
    gaps.sort_unstable();
    let [p50, p99, max] = [count / 2, count * 99 / 100, count - 1].map(|n| gaps[n]);
    println!(
        "rolling restart: longest gap between two polls of {count} matches: p50 {p50} ms, p99 \
         {p99} ms, max {max} ms, polled every 100 ms"
    );
    assert!(max <= GAP_MS_MAX, "a match waits for the end of a lease");
}
