//! A replica that starts on a hanging database: it fails with one line, and a signal stops it at
//! once.

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection, raw_sql};

use crate::{
    postgres::shared,
    replicas::fleet::{Fleet, Plan},
    starting::{assert_names, assert_stopped, failing, stopped, with},
    support::TestServer,
};

/// After how many answers the database falls silent: while the replica connects, creates the
/// tables, or registers itself.
const ANSWERS: [usize; 3] = [2, 16, 26];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_is_reported_in_one_line() {
    let house = &TestServer::build().await;
    join_all(ANSWERS.map(|nth| async move {
        let (link, name) = (shared().link(), shared().create_database());
        link.silence_at(nth);
        let said = failing(&with(house, "--store", Some(&link.url(&name)))).await;
        assert!(link.is_silent());
        let last = said.lines().last().expect("a line");
        assert_names(last, "--store", "timed out");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_stops_at_once_while_the_database_is_silent() {
    let house = &TestServer::build().await;
    join_all(ANSWERS.map(|nth| async move {
        let (link, name) = (shared().link(), shared().create_database());
        link.silence_at(nth);
        let settings = with(house, "--store", Some(&link.url(&name)));
        let (status, said) = stopped(&settings, || link.is_silent()).await;
        assert_stopped(status, &said);
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_stopped_while_it_claims_matches_leaves_them_to_others() {
    let mut fleet = Fleet::start_by_plan(Plan { replicas: 2, ..Plan::default() }).await;
    let matches = fleet.create(0, 3).await;
    fleet.stop(0).await;
    fleet.stop(1).await;
    let mut other =
        PgConnection::connect(&shared().url(fleet.database())).await.expect("it connects");
    let lock = "BEGIN; LOCK TABLE match_states IN ACCESS EXCLUSIVE MODE";
    raw_sql(lock).execute(&mut other).await.expect("it is locked");
    let claiming = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database() AND query LIKE '%WITH RECURSIVE owners%'";
    let house = TestServer::build().await;
    let mut settings = with(&house, "--store", Some(&shared().url(fleet.database())));
    settings.retain(|(flag, _)| *flag != "--listen");
    settings.push(("--listen", "127.0.0.1:0".to_owned()));
    let (status, said) = stopped(&settings, || fleet.sql(claiming) != "0").await;
    assert_stopped(status, &said);
    assert_eq!(fleet.sql("SELECT count(*) FROM leases"), "0", "the lease is not deleted");
    other.close().await.expect("it is closed");
    fleet.start_all();
    fleet.wait_until_polled_again(&matches, 1).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}
