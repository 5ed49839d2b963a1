//! Checks that SQLite runs each statement by an index, however much is retained and whatever
//! statistics an operator's `ANALYZE` left.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{lists::fill, *};
use crate::journal::{
    sqlite::{lists::read_group, statements},
    suite::crowd::crowd,
};

/// The few matches of a pilot, and so many that a plan that reads them all is found out.
const SMALL: u64 = 10;
const LARGE: u64 = 40_000;

/// What may be scanned: a table of one row, what the statement itself made, and an index that holds
/// only pending work.
const SCANNED: [&str; 12] = [
    "SCAN e LEFT-JOIN",
    "SCAN store",
    "SCAN s",
    "SCAN begun",
    "SCAN f",
    "SCAN erasing_hold",
    "SCAN sqlite_sequence",
    "SCAN CONSTANT ROW",
    "SCAN 2-ROW VALUES CLAUSE",
    "SCAN page",
    "SCAN asked VIRTUAL TABLE",
    "SCAN label VIRTUAL TABLE",
];

/// A file as the program leaves it, with `count` matches.
async fn file_of(count: u64) -> (TempDir, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _hand) = open(&path(&folder), START).await;
    journal.close().await;
    let connection = Files::new(path(&folder)).writer().unwrap();
    fill(&connection, &crowd(0, count));
    (folder, connection)
}

/// Every statement of the engine, with its name.
fn all() -> Vec<(&'static str, &'static str)> {
    statements::ALL.iter().copied().chain([("read_group", read_group())]).collect()
}

pub(super) fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get("detail").unwrap());
    }
    steps
}

fn assert_found_by_index(connection: &Connection, when: &str) {
    for (name, sql) in all() {
        let steps = plan(connection, sql);
        let is_found = |step: &String| {
            !step.starts_with("SCAN")
                || step.contains("match_states_unlisted")
                || SCANNED.iter().any(|scanned| step.starts_with(scanned))
        };
        assert!(steps.iter().all(is_found), "{name}, {when}: {steps:#?}");
    }
}

#[tokio::test]
async fn every_statement_uses_an_index_whatever_the_statistics() {
    let (_folder, small) = file_of(SMALL).await;
    assert_found_by_index(&small, "small");
    small.execute_batch("ANALYZE").unwrap();
    assert_found_by_index(&small, "small and analysed");
    // Statistics of a pilot, and matches of a year.
    fill(&small, &crowd(SMALL, LARGE));
    assert_found_by_index(&small, "analysed while it was small");
    small.execute_batch("ANALYZE").unwrap();
    assert_found_by_index(&small, "large and analysed");
}

/// So that no statement can be added that isn't in the list.
#[test]
fn every_statement_is_in_the_list() {
    let elsewhere = ["lists.rs", "probe.rs", "schema.rs", "statements.rs", "tests.rs"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/sqlite");
    let sources = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for source in sources.filter(|source| source.extension().is_some_and(|end| end == "rs")) {
        let name = source.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&source).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let words = ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "WITH "];
        let has_any = text.lines().any(|line| {
            let line = line.trim_start();
            let is_prose = line.starts_with("//");
            !is_prose && words.iter().any(|word| line.contains(word))
        });
        assert!(!has_any || elsewhere.contains(&name), "{name} has a statement of its own");
    }
}

/// How many of SQLite's steps it takes to erase `count` matches, their cascades included.
fn steps_to_erase(connection: &Connection, count: i64) -> u64 {
    let steps = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&steps);
    let count_step = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    connection.progress_handler(1, Some(count_step)).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    connection.execute(statements::RAISE_FLOOR, [i64::MAX, count]).unwrap();
    let erased = connection.execute(statements::ERASE_EXPIRED, [i64::MAX, count]).unwrap();
    assert_eq!(erased as i64, count);
    connection.execute_batch("ROLLBACK").unwrap();
    connection.progress_handler(0, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

#[tokio::test]
async fn erasing_costs_what_is_erased_and_not_what_is_retained() {
    let (_few, few) = file_of(1_000).await;
    let (_many, many) = file_of(crate::crowd::count(LARGE)).await;
    let (among_few, among_many) = (steps_to_erase(&few, 50), steps_to_erase(&many, 50));
    println!("erasing 50: {among_few} steps among few, {among_many} among many");
    assert!(among_many <= among_few * 11 / 10, "{among_few} steps, {among_many} among many");
}
