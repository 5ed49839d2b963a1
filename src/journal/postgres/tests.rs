//! What only this engine has: a real PostgreSQL, which the tests start for themselves.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, query, query_scalar};

use crate::{
    clock::{Clock, Hand},
    domain::{Sequence, Timestamp},
    journal::{
        Appended, Reader, Writer,
        postgres::{Config, Postgres, READERS},
        suite::{self, Engine as _, facts::*},
    },
    postgres::shared,
};

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
        clock,
        ticks: Clock::system(),
        lease: Duration::from_secs(10),
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
