//! The plans of all statements of this engine, from PostgreSQL's own log (`auto_explain`): each
//! uses an index, also if it was made while the tables were small, and its cost depends on what the
//! statement does, not on how much is retained.

use std::{fs, path::Path};

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::*;
use crate::{
    crowd::{Crowd, count},
    domain::{AnalysisId, Cursor, MatchId},
    journal::{
        CancelledAs, Chore, Key, Origin, Takeover,
        suite::crowd::{cases, crowd},
    },
};

/// The tables that grow with the matches. The others have a row for each replica, or a single one.
const GROWING: [&str; 7] =
    ["commits", "erased", "events", "match_analyses", "match_labels", "match_states", "matches"];

/// The most rows that may pass through the steps of one plan: a list looks at 2,048 rows, in some
/// five steps.
const ROWS_MAX: f64 = 12_000.0;

/// The most pages that may be read for each row that is looked up: the levels of an index, the row,
/// and some of its former versions. An index over as many matches as here has hundreds of pages.
const PAGES_EACH_MAX: f64 = 32.0;

/// Statements whose plans are not tested, and why.
const NOT_PLANNED: [(&str, &str); 10] = [
    ("FROM pg_stat_activity WHERE pid = $1", "it reads no table"),
    ("SELECT current_setting", "it reads no table"),
    ("has_schema_privilege(", "it reads no table that grows"),
    ("SELECT {}", "it sets the options of a session"),
    ("SELECT * FROM {name}({values})", "it calls write.sql"),
    ("DELETE FROM leases WHERE lease = $1", "leases has a row for each replica"),
    ("SELECT pg_cancel_backend($1)", "it reads no table"),
    ("SELECT pg_sleep", "only tests run it"),
    ("CREATE INDEX", "it has no plan"),
    ("CREATE FUNCTION", "it has no plan"),
];

/// A cluster that logs the plan of every statement. Only the tests collect statistics.
fn explaining() -> Cluster {
    Cluster::start_with(&[
        ("fsync", "off"),
        ("autovacuum", "off"),
        ("shared_buffers", "128MB"),
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_buffers", "on"),
        ("auto_explain.log_timing", "off"),
        ("auto_explain.log_nested_statements", "on"),
        ("auto_explain.log_format", "json"),
    ])
}

/// A statement that was run, and its plan.
struct Explained {
    text: String,
    plan: Value,
}

impl Explained {
    /// All statements in a log, but one whose entry is still being written.
    fn all(log: &str) -> Vec<Self> {
        let plans = log.split("  plan:\n").skip(1);
        let plans = plans.filter_map(|rest| {
            let first = serde_json::Deserializer::from_str(rest).into_iter().next();
            let mut explained: Value = match first.expect("a plan") {
                Err(error) if error.is_eof() => return None,
                explained => explained.expect("JSON"),
            };
            let text = explained["Query Text"].as_str().expect("its text");
            Some(Self { text: words(text), plan: explained["Plan"].take() })
        });
        plans.collect()
    }

    /// Each step of the plan, and whether a LIMIT is above it.
    fn steps(&self) -> Vec<(&Value, bool)> {
        let (mut steps, mut left) = (Vec::new(), vec![(&self.plan, false)]);
        while let Some((step, is_limited)) = left.pop() {
            let is_limit = step["Node Type"] == "Limit";
            let below = step["Plans"].as_array().into_iter().flatten();
            left.extend(below.map(|below| (below, is_limited || is_limit)));
            steps.push((step, is_limited));
        }
        steps
    }

    /// How many rows of growing tables were read.
    fn rows(&self) -> f64 {
        self.steps().into_iter().filter(|(step, _)| grows(step)).map(|(step, _)| rows(step)).sum()
    }

    /// How many pages were read.
    fn pages(&self) -> u64 {
        pages(&self.plan)
    }

    /// Asserts that the statement finds its rows by an index, and reads no more than it needs.
    fn check(&self) {
        for (step, is_limited) in self.steps() {
            let kind = step["Node Type"].as_str().unwrap_or_default();
            let is_changed = kind == "ModifyTable";
            let is_found =
                kind.starts_with("Index") && (is_limited || step["Index Cond"] != Value::Null);
            assert!(!grows(step) || is_changed || is_found, "{}: {step:#}", self.text);
            // The index's first columns must be bound: otherwise all of it is read for one row.
            let pages = pages(step) as f64;
            let few = PAGES_EACH_MAX * (rows(step) + number(step, "Actual Loops"));
            assert!(!grows(step) || pages <= few, "{pages} pages: {}: {step:#}", self.text);
        }
        assert!(self.rows() <= ROWS_MAX, "{} rows: {}: {:#}", self.rows(), self.text, self.plan);
    }
}

