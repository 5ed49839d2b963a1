//! A storm of real kills over a fleet: replicas and their database are killed and restarted.
//!
//! `FACEMATCH_REPLICA_KILLS` and `FACEMATCH_DATABASE_KILLS` set the numbers of kills,
//! `FACEMATCH_SEED` the random choices.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    callers::{self, Tally, caller::Caller, storm::faulty_oz},
    invariants::{Difference, UpdateKey},
    replicas::{
        fleet::{Fleet, Plan},
        follower::Follower,
    },
    support::size_from_env,
};

/// Concurrent callers, each of which runs one match after another.
const CALLERS: u64 = 12;

/// Followers of all matches.
const FOLLOWERS: u64 = 2;

/// The defaults of `FACEMATCH_REPLICA_KILLS` and `FACEMATCH_DATABASE_KILLS`.
const KILLS: u64 = 20;
const DATABASE_KILLS: u64 = 3;

/// One kill in this many hits all replicas.
const ALL_EACH: u32 = 8;

/// What is killed next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kill {
    Replica,
    Database,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_over_replicas_loses_no_match_and_doubles_nothing() {
    let kills = size_from_env("FACEMATCH_REPLICA_KILLS", KILLS);
    let outages = size_from_env("FACEMATCH_DATABASE_KILLS", DATABASE_KILLS);
    let seed = size_from_env("FACEMATCH_SEED", rand::random());
    println!(
        "FACEMATCH_REPLICA_KILLS={kills} FACEMATCH_DATABASE_KILLS={outages} FACEMATCH_SEED={seed}"
    );
    let plan = Plan { own_cluster: true, ..Plan::default() };
    let blows = blows(kills, outages, seed);
    let what = format!("replica kills: {kills}, database kills: {outages}");
    run_storm(plan, seed, &what, async |fleet| rage(fleet, blows, seed).await).await;
}

/// Runs callers and followers at a fleet while `rage` disturbs it, and checks their matches.
pub async fn run_storm(plan: Plan, seed: u64, what: &str, rage: impl AsyncFnOnce(&mut Fleet)) {
    let mut fleet = Fleet::start_with_oz(faulty_oz(seed).await, plan).await;
    let (mut callers, mut followers) = (JoinSet::new(), JoinSet::new());
    let in_all = watch::Sender::new(None);
    for number in 0..CALLERS {
        callers.spawn(Caller::new(number, seed, &fleet.storm).run_until_quiet());
    }
    for number in 0..FOLLOWERS {
        followers.spawn(Follower::new(seed + number, &fleet.storm).run(in_all.subscribe()));
    }
    tokio::select! {
        () = rage(&mut fleet) => fleet.storm.storm_is_over(),
        Some(early) = callers.join_next() => panic!("a caller ended early: {early:?}"),
        Some(early) = followers.join_next() => panic!("a follower ended early: {early:?}"),
    }
    let ended = callers::gather(callers).await;
    let events = events(&fleet);
    in_all.send_replace(Some(events.len()));
    let mut found = Difference::default();
    for seen in followers.join_all().await {
        found.add(Difference::of(&seen, &events));
    }
    let listed = callers::list(&mut fleet.client(0).await).await;
    let tally = Tally::of(fleet.oz(), &ended, &listed);
    let Tally { matches, cancelled, lost, doubled } = tally;
    let gaps = fleet.gaps();
    println!(
        "{what}, matches: {matches}, cancelled: {cancelled}, lost: {lost}, doubled: {doubled}, \
         gaps: {gaps}, updates checked: {}, followed: {}, missing: {}, repeated: {}",
        fleet.storm.updates_seen(),
        events.len() as u64 * FOLLOWERS,
        found.missing,
        found.repeated,
    );
    assert_eq!((lost, doubled, gaps), (0, 0, 0), "the seed is {seed}");
    assert_eq!(found, Difference::default(), "the seed is {seed}");
    ended.iter().for_each(|ended| callers::check(fleet.oz(), ended));
    fleet.shut_down_all().await;
}

/// The kills of both kinds, in random order.
fn blows(kills: u64, outages: u64, seed: u64) -> Vec<Kill> {
    let kinds = [(Kill::Replica, kills), (Kill::Database, outages)];
    let mut blows: Vec<_> =
        kinds.into_iter().flat_map(|(blow, times)| (0..times).map(move |_| blow)).collect();
    blows.shuffle(&mut StdRng::seed_from_u64(seed));
    blows
}

/// Kills at random moments, and restarts after each.
async fn rage(fleet: &mut Fleet, blows: Vec<Kill>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut blows = blows.into_iter().peekable();
    while let Some(blow) = blows.next() {
        fleet.storm.random_moment(&mut random).await;
        let victim = random.random_range(0..fleet.len());
        match blow {
            Kill::Replica => fleet.kill(victim),
            Kill::Database => {
                fleet.storm.outage_begins();
                fleet.cluster().kill();
            }
        }
        // Sometimes kills all replicas together.
        if blow == Kill::Replica && random.random_ratio(1, ALL_EACH) {
            let others = (0..fleet.len()).filter(|number| *number != victim).collect::<Vec<_>>();
            for number in others {
                if blows.next_if_eq(&Kill::Replica).is_some() {
                    fleet.kill(number);
                }
            }
        }
        if blow == Kill::Database {
            if blows.next_if_eq(&Kill::Replica).is_some() {
                fleet.kill(victim);
            }
            fleet.cluster().start_again();
        }
        fleet.start_all();
    }
}

/// All events in the database, by position.
fn events(fleet: &Fleet) -> Vec<UpdateKey<String>> {
    let rows = fleet.sql("SELECT match_id, sequence FROM events ORDER BY position");
    let place = |row: &str| {
        let (id, sequence) = row.split_once('|').expect("two columns");
        (id.to_owned(), sequence.parse().expect("a number"))
    };
    rows.lines().map(place).collect()
}
