//! A line to a PostgreSQL does to its clients what it says.

use std::time::Duration;

use sqlx::{Connection, PgConnection, Row, postgres::PgListener, query, raw_sql};
use tokio::time::timeout;

use crate::{
    postgres::{Link, Loss, shared},
    support::PATIENCE,
};

/// Long enough for an answer that comes, on most days.
const MOMENT: Duration = Duration::from_millis(50);

/// A table of numbers in a database of its own, and a line to it.
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

    /// What the database has, whatever the line does.
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
async fn a_line_carries_what_is_said() {
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
async fn a_cut_line_ends_connections_and_takes_new_ones() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.cut();
    insert(&mut client).await.expect_err("it was cut");
    insert(&mut table.connect().await).await.unwrap();
    assert_eq!(table.kept(), "1");
}

#[tokio::test]
async fn a_closed_line_keeps_connections_and_takes_none() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.refuse();
    table.try_connect().await.expect_err("it is refused");
    insert(&mut client).await.expect("its connection stays");
    table.link.heal();
    insert(&mut table.connect().await).await.unwrap();
    assert_eq!(table.kept(), "2");
}

#[tokio::test]
async fn a_silent_line_keeps_what_is_said_until_it_heals() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.silence();
    let mut inserted = Box::pin(insert(&mut client));
    timeout(MOMENT, &mut inserted).await.expect_err("nobody answers");
    timeout(MOMENT, table.try_connect()).await.expect_err("a new one hears nothing either");
    assert_eq!(table.kept(), "0");
    table.link.heal();
    assert_eq!(inserted.await.unwrap(), 1);
}

#[tokio::test]
async fn a_lost_request_is_not_done() {
    let table = Table::lay();
    let mut client = table.connect().await;
    insert(&mut client).await.unwrap();
    table.link.lose(Loss::Request, 2);
    insert(&mut client).await.expect("the first is heard");
    insert(&mut client).await.expect_err("the second isn't");
    assert_eq!((table.kept().as_str(), table.link.losses()), ("2", 1));
}

#[tokio::test]
async fn a_lost_answer_is_of_what_is_done() {
    let table = Table::lay();
    let mut client = table.connect().await;
    insert(&mut client).await.unwrap();
    table.link.lose(Loss::Answer, 2);
    insert(&mut client).await.expect("the first is heard of");
    insert(&mut client).await.expect_err("the second isn't");
    assert_eq!((table.kept().as_str(), table.link.losses()), ("3", 1));
    insert(&mut table.connect().await).await.expect("nothing else is lost");
}

#[tokio::test]
async fn a_lost_commit_is_durable() {
    let table = Table::lay();
    let mut client = table.connect().await;
    table.link.lose(Loss::Commit, 2);
    commit(&mut client).await.expect("the first is heard of");
    insert(&mut client).await.expect("it is no transaction");
    commit(&mut client).await.expect_err("the second isn't");
    assert_eq!((table.kept().as_str(), table.link.losses()), ("3", 1));
}

#[tokio::test]
async fn a_notification_comes_while_an_answer_may_get_lost() {
    let table = Table::lay();
    let mut listener = PgListener::connect(&table.link.url(&table.database)).await.unwrap();
    listener.listen("news").await.unwrap();
    table.link.lose(Loss::Answer, 1);
    shared().sql(&table.database, "NOTIFY news, 'something'");
    let heard = timeout(PATIENCE, listener.recv()).await.expect("it is heard").unwrap();
    assert_eq!(heard.payload(), "something");
}