fn number(step: &Value, name: &str) -> f64 {
    step[name].as_f64().unwrap_or(0.0)
}

/// How many rows a step has read, including those that its filters removed.
fn rows(step: &Value) -> f64 {
    let each = number(step, "Actual Rows")
        + number(step, "Rows Removed by Filter")
        + number(step, "Rows Removed by Index Recheck");
    each * number(step, "Actual Loops")
}

/// How many pages a step and those below it have read.
fn pages(step: &Value) -> u64 {
    (number(step, "Shared Hit Blocks") + number(step, "Shared Read Blocks")) as u64
}

fn grows(step: &Value) -> bool {
    step["Node Type"] != "ModifyTable"
        && step["Relation Name"].as_str().is_some_and(|table| GROWING.contains(&table))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The statements that were logged since the log had this length.
fn since(cluster: &Cluster, length: usize) -> Vec<Explained> {
    Explained::all(&cluster.log()[length..])
}

/// Fills a database with a crowd, without logging any plan.
fn fill(cluster: &Cluster, database: &str, crowd: &Crowd) {
    let quiet = "SET auto_explain.log_min_duration = -1;";
    cluster.sql(database, &format!("{quiet} {}", crowd.postgres()));
}

fn quietly(cluster: &Cluster, database: &str, statement: &str) {
    cluster.sql(database, &format!("SET auto_explain.log_min_duration = -1; {statement}"));
}

fn replica_at(cluster: &Cluster, database: &str) -> Config {
    let (clock, _) = Clock::manual(START);
    Config { url: cluster.url(database).into(), ..config(database, clock) }
}

/// Calls every operation of a journal, some of them in vain. Each `round` has ids of its own.
async fn work(cluster: &Cluster, database: &str, journal: &Postgres, crowd: &Crowd, round: u64) {
    let id = |n: u64| match_id(round, 1_000_000 + n);
    let mut claims = Vec::new();
    for n in 0..8 {
        let spec = crate::domain::Spec {
            labels: labels(&[("shop", "s0"), ("rank", "plain")]),
            ..named_spec(&format!("{round}-{n}"))
        };
        let spec = Arc::new(spec);
        let admitted = journal.admit(id(n), Arc::clone(&spec)).await.unwrap();
        let Admitted::New(_, claim) = admitted else { panic!("not a new match") };
        let known = journal.admit(id(n), spec).await.unwrap();
        assert!(matches!(known, Admitted::Known(_)));
        claims.push(claim);
    }
    let analysis = format!("a-{round}");
    for (sequence, event) in [(1, uploaded()), (2, started(&analysis)), (3, finished())] {
        let appended = journal.append(claims[0], Sequence(sequence), event).await.unwrap();
        assert!(matches!(appended, Appended::Done(_)));
    }
    journal.append(claims[1], Sequence(1), uploaded()).await.unwrap();
    let taken = journal.append(claims[1], Sequence(2), started(&analysis)).await.unwrap();
    assert_eq!(taken, Appended::Taken);
    let tenant = anna();
    let cancelled = journal.cancel(&tenant, &Key::Match(id(2)), KEEP).await.unwrap();
    assert!(matches!(cancelled, CancelledAs::Now(_)));
    assert_eq!(journal.erase(&tenant, id(0)).await.unwrap(), Erased::Done);
    assert_eq!(journal.erase(&tenant, id(1)).await.unwrap(), Erased::Running);
    hold(journal, &claims).await;
    read(journal, crowd, id(1), &format!("{round}-1")).await;
    let due = "UPDATE match_states SET expire_time = 1 WHERE match_id IN (
                   SELECT match_id FROM match_states WHERE end_time IS NOT NULL
                   ORDER BY match_id LIMIT 20);
               INSERT INTO erased SELECT -n, gen_random_uuid(), now() - INTERVAL '2 hours'
               FROM generate_series(1, 20) AS n ON CONFLICT DO NOTHING";
    quietly(cluster, database, due);
    assert!(journal.tidy(Chore::EraseExpired, 20).await.unwrap() > 0);
    journal.tidy(Chore::Enlist, 50).await.unwrap();
}

