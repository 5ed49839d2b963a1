//! Lists over a database with very many matches: their cost, and that no other read waits for them.

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Row};

use super::*;
use crate::{
    domain::State,
    journal::{
        Chore, Filter, Key,
        listing::{at_once, testing::prepared},
        postgres::{
            connect::{self, Database},
            lists::PLANNING,
            schema::MIGRATIONS,
        },
        suite::crowd::{self, PATIENCE, cases, crowd},
    },
};

/// Twenty times the matches that a page may look at. The environment may set another number: the
/// cost of a page is the same.
const USUAL: u64 = 40_000;

/// How many matches are entered into the indexes at once: few enough for a busy machine, where one
/// statement for the whole crowd would run out of time.
const PAGE: usize = 1_000;

/// The most rows that may pass through all steps of one statement's plan: some ten for each row
/// that is looked at. A plan that reads the whole crowd has many more.
const ROWS_MAX: u64 = 12_000;

/// A database of the first version with a crowd in it, as a replica of that version left it.
pub(super) async fn old_database(count: u64) -> String {
    let database = shared().create_database();
    let mut connection = PgConnection::connect(&shared().url(&database)).await.unwrap();
    raw_sql(MIGRATIONS[0]).execute(&mut connection).await.unwrap();
    fill(&mut connection, &crowd(0, count)).await;
    database
}

pub(super) async fn fill(connection: &mut PgConnection, crowd: &crate::crowd::Crowd) {
    raw_sql(AssertSqlSafe(crowd.postgres())).execute(connection).await.unwrap();
}

/// Both as an older version left the database, and once its matches are entered into the indexes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_of_an_old_database_is_exact_and_costs_what_its_page_costs() {
    let crowd = crowd(0, crate::crowd::count(USUAL));
    let database = old_database(crowd.count).await;
    let mut served = open(&database, START).await;
    check(&served, &crowd).await;
    let (count, mut entered) = (crowd.count as usize, 0);
    while entered < count {
        let page = served.journal().tidy(Chore::Enlist, PAGE).await.unwrap();
        assert!(page > 0, "{entered} of {count} are entered");
        entered += page;
    }
    assert_eq!(served.journal().tidy(Chore::Enlist, PAGE).await.unwrap(), 0);
    check(&served, &crowd).await;
    // Autovacuum does this sooner or later.
    shared().sql(&database, "ANALYZE");
    let most = check(&served, &crowd).await;
    println!("lists: {count} matches in PostgreSQL, at most {most} rows of a plan for a statement");
    served.close().await;
}

/// Checks every list, and returns the most rows that passed through a plan.
async fn check(served: &Served, crowd: &crate::crowd::Crowd) -> u64 {
    crowd::check(served.journal(), crowd, |_, _, _| async {}).await;
    let mut connection = planning(&served.database).await;
    let mut most = 0;
    for case in cases(crowd) {
        let [prepare, explain] =
            prepared(&case.filter, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)");
        raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
        let plan = lines(&mut connection, explain).await;
        let rows: u64 = plan.iter().map(|line| passed(line)).sum();
        assert!(rows <= ROWS_MAX, "{:?}: {rows} rows: {plan:#?}", case.filter);
        most = most.max(rows);
    }
    most
}

/// A connection with the planner settings of lists.
async fn planning(database: &str) -> PgConnection {
    let database = Database::parse(&shared().url(database).into(), None).unwrap();
    let mut connection = database.connect().await.unwrap();
    connect::apply_settings(&mut connection, &PLANNING).await.unwrap();
    connection
}

pub(super) async fn lines(connection: &mut PgConnection, explain: String) -> Vec<String> {
    let rows = raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.try_get(0).unwrap()).collect()
}

/// How many rows a line of a plan reports.
pub(super) fn passed(line: &str) -> u64 {
    let number = |after: &str| -> Option<f64> {
        let rest = line.split_once(after)?.1.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    let rows = number("actual rows=").or_else(|| number("Rows Removed by Filter:"));
    (rows.unwrap_or(0.0) * number("loops=").unwrap_or(1.0)) as u64
}

/// Matches that the older version writes meanwhile are listed by the newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_an_older_version_keep_writing_beside_newer_ones() {
    let database = old_database(10).await;
    let mut served = open(&database, START).await;
    let version = shared().sql(&database, "SELECT max(version) FROM facematch_schema");
    assert_eq!(version, "1", "a replica of the older version could not start again");
    assert_eq!(served.journal().tidy(Chore::Enlist, 100).await.unwrap(), 10);
    let mut older = PgConnection::connect(&shared().url(&database)).await.unwrap();
    fill(&mut older, &crowd(10, 10)).await;
    crowd::check(served.journal(), &crowd(0, 20), |_, _, _| async {}).await;
    assert_eq!(served.journal().tidy(Chore::Enlist, 100).await.unwrap(), 10);
    served.close().await;
}

