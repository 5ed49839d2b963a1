//! Replicas over one PostgreSQL, whose clock is authoritative for all of them.

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

/// How late Oz answers the requests during which a replica is suspended: longer than a busy machine
/// takes to suspend it.
const ANSWER_DELAY_MS: u64 = 5_000;

/// The replicas' numbers, by their clocks.
const AHEAD: usize = 0;
const BEHIND: usize = 1;
const RIGHT: usize = 2;

/// Matches per replica or step.
const MATCHES: usize = 2;

/// A fleet with one replica per clock.
async fn gather(shifts: &[Shift], settings: Vec<(&'static str, &'static str)>) -> Fleet {
    let environments = shifts.iter().map(Shift::environment).collect();
    let plan = Plan { replicas: shifts.len(), settings, environments, ..Plan::default() };
    Fleet::start_by_plan(plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_a_year_ahead_and_a_year_behind_take_all_times_from_the_database() {
    let shifts = [Shift::by(YEAR), Shift::by(-YEAR), Shift::none()];
    let mut fleet = gather(&shifts, Vec::new()).await;
    let mut matches = Vec::new();
    for number in [AHEAD, BEHIND, RIGHT] {
        matches.extend(fleet.create(number, MATCHES).await);
    }
    matches.iter().for_each(|m| check_created(m, 0));
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;

    // Each replica with a wrong clock is in turn the only replica left to take over.
    fleet.oz().switch(|switches| switches.processing_ms = NEVER_MS);
    let slow = fleet.create(RIGHT, MATCHES).await;
    fleet.kill(BEHIND);
    fleet.kill(RIGHT);
    fleet.wait_until_polled_again(&slow, 3).await;
    fleet.kill(AHEAD);
    fleet.start(BEHIND);
    fleet.wait_until_polled_again(&slow, 3).await;
    fleet.end_all_analyses();
    fleet.check_finished(&slow).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_a_year_ahead_and_a_year_behind_erase_by_the_database_clock_alone() {
    let shifts = [Shift::by(YEAR), Shift::by(-YEAR), Shift::none()];
    let mut fleet = gather(&shifts, Vec::new()).await;
    let mut matches = fleet.create(RIGHT, 2 * MATCHES).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    for number in [AHEAD, BEHIND, RIGHT] {
        fleet.stop(number).await;
    }
    for wrong in [AHEAD, BEHIND] {
        let expired = expire(&fleet);
        let left = format!("SELECT count(*) FROM match_states WHERE match_id = '{expired}'");
        fleet.start(wrong);
        fleet.wait_for_sql(&left, "0").await;
        fleet.stop(wrong).await;
        matches.retain(|m| m.match_id != expired);
        let kept = fleet.sql("SELECT count(*) FROM match_states");
        assert_eq!(kept, matches.len().to_string(), "an unexpired match is erased");
    }
    fleet.start(RIGHT);
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

/// Ends the retention of one match, so that a round of housekeeping erases it, and would erase
/// every match that has expired by the replica's clock. Returns its id.
fn expire(fleet: &Fleet) -> String {
    fleet.sql(
        "UPDATE match_states SET expire_time = end_time
         WHERE match_id = (SELECT match_id FROM match_states ORDER BY match_id LIMIT 1)
         RETURNING match_id",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_suspended_for_an_hour_changes_nothing_at_oz_under_its_old_lease() {
    let shifts = [Shift::none(), Shift::none()];
    let fleet = gather(&shifts, vec![("--lease", "1s")]).await;
    let mut matches = fleet.create(0, MATCHES).await;
    // The replica is suspended during uploads whose responses would make it start analyses.
    let slow =
        json!({"match": {"endpoint": "add_media"}, "then": {"answer_delay_ms": ANSWER_DELAY_MS}});
    fleet.oz().script([rule(slow)]);
    let uploading = begin(&fleet, 0, Endpoint::AddMedia).await;
    fleet.process(0).pause().await;
    shifts[0].suspend(HOUR);
    fleet.oz().clear_rules();
    matches.extend(uploading);
    fleet.wait_until_polled_again(&matches, 2).await;

    fleet.oz().clear_record();
    fleet.process(0).resume();
    fleet.wait_for_leases(2).await;
    fleet.wait_until_polled(&matches, fleet.clock_ms(), 3).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    check_unchanged(&fleet);
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_while_the_machine_is_suspended() {
    let shifts = [Shift::none(), Shift::none()];
    // The database's clock isn't suspended, so the matches' deadlines exceed the suspension.
    let settings = vec![("--lease", "5m"), ("--match-timeout", "24h")];
    let environments = shifts.iter().map(Shift::environment).collect();
    let plan = Plan {
        replicas: 2,
        links: true,
        oz_proxies: true,
        settings,
        environments,
        ..Plan::default()
    };
    let fleet = Fleet::start_by_plan(plan).await;
    let (held, elsewhere) = (fleet.create(0, MATCHES).await, fleet.create(1, MATCHES).await);
    // The replica is suspended before the response that would make it upload a photo.
    let slow =
        json!({"match": {"endpoint": "get_folder"}, "then": {"answer_delay_ms": ANSWER_DELAY_MS}});
    fleet.oz().script([rule(slow)]);
    let uploading = begin(&fleet, 0, Endpoint::GetFolder).await;
    fleet.process(0).pause().await;
    shifts[0].suspend(HOUR);
    fleet.link(0).cut_off();
    fleet.oz().clear_rules();
    answered(&fleet, &uploading, Endpoint::GetFolder).await;

    // By every clock that doesn't count suspensions, its lease has minutes left.
    fleet.oz().clear_record();
    fleet.process(0).resume();
    fleet.wait_for_health(0, NotServing).await;
    // By then the requests in flight have ended.
    fleet.wait_until_polled(&elsewhere, 0, 5).await;
    let asked = fleet.oz_proxy(0).activity();
    fleet.wait_until_polled(&elsewhere, fleet.clock_ms(), 10).await;
    assert_eq!(fleet.oz_proxy(0).activity(), asked, "the replica still sends requests to Oz");
    check_unchanged(&fleet);
    fleet.link(0).heal();
    fleet.wait_until_polled_again(&held, 2).await;
    fleet.end_all_analyses();
    fleet.check_finished(&[held, elsewhere, uploading].concat()).await;
    fleet.shut_down_all().await;
}

/// Creates matches at a replica, and returns once Oz has got a request to `endpoint` for each.
async fn begin(fleet: &Fleet, number: usize, endpoint: Endpoint) -> Vec<Match> {
    let (mut client, mut matches) = (fleet.client(number).await, Vec::new());
    for _ in 0..MATCHES {
        let m = client.create_match(portrait_request(&fleet.folder())).await;
        matches.push(m.unwrap().into_inner());
    }
    recorded(fleet, &matches, |r| r.endpoint == endpoint).await;
    matches
}

/// Waits until Oz has answered a request to `endpoint` for each match.
async fn answered(fleet: &Fleet, matches: &[Match], endpoint: Endpoint) {
    recorded(fleet, matches, |r| r.endpoint == endpoint && r.answered_at_ms.is_some()).await;
}

/// Waits until Oz's record holds a fitting request for each match.
async fn recorded(fleet: &Fleet, matches: &[Match], fits: impl Fn(&RecordedRequest) -> bool) {
    let is_of = |r: &RecordedRequest, m: &Match| {
        r.folder.is_some_and(|folder| folder.to_string() == m.folder_id)
    };
    let of_each = |all: &[RecordedRequest]| {
        matches.iter().all(|m| all.iter().any(|r| is_of(r, m) && fits(r)))
    };
    let recorded = timeout(PATIENCE, fleet.oz().recorded(of_each)).await;
    recorded.expect("Oz gets a request for each match");
}

/// Checks that no request in Oz's record changed a folder.
fn check_unchanged(fleet: &Fleet) {
    let is_change = |r: &RecordedRequest| r.folder.is_some() && r.method != "GET";
    let changes: Vec<_> = fleet.oz().record().into_iter().filter(is_change).collect();
    assert!(changes.is_empty(), "{changes:?}");
}
