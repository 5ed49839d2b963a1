//! Checks that SQLite runs each statement by an index, however much is retained and whatever
//! statistics an operator's `ANALYZE` left.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Row, raw_sql};

use super::*;
use crate::journal::{
    sqlite::{
        append::{ADMIT, CHANGE, CHANGE_WITH_ANALYSES},
        lists::read_group,
        statements,
    },
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
async fn file_of(count: u64) -> (TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _hand) = open(&path(&folder), START).await;
    journal.close().await;
    let mut connection = Files::new(path(&folder)).connect().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let filled = raw_sql(AssertSqlSafe(crowd(0, count).sqlite()));
    filled.execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    (folder, connection)
}

/// Every statement of the engine, with its name.
fn all() -> Vec<(&'static str, &'static str)> {
    let templates = [
        ("ADMIT", ADMIT.sql()),
        ("CHANGE", CHANGE.sql()),
        ("CHANGE_WITH_ANALYSES", CHANGE_WITH_ANALYSES.sql()),
        ("read_group", read_group()),
    ];
    let texts = statements::ALL.iter().copied().chain(templates);
    let each = texts.flat_map(|(name, text)| text.split(';').map(move |sql| (name, sql.trim())));
    each.filter(|(_, sql)| !sql.is_empty()).collect()
}

async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let explained = raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
    let rows = explained.fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.try_get("detail").unwrap()).collect()
}

async fn assert_found_by_index(connection: &mut SqliteConnection, when: &str) {
    for (name, sql) in all() {
        let steps = plan(connection, sql).await;
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
    let (_folder, mut small) = file_of(SMALL).await;
    assert_found_by_index(&mut small, "small").await;
    raw_sql("ANALYZE").execute(&mut small).await.unwrap();
    assert_found_by_index(&mut small, "small and analysed").await;
    // Statistics of a pilot, and matches of a year.
    let filled = raw_sql(AssertSqlSafe(crowd(SMALL, LARGE).sqlite()));
    filled.execute(&mut small).await.unwrap();
    assert_found_by_index(&mut small, "analysed while it was small").await;
    raw_sql("ANALYZE").execute(&mut small).await.unwrap();
    assert_found_by_index(&mut small, "large and analysed").await;
}

/// So that no statement can be added that isn't in the list.
#[test]
fn every_statement_is_in_the_list() {
    let elsewhere = ["append.rs", "lists.rs", "probe.rs", "schema.rs", "statements.rs", "tests.rs"];
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
    let templates = fs::read_to_string(folder.join("append.rs"));
    assert_eq!(templates.unwrap().matches("Template = Template::new(").count(), 3);
}

/// How many of SQLite's steps it takes to erase `count` matches, their cascades included.
async fn steps_to_erase(connection: &mut SqliteConnection, count: i64) -> u64 {
    let steps = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&steps);
    connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let mut transaction = connection.begin().await.unwrap();
    let erasing = query(statements::ERASE_EXPIRED).bind(i64::MAX).bind(count);
    assert_eq!(erasing.fetch_all(&mut *transaction).await.unwrap().len() as i64, count);
    transaction.rollback().await.unwrap();
    connection.lock_handle().await.unwrap().remove_progress_handler();
    steps.load(Ordering::Relaxed)
}

#[tokio::test]
async fn erasing_costs_what_is_erased_and_not_what_is_retained() {
    let (_few, mut few) = file_of(1_000).await;
    let (_many, mut many) = file_of(crate::crowd::count(LARGE)).await;
    let (among_few, among_many) =
        (steps_to_erase(&mut few, 50).await, steps_to_erase(&mut many, 50).await);
    println!("erasing 50: {among_few} steps among few, {among_many} among many");
    assert!(among_many <= among_few * 11 / 10, "{among_few} steps, {among_many} among many");
}
