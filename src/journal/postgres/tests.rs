//! What only this engine has: a real PostgreSQL, which the tests start for themselves.

mod collation;
mod hanging;
mod lists;
mod opening;
mod pages;
mod plans;
mod pooler;
mod remains;
mod turns;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, query, query_scalar, raw_sql};
use uuid::Uuid;

use crate::{
    clock::{Clock, Hand},
    domain::{Match, MatchId, Position, Sequence, Timestamp},
    journal::{
        Admitted, Appended, Claim, ClaimStatus, Erased, Error, Reader, Writer,
        postgres::{Config, Postgres, READERS},
        suite::{self, Engine as _, facts::*},
    },
    postgres::{Cluster, Link, Loss, shared},
};

/// As the setting has it.
const LEASE: Duration = Duration::from_secs(10);

/// As short as the setting may be.
const SHORT: Duration = Duration::from_secs(1);

/// A database of its own, the replica at it, and the hand of its clock.
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

    fn writer(&self) -> Arc<dyn Writer> {
        Arc::new(self.journal().clone())
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.journal().clone())
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

/// A later version writes beside this one: the tail goes on, live streams with it, and the match is
/// free for replicas of that version at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_version_writes_stops_no_tail_and_its_matches_are_let_go() {
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
    let mut wake = journal.wake();
    while journal.tail(Position(2), 10).await.unwrap().is_empty() {
        tokio::time::timeout(SHORT * 30, wake.changed()).await.unwrap().unwrap();
    }
    assert_eq!(journal.head().await.unwrap(), Position(3));
    run(&served, match_id(0, 1), plain_spec(), [uploaded()]).await;
    assert_eq!(journal.tail(Position(2), 10).await.unwrap().len(), 3);
    let owner = format!("SELECT owner, epoch FROM match_states WHERE match_id = '{id}'");
    assert_eq!(journal.claim(10).await.unwrap(), []);
    admit(&served, match_id(0, 2), plain_spec()).await;
    until("it is let go of", || shared().sql(&served.database, &owner) == "0|2").await;
    for _ in 0..3 {
        assert_eq!(journal.claim(10).await.unwrap(), []);
    }
    assert_eq!(shared().sql(&served.database, &owner), "0|2", "it isn't claimed in a circle");
    served.close().await;
}

// Opening.

/// However many come at once to a database with nothing in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_migrate_once() {
    let database = shared().create_database();
    let starts = (0..8).map(|_| open(&database, START));
    let replicas = futures_util::future::join_all(starts).await;
    let stores: HashSet<u64> = replicas.iter().map(|it| it.journal().origin().store).collect();
    let runs: HashSet<u64> = replicas.iter().map(|it| it.journal().origin().incarnation).collect();
    assert_eq!((stores.len(), runs.len()), (1, 8));
    let versions = shared().sql(&database, "SELECT count(*), max(version) FROM facematch_schema");
    assert_eq!(versions, "1|1");
    let is_whole = |it: &Served| it.journal().fleet().borrow().alive == 8;
    until("everybody knows of everybody", || replicas.iter().all(is_whole)).await;
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

// A line that breaks.

/// A replica behind a line that breaks when it is told to.
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

/// Whether it was carried out or not: each statement's answer is lost once, and then its request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_line_left_of_a_commit_is_found_out() {
    for loss in [Loss::Answer, Loss::Request] {
        let database = shared().create_database();
        let behind = Behind::open(&database, LEASE).await;
        let mut lost = 0;
        for n in 0.. {
            let before = behind.link.losses();
            behind.link.lose(loss, 1 + n);
            live(&behind.journal, match_id(0, n as u64)).await;
            behind.link.heal();
            if behind.link.losses() == before {
                break;
            }
            lost += 1;
        }
        assert!(lost >= 5, "{lost} statements were lost");
        let each = "SELECT count(*) FROM (SELECT match_id FROM events GROUP BY match_id
                    HAVING count(*) <> 5 OR max(sequence) <> 5) AS odd";
        assert_eq!(shared().sql(&database, each), "0");
        behind.journal.close().await;
    }
}