/// Without its index a list would read the whole store. Checked in an empty database: a plan that
/// is made there is kept for the life of its connection.
#[tokio::test]
async fn every_list_is_found_by_an_index() {
    let mut served = Served::create().await;
    let mut connection = planning(&served.database).await;
    for case in cases(&crowd(0, 100)) {
        let [prepare, explain] = prepared(&case.filter, "EXPLAIN (COSTS OFF)");
        raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
        let plan = lines(&mut connection, explain).await.join("\n");
        let is_odd =
            ["Seq Scan", "Bitmap", "Hash", "Merge Join"].iter().any(|it| plan.contains(it));
        // PostgreSQL doesn't stop an index scan at a bound that a later column decides.
        let is_odd =
            is_odd || plan.lines().any(|it| it.contains("Index Cond") && it.contains(">= ROW"));
        let expected = expected(&case.filter);
        assert!(!is_odd && plan.contains(expected), "{:?}: {expected}? {plan}", case.filter);
    }
    served.close().await;
}

/// The index that a filter has to start from.
fn expected(filter: &Filter) -> &'static str {
    let (has_ended, runs): (Vec<State>, Vec<State>) =
        filter.states.iter().partition(|state| state.has_ended());
    match filter {
        Filter { folder_id: Some(_), .. } => "Backward using matches_by_folder",
        Filter { labels, .. }
            if !labels.is_empty() && (runs.is_empty() || !has_ended.is_empty()) =>
        {
            "Backward using match_labels_pkey"
        }
        _ if !has_ended.is_empty() => "Backward using match_states_by_end",
        _ if !runs.is_empty() => "Backward using match_states_unfinished_by_caller",
        _ => "Backward using matches_by_caller",
    }
}

/// Forty lists wait for permits meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_look_up_and_no_health_check_waits_for_lists() {
    let served = Served::create().await;
    let (journal, tenant) = (served.journal(), anna());
    let (id, filter) = (match_id(0, 1), Filter::default());
    run(&served, id, plain_spec(), [uploaded()]).await;
    let mut endless: Vec<_> = (0..at_once()).map(|_| Box::pin(journal.0.lists.endless())).collect();
    for list in &mut endless {
        assert!(futures_util::poll!(list).is_pending());
    }
    let mut waiting = Box::pin(join_all((0..40).map(|_| journal.list(&tenant, &filter, None, 9))));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    for _ in 0..100 {
        assert!(journal.find(&tenant, &Key::Match(id)).await.unwrap().is_some());
        assert_eq!(journal.events(id).await.unwrap().len(), 2);
        journal.ping().await.unwrap();
    }
    drop(endless);
    for listed in tokio::time::timeout(PATIENCE, waiting).await.unwrap() {
        assert_eq!(listed.unwrap().matches.len(), 1);
    }
}

/// Forty reads wait for a lock that is never released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_pass_while_all_reads_are_stuck() {
    let served = Served::create().await;
    let mut other = PgConnection::connect(&shared().url(&served.database)).await.unwrap();
    raw_sql("BEGIN; LOCK TABLE events").execute(&mut other).await.unwrap();
    let journal = served.journal();
    let mut stuck = Box::pin(join_all((0..40).map(|_| journal.events(match_id(0, 1)))));
    assert!(futures_util::poll!(&mut stuck).is_pending());
    for _ in 0..20 {
        journal.ping().await.unwrap();
    }
    raw_sql("COMMIT").execute(&mut other).await.unwrap();
    for read in stuck.await {
        assert_eq!(read.unwrap(), []);
    }
}

/// The statement is cancelled in the database, long before its own timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_abandoned_stops_in_the_database() {
    const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep%'
            AND pid <> pg_backend_pid()";
    let served = Served::create().await;
    let lists = &served.journal().0.lists;
    for _ in 0..3 {
        let mut endless: Vec<_> = (0..at_once()).map(|_| Box::pin(lists.endless())).collect();
        let sleeping = until("all lists run", || {
            shared().sql(&served.database, SLEEPING) == at_once().to_string()
        });
        tokio::select! {
            _ = join_all(endless.iter_mut()) => panic!("an endless list ended"),
            () = sleeping => {}
        }
        assert_eq!(lists.free(), 0);
        drop(endless);
        until("all lists have stopped", || lists.free() == at_once()).await;
        assert_eq!(shared().sql(&served.database, SLEEPING), "0");
        let listed = served.journal().list(&anna(), &Filter::default(), None, 9).await;
        assert_eq!(listed.unwrap().matches, []);
    }
}

/// After a restart of the database each connection is found dead once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_use_new_connections_if_theirs_are_dead() {
    let served = Served::create().await;
    let filter = Filter::default();
    let tenant = anna();
    for _ in 0..2 {
        let list = || served.journal().list(&tenant, &filter, None, 9);
        let (one, two) = tokio::join!(list(), list());
        assert!(one.is_ok() && two.is_ok(), "{one:?}, {two:?}");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND query LIKE '%match_id%'
                       AND pid <> pg_backend_pid()";
        shared().sql(&served.database, end);
    }
}
