//! Tests what only SQLite promises: its file, its lock, its transactions. The suite tests the rest.

mod emptying;
mod hold;
mod lists;
mod plans;
mod probing;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::{Either, join_all, select};
use rusqlite::Connection;
use sqlx::query;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    clock::{Clock, Hand},
    domain::{MatchId, Position, Sequence, Spec, Timestamp},
    journal::{
        Admitted, Appended, Chore, Claim, Erased, Error, Filter, Handles, Key, Reader, Writer,
        sqlite::{Config, OpenError, READERS, Sqlite, files::Files},
        suite::{self, facts::*},
    },
};

/// How long a test waits for anything: much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Store {
    folder: TempDir,
    journal: Sqlite,
    hand: Hand,
}

suite::conformance!(Store, except sharing because "one process holds the lock beside its file");

#[async_trait]
impl suite::Engine for Store {
    type Backup = TempDir;

    async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (journal, hand) = open(&path(&folder), START).await;
        Self { folder, journal, hand }
    }

    fn handles(&self) -> Handles {
        self.journal.handles()
    }

    fn may_act(&self) -> bool {
        self.journal.0.writer.queue.is_open()
    }

    fn hand(&self) -> Hand {
        self.hand.clone()
    }

    async fn restart(&mut self, now: Timestamp) {
        self.journal.clone().close().await;
        (self.journal, self.hand) = open(&path(&self.folder), now).await;
    }

    async fn backup(&self) -> TempDir {
        let backup = tempfile::tempdir().unwrap();
        // This reader keeps the WAL from being emptied after the database is copied.
        let _reader = reader(self);
        copy(self.folder.path(), backup.path());
        backup
    }

    async fn restore(&mut self, backup: &TempDir) {
        self.journal.clone().close().await;
        copy(backup.path(), self.folder.path());
        (self.journal, self.hand) = open(&path(&self.folder), START).await;
    }
}

suite::conformance!(foreign Store);