/// A match from its first event to its last, each write once: whatever it takes is the engine's.
async fn live(journal: &Postgres, id: MatchId) {
    let spec = Arc::new(named_spec(&id.to_string()));
    let Admitted::New(_, claim) =
        persist(async || journal.admit(id, Arc::clone(&spec)).await).await
    else {
        panic!("{id} was there before");
    };
    let events = [uploaded(), started(&id.to_string()), trouble(), finished()];
    for (index, event) in events.into_iter().enumerate() {
        let after = Sequence(1 + index as u64);
        let appended = persist(async || journal.append(claim, after, event.clone()).await).await;
        assert!(matches!(appended, Appended::Done(_)), "{appended:?}");
    }
}

/// One broken line is the engine's to mend; a second at the same write, its caller's.
async fn persist<T>(write: impl AsyncFn() -> Result<T, Error>) -> T {
    let mut last = None;
    for _ in 0..2 {
        match write().await {
            Ok(done) => return done,
            Err(error) => last = Some(error),
        }
    }
    panic!("{last:?}");
}

// Leases.

/// Two of three go on with what the third held, each with about half, once its lease is over and
/// not before; what it writes then has no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_replica_held_is_taken_over_in_fair_shares() {
    let database = shared().create_database();
    let third = Behind::open(&database, SHORT).await;
    let (one, two) = (Behind::open(&database, SHORT).await, Behind::open(&database, SHORT).await);
    let mut claims = Vec::new();
    for _ in 0..60 {
        let spec = Arc::new(plain_spec());
        let admitted = third.journal.admit(MatchId::from_uuid(Uuid::new_v4()), spec).await.unwrap();
        let Admitted::New(_, claim) = admitted else { panic!("it is new") };
        claims.push(claim);
    }
    assert_eq!(one.journal.claim(100).await.unwrap(), []);
    third.link.silence();
    let first = claims[0];
    until("it gives its lease up by itself", || third.journal.tenure(first) == ClaimStatus::Unsure)
        .await;
    assert!(third.journal.append(first, Sequence(1), uploaded()).await.is_err());
    let shares = tokio::join!(all_of(&one.journal), all_of(&two.journal));
    assert_eq!(shares.0.len() + shares.1.len(), 60);
    assert!(shares.0.len().min(shares.1.len()) >= 15, "{}", shares.0.len());

    third.link.heal();
    until("it knows that its lease is gone", || third.journal.tenure(first) == ClaimStatus::Lost)
        .await;
    until("it has a new one", || third.journal.may_act()).await;
    let late = third.journal.append(first, Sequence(1), uploaded()).await.unwrap();
    assert_eq!(late, Appended::Lost);
    let (_, taken) = &shares.0[0];
    let appended = one.journal.append(*taken, Sequence(1), uploaded()).await.unwrap();
    assert!(matches!(appended, Appended::Done(_)));
    third.link.heal();
    for behind in [one, two, third] {
        behind.journal.close().await;
    }
}

/// What a replica claims as soon as it is told that there is something.
async fn all_of(journal: &Postgres) -> Vec<(Match, Claim)> {
    let mut fleet = journal.fleet();
    let mut all = Vec::new();
    while fleet.borrow_and_update().alive > 2 {
        fleet.changed().await.unwrap();
    }
    all.extend(journal.claim(100).await.unwrap());
    all
}

