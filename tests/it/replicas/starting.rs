//! What a database has to be like for a replica to start on it, and what becomes of one that gives
//! too few connections.

use futures_util::future::join_all;

use crate::{
    checker::{check_one_of_each, check_verdict},
    postgres::shared,
    replicas::{
        fleet::{Database, Fleet, Plan},
        unheard::bring_to_end,
    },
    starting::{assert_names, failing, with},
    support::{House, named, portrait_request},
};

/// What a replica needs to write, to renew its lease, to listen and to follow, and two readers of
/// the four that it would like.
const FEW: u32 = 7;

/// Matches at once.
const MATCHES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_replicas_that_start_at_once_on_an_empty_database_all_become_ready() {
    let fleet = Fleet::gather_as(Plan { replicas: 10, ..Plan::default() }).await;
    fleet.leases(10).await;
    let matches = join_all((0..10).map(|number| fleet.create(number, 1))).await.concat();
    assert_eq!(fleet.sql("SELECT count(*) FROM facematch_schema"), "1");
    assert_eq!(fleet.sql("SELECT count(*) FROM store"), "1");
    fleet.finish();
    fleet.check_finished(&matches).await;
    fleet.disband().await;
}

#[tokio::test]
async fn a_database_that_answers_before_it_is_safe_is_refused() {
    let name = shared().create_database();
    shared().sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    is_refused(&name, "synchronous_commit").await;
}

#[tokio::test]
async fn a_database_of_another_application_is_refused() {
    let name = shared().create_database();
    shared().sql(&name, "CREATE TABLE matches (winner text)");
    is_refused(&name, "not a FaceMatch journal").await;
    assert_eq!(shared().sql(&name, "SELECT count(*) FROM matches"), "0", "it is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused() {
    let fleet = Fleet::gather_as(Plan { replicas: 1, ..Plan::default() }).await;
    fleet.sql("UPDATE facematch_schema SET version = 99");
    is_refused(fleet.database(), "newer version").await;
    fleet.disband().await;
}

/// In one line that names the setting.
async fn is_refused(database: &str, why: &str) {
    let house = House::build().await;
    let said = failing(&with(&house, "--store", Some(&shared().url(database)))).await;
    assert_names(&said, "--store", why);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_gets_too_few_connections_says_so_and_loses_nothing() {
    let plan = Plan { replicas: 1, connections_max: Some(FEW), ..Plan::default() };
    let fleet = Fleet::gather_as(plan).await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let client = fleet.client(0).await;
    let runs = (0..MATCHES).map(|number| {
        let request = named(&number.to_string(), portrait_request(&fleet.folder()));
        bring_to_end(client.clone(), request)
    });
    for m in join_all(runs).await {
        check_one_of_each(fleet.oz(), &m);
        check_verdict(fleet.oz(), &m);
    }
    fleet.check_dense();
    fleet.disband().await;
}

#[tokio::test]
async fn a_replica_that_gets_no_connection_is_refused() {
    let narrow = Database::lay(false, Some(0));
    let house = House::build().await;
    let said = failing(&with(&house, "--store", Some(&narrow.url()))).await;
    assert_names(&said, "--store", "too many connections");
}
