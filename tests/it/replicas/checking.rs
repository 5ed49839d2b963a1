//! `facematch serve --check` on a database: it creates no table and takes no lease.

use crate::{
    checking::checked,
    postgres::shared,
    replicas::fleet::{Fleet, Plan},
    starting::with,
    support::TestServer,
};

/// What a check prints of a database, and its exit code.
async fn told(url: &str) -> (Option<i32>, String) {
    let house = TestServer::build().await;
    let (code, said, errors) = checked(&with(&house, "--store", Some(url)));
    (code, said + &errors)
}

#[tokio::test]
async fn an_empty_database_stays_empty() {
    let name = shared().create_database();
    let (code, said) = told(&shared().url(&name)).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("would create the journal in the database\n"), "{said}");
    let relations = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(shared().sql(&name, relations), "0");
}

#[tokio::test]
async fn a_journal_of_running_replicas_is_looked_at_and_left_alone() {
    let fleet = Fleet::start_by_plan(Plan { replicas: 1, ..Plan::default() }).await;
    let leases = fleet.sql("SELECT count(*) FROM incarnations");
    let (code, said) = told(&fleet.cluster().url(fleet.database())).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("would open the database\n"), "{said}");
    assert_eq!(fleet.sql("SELECT count(*) FROM incarnations"), leases);
    fleet.sql("DROP INDEX match_states_by_end");
    let (_, said) = told(&fleet.cluster().url(fleet.database())).await;
    assert!(said.contains("would open the database, and add columns or indexes to it\n"), "{said}");
    fleet.shut_down_all().await;
}

#[tokio::test]
async fn a_role_without_the_rights_of_a_replica_is_refused() {
    let fleet = Fleet::start_by_plan(Plan { replicas: 1, ..Plan::default() }).await;
    let (cluster, database) = (fleet.cluster(), fleet.database());
    let empty = cluster.create_database();
    let role = format!("reader_of_{empty}");
    let url = |database: &str| {
        let url = cluster.url(database);
        let (_, host) = url.split_once('@').expect("a user");
        format!("postgres://{role}@{host}")
    };
    cluster.sql(&empty, &format!("CREATE ROLE {role} LOGIN"));
    cluster.sql(&empty, "REVOKE CREATE ON SCHEMA public FROM public");
    for (database, why) in [
        (&*empty, "the role may not create tables in the schema public"),
        (database, "permission denied for table"),
    ] {
        let grant = format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}");
        cluster.sql(database, &grant);
        let (code, said) = told(&url(database)).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("facematch: --store: ") && said.contains(why), "{said}");
    }
    fleet.shut_down_all().await;
}

#[tokio::test]
async fn a_database_of_another_application_is_refused() {
    let name = shared().create_database();
    shared().sql(&name, "CREATE TABLE matches (winner text)");
    let (code, said) = told(&shared().url(&name)).await;
    assert_eq!(code, Some(1));
    assert!(said.starts_with("facematch: --store: ") && said.contains("not a FaceMatch journal"));
}