/// It goes on with what it held: nobody has touched it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_renewed_late_is_good_if_nobody_ended_it() {
    let database = shared().create_database();
    let alone = Behind::open(&database, SHORT).await;
    let admitted = alone.journal.admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("it is new") };
    alone.link.refuse();
    alone.link.cut();
    until("it gives its lease up", || alone.journal.tenure(claim) == ClaimStatus::Unsure).await;
    assert!(alone.journal.ping().await.is_err());
    assert!(alone.journal.admit(match_id(0, 2), Arc::new(plain_spec())).await.is_err());
    alone.link.heal();
    until("it renews it", || alone.journal.tenure(claim) == ClaimStatus::Held).await;
    let appended = alone.journal.append(claim, Sequence(1), uploaded()).await.unwrap();
    assert!(matches!(appended, Appended::Done(_)));
    alone.journal.close().await;
}

/// A replica that has all the matches that it may have searches for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_no_claims_asks_nothing_of_the_database() {
    let database = shared().create_database();
    let behind = Behind::open(&database, LEASE).await;
    behind.link.refuse();
    behind.link.cut();
    assert_eq!(behind.journal.claim(0).await.unwrap(), []);
    assert!(behind.journal.claim(1).await.is_err());
    behind.link.heal();
    behind.journal.close().await;
}

/// An outage lets all leases lapse at once: whoever comes back first waits for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_for_all_everybody_keeps_what_they_held() {
    let database = shared().create_database();
    let (one, two) = (Behind::open(&database, SHORT).await, Behind::open(&database, SHORT).await);
    let admitted = two.journal.admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("it is new") };
    for behind in [&one, &two] {
        behind.link.refuse();
        behind.link.cut();
    }
    until("both give up", || !one.journal.may_act() && !two.journal.may_act()).await;
    one.link.heal();
    until("the first is back", || one.journal.may_act()).await;
    assert_eq!(one.journal.claim(10).await.unwrap(), []);
    two.link.heal();
    until("the second is back", || two.journal.tenure(claim) == ClaimStatus::Held).await;
    for behind in [one, two] {
        behind.journal.close().await;
    }
}

// Other replicas.

/// Of a database that has lost what was committed, by a failover or a restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_was_lost_is_not_gone_on_with() {
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

/// Who has only read what is lost has shown it, and would miss what comes in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_read_what_was_lost_does_not_go_on_either() {
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

/// By notice or by the timer; until then it may be read from memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_replica_erases_is_forgotten() {
    let database = shared().create_database();
    let (mut one, mut two) = (open(&database, START).await, open(&database, START).await);
    let admitted = one.journal().admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("it is new") };
    one.journal().append(claim, Sequence(1), failed()).await.unwrap();
    until("the other knows it", || two.journal().recent(match_id(0, 1)).is_some()).await;
    assert_eq!(one.journal().erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    until("the other has forgotten it", || two.journal().recent(match_id(0, 1)).is_none()).await;
    assert_eq!(two.journal().take_erased(), [match_id(0, 1)]);
    assert_eq!(two.journal().tenure(claim), ClaimStatus::Lost);
    assert_eq!(two.journal().tail(Position(0), 10).await.unwrap(), []);
    one.close().await;
    two.close().await;
}

/// More than a page of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_others_erased_is_told_page_by_page() {
    let database = shared().create_database();
    let mut one = open(&database, START).await;
    // Its first look tells it how often something was erased.
    let looked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                  AND datname = current_database() AND state = 'idle'
                  AND query LIKE '%s.erasures FROM store AS s%'";
    until("it has looked once", || shared().sql(&database, looked) == "t").await;
    let many = "INSERT INTO erased SELECT 1 + n / 2000, gen_random_uuid(), now()
                FROM generate_series(0, 2999) AS n; UPDATE store SET erasures = 2";
    shared().sql(&database, many);
    let mut erased = HashSet::new();
    until("it has heard of all", || {
        erased.extend(one.journal().take_erased());
        erased.len() == 3_000
    })
    .await;
    one.close().await;
}

