//! Tests of this engine alone, against a real PostgreSQL that they start themselves.

mod clocks;
mod collation;
mod hanging;
mod leases;
mod lists;
mod opening;
mod pages;
mod plans;
mod pooler;
mod remains;
mod turns;
mod writing;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, query, query_scalar, raw_sql};
use uuid::Uuid;

use crate::{
    clock::{Clock, Hand},
    domain::{Match, MatchId, Position, Sequence, Timestamp},
    journal::{
        Admitted, Appended, Chore, Claim, ClaimStatus, Erased, Error, Handles, Reader, Start,
        Writer,
        postgres::{Config, Postgres, READERS},
        suite::{self, Engine as _, facts::*},
    },
    postgres::{Cluster, Link, Loss, shared},
};

/// The default length of a lease.
const LEASE: Duration = Duration::from_secs(10);

/// The shortest lease that the setting allows.
const SHORT: Duration = Duration::from_secs(1);

/// A database, a replica that uses it, and the hand of the replica's clock.
struct Served {
    database: String,
    journal: Option<Postgres>,
    clock: Clock,
    hand: Hand,
}

suite::conformance!(Served);

fn config(database: &str, clock: Clock) -> Config {
    Config {
        url: shared().url(database).into(),
        password: None,
        clock,
        ticks: Clock::system(),
        lease: LEASE,
        readers: READERS,
    }
}

async fn open(database: &str, now: Timestamp) -> Served {
    let (clock, hand) = Clock::manual(now);
    open_by(database, clock, hand).await
}

async fn open_by(database: &str, clock: Clock, hand: Hand) -> Served {
    let journal = Postgres::open(config(database, clock.clone())).await.unwrap();
    Served { database: database.to_owned(), journal: Some(journal), clock, hand }
}

impl Served {
    fn journal(&self) -> &Postgres {
        self.journal.as_ref().unwrap()
    }

    async fn close(&mut self) {
        self.journal.take().unwrap().close().await;
    }
}

#[async_trait]
impl suite::Engine for Served {
    type Backup = Vec<u8>;

    async fn create() -> Self {
        open(&shared().create_database(), START).await
    }

    fn handles(&self) -> Handles {
        self.journal().handles()
    }

    fn may_act(&self) -> bool {
        self.journal().may_act()
    }

    fn hand(&self) -> Hand {
        self.hand.clone()
    }

    async fn restart(&mut self, now: Timestamp) {
        self.close().await;
        *self = open(&self.database, now).await;
    }

    async fn backup(&self) -> Vec<u8> {
        shared().dump(&self.database)
    }

    async fn restore(&mut self, backup: &Vec<u8>) {
        self.close().await;
        shared().restore(&self.database, backup);
        *self = open(&self.database, START).await;
    }
}

#[async_trait]
impl suite::Shared for Served {
    async fn join(&self) -> Self {
        open_by(&self.database, self.clock.clone(), self.hand.clone()).await
    }
}

suite::conformance!(foreign Served);

#[async_trait]
impl suite::Sql for Served {
    async fn sql(&self, statement: &str, id: MatchId) {
        shared().sql(&self.database, &statement.replace("{id}", &format!("'{id}'")));
    }
}

/// A later version writes beside this one: the tail and live streams go on, and the match is
/// released for replicas of that version at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_later_version_stop_no_tail_and_their_matches_are_released() {
    let mut served = Served::create().await;
    let id = match_id(0, 0);
    run(&served, id, plain_spec(), [uploaded()]).await;
    let write = "
        WITH taken AS (
            INSERT INTO commits (first_position, last_position, incarnation)
            SELECT max(last_position) + 1, max(last_position) + 1, 1 FROM commits
            RETURNING first_position
        ), changed AS (
            UPDATE match_states SET sequence = 3, owner = 0 WHERE match_id = {id} RETURNING match_id
        )
        INSERT INTO events (position, match_id, sequence, time, incarnation, body)
        SELECT first_position, match_id, 3, 1800000000000000, 1, '{\"reviewed\":{}}'
        FROM taken, changed";
    suite::Sql::sql(&served, write, id).await;
    let journal = served.journal().clone();
    let mut wake = journal.handles().feed.wake;
    while journal.tail(Position(2), 10).await.unwrap().is_empty() {
        tokio::time::timeout(SHORT * 30, wake.changed()).await.unwrap().unwrap();
    }
    assert_eq!(position(&journal, Start::Head).await, Position(3));
    run(&served, match_id(0, 1), plain_spec(), [uploaded()]).await;
    assert_eq!(journal.tail(Position(2), 10).await.unwrap().len(), 3);
    let owner = format!("SELECT owner, epoch FROM match_states WHERE match_id = '{id}'");
    assert_eq!(journal.claim(10).await.unwrap(), []);
    admit(&served, match_id(0, 2), plain_spec()).await;
    until("the match is released", || shared().sql(&served.database, &owner) == "0|2").await;
    for _ in 0..3 {
        assert_eq!(journal.claim(10).await.unwrap(), []);
    }
    assert_eq!(shared().sql(&served.database, &owner), "0|2", "it is claimed only once");
    served.close().await;
}

