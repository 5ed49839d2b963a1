//! Replicas over one PostgreSQL, whose clock counts for all of them.

use facematch::{
    pb::Match,
    simulator::{Endpoint, RecordedRequest},
};
use serde_json::json;
use tokio::time::timeout;
use tonic_health::pb::health_check_response::ServingStatus::NotServing;

use crate::{
    clocks::{HOUR, YEAR, check_created, shift::Shift},
    replicas::fleet::{Fleet, NEVER_MS, Plan},
    support::{PATIENCE, portrait_request, rule},
};

/// The replicas, by their clocks.
const AHEAD: usize = 0;
const BEHIND: usize = 1;
const RIGHT: usize = 2;

/// Matches that end by each of them.
const MATCHES: usize = 2;

/// A fleet with one replica for each of these clocks.
async fn gather(shifts: &[Shift], settings: Vec<(&'static str, &'static str)>) -> Fleet {
    let environments = shifts.iter().map(Shift::environment).collect();
    let plan = Plan { replicas: shifts.len(), settings, environments, ..Plan::default() };
    Fleet::gather_as(plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_a_year_ahead_and_a_year_behind_stamp_and_judge_by_the_clock_of_the_database() {
    let shifts = [Shift::by(YEAR), Shift::by(-YEAR), Shift::none()];
    let mut fleet = gather(&shifts, Vec::new()).await;
    let mut matches = Vec::new();
    for number in [AHEAD, BEHIND, RIGHT] {
        matches.extend(fleet.create(number, MATCHES).await);
    }
    matches.iter().for_each(|m| check_created(m, 0));
    fleet.finish();
    fleet.check_finished(&matches).await;

    // Each wrong replica is the only one that is left to take over.
    fleet.oz().switch(|switches| switches.processing_ms = NEVER_MS);
    let slow = fleet.create(RIGHT, MATCHES).await;
    fleet.kill(BEHIND);
    fleet.kill(RIGHT);
    fleet.polled_anew(&slow, 3).await;
    fleet.kill(AHEAD);
    fleet.start(BEHIND);
    fleet.polled_anew(&slow, 3).await;
    fleet.finish();
    fleet.check_finished(&slow).await;
    fleet.disband().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_a_year_ahead_and_a_year_behind_erase_what_has_expired_by_the_database_alone() {
    let shifts = [Shift::by(YEAR), Shift::by(-YEAR), Shift::none()];
    let mut fleet = gather(&shifts, Vec::new()).await;
    let mut matches = fleet.create(RIGHT, 2 * MATCHES).await;
    fleet.finish();
    fleet.check_finished(&matches).await;
    for number in [AHEAD, BEHIND, RIGHT] {
        fleet.stop(number).await;
    }
    for wrong in [AHEAD, BEHIND] {
        let expired = expire(&fleet);
        let left = format!("SELECT count(*) FROM match_states WHERE match_id = '{expired}'");
        fleet.start(wrong);
        fleet.sql_says(&left, "0").await;
        fleet.stop(wrong).await;
        matches.retain(|m| m.match_id != expired);
        let kept = fleet.sql("SELECT count(*) FROM match_states");
        assert_eq!(kept, matches.len().to_string(), "of those that have not expired");
    }
    fleet.start(RIGHT);
    fleet.check_finished(&matches).await;
    fleet.disband().await;
}

/// Has the retention of a match end, so that a round of housekeeping erases it, and all else that
/// has expired by the replica's clock with it. Returns its id.
fn expire(fleet: &Fleet) -> String {
    fleet.sql(
        "UPDATE match_states SET expire_time = end_time
         WHERE match_id = (SELECT match_id FROM match_states ORDER BY match_id LIMIT 1)
         RETURNING match_id",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_suspended_for_an_hour_changes_nothing_at_oz_under_its_former_lease() {
    let shifts = [Shift::none(), Shift::none()];
    let fleet = gather(&shifts, vec![("--lease", "1s")]).await;
    let mut matches = fleet.create(0, MATCHES).await;
    // It is suspended over uploads whose answers would have it start analyses.
    let slow = json!({"match": {"endpoint": "add_media"}, "then": {"answer_delay_ms": 1_000}});
    fleet.oz().script([rule(slow)]);
    let uploading = begin(&fleet, 0, Endpoint::AddMedia).await;
    fleet.process(0).pause().await;
    shifts[0].suspend(HOUR);
    fleet.oz().clear_rules();
    matches.extend(uploading);
    fleet.polled_anew(&matches, 2).await;

    fleet.oz().clear_record();
    fleet.process(0).resume();
    fleet.leases(2).await;
    fleet.polled(&matches, fleet.clock_ms(), 3).await;
    fleet.finish();
    fleet.check_finished(&matches).await;
    check_unchanged(&fleet);
    fleet.disband().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_while_the_machine_is_suspended() {
    let shifts = [Shift::none(), Shift::none()];
    // The clock of this database isn't suspended, so the deadlines are longer than the suspension.
    let settings = vec![("--lease", "5m"), ("--match-timeout", "24h")];
    let environments = shifts.iter().map(Shift::environment).collect();
    let plan =
        Plan { replicas: 2, links: true, roads: true, settings, environments, ..Plan::default() };
    let fleet = Fleet::gather_as(plan).await;
    let (held, elsewhere) = (fleet.create(0, MATCHES).await, fleet.create(1, MATCHES).await);
    // It is suspended over the answer upon which it would upload a photo.
    let slow = json!({"match": {"endpoint": "get_folder"}, "then": {"answer_delay_ms": 1_000}});
    fleet.oz().script([rule(slow)]);
    let uploading = begin(&fleet, 0, Endpoint::GetFolder).await;
    fleet.process(0).pause().await;
    shifts[0].suspend(HOUR);
    fleet.link(0).refuse();
    fleet.link(0).cut();
    fleet.oz().clear_rules();
    answered(&fleet, &uploading, Endpoint::GetFolder).await;

    // Its lease stands for minutes more, by all clocks but the one that counts suspensions.
    fleet.oz().clear_record();
    fleet.process(0).resume();
    fleet.health_says(0, NotServing).await;
    // What was under way is over by then.
    fleet.polled(&elsewhere, 0, 5).await;
    let asked = fleet.road(0).asked();
    fleet.polled(&elsewhere, fleet.clock_ms(), 10).await;
    assert_eq!(fleet.road(0).asked(), asked, "it goes on at Oz");
    check_unchanged(&fleet);
    fleet.link(0).heal();
    fleet.polled_anew(&held, 2).await;
    fleet.finish();
    fleet.check_finished(&[held, elsewhere, uploading].concat()).await;
    fleet.disband().await;
}

/// Begins matches at a replica, and returns once Oz is asked this of each.
async fn begin(fleet: &Fleet, number: usize, endpoint: Endpoint) -> Vec<Match> {
    let (mut client, mut matches) = (fleet.client(number).await, Vec::new());
    for _ in 0..MATCHES {
        let m = client.create_match(portrait_request(&fleet.folder())).await;
        matches.push(m.unwrap().into_inner());
    }
    recorded(fleet, &matches, |r| r.endpoint == endpoint).await;
    matches
}

/// Waits until Oz has answered this of each match.
async fn answered(fleet: &Fleet, matches: &[Match], endpoint: Endpoint) {
    recorded(fleet, matches, |r| r.endpoint == endpoint && r.answered_at_ms.is_some()).await;
}

/// Waits until such a request of each match is in Oz's record.
async fn recorded(fleet: &Fleet, matches: &[Match], fits: impl Fn(&RecordedRequest) -> bool) {
    let is_of = |r: &RecordedRequest, m: &Match| {
        r.folder.is_some_and(|folder| folder.to_string() == m.folder_id)
    };
    let of_each = |all: &[RecordedRequest]| {
        matches.iter().all(|m| all.iter().any(|r| is_of(r, m) && fits(r)))
    };
    let recorded = timeout(PATIENCE, fleet.oz().recorded(of_each)).await;
    recorded.expect("Oz is asked of each");
}

/// Checks that nothing of Oz's record changed what Oz holds of a match.
fn check_unchanged(fleet: &Fleet) {
    let is_change = |r: &RecordedRequest| r.folder.is_some() && r.method != "GET";
    let changes: Vec<_> = fleet.oz().record().into_iter().filter(is_change).collect();
    assert!(changes.is_empty(), "{changes:?}");
}