#[async_trait]
impl suite::Sql for Store {
    async fn sql(&self, statement: &str, id: MatchId) {
        let statement = statement.replace("{id}", &format!("x'{}'", id.as_uuid().simple()));
        tamper(&path(&self.folder), &statement);
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("facematch.db")
}

fn config(path: &Path, now: Timestamp) -> (Config, Hand) {
    let (clock, hand) = Clock::manual(now);
    (Config { path: path.to_owned(), clock, ticks: Clock::system(), readers: READERS }, hand)
}

async fn open(path: &Path, now: Timestamp) -> (Sqlite, Hand) {
    let (config, hand) = config(path, now);
    (Sqlite::open(config).await.unwrap(), hand)
}

async fn refusal(path: &Path) -> OpenError {
    Sqlite::open(config(path, START).0).await.err().unwrap()
}

/// Copies the database and its WAL as they are on the disk, which is what a crash would leave.
fn copy(from: &Path, to: &Path) {
    for name in ["facematch.db", "facematch.db-wal"] {
        match fs::copy(from.join(name), to.join(name)) {
            Ok(_) => {}
            Err(_) => drop(fs::remove_file(to.join(name))),
        }
    }
}

fn tamper(path: &Path, statement: &str) {
    let connection = Files::new(path.to_owned()).look().unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection.execute_batch(statement).unwrap();
}

/// A reader that keeps a snapshot of the file open.
fn reader(store: &Store) -> Connection {
    reader_of(&path(&store.folder))
}

fn reader_of(path: &Path) -> Connection {
    let reader = Files::new(path.to_owned()).look().unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
    reader
}

async fn store() -> Store {
    <Store as suite::Engine>::create().await
}

#[tokio::test]
async fn a_file_in_use_is_refused() {
    let store = store().await;
    let path = path(&store.folder);
    let refused = refusal(&path).await;
    assert_eq!(
        refused.to_string(),
        format!("sqlite:{} is in use by another process", path.display())
    );
    let other_name = store.folder.path().join(".").join("facematch.db");
    assert!(matches!(refusal(&other_name).await, OpenError::InUse { .. }));
    store.journal.close().await;
    open(&path, START).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let Store { folder, journal, .. } = store().await;
    journal.close().await;
    tamper(&path(&folder), "PRAGMA user_version = 3");
    let refused = refusal(&path(&folder)).await.to_string();
    assert!(refused.ends_with("was made by a newer version (schema 3, this is 1)"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    fs::write(&path, "a letter to the bank, longer than a header of a hundred bytes. ".repeat(9))
        .unwrap();
    let before = fs::read(&path).unwrap();
    let refused = refusal(&path).await.to_string();
    assert!(refused.ends_with("facematch.db is not a FaceMatch journal"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::remove_file(&path).unwrap();
    Files::new(path.clone()).create().unwrap();
    tamper(&path, "CREATE TABLE recipes (name TEXT)");
    let before = fs::read(&path).unwrap();
    assert!(matches!(refusal(&path).await, OpenError::NotAJournal { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_missing_folder_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing/facematch.db"), folder.path().to_owned()] {
        let refused = refusal(&path).await.to_string();
        assert!(refused.starts_with(&format!("sqlite:{} can't be", path.display())), "{refused}");
        assert_eq!(refused.lines().count(), 1);
    }
    let missing = Files::new(folder.path().join("missing/facematch.db"));
    assert!(missing.create().is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let store = store().await;
    admit(&store, match_id(0, 1), plain_spec()).await;
    for name in ["facematch.db", "facematch.db-wal"] {
        let mode = fs::metadata(store.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

/// The numbers that follow a word anywhere in the store's files.
fn canaries(folder: &Path, word: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let after_word = text.split(word).skip(1);
        numbers.extend(after_word.filter_map(|rest| rest.get(..4)?.parse::<u64>().ok()));
    }
    numbers
}

/// Queues operations in this order. A task that has used up its budget would put some of them off.
async fn in_order<F: Future>(operations: impl Iterator<Item = F>) -> Vec<F::Output> {
    tokio::task::unconstrained(join_all(operations)).await
}

/// Ends a thousand matches whose request ids and labels are canaries. They are shuffled, so that
/// pages of every index are split and their rows moved, but in the same order each time.
async fn end_a_thousand(journal: &Sqlite) {
    let spec = |n: u64| Spec {
        labels: labels(&[("shop", &format!("labelcanary{n:04}"))]),
        ..named_spec(&format!("requestcanary{n:04}"))
    };
    let order = (0..1000).map(|step| step * 211 % 1000);
    let admit = |n| journal.admit(match_id(n, 0), Arc::new(spec(n)));
    for admitted in in_order(order.clone().map(admit)).await {
        assert!(matches!(admitted, Ok(Admitted::New(..))));
    }
    let claim = |n| Claim { match_id: match_id(n, 0), epoch: 1 };
    let append = |n| journal.append(claim(n), Sequence(1), failed());
    for appended in in_order(order.map(append)).await {
        assert!(matches!(appended, Ok(Appended::Done(_))));
    }
}

#[tokio::test]
async fn erased_matches_are_nowhere_in_the_files() {
    let store = store().await;
    let folder = store.folder.path();
    end_a_thousand(&store.journal).await;
    let mut left: BTreeSet<_> = (0..1000).collect();
    assert_eq!(canaries(folder, "requestcanary"), left);
    assert_eq!(canaries(folder, "labelcanary"), left);
    let (tenant, two_of_three) = (anna(), (0..1000).filter(|n| n % 3 != 0).collect::<Vec<_>>());
    for some in two_of_three.chunks(100) {
        let erasing = some.iter().map(|n| store.journal.erase(&tenant, match_id(*n, 0)));
        assert!(in_order(erasing).await.iter().all(|erased| matches!(erased, Ok(Erased::Done))));
        left.retain(|n| !some.contains(n));
        assert_eq!(canaries(folder, "requestcanary"), left);
        assert_eq!(canaries(folder, "labelcanary"), left);
    }
    store.hand.advance(KEEP);
    assert_eq!(store.journal.tidy(Chore::EraseExpired, 100).await.unwrap(), 100);
    let left = left.into_iter().skip(100).collect();
    assert_eq!(canaries(folder, "requestcanary"), left);
    assert_eq!(canaries(folder, "labelcanary"), left);
}

#[tokio::test]
async fn expired_matches_are_nowhere_in_the_files() {
    let store = store().await;
    end(&store, match_id(0, 1), named_spec("requestcanary0001")).await;
    assert_eq!(canaries(store.folder.path(), "requestcanary"), BTreeSet::from([1]));
    store.hand.advance(KEEP);
    assert_eq!(store.journal.tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    assert_eq!(canaries(store.folder.path(), "requestcanary"), BTreeSet::new());
}

#[tokio::test]
async fn queued_operations_are_committed_together() {
    let store = store().await;
    let before = store.journal.commits();
    let admissions = (0..300).map(|n| store.journal.admit(match_id(0, n), Arc::new(plain_spec())));
    join_all(admissions).await.into_iter().for_each(|admitted| drop(admitted.unwrap()));
    let commits = store.journal.commits() - before;
    assert!((1..30).contains(&commits), "{commits} commits");
}

#[tokio::test]
async fn a_failed_operation_fails_no_other() {
    let store = store().await;
    let (_, bad) = admit(&store, match_id(0, 0), plain_spec()).await;
    let (_, good) = admit(&store, match_id(0, 1), plain_spec()).await;
    tamper(&path(&store.folder), "UPDATE events SET body = '{' WHERE position = 1");
    // And the row that completes the unreadable event.
    tamper(&path(&store.folder), "UPDATE matches SET folder_id = x'00'");
    let (key, writer) = (Key::Match(bad.match_id), &store.journal);
    let tenant = anna();
    let (before, failed, after) = tokio::join!(
        writer.append(good, Sequence(1), trouble()),
        writer.cancel(&tenant, &key, KEEP),
        writer.append(good, Sequence(2), trouble()),
    );
    assert!(failed.is_err());
    assert!(matches!((before, after), (Ok(Appended::Done(_)), Ok(Appended::Done(_)))));
    assert_eq!(writer.events(good.match_id).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_missing_table_is_an_error_only_while_it_is_missing() {
    let store = store().await;
    for n in 0..50 {
        let admit = |n| store.journal.admit(match_id(1, n), Arc::new(plain_spec()));
        admit(3 * n).await.unwrap();
        tamper(&path(&store.folder), "ALTER TABLE matches RENAME TO mislaid");
        let refused = async { [admit(3 * n + 1).await, admit(3 * n + 1).await] };
        let refused = timeout(PATIENCE, refused).await.expect("every call is answered");
        assert!(refused.iter().all(|it| matches!(it, Err(Error::Unavailable(_)))), "{refused:?}");
        tamper(&path(&store.folder), "ALTER TABLE mislaid RENAME TO matches");
        let admitted = timeout(PATIENCE, admit(3 * n + 2)).await.expect("the call is answered");
        assert!(matches!(admitted, Ok(Admitted::New(..))), "{admitted:?}");
    }
}

#[tokio::test]
async fn memory_and_file_return_the_same_events() {
    let mut store = store().await;
    for n in 0..3 {
        run(&store, match_id(0, n), plain_spec(), [uploaded(), trouble()]).await;
    }
    let id = match_id(0, 1);
    let recent = store.journal.recent(id).expect("the match was written just now");
    let tail = store.journal.tail(Position(0), 100).await.unwrap();
    suite::Engine::restart(&mut store, START).await;
    assert_eq!(store.journal.recent(id), None, "a new process has nothing in memory");
    assert_eq!(store.journal.events(id).await.unwrap(), recent);
    assert_eq!(store.journal.tail(Position(0), 100).await.unwrap(), tail);
}

#[tokio::test]
async fn memory_keeps_nothing_of_an_erased_match() {
    let store = store().await;
    let id = match_id(0, 1);
    run(&store, id, plain_spec(), [uploaded(), failed()]).await;
    assert_eq!(store.journal.recent(id).map(|events| events.len()), Some(3));
    assert_eq!(store.journal.erase(&anna(), id).await.unwrap(), Erased::Done);
    assert_eq!(store.journal.recent(id), None);
    assert_eq!(store.journal.tail(Position(0), 100).await.unwrap(), []);
}

#[tokio::test]
async fn an_unreadable_match_keeps_no_other_from_being_claimed() {
    let mut store = store().await;
    for n in 0..3 {
        admit(&store, match_id(0, n), plain_spec()).await;
    }
    tamper(&path(&store.folder), "UPDATE events SET body = '{' WHERE position = 1");
    suite::Engine::restart(&mut store, START).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(store.journal.claim(1).await.unwrap().into_iter().map(|(state, _)| state.id));
    }
    assert_eq!(ids, [1, 2].map(|n| match_id(0, n)));
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let store = store().await;
    let (journal, _) = run(&store, match_id(0, 1), plain_spec(), [uploaded()]).await;
    let crashed = suite::Engine::backup(&store).await;
    let (journal_after, _) = open(&path(&crashed), START).await;
    assert_eq!(journal_after.events(match_id(0, 1)).await.unwrap(), journal);
}

#[tokio::test]
async fn closing_leaves_one_file_and_refuses_later_calls() {
    let store = store().await;
    admit(&store, match_id(0, 1), plain_spec()).await;
    store.journal.clone().close().await;
    store.journal.clone().close().await;
    assert!(!store.folder.path().join("facematch.db-wal").exists());
    assert!(matches!(store.journal.ping().await, Err(Error::Unavailable(_))));
    assert!(matches!(store.journal.claim(1).await, Err(Error::Unavailable(_))));
    assert!(!store.journal.0.writer.queue.is_open());
}

#[tokio::test]
async fn a_value_that_sqlite_can_never_hold_is_told_from_an_outage() {
    let store = store().await;
    let files = Files::new(path(&store.folder));
    let connection = files.look().unwrap();
    let is_refused = |error: Error| matches!(error, Error::Refused(_));
    for (statement, is_permanent) in [
        ("SELECT zeroblob(2000000000)", true),
        ("UPDATE store SET floor = 'text'", true),
        ("UPDATE store SET floor = NULL", true),
        ("UPDATE store SET digest_key = x'00'", true),
        ("SELECT * FROM nowhere", false),
        ("INSERT INTO store SELECT * FROM store", false),
    ] {
        let failure = connection.execute_batch(statement).unwrap_err();
        assert_eq!(is_refused(failure.into()), is_permanent, "{statement}");
    }
    let mut reader = files.reader().await.unwrap();
    for (statement, is_permanent) in
        [("SELECT zeroblob(2000000000)", true), ("SELECT * FROM nowhere", false)]
    {
        let failure = query(statement).execute(&mut reader).await.unwrap_err();
        assert_eq!(is_refused(failure.into()), is_permanent, "{statement}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_lock_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A folder can't be opened as a file, not even by root.
    fs::create_dir(folder.path().join("facematch.db.lock")).unwrap();
    let (clock, _) = Clock::manual(START);
    let config = Config { path: path(&folder), clock, ticks: Clock::system(), readers: READERS };
    let text = Sqlite::open(config).await.err().expect("the file is refused").to_string();
    assert!(
        text.contains("the lock file ") && text.contains("facematch.db.lock can't be"),
        "{text}"
    );
}

/// Five hundred matches are one page of retention. Other writes come in between its parts.
#[tokio::test]
async fn a_write_beside_a_page_of_retention_waits_for_one_part_of_it() {
    let store = store().await;
    end_a_thousand(&store.journal).await;
    store.hand.advance(KEEP);
    let (mut erasing, mut beside) = (store.journal.tidy(Chore::EraseExpired, 500), 0);
    let commits = store.journal.commits();
    let erased = loop {
        let admitted = store.journal.admit(match_id(beside, 1), Arc::new(plain_spec()));
        match select(erasing, admitted).await {
            Either::Left((erased, admitted)) => {
                admitted.await.unwrap();
                break erased;
            }
            Either::Right((admitted, still_erasing)) => {
                admitted.unwrap();
                (erasing, beside) = (still_erasing, beside + 1);
            }
        }
    };
    assert_eq!(erased.unwrap(), 500);
    let commits = store.journal.commits() - commits;
    assert!(beside >= 4, "{beside} others were written in {commits} commits");
}

/// This holds however many matches callers erase at once.
#[tokio::test]
async fn a_write_beside_many_erasures_waits_for_some_of_them() {
    let store = store().await;
    end_a_thousand(&store.journal).await;
    let (journal, tenant, before) = (&store.journal, anna(), store.journal.commits());
    let erasing = join_all((0..500).map(|n| journal.erase(&tenant, match_id(n, 0))));
    let beside = async {
        journal.admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
        journal.commits() - before
    };
    let (erased, beside) = tokio::join!(erasing, beside);
    assert!(erased.iter().all(|erased| matches!(erased, Ok(Erased::Done))));
    let commits = journal.commits() - before;
    assert!(beside * 3 < commits, "commit {beside} of {commits}");
}

#[tokio::test]
async fn a_fact_is_one_commit_and_what_is_in_its_way_writes_nothing() {
    let store = store().await;
    let before = store.journal.commits();
    let spec =
        Spec { labels: labels(&[("shop", "7"), ("till", "ü\"2")]), ..named_spec("order-1") };
    let facts = [uploaded(), started("a-1"), finished()];
    let (events, _) = run(&store, match_id(0, 1), spec.clone(), facts).await;
    assert_eq!(store.journal.commits() - before, 4);
    let filter = Filter { labels: spec.labels.clone(), ..Filter::default() };
    let listed = store.journal.list(&anna(), &filter, None, 9).await.unwrap().matches;
    assert_eq!(listed.len(), 1, "found by all of its labels");

    let again = store.journal.admit(match_id(0, 2), Arc::new(spec)).await.unwrap();
    assert!(matches!(again, Admitted::Known(known) if known.id == match_id(0, 1)));
    let claim = Claim { match_id: match_id(0, 1), epoch: 1 };
    let lost = store.journal.append(claim, Sequence(2), trouble()).await.unwrap();
    assert_eq!(lost, Appended::Lost);
    assert_eq!(store.journal.events(match_id(0, 1)).await.unwrap(), events);
}

/// In one batch, some operations are written and others can't be.
#[tokio::test]
async fn an_admission_that_another_of_its_batch_precedes_returns_the_known_match() {
    let store = store().await;
    let spec = Arc::new(named_spec("order-1"));
    let admissions = (0..4).map(|n| store.journal.admit(match_id(0, n), Arc::clone(&spec)));
    let admitted = join_all(admissions).await;
    let is_new = |admitted: &Result<Admitted, Error>| matches!(admitted, Ok(Admitted::New(..)));
    let known_as =
        |id| move |it: &Result<Admitted, Error>| matches!(it, Ok(Admitted::Known(m)) if m.id == id);
    assert!(is_new(&admitted[0]) && admitted[1..].iter().all(known_as(match_id(0, 0))));
}