// Opening.

/// However many replicas start at once on an empty database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_migrate_once() {
    let database = shared().create_database();
    let starts = (0..8).map(|_| open(&database, START));
    let replicas = futures_util::future::join_all(starts).await;
    let stores: HashSet<u64> =
        replicas.iter().map(|it| it.journal().0.identity.origin.store).collect();
    let runs: HashSet<u64> =
        replicas.iter().map(|it| it.journal().0.identity.origin.incarnation).collect();
    assert_eq!((stores.len(), runs.len()), (1, 8));
    let versions = shared().sql(&database, "SELECT count(*), max(version) FROM facematch_schema");
    assert_eq!(versions, "1|1");
    let is_whole = |it: &Served| it.journal().handles().fleet.borrow().alive == 8;
    until("each replica sees all others", || replicas.iter().all(is_whole)).await;
    for mut replica in replicas {
        replica.close().await;
    }
    assert_eq!(shared().sql(&database, "SELECT count(*) FROM leases"), "0");
}

#[tokio::test]
async fn databases_that_cannot_be_used_are_refused_in_one_line() {
    let (newer, foreign, early) =
        (shared().create_database(), shared().create_database(), shared().create_database());
    open(&newer, START).await.close().await;
    shared().sql(&newer, "UPDATE facematch_schema SET version = 7");
    shared().sql(&foreign, "CREATE TABLE events (id integer)");
    let off = format!("ALTER DATABASE \"{early}\" SET synchronous_commit = off");
    shared().sql(&early, &off);
    let cases = [
        (newer, "was made by a newer version (schema 7, this is 1)"),
        (foreign, "holds other tables and is not a FaceMatch journal"),
        (early, "has synchronous_commit = off: a commit could be lost, set it to on"),
    ];
    for (database, reason) in cases {
        let refused = Postgres::open(config(&database, Clock::system())).await.err().unwrap();
        let text = refused.to_string();
        assert!(text.ends_with(reason) && text.contains(&database), "{text}");
    }
    let odd = [
        "postgres://me:/s3cret@db/journal",
        "postgres://me:1/s3cret@db/journal",
        "postgres://me:x?s3cret@db/journal",
        "postgres://me:s3@cret@db/journal",
        "postgres://me:1#s3cret@db/journal",
        "postgres://me:s3cret@db/journal?target_session_attrs=s3cret",
    ];
    for url in odd {
        let odd = Config { url: url.to_owned().into(), ..config("", Clock::system()) };
        let text = Postgres::open(odd).await.err().unwrap().to_string();
        assert!(text.starts_with("not a postgres:// URL") && !text.contains("cret"), "{text}");
    }
    let url = "postgres://me:s3cret@127.0.0.1:1/nothing".to_owned().into();
    let nowhere = Config { url, ..config("", Clock::system()) };
    let text = Postgres::open(nowhere).await.err().unwrap().to_string();
    assert!(text.contains("127.0.0.1:1/nothing can't be reached"), "{text}");
    assert!(!text.contains("s3cret"));
}

// A connection that breaks.

/// A replica behind a link that breaks on demand.
struct Behind {
    link: Link,
    journal: Postgres,
}

impl Behind {
    async fn open(database: &str, lease: Duration) -> Self {
        Self::at(shared(), database, lease).await
    }

    async fn at(cluster: &Cluster, database: &str, lease: Duration) -> Self {
        let link = cluster.link();
        let (clock, _) = Clock::manual(START);
        let url = link.url(database).into();
        let journal = Postgres::open(Config { url, lease, ..config(database, clock) }).await;
        Self { journal: journal.unwrap(), link }
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within half a minute: {what}");
}

// Other replicas.

/// A failover or a restore may lose commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_stops_if_the_database_has_lost_its_commits() {
    let database = shared().create_database();
    let mut served = open(&database, START).await;
    served.journal().admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let backup = shared().dump(&database);
    served.journal().admit(match_id(0, 2), Arc::new(plain_spec())).await.unwrap();
    shared().restore(&database, &backup);
    let mut outcome = Ok(());
    for n in 3..6 {
        outcome = served.journal().admit(match_id(0, n), Arc::new(plain_spec())).await.map(drop);
    }
    assert!(outcome.is_err());
    served.journal().lost().await;
    assert!(!served.journal().may_act());
    assert_eq!(shared().sql(&database, "SELECT count(*) FROM matches"), "1");
    served.close().await;
}

