//! The conditions under which a replica starts on a database, and databases with too few
//! connections.

use futures_util::future::join_all;

use crate::{
    checker::{check_one_photo_and_one_analysis, check_verdict},
    postgres::shared,
    replicas::{
        fleet::{Database, Fleet, Plan},
        lost_messages::run_to_end,
    },
    starting::{assert_names, failing, with},
    support::{TestServer, portrait_request, with_request_id},
};

/// Fewer connections than a replica opens: enough for the writer, the lease, the listener and the
/// tail, and for some readers.
const TOO_FEW_CONNECTIONS: u32 = 7;

/// Concurrent matches.
const MATCHES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_replicas_that_start_together_on_an_empty_database_become_ready() {
    let fleet = Fleet::start_by_plan(Plan { replicas: 10, ..Plan::default() }).await;
    fleet.wait_for_leases(10).await;
    let matches = join_all((0..10).map(|number| fleet.create(number, 1))).await.concat();
    assert_eq!(fleet.sql("SELECT count(*) FROM facematch_schema"), "1");
    assert_eq!(fleet.sql("SELECT count(*) FROM store"), "1");
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test]
async fn a_database_without_synchronous_commits_is_refused() {
    let name = shared().create_database();
    shared().sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    is_refused(&name, "synchronous_commit").await;
}

#[tokio::test]
async fn a_database_of_another_application_is_refused() {
    let name = shared().create_database();
    shared().sql(&name, "CREATE TABLE matches (winner text)");
    is_refused(&name, "not a FaceMatch journal").await;
    assert_eq!(shared().sql(&name, "SELECT count(*) FROM matches"), "0", "it was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused() {
    let fleet = Fleet::start_by_plan(Plan { replicas: 1, ..Plan::default() }).await;
    fleet.sql("UPDATE facematch_schema SET version = 99");
    is_refused(fleet.database(), "newer version").await;
    fleet.shut_down_all().await;
}

/// Checks that a start is refused with one line that names the setting.
async fn is_refused(database: &str, why: &str) {
    let house = TestServer::build().await;
    let said = failing(&with(&house, "--store", Some(&shared().url(database)))).await;
    assert_names(&said, "--store", why);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_too_few_connections_loses_no_match() {
    let plan = Plan { replicas: 1, connections_max: Some(TOO_FEW_CONNECTIONS), ..Plan::default() };
    let fleet = Fleet::start_by_plan(plan).await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let client = fleet.client(0).await;
    let runs = (0..MATCHES).map(|number| {
        let request = with_request_id(&number.to_string(), portrait_request(&fleet.folder()));
        run_to_end(client.clone(), request)
    });
    for m in join_all(runs).await {
        check_one_photo_and_one_analysis(fleet.oz(), &m);
        check_verdict(fleet.oz(), &m);
    }
    fleet.check_dense();
    fleet.shut_down_all().await;
}

#[tokio::test]
async fn a_start_without_any_connection_is_refused() {
    let narrow = Database::create_matches(false, Some(0));
    let house = TestServer::build().await;
    let said = failing(&with(&house, "--store", Some(&narrow.url()))).await;
    assert_names(&said, "--store", "too many connections");
}