/// Claims and releases matches.
async fn hold(journal: &Postgres, claims: &[Claim]) {
    journal.release(claims[3..6].to_vec()).await.unwrap();
    let taken = journal.take(claims[3].match_id, true).await.unwrap();
    assert!(matches!(taken, Takeover::Now(..)), "{taken:?}");
    assert_eq!(journal.take(claims[6].match_id, false).await.unwrap(), Takeover::Held);
    let claimed = journal.claim(20).await.unwrap();
    journal.confirm(claimed[0].1).await.unwrap();
    let lost = journal.append(claims[4], Sequence(1), uploaded()).await.unwrap();
    assert_eq!(lost, Appended::Lost);
    journal.release(claimed.into_iter().map(|(_, claim)| claim).collect()).await.unwrap();
}

async fn read(journal: &Postgres, crowd: &Crowd, id: MatchId, request_id: &str) {
    let tenant = anna();
    for key in [Key::Match(id), request(request_id)] {
        assert!(journal.find(&tenant, &key).await.unwrap().is_some());
    }
    journal.events(id).await.unwrap();
    journal.present_claim(id).await.unwrap();
    let owned: Vec<AnalysisId> = vec![analysis("a"), analysis("b")];
    journal.owned_by_others(id, &owned).await.unwrap();
    journal.takeable(&[id]).await.unwrap();
    journal.page(Position(0), 10).await.unwrap();
    journal.0.recent.clear();
    journal.tail(Position(0), 100).await.unwrap();
    for start in [Start::Head, Start::Earliest, Start::Floor] {
        let Cursor { position, incarnation } = journal.cursor(start).await.unwrap();
        let origin = Origin { incarnation, ..journal.0.identity.origin };
        journal.cursor_status(origin, position).await.unwrap();
    }
    for case in cases(crowd) {
        journal.list(&tenant, &case.filter, None, 50).await.unwrap();
    }
    journal.ping().await.unwrap();
}

/// A plan is kept for the life of a connection: here plans are made on a few analysed rows, and the
/// tables grow to many more before they are analysed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_made_for_few_matches_are_good_for_many() {
    let cluster = explaining();
    for few in [2, 8, 60] {
        let database = cluster.create_database();
        let journal = Postgres::open(replica_at(&cluster, &database)).await.unwrap();
        let crowded = crowd(0, few);
        // Over one connection: its first temporary table makes all sessions plan again.
        let mut filler = PgConnection::connect(&cluster.url(&database)).await.unwrap();
        raw_sql("SET auto_explain.log_min_duration = -1").execute(&mut filler).await.unwrap();
        raw_sql(AssertSqlSafe(crowded.postgres())).execute(&mut filler).await.unwrap();
        quietly(&cluster, &database, "ANALYZE");
        work(&cluster, &database, &journal, &crowded, 1).await;
        let more = crowd(few, count(40_000));
        raw_sql(AssertSqlSafe(more.postgres())).execute(&mut filler).await.unwrap();
        // Reads that run meanwhile also pass over rows that are not committed yet.
        let resting = "SELECT count(*) = 0 FROM pg_stat_activity WHERE state = 'active'
                       AND datname = current_database() AND pid <> pg_backend_pid()";
        super::until("no session is active", || cluster.sql(&database, resting) == "t").await;
        let length = cluster.log().len();
        work(&cluster, &database, &journal, &more, 2).await;
        let explained = since(&cluster, length);
        assert!(explained.len() > 50, "{}", explained.len());
        explained.iter().for_each(Explained::check);
        journal.close().await;
    }
}