/// All of an hour's would be read with each step of a backlog.
#[tokio::test]
async fn erasures_of_long_ago_are_forgotten_a_page_at_a_time() {
    let mut served = Served::create().await;
    let old = "INSERT INTO erased SELECT n, gen_random_uuid(), now() - INTERVAL '2 hours'
               FROM generate_series(1, 10) AS n";
    shared().sql(&served.database, old);
    let left = "SELECT count(*), min(erasure) FROM erased";
    served.journal().erase_expired(2).await.unwrap();
    assert_eq!(shared().sql(&served.database, left), "6|5");
    served.journal().erase_expired(3).await.unwrap();
    assert_eq!(shared().sql(&served.database, left), "0|");
    served.close().await;
}

/// A pooler or a distributed engine may have none: the timer finds everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_is_found_without_notices() {
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

/// Both have found the same photo at Oz, and one of them has had its connection cut.
#[tokio::test]
async fn the_same_fact_of_another_replica_is_not_taken_for_a_write_whose_answer_was_lost() {
    let one = Served::create().await;
    let other = suite::Shared::join(&one).await;
    let (_, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    let ours = append(&one, claim, Sequence(1), trouble()).await;
    let found = one.journal().appended_before(claim, Sequence(1), &trouble(), true).await;
    assert_eq!(found.unwrap(), Appended::Done(ours));
    let found = other.journal().appended_before(claim, Sequence(1), &trouble(), true).await;
    assert_eq!(found.unwrap(), Appended::Lost);
}

/// An outage of the database lets all leases lapse, and somebody is the first to come back.
#[tokio::test]
async fn whoever_renews_its_lease_late_leaves_the_others_theirs() {
    let database = shared().create_database();
    let (ticks, hand) = Clock::manual(START);
    let (still, _hand) = Clock::manual(START);
    let journal = |ticks| Postgres::open(Config { ticks, ..config(&database, still.clone()) });
    let (late, _other) = (journal(ticks).await.unwrap(), journal(still.clone()).await.unwrap());
    let mut beside = PgConnection::connect(&shared().url(&database)).await.unwrap();
    let lapse = "UPDATE leases SET expire_time = now() - INTERVAL '1 hour'";
    query(lapse).execute(&mut beside).await.unwrap();
    hand.advance(Duration::from_secs(10));
    assert!(!late.may_act());
    while !late.may_act() {
        late.floor().await.unwrap();
    }
    let leases = query_scalar::<_, i64>("SELECT count(*) FROM leases").fetch_one(&mut beside);
    assert_eq!(leases.await.unwrap(), 2);
}

// What statements see of each other.

/// Begins a transaction that stays open, as another replica's statement does for a moment.
async fn meanwhile(database: &str, statement: &'static str) -> PgConnection {
    let mut other = PgConnection::connect(&shared().url(database)).await.unwrap();
    for statement in ["BEGIN", statement] {
        raw_sql(statement).execute(&mut other).await.unwrap();
    }
    other
}

/// Waits until a statement of the journal's waits for somebody else's lock, then lets go of it.
async fn let_wait_and_go_on(database: &str, mut other: PgConnection) {
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("somebody waits", || shared().sql(database, waiting) == "t").await;
    raw_sql("COMMIT").execute(&mut other).await.unwrap();
}

/// The take-over began after the write had looked, and was committed while it waited: a fence that
/// was looked up beside would have let it through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_a_take_over_has_no_effect() {
    let one = Served::create().await;
    let (_, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    let taking = "UPDATE match_states SET epoch = epoch + 1, owner = 77";
    let other = meanwhile(&one.database, taking).await;
    let writing = one.journal().append(claim, Sequence(1), uploaded());
    let (appended, ()) = tokio::join!(writing, let_wait_and_go_on(&one.database, other));
    assert_eq!(appended.unwrap(), Appended::Lost);
    assert_eq!(one.journal().events(match_id(0, 1)).await.unwrap().len(), 1);
}

/// Whoever began first but commits later has the greater position, and sees what the other wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_in_the_order_of_commits_and_a_later_write_sees_an_earlier_one() {
    let one = Served::create().await;
    let (first, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    let elsewhere = "
        INSERT INTO commits SELECT max(last_position) + 1, max(last_position) + 1, 5 FROM commits;
        INSERT INTO match_analyses VALUES ('a-1', gen_random_uuid())";
    let other = meanwhile(&one.database, elsewhere).await;
    let writing = async {
        let appended = one.journal().append(claim, Sequence(1), uploaded()).await.unwrap();
        let Appended::Done(second) = appended else { panic!("{appended:?}") };
        (second, one.journal().append(claim, Sequence(2), started("a-1")).await.unwrap())
    };
    let going_on = let_wait_and_go_on(&one.database, other);
    let ((second, third), ()) = tokio::join!(writing, going_on);
    assert_eq!(second.position, Position(first.position.0 + 2));
    assert_eq!(third, Appended::Taken);
}

/// Nor is any lock held: what a replica does between two statements holds up nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_is_open_between_two_trips() {
    let one = Served::create().await;
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    for n in 0..20 {
        live(one.journal(), match_id(0, n)).await;
        assert_eq!(shared().sql(&one.database, open), "0");
    }
}

