//! The journal in a PostgreSQL database, for any number of replicas.
//!
//! In each replica one task writes, over one connection, each batch of events in one statement.
//! Other tasks renew the replica's lease, listen for other replicas' writes, and read them. It
//! deliberately holds no transaction and no lock between two round trips. Rows fence off what must
//! not happen twice: the key of `commits` orders the journal (see `write.sql`), a match has an
//! epoch (see `claim.rs`), and a replica has a lease (see `lease.rs`).

mod aside;
mod claim;
mod command;
mod connect;
mod counts;
mod enlist;
mod erase;
mod lease;
mod lists;
mod notify;
mod open_error;
mod opening;
mod packed_claim;
mod pooler;
mod preview;
mod reader;
mod renewal;
mod rows;
mod schema;
mod statement;
mod tail;
#[cfg(feature = "postgres-tests")]
#[cfg(test)]
mod tests;
mod turn;
mod vacuum;
mod watermark;
mod write;
mod writer;
mod writing;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::SecretString;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    journal::{
        FOLLOWERS, Feed, Handles, Identity, Writer,
        postgres::{
            connect::Database,
            lease::Leases,
            lists::Lists,
            opening::Entered,
            reader::ReadConnections,
            renewal::{LeaseRenewer, LeaseTerms},
            tail::Tail,
            watermark::Watermark,
        },
        recent::Recent,
    },
    metrics::JournalMetrics,
};

/// Connections besides [`Config::readers`]: one each for writing, for the lease, for LISTEN, for
/// reading other replicas' events and for health checks, two for lists, and the followers'.
const CONNECTIONS_BESIDE: u32 = 7 + FOLLOWERS;

pub(super) use connect::is_permanent;
pub use open_error::OpenError;
pub use preview::preview;

/// How many look-ups run at once unless a [`Config`] says otherwise. A replica then has thirteen
/// connections: these four, one each for writing, for the lease, for LISTEN, for reading other
/// replicas' events and for health checks, two for lists, and two for followers of all matches.
pub const READERS: u32 = 4;

/// Where the database is, and the terms on which a replica uses it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// The password, if it isn't in the URL and may be replaced while the replica runs.
    pub password: Option<watch::Receiver<SecretString>>,
    /// Stamps events; it follows the database's clock.
    pub clock: Clock,
    /// Measures leases and pauses. It runs by itself also where a test moves `clock` by hand.
    pub ticks: Clock,
    /// How long a lease lasts: if a replica dies, the others wait this long for it.
    pub lease: Duration,
    /// How many look-ups run at once.
    pub readers: u32,
}

/// A journal in a PostgreSQL database. Clones are handles to the same replica.
#[derive(Clone)]
pub struct Postgres(Arc<Shared>);

struct Shared {
    writer: writer::WriterHandle,
    recent: Arc<Recent>,
    readers: Arc<ReadConnections>,
    /// Connections for followers of all matches: followers and look-ups never wait for each other.
    followers: ReadConnections,
    lists: Lists,
    /// A connection for health checks alone: they never wait for a read.
    health: ReadConnections,
    leases: Arc<Leases>,
    tail: Arc<Tail>,
    identity: Identity,
    wake: watch::Sender<()>,
    /// Tells the lease renewer to delete the lease and stop.
    leaving: CancellationToken,
    renewer: Mutex<Option<JoinHandle<()>>>,
    /// Tells the tasks that follow other replicas, and those that keep passwords, to stop.
    closing: CancellationToken,
    tasks: TaskTracker,
    watermark: Arc<Watermark>,
}

impl Postgres {
    /// Opens a journal, creating it if there is none, begins a new incarnation and takes a lease.
    ///
    /// # Errors
    /// [`OpenError`] if the database can't be used.
    #[expect(clippy::disallowed_methods, reason = "leave and close join it")]
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let database = Database::parse(&config.url, config.password.clone())
            .map_err(|source| OpenError::Url { source })?;
        let needed = config.readers + CONNECTIONS_BESIDE;
        let mut connection = opening::prepare(&database, needed).await?;
        let unusable = |source| OpenError::of(&database, needed, true, source);
        let time = renewal::database_time(&mut connection).await.map_err(unusable)?;
        config.clock.follow(time);
        let entering = opening::enter(&mut connection, &database, config.clock.now());
        let Entered { origin, keys, notices, takes_turns, head } =
            entering.await.map_err(unusable)?;
        let history = Arc::new(Watermark::new(origin.incarnation, head));

