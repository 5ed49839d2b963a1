//! A synchronous standby takes over from the primary database, and a former primary returns.
//!
//! `FACEMATCH_FAILOVERS` sets the number of failovers, `FACEMATCH_SEED` the random choices.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    postgres::Cluster,
    replicas::{
        fleet::{Fleet, Plan},
        storm::run_storm,
    },
    support::size_from_env,
};

/// The default of `FACEMATCH_FAILOVERS`.
const FAILOVERS: u64 = 1;

/// The exit code of a replica that can't continue with its store.
const BROKEN: i32 = 1;

fn plan(replicas: usize) -> Plan {
    Plan { replicas, own_cluster: true, links: true, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failovers_to_a_synchronous_standby_lose_no_match_and_double_nothing() {
    let failovers = size_from_env("FACEMATCH_FAILOVERS", FAILOVERS);
    let seed = size_from_env("FACEMATCH_SEED", rand::random());
    println!("FACEMATCH_FAILOVERS={failovers} FACEMATCH_SEED={seed}");
    let what = format!("failovers: {failovers}");
    run_storm(plan(3), seed, &what, async |fleet| {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..failovers {
            let standby = fleet.cluster().start_standby();
            fleet.storm.random_moment(&mut random).await;
            fail_over(fleet, standby, random.random());
            fleet.storm.random_moment(&mut random).await;
        }
    })
    .await;
}

/// Promotes a standby. The former primary is killed, or runs on for a moment and is cut off.
fn fail_over(fleet: &mut Fleet, standby: Cluster, runs_on: bool) {
    fleet.storm.outage_begins();
    if !runs_on {
        fleet.cluster().kill();
    }
    standby.promote();
    drop(fleet.redirect_to(standby));
}

/// Split brain: the address leads to the former primary again, which accepts commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_exit_when_a_former_primary_returns() {
    let mut fleet = Fleet::start_by_plan(plan(2)).await;
    let mut matches = fleet.create(0, 3).await;
    let standby = fleet.cluster().start_standby();
    standby.promote();
    let former = fleet.redirect_to(standby);
    fleet.wait_for_leases(fleet.len()).await;
    // Each replica writes events that the former primary lacks.
    for number in 0..fleet.len() {
        matches.extend(fleet.create(number, 3).await);
    }

    former.commit_on(None);
    let events = "SELECT count(*), max(position) FROM events";
    let before = former.sql(fleet.database(), events);
    let present = fleet.redirect_to(former);
    for number in 0..fleet.len() {
        assert_eq!(fleet.wait_for_exit(number).await, Some(BROKEN));
    }
    assert_eq!(fleet.sql(events), before, "a replica wrote to the former primary");

    drop(fleet.redirect_to(present));
    fleet.start_all();
    fleet.wait_until_polled_again(&matches, 1).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}
