//! A replica that is cut off from the database but not from Oz, and the reverse.

use facematch::pb::ListMatchesRequest;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::{
    postgres::Link,
    replicas::fleet::{Fleet, Plan},
    support::{cancel, get, portrait_request, watch, with_request_id},
};

/// Matches per replica.
const MATCHES: usize = 6;

fn plan() -> Plan {
    Plan { links: true, oz_proxies: true, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_from_the_database_is_replaced() {
    is_replaced(Link::cut_off).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_whose_database_link_is_silent_is_replaced() {
    is_replaced(Link::silence).await;
}

/// Checks that other replicas take over and that the cut-off one sends Oz no request until the
/// link heals.
async fn is_replaced(harm: impl FnOnce(&Link)) {
    let fleet = Fleet::start_by_plan(plan()).await;
    let matches = [fleet.create(0, MATCHES).await, fleet.create(1, MATCHES).await].concat();
    harm(fleet.link(0));
    fleet.wait_for_health(0, NotServing).await;
    check_all_unavailable(&fleet, &matches[0].match_id).await;
    // The replica considers its lease lost before the others take its matches over.
    fleet.wait_for_leases(2).await;
    let asked = fleet.oz_proxy(0).activity();
    fleet.wait_until_polled_again(&matches, 10).await;
    assert_eq!(fleet.oz_proxy(0).activity(), asked, "the replica still sends requests to Oz");
    fleet.wait_for_health(1, Serving).await;

    fleet.link(0).heal();
    fleet.wait_for_health(0, Serving).await;
    fleet.wait_for_leases(3).await;
    let fresh = fleet.create(0, 1).await;
    fleet.end_all_analyses();
    fleet.check_finished(&[matches, fresh].concat()).await;
    fleet.shut_down_all().await;
}

/// Checks that every call that needs the store fails as unavailable, with a retry delay.
async fn check_all_unavailable(fleet: &Fleet, match_id: &str) {
    let client = fleet.client(0).await;
    let client = || client.clone();
    let request = with_request_id("cut off", portrait_request(&fleet.folder()));
    let all = ListMatchesRequest::default;
    let watching = async {
        let mut updates = client().watch_match(watch(match_id)).await?.into_inner();
        while updates.message().await?.is_some() {}
        Ok(())
    };
    tokio::join!(
        fleet.check_unavailable(async { client().get_match(get(match_id)).await }),
        fleet.check_unavailable(async { client().run_match(request.clone()).await }),
        fleet.check_unavailable(async { client().create_match(request.clone()).await }),
        fleet.check_unavailable(async { client().cancel_match(cancel(match_id)).await }),
        fleet.check_unavailable(async { client().list_matches(all()).await }),
        fleet.check_unavailable(watching),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_from_oz_keeps_its_matches_and_resumes_later() {
    let fleet = Fleet::start_by_plan(plan()).await;
    let stuck = fleet.create(0, MATCHES).await;
    let others = fleet.create(1, MATCHES).await;
    fleet.oz_proxy(0).cut_off();
    let asked = fleet.oz_proxy(0).activity();
    let attempts = "SELECT count(*) FROM events WHERE body LIKE '%ttempt%'";
    fleet.wait_for_sql(attempts, &MATCHES.to_string()).await;
    fleet.wait_until_polled_again(&others, 20).await;
    assert!(fleet.polls(0).keys().all(|folder| others.iter().any(|m| m.folder_id == *folder)));
    println!(
        "cut off: {} attempts of {MATCHES} matches in 2 s",
        fleet.oz_proxy(0).activity() - asked
    );
    fleet.wait_for_health(0, Serving).await;
    fleet.oz_proxy(0).heal();
    fleet.wait_until_polled_again(&stuck, 2).await;
    fleet.end_all_analyses();
    fleet.check_finished(&[stuck, others].concat()).await;
    fleet.shut_down_all().await;
}