/// Every statement in the sources must be among those that were logged, or in [`NOT_PLANNED`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_is_planned_by_an_index_in_a_large_database() {
    let cluster = explaining();
    let database = cluster.create_database();
    Postgres::open(replica_at(&cluster, &database)).await.unwrap().close().await;
    let many = crowd(0, count(200_000));
    fill(&cluster, &database, &many);
    quietly(&cluster, &database, "ANALYZE");
    let length = cluster.log().len();
    let journal = Postgres::open(replica_at(&cluster, &database)).await.unwrap();
    work(&cluster, &database, &journal, &many, 1).await;
    // The tail reads the erased matches at its next read.
    super::until("the tail has read them", || cluster.log().contains("FROM erased WHERE")).await;
    // An event that can't be read is completed from other columns.
    let newest = "(SELECT max(position) FROM events)";
    quietly(
        &cluster,
        &database,
        &format!("UPDATE events SET body = '{{}}' WHERE position = {newest}"),
    );
    let id =
        cluster.sql(&database, &format!("SELECT match_id FROM events WHERE position = {newest}"));
    journal.events(MatchId::from_uuid(id.trim().parse().unwrap())).await.unwrap();
    // A new connection checks that the database still has the watermark.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    cluster.sql(&database, end);
    try_twice(async || journal.admit(match_id(9, 1), Arc::new(plain_spec())).await).await;
    journal.close().await;
    since(&cluster, length).iter().for_each(Explained::check);
    let all = Explained::all(&cluster.log());
    let is_unknown = |statement: &String| {
        let is_excepted = NOT_PLANNED.iter().any(|(text, _)| statement.contains(text));
        !is_excepted && !all.iter().any(|it| it.text.contains(statement))
    };
    let unknown: Vec<_> = statements().into_iter().filter(is_unknown).collect();
    assert!(unknown.is_empty(), "neither run here nor listed as not planned: {unknown:#?}");
}

/// The pieces of SQL in the sources of this engine, without its tests.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/postgres");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs")
    });
    let mut found = vec![write_sql()];
    for path in files {
        let source = fs::read_to_string(path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).fold(
            String::new(),
            |mut code, line| {
                code.push_str(line);
                code.push('\n');
                code
            },
        );
        found.extend(
            literals(&code).into_iter().filter(|text| is_planned(text)).map(|text| words(&text)),
        );
    }
    found
}

/// The statement that writes, as the log shows it.
fn write_sql() -> String {
    let text = include_str!("../write.sql").split_once("\nWITH ").expect("it begins with WITH").1;
    let text = text.split_once("{notice}").expect("it has the place of NOTIFY").0;
    words(text)
}

/// The string literals in a source.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut text) = (Vec::new(), None::<String>);
    let mut letters =
        code.replace("'\"'", "").replace("b'\\\"'", "").chars().collect::<Vec<_>>().into_iter();
    while let Some(letter) = letters.next() {
        match (&mut text, letter) {
            (None, '"') => text = Some(String::new()),
            (None, _) => {}
            (Some(_), '"') => found.extend(text.take()),
            (Some(text), '\\') => match letters.next() {
                Some('\n') | None => text.push(' '),
                Some(escaped) => text.push(escaped),
            },
            (Some(text), letter) => text.push(letter),
        }
    }
    found
}

/// Whether a text is part of a statement that has a plan.
fn is_planned(text: &str) -> bool {
    let starts = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let has = |word: &str| text.contains(word);
    let begins = starts.iter().any(|start| words(text).starts_with(start));
    begins || has(" FROM ") && (has("WHERE ") || has(" AS "))
}

/// The cost of a page of retention depends only on what it erases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_costs_the_same_among_few_matches_and_among_many() {
    let cluster = explaining();
    let (mut few, mut many) = (0, 0);
    for (retained, pages) in [(1_000, &mut few), (count(300_000), &mut many)] {
        *pages = erase_some(&cluster, retained).await;
    }
    println!("erasing: 50 matches among 1,000 in {few} pages, among many in {many}");
    assert!(many <= few * 2, "{few} pages among few matches, {many} among many");
}

/// How many pages are read to erase 50 matches among so many.
async fn erase_some(cluster: &Cluster, retained: u64) -> u64 {
    let database = cluster.create_database();
    let journal = Postgres::open(replica_at(cluster, &database)).await.unwrap();
    fill(cluster, &database, &crowd(0, retained));
    // The other tables that grow with the matches: a commit for each, and an erasure for each.
    let beside = "DELETE FROM commits WHERE first_position > 0;
        INSERT INTO commits SELECT position, position + 3, 1 FROM events WHERE sequence = 1;
        INSERT INTO erased SELECT -position, match_id, now() FROM events WHERE sequence = 1;
        UPDATE match_states SET expire_time = 1 WHERE match_id IN (
            SELECT match_id FROM match_states WHERE end_time IS NOT NULL
            ORDER BY match_id LIMIT 50)";
    quietly(cluster, &database, beside);
    cluster.sql(&database, "VACUUM (ANALYZE)");
    let length = cluster.log().len();
    assert_eq!(journal.tidy(Chore::EraseExpired, 50).await.unwrap(), 50);
    let explained = since(cluster, length);
    journal.close().await;
    let ours = explained.iter().filter(|it| it.text.contains("DELETE FROM"));
    ours.map(Explained::pages).sum()
}
