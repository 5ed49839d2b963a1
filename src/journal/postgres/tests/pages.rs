//! Pages of all events of a database with many matches: the cost of each page.

use sqlx::AssertSqlSafe;

use super::{
    lists::{fill, lines, old_database, passed},
    *,
};
use crate::journal::{
    postgres::{connect::Database, reader::PAGE},
    suite::crowd::crowd,
};

/// How many matches the database has, with nearly four events each.
const MATCHES: u64 = 2_000;

/// How many events are read at once.
const LIMIT: usize = 256;

/// The most requests that a replica makes meanwhile of its own accord: it prepares its first
/// connections, renews its lease and reads other leases. A request for each match would be
/// thousands.
const BESIDE: usize = 96;

/// However many matches the page's events belong to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_one_round_trip() {
    let database = old_database(MATCHES).await;
    // The first start builds the indexes that lists walk.
    open(&database, START).await.close().await;
    let behind = Behind::open(&database, LEASE).await;
    // The pages below use a connection that exists already.
    behind.journal.page(Position(0), LIMIT).await.unwrap();
    let before = behind.link.requests();
    let (mut after, mut pages, mut events) = (Position(0), 0, 0);
    loop {
        let page = behind.journal.page(after, LIMIT).await.unwrap();
        let later = page.events.iter().filter(|recorded| recorded.position > after).count();
        let Some(last) = page.events.last().filter(|last| last.position > after) else { break };
        (after, pages, events) = (last.position, pages + 1, events + later);
    }
    assert!(events > 3 * MATCHES as usize && pages >= events / LIMIT, "{events} in {pages} pages");
    let trips = behind.link.requests() - before;
    assert!(trips <= pages + 1 + BESIDE, "{trips} round trips for {pages} pages");
    behind.journal.close().await;
}

/// In a small table, in a large one, and once the large one has statistics: only rows of the page
/// are touched.
#[tokio::test]
async fn a_page_is_read_by_its_keys() {
    let database = old_database(50).await;
    open(&database, START).await.close().await;
    shared().sql(&database, "ANALYZE");
    let parsed = Database::parse(&shared().url(&database).into(), None).unwrap();
    let mut connection = parsed.connect().await.unwrap();
    let prepare = format!("PREPARE page (bigint, bigint) AS {PAGE}");
    raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
    for is_large in [false, true, true] {
        let explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE page(101, 64)";
        let plan = lines(&mut connection, explain.to_owned()).await;
        let rows: u64 = plan.iter().map(|line| passed(line)).sum();
        assert!(rows <= 64 * 20, "{rows} rows: {plan:#?}");
        let plan = plan.join("\n");
        assert!(
            plan.contains("events_match_id_sequence_key") && !plan.contains("Bitmap"),
            "{plan}"
        );
        if !is_large {
            fill(&mut connection, &crowd(50, MATCHES)).await;
        }
        shared().sql(&database, "ANALYZE");
    }
}
