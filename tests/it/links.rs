//! Tests of the fault-injecting proxy in front of PostgreSQL: each fault does what its name says.

use std::time::Duration;

use sqlx::{Connection, PgConnection, Row, postgres::PgListener, query, raw_sql};
use tokio::time::timeout;

use crate::{
    postgres::{Link, Loss, shared},
    support::PATIENCE,
};

/// Usually long enough for an answer to arrive.
const MOMENT: Duration = Duration::from_millis(50);

/// A table of numbers in a database of its own, and a proxy in front of it.
struct Table {
    database: String,
    link: Link,
}

impl Table {
    fn lay() -> Self {
        let database = shared().create_database();
        shared().sql(&database, "CREATE TABLE kept (number int)");
        Self { database, link: shared().link() }
    }

    async fn connect(&self) -> PgConnection {
        self.try_connect().await.expect("a connection")
    }

    async fn try_connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.link.url(&self.database)).await
    }

    /// The number of rows in the database, read past the proxy.
    fn kept(&self) -> String {
        shared().sql(&self.database, "SELECT count(*) FROM kept")
    }
}

async fn insert(client: &mut PgConnection) -> sqlx::Result<u64> {
    Ok(query("INSERT INTO kept VALUES ($1)").bind(7).execute(client).await?.rows_affected())
}

async fn commit(client: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = client.begin().await?;
    insert(&mut transaction).await?;
    transaction.commit().await
}

#[tokio::test]
async fn a_link_forwards_requests_and_answers() {
    let table = Table::lay();
    let mut client = table.connect().await;
    assert_eq!(insert(&mut client).await.unwrap(), 1);
    commit(&mut client).await.unwrap();
    let rows = query("SELECT repeat('x', 100000) FROM kept").fetch_all(&mut client).await.unwrap();
    let lengths: Vec<usize> = rows.iter().map(|row| row.get::<String, _>(0).len()).collect();
    assert_eq!(lengths, [100_000; 2]);
    raw_sql("SELECT nothing").execute(&mut client).await.expect_err("no such column");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_cut_ends_connections_and_new_ones_are_accepted() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.cut();
    insert(&mut client).await.expect_err("it was cut");
    insert(&mut table.connect().await).await.unwrap();
    assert_eq!(table.kept(), "1");
}

#[tokio::test]
async fn a_refusing_link_keeps_connections_and_accepts_none() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.refuse();
    table.try_connect().await.expect_err("it is refused");
    insert(&mut client).await.expect("the connection stays open");
    table.link.heal();
    insert(&mut table.connect().await).await.unwrap();
    assert_eq!(table.kept(), "2");
}

#[tokio::test]
async fn a_link_that_is_cut_off_ends_connections_and_accepts_none() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.cut_off();
    insert(&mut client).await.expect_err("it was cut");
    table.try_connect().await.expect_err("it is refused");
    table.link.heal();
    insert(&mut table.connect().await).await.unwrap();
    assert_eq!(table.kept(), "1");
}

#[tokio::test]
async fn a_silent_link_holds_requests_until_it_heals() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.silence();
    let mut inserted = Box::pin(insert(&mut client));
    timeout(MOMENT, &mut inserted).await.expect_err("the link is silent");
    timeout(MOMENT, table.try_connect()).await.expect_err("a new connection gets no answer either");
    assert_eq!(table.kept(), "0");
    table.link.heal();
    assert_eq!(inserted.await.unwrap(), 1);
}

#[tokio::test]
async fn a_lost_request_is_not_executed() {
    let table = Table::lay();
    let mut client = table.connect().await;
    insert(&mut client).await.unwrap();
    table.link.lose(Loss::Request, 2);
    insert(&mut client).await.expect("the first is not lost");
    insert(&mut client).await.expect_err("the second is lost");
    assert_eq!((table.kept().as_str(), table.link.losses()), ("2", 1));
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_executed() {
    let table = Table::lay();
    let mut client = table.connect().await;
    insert(&mut client).await.unwrap();
    table.link.lose(Loss::Answer, 2);
    insert(&mut client).await.expect("the first is not lost");
    insert(&mut client).await.expect_err("the second is lost");
    assert_eq!((table.kept().as_str(), table.link.losses()), ("3", 1));
    insert(&mut table.connect().await).await.expect("nothing else is lost");
}

#[tokio::test]
async fn a_lost_commit_is_durable() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.lose(Loss::Commit, 2);
    commit(&mut client).await.expect("the first is not lost");
    insert(&mut client).await.expect("an insert without a transaction isn't lost");
    commit(&mut client).await.expect_err("the second is lost");
    assert_eq!((table.kept().as_str(), table.link.losses()), ("3", 1));
}

#[tokio::test]
async fn a_notification_arrives_while_answers_may_be_lost() {
    let table = Table::lay();
    let mut listener = PgListener::connect(&table.link.url(&table.database)).await.unwrap();
    listener.listen("news").await.unwrap();
    table.link.lose(Loss::Answer, 1);
    shared().sql(&table.database, "NOTIFY news, 'something'");
    let heard = timeout(PATIENCE, listener.recv()).await.expect("it arrives").unwrap();
    assert_eq!(heard.payload(), "something");
}
