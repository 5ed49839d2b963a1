//! A PgBouncer in front of the database: in session mode everything works as without it, and its
//! other modes are refused.

use super::*;
use crate::{
    journal::postgres::{CONNECTIONS_BESIDE, connect::Database},
    postgres::{Mode, Pooler},
};

/// PgBouncer's sessions in each of these tests: enough for two replicas.
const SESSIONS: usize = 2 * (READERS + CONNECTIONS_BESIDE) as usize;

/// A replica behind a PgBouncer in session mode.
struct Pooled {
    pooler: Arc<Pooler>,
    /// The replica, with its database and clock.
    served: Served,
}

suite::conformance!(Pooled);

fn through(pooler: &Pooler, database: &str) -> Config {
    Config { url: pooler.url(database).into(), ..config(database, Clock::system()) }
}

impl Pooled {
    async fn open(pooler: Arc<Pooler>, database: &str, clock: Clock, hand: Hand) -> Self {
        let config = Config { clock: clock.clone(), ..through(&pooler, database) };
        let journal = Some(Postgres::open(config).await.unwrap());
        Self { pooler, served: Served { database: database.to_owned(), journal, clock, hand } }
    }

    async fn open_at(pooler: Arc<Pooler>, database: &str, now: Timestamp) -> Self {
        let (clock, hand) = Clock::manual(now);
        Self::open(pooler, database, clock, hand).await
    }
}

#[async_trait]
impl suite::Engine for Pooled {
    type Backup = Vec<u8>;

    async fn create() -> Self {
        let pooler = Arc::new(shared().pooler(Mode::Session, SESSIONS));
        Self::open_at(pooler, &shared().create_database(), START).await
    }

    fn handles(&self) -> Handles {
        self.served.handles()
    }

    fn may_act(&self) -> bool {
        self.served.may_act()
    }

    fn hand(&self) -> Hand {
        self.served.hand()
    }

    async fn restart(&mut self, now: Timestamp) {
        self.served.close().await;
        *self = Self::open_at(Arc::clone(&self.pooler), &self.served.database, now).await;
    }

    async fn backup(&self) -> Vec<u8> {
        self.served.backup().await
    }

    async fn restore(&mut self, backup: &Vec<u8>) {
        self.served.close().await;
        shared().restore(&self.served.database, backup);
        *self = Self::open_at(Arc::clone(&self.pooler), &self.served.database, START).await;
    }
}

#[async_trait]
impl suite::Shared for Pooled {
    async fn join(&self) -> Self {
        let Served { database, clock, hand, .. } = &self.served;
        Self::open(Arc::clone(&self.pooler), database, clock.clone(), hand.clone()).await
    }
}

/// Why a database can't be used.
async fn refusal(config: Config) -> String {
    let text = Postgres::open(config).await.err().expect("it is refused").to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_is_refused_however_many_it_has() {
    for mode in [Mode::Transaction, Mode::Statement] {
        for sessions in [1, 2, SESSIONS] {
            let (database, pooler) = (shared().create_database(), shared().pooler(mode, sessions));
            let text = refusal(through(&pooler, &database)).await;
            let what = "through a pooler that gives each transaction another session";
            let todo = "set pool_mode = session";
            assert!(text.contains(what) && text.contains(todo), "{mode:?}, {sessions}: {text}");
            is_untouched(&database);
        }
    }
}

/// Other clients use the pooler meanwhile, with transactions of different lengths, and many
/// replicas start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_pooler_that_shares_sessions_is_refused_each_time() {
    const CLIENTS: usize = 6;
    const STARTS: usize = 20;
    let (database, pooler) =
        (shared().create_database(), shared().pooler(Mode::Transaction, CLIENTS));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let client = Database::parse(&pooler.url(&database).into(), None).unwrap();
        clients.spawn(async move {
            let mut client = client.reach().await.unwrap();
            let length = if number % 2 == 0 { "SELECT 1" } else { "SELECT pg_sleep(0.001)" };
            while raw_sql(length).execute(&mut client).await.is_ok() {}
        });
    }
    for _ in 0..STARTS {
        assert!(clients.try_join_next().is_none(), "a client has ended");
        let text = refusal(through(&pooler, &database)).await;
        assert!(text.contains("gives each transaction another session"), "{text}");
    }
    clients.shutdown().await;
    is_untouched(&database);
}

/// Asserts that the database was refused before anything was created in it.
fn is_untouched(database: &str) {
    assert_eq!(shared().sql(database, "SELECT to_regclass('facematch_schema') IS NULL"), "t");
}

#[tokio::test]
async fn a_refusal_of_a_pooler_with_one_session_says_how_many_are_needed() {
    let pooler = shared().pooler(Mode::Session, 1);
    let text = refusal(through(&pooler, &shared().create_database())).await;
    let needed = format!("a replica needs {} connections", READERS + CONNECTIONS_BESIDE);
    assert!(text.contains("a second connection gets no session") && text.ends_with(&needed));
}

/// A statement applies the URL's settings in each session, so that a pooler needn't know them.
#[tokio::test]
async fn a_schema_named_in_the_url_is_found_through_a_pooler() {
    let database = shared().create_database();
    shared().sql(&database, "CREATE SCHEMA fm");
    let pooler = shared().pooler(Mode::Session, SESSIONS);
    let url = pooler.url(&database) + "?options=-csearch_path%3Dfm";
    let journal =
        Postgres::open(Config { url: url.into(), ..through(&pooler, &database) }).await.unwrap();
    journal.admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    assert_eq!(journal.events(match_id(0, 1)).await.unwrap().len(), 1);
    journal.close().await;
    assert_eq!(shared().sql(&database, "SELECT count(*) FROM fm.events"), "1");
}
