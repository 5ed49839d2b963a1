//! A storm of real kills: callers run matches while the service is killed and restarted.
//!
//! Callers do exactly what docs/clients.md advises, and Oz has random faults. `FACEMATCH_KILLS` sets
//! the number of kills, `FACEMATCH_SEED` the random choices.

mod storm;

use tokio::task::JoinSet;

use crate::{
    callers::{self, Tally, caller::Caller},
    kills::storm::Storm,
    support::size_from_env,
};

/// Concurrent callers, each of which runs one match after another.
const CALLERS: u64 = 8;

/// The default of `FACEMATCH_KILLS`.
const KILLS: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_loses_no_match_and_doubles_nothing() {
    let (kills, seed) =
        (size_from_env("FACEMATCH_KILLS", KILLS), size_from_env("FACEMATCH_SEED", rand::random()));
    println!("FACEMATCH_KILLS={kills} FACEMATCH_SEED={seed}");
    let (storm, process) = Storm::gather(seed).await;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(Caller::new(number, seed, &storm.stage).run_until_quiet());
    }
    let process = tokio::select! {
        process = storm.rage(kills, process) => process,
        Some(early) = callers.join_next() => panic!("a caller ended early: {early:?}"),
    };
    let (oz, ended) = (&storm.stage.oz, callers::gather(callers).await);
    let listed = callers::list(&mut process.client().await).await;
    let Tally { matches, cancelled, lost, doubled } = Tally::of(oz, &ended, &listed);
    println!(
        "kills: {kills}, matches: {matches}, cancelled: {cancelled}, lost: {lost}, \
         doubled: {doubled}, updates checked: {}",
        storm.stage.updates_seen()
    );
    assert_eq!((lost, doubled), (0, 0), "with FACEMATCH_SEED={seed}");
    ended.iter().for_each(|ended| callers::check(oz, ended));
}