// Clocks.

/// A year, in microseconds.
const YEAR: i64 = 365 * 86_400 * 1_000_000;

/// A replica whose clock is this far ahead of the database's, or behind.
async fn open_wrong(database: &str, micros: i64) -> Served {
    let (clock, hand) = Clock::manual(Clock::system().now());
    open_by(database, clock.skewed(micros), hand).await
}

#[tokio::test]
async fn events_are_stamped_by_the_clock_of_the_database() {
    let database = shared().create_database();
    for (n, skew) in [YEAR, -YEAR].into_iter().enumerate() {
        let wrong = open_wrong(&database, skew).await;
        let id = match_id(0, n as u64);
        suite::facts::end(&wrong, id, named_spec(&format!("order-{n}"))).await;
        let now = shared().sql(&database, "SELECT CAST(extract(epoch FROM now()) AS bigint)");
        let now: i64 = now.trim().parse().unwrap();
        for recorded in wrong.reader().events(id).await.unwrap() {
            let seconds = recorded.time.as_micros() / 1_000_000;
            assert!((now - 600..now + 600).contains(&seconds), "{seconds} at {now}");
        }
    }
}

#[tokio::test]
async fn a_replica_that_is_a_year_ahead_erases_nothing_early() {
    let database = shared().create_database();
    let right = open_wrong(&database, 0).await;
    for n in 0..5 {
        suite::facts::end(&right, match_id(0, n), named_spec(&format!("order-{n}"))).await;
    }
    let ahead = open_wrong(&database, YEAR).await;
    assert_eq!(ahead.journal().erase_expired(1_000).await.unwrap(), 0);
    // Also where its clock is wrong between two renewals of its lease.
    ahead.clock.step_to(ahead.clock.now().after(Duration::from_micros(YEAR.unsigned_abs())));
    assert_eq!(ahead.journal().erase_expired(1_000).await.unwrap(), 0);
    let expire = "UPDATE match_states SET expire_time = expire_time - 4000 * 1000000::bigint";
    shared().sql(&database, expire);
    assert_eq!(right.journal().erase_expired(1_000).await.unwrap(), 5);
}

#[tokio::test]
async fn a_replica_follows_the_clock_of_the_database_at_each_renewal() {
    let database = shared().create_database();
    let (clock, _hand) = Clock::manual(Clock::system().now());
    let clock = clock.skewed(0);
    let journal = Postgres::open(config(&database, clock.clone())).await.unwrap();
    let ahead = clock.now().after(Duration::from_micros(YEAR.unsigned_abs()));
    clock.step_to(ahead);
    until("the lease is renewed", || clock.now() < ahead).await;
    journal.close().await;
}
