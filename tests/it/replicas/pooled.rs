//! PgBouncer between the replicas and their database.

use crate::{
    postgres::{Mode, shared},
    replicas::fleet::{Fleet, Plan},
    starting::{assert_names, failing, with},
    support::TestServer,
};

/// Matches per replica.
const MATCHES: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_work_through_a_pooler_in_session_mode() {
    let mut fleet = Fleet::start_by_plan(Plan { pooled: true, ..Plan::default() }).await;
    fleet.wait_for_leases(fleet.len()).await;
    let mut matches = fleet.create(0, MATCHES).await;
    matches.extend(fleet.create(1, MATCHES).await);
    let listening = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    fleet.wait_for_sql(listening, &fleet.len().to_string()).await;
    fleet.kill(0);
    fleet.wait_for_leases(fleet.len() - 1).await;
    fleet.wait_until_polled_again(&matches, 1).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_shares_sessions_is_refused_in_one_line() {
    let house = TestServer::build().await;
    for mode in [Mode::Transaction, Mode::Statement] {
        let name = shared().create_database();
        let pooler = shared().pooler(mode, 20);
        let said = failing(&with(&house, "--store", Some(&pooler.url(&name)))).await;
        assert_names(&said, "--store", "set pool_mode = session");
        let tables =
            shared().sql(&name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
        assert_eq!(tables, "0", "the database was changed");
    }
}