        let leases = Arc::new(Leases::new(config.ticks.clone()));
        let (leaving, closing) = (CancellationToken::new(), CancellationToken::new());
        let terms = LeaseTerms {
            incarnation: origin.incarnation,
            length: config.lease,
            has_notify: notices,
        };
        let mut keeper = LeaseRenewer::new(
            database.clone(),
            Arc::clone(&leases),
            terms,
            config.clock.clone(),
            leaving.clone(),
        );
        keeper.begin().await.map_err(unusable)?;
        let keeper = Mutex::new(Some(tokio::spawn(keeper.run())));

        let wake = watch::Sender::new(());
        let recent = Arc::new(Recent::after(head.position));
        let tail = Arc::new(Tail::new(Arc::clone(&recent), wake.clone(), Arc::clone(&history)));
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&tail).run(database.clone(), config.clock.clone(), closing.clone()));
        if notices {
            let (tail, leases) = (Arc::clone(&tail), Arc::clone(&leases));
            tasks.spawn(tail.listen(database.clone(), leases, closing.clone()));
        }
        let readers = database.readers(config.readers);
        let health = database.readers(1);
        let followers = database.readers(FOLLOWERS);
        for pool in [&readers, &health, &followers] {
            let kept = database.clone().keep_password(pool.clone());
            tasks.spawn(closing.clone().run_until_cancelled_owned(kept));
        }
        let readers = Arc::new(ReadConnections::new(readers, config.readers));
        let lists = Lists::new(database.clone(), Arc::clone(&readers));
        let health = ReadConnections::new(health, 1);
        let followers = ReadConnections::new(followers, FOLLOWERS);
        let writer = writer::WriterSetup {
            watermark: Arc::clone(&history),
            database,
            clock: config.clock,
            ticks: config.ticks,
            incarnation: origin.incarnation,
            has_notify: notices,
            takes_turns,
            leases: Arc::clone(&leases),
            recent: Arc::clone(&recent),
            tail: Arc::clone(&tail),
            wake: wake.clone(),
        };
        let writer = writer::WriterHandle::spawn(writer, connection);
        Ok(Self(Arc::new(Shared {
            writer,
            recent,
            readers,
            followers,
            lists,
            health,
            leases,
            tail,
            identity: Identity { origin, keys, has_one_writer: false },
            wake,
            leaving,
            renewer: keeper,
            closing,
            tasks,
            watermark: history,
        })))
    }

    /// The journal for its users.
    pub fn handles(&self) -> Handles {
        let feed = Feed {
            reader: Arc::new(self.clone()),
            identity: self.0.identity.clone(),
            wake: self.0.wake.subscribe(),
            erased: self.0.tail.erased(),
        };
        Handles { writer: Arc::new(self.clone()), feed, fleet: self.0.leases.fleet() }
    }

    /// Whether this replica may claim matches, and act on its claims.
    fn may_act(&self) -> bool {
        self.0.writer.queue.is_open()
            && !self.0.watermark.is_lost()
            && self.0.leases.held().is_some()
    }

    /// Whether this replica can rely on its lease: it was renewed in time, and the database has lost
    /// no commits.
    pub fn has_lease(&self) -> bool {
        self.may_act()
    }

    /// Writes everything that is queued, deletes the lease and closes all connections. Later calls
    /// of the journal or its clones fail as unavailable.
    pub async fn close(self) {
        self.0.writer.queue.close().await;
        self.leave().await;
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.lists.close().await;
        self.0.health.close().await;
        self.0.followers.close().await;
        self.0.readers.close().await;
    }

    /// How many statements have written events since the journal was opened.
    pub fn commits(&self) -> u64 {
        self.0.writer.counts.commits()
    }

    /// How many statements have written nothing since the journal was opened, because another
    /// replica's commit came first. Replicas that take turns (see `turn.rs`) lose no race to each
    /// other.
    pub fn lost_races(&self) -> u64 {
        self.0.writer.counts.lost_races()
    }

    /// What the writer counts.
    pub fn metrics(&self) -> &JournalMetrics {
        self.0.writer.queue.metrics()
    }

    /// How many leases of this replica other replicas have deleted.
    pub fn leases_lost(&self) -> u64 {
        self.0.leases.lost()
    }

    /// How long ago this replica has renewed its lease.
    pub fn lease_age(&self) -> Duration {
        self.0.leases.age()
    }

    /// Returns once the database is found to have lost commits that this replica made or showed, by
    /// a failover or a restore: callers were told of events that the database doesn't have. Nothing
    /// is written any more, and the process has to be restarted.
    pub async fn lost(&self) {
        self.0.watermark.lost().await;
    }
}