/// It may have shown the lost commits, and would miss those that get their positions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_stops_if_it_has_only_read_commits_that_were_lost() {
    let database = shared().create_database();
    let (mut one, mut two) = (open(&database, START).await, open(&database, START).await);
    let backup = shared().dump(&database);
    one.journal().admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    until("the other sees it", || two.journal().recent(match_id(0, 1)).is_some()).await;
    shared().restore(&database, &backup);
    tokio::join!(one.journal().lost(), two.journal().lost());
    one.close().await;
    two.close().await;
}

/// By NOTIFY or by the timer; until then the match may be read from memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_that_another_replica_erases_is_forgotten() {
    let database = shared().create_database();
    let (mut one, mut two) = (open(&database, START).await, open(&database, START).await);
    let admitted = one.journal().admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("not a new match") };
    one.journal().append(claim, Sequence(1), failed()).await.unwrap();
    until("the other knows it", || two.journal().recent(match_id(0, 1)).is_some()).await;
    assert_eq!(one.journal().erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    until("the other has forgotten it", || two.journal().recent(match_id(0, 1)).is_none()).await;
    assert_eq!(two.journal().0.tail.erased().take(), [match_id(0, 1)]);
    assert_eq!(two.journal().claim_status(claim), ClaimStatus::Lost);
    assert_eq!(two.journal().tail(Position(0), 10).await.unwrap(), []);
    one.close().await;
    two.close().await;
}

/// Here there is more than one page of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_matches_that_others_erased_are_reported_page_by_page() {
    let database = shared().create_database();
    let mut one = open(&database, START).await;
    // Its first read learns the store's count of erasures.
    let looked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                  AND datname = current_database() AND state = 'idle'
                  AND query LIKE '%s.erasures FROM store AS s%'";
    until("it has read once", || shared().sql(&database, looked) == "t").await;
    let many = "INSERT INTO erased SELECT 1 + n / 2000, gen_random_uuid(), now()
                FROM generate_series(0, 2999) AS n; UPDATE store SET erasures = 2";
    shared().sql(&database, many);
    let mut erased = HashSet::new();
    until("it has learned of all", || {
        erased.extend(one.journal().0.tail.erased().take());
        erased.len() == 3_000
    })
    .await;
    one.close().await;
}

/// Otherwise each page of a backlog would read the erasures of a whole hour.
#[tokio::test]
async fn old_erasures_are_forgotten_a_page_at_a_time() {
    let mut served = Served::create().await;
    let old = "INSERT INTO erased SELECT n, gen_random_uuid(), now() - INTERVAL '2 hours'
               FROM generate_series(1, 10) AS n";
    shared().sql(&served.database, old);
    let left = "SELECT count(*), min(erasure) FROM erased";
    served.journal().tidy(Chore::EraseExpired, 2).await.unwrap();
    assert_eq!(shared().sql(&served.database, left), "6|5");
    served.journal().tidy(Chore::EraseExpired, 3).await.unwrap();
    assert_eq!(shared().sql(&served.database, left), "0|");
    served.close().await;
}

/// A pooler or a distributed database may have no NOTIFY: the timer finds everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_replicas_events_are_found_without_notifications() {
    let database = shared().create_database();
    let (mut one, mut two) = (open(&database, START).await, open(&database, START).await);
    let deaf = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    shared().sql(&database, deaf);
    for n in 0..3 {
        one.journal().admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap();
        let id = match_id(0, n);
        until("the other sees it", || two.journal().recent(id).is_some()).await;
    }
    one.close().await;
    two.close().await;
}

/// The engine retries after one broken connection; after a second in the same write, its caller.
async fn try_twice<T>(write: impl AsyncFn() -> Result<T, Error>) -> T {
    let mut last = None;
    for _ in 0..2 {
        match write().await {
            Ok(done) => return done,
            Err(error) => last = Some(error),
        }
    }
    panic!("{last:?}");
}

/// Begins a transaction that stays open, as another replica's statement is for a moment.
async fn open_transaction(database: &str, statement: &'static str) -> PgConnection {
    let mut other = PgConnection::connect(&shared().url(database)).await.unwrap();
    for statement in ["BEGIN", statement] {
        raw_sql(statement).execute(&mut other).await.unwrap();
    }
    other
}

/// Waits until a statement of the journal waits for the other transaction's lock, then commits it.
async fn commit_once_awaited(database: &str, mut other: PgConnection) {
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("a statement waits", || shared().sql(database, waiting) == "t").await;
    raw_sql("COMMIT").execute(&mut other).await.unwrap();
}
