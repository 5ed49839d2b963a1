//! Databases that hang while a replica starts: the start ends, with an error in one line.

use super::*;
use futures_util::future::join_all;
use tokio::time::timeout;

/// How long a start may take in all, if each of its steps takes as long as it may.
const BOUND: Duration = Duration::from_secs(60);

/// The numbers of the answers at which a database falls silent, each in a start of its own. The
/// last one is later than any answer that a start waits for.
const ANSWERS: std::ops::Range<usize> = 1..200;

/// Every `STEP`-th answer is tried, in `AT_ONCE` starts at once: the database has 200 connections.
const STEP: usize = 3;
const AT_ONCE: usize = 25;

/// The tables of a journal.
const TABLES: [&str; 10] = [
    "facematch_schema",
    "store",
    "erased",
    "incarnations",
    "leases",
    "commits",
    "matches",
    "match_states",
    "match_labels",
    "events",
];

/// Starts a replica. Returns `None` if the journal opens, or else the error, in one line.
async fn start(config: Config) -> Option<String> {
    match timeout(BOUND, Postgres::open(config)).await.expect("the start ends by itself") {
        // Dropped rather than closed, since the database answers nothing any more.
        Ok(_) => None,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "{text}");
            Some(text)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_at_any_answer_ends_the_start() {
    let answers: Vec<usize> = ANSWERS.step_by(STEP).collect();
    let mut ended = Vec::new();
    for some in answers.chunks(AT_ONCE) {
        let lay = |nth: &usize| (*nth, shared().link(), shared().create_database());
        let links: Vec<_> = some.iter().map(lay).collect();
        let starts = links.iter().map(|(nth, link, database)| async move {
            link.silence_at(*nth);
            let config = Config { url: link.url(database).into(), ..config("", Clock::system()) };
            let told = start(config).await;
            if let Some(text) = &told {
                assert!(link.is_silent(), "{nth}: {text}");
                let is_told = text.contains("timed out") || text.contains("gets no session");
                assert!(is_told, "{nth}: {text}");
            }
            told.is_some()
        });
        ended.extend(join_all(starts).await);
    }
    let count = ended.iter().filter(|ended| **ended).count();
    println!("starts that a silent database ended: {count} of {}", ended.len());
    assert!(ended[..10].iter().all(|ended| *ended), "a start waits for the first answers");
    assert!(!ended[ended.len() - 1], "a start takes more answers than were tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_another_session_has_locked_ends_the_start() {
    let mut databases = Vec::new();
    for table in TABLES {
        let database = shared().create_database();
        open(&database, START).await.close().await;
        let mut other = PgConnection::connect(&shared().url(&database)).await.unwrap();
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.unwrap();
        databases.push((table, database, other));
    }
    let starts = databases.iter().map(|(table, database, _)| async move {
        let told = start(config(database, Clock::system())).await;
        told.map(|text| (*table, text))
    });
    let ended: Vec<_> = join_all(starts).await.into_iter().flatten().collect();
    let tables: Vec<_> = ended.iter().map(|(table, _)| *table).collect();
    assert_eq!(tables, ["facematch_schema", "store", "incarnations", "leases", "commits"]);
    for (table, text) in &ended {
        let is_told = text.contains("due to lock timeout (55P03)");
        assert!(is_told || *table == "leases" && text.contains("timed out"), "{table}: {text}");
    }
    // The lease renewer's connection has no lock_timeout: it waits while the table is locked.
    let left = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for (table, database, _) in databases.iter().filter(|(table, ..)| tables.contains(table)) {
        let expected = if *table == "leases" { "1" } else { "0" };
        assert_eq!(shared().sql(database, left), expected, "{table}: waiting sessions");
    }
}

/// An index build waits for older transactions for as long as they take, but not if its own
/// connection is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_whose_connection_is_lost_ends_the_start() {
    let (link, database) = (shared().link(), shared().create_database());
    open(&database, START).await.close().await;
    shared().sql(&database, "DROP INDEX match_states_by_end");
    let mut other = PgConnection::connect(&shared().url(&database)).await.unwrap();
    raw_sql("BEGIN; LOCK TABLE match_states IN ROW EXCLUSIVE MODE")
        .execute(&mut other)
        .await
        .unwrap();
    let starting = start(Config { url: link.url(&database).into(), ..config("", Clock::system()) });
    let building = "SELECT count(*) FROM pg_stat_progress_create_index
        WHERE datname = current_database()";
    let silencing = async {
        until("the index is built", || shared().sql(&database, building) == "1").await;
        link.silence();
    };
    let (told, ()) = tokio::join!(starting, silencing);
    let text = told.expect("the start fails");
    assert!(text.contains("timed out"), "{text}");
    other.close().await.unwrap();
}
