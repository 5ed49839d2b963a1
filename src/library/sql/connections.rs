//! The connections to a library's database: few, made when they are needed, closed when they are
//! not, and never used again after a read that did not end well.

use std::{
    ops::{Deref, DerefMut},
    sync::OnceLock,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Database, Pool,
    pool::{PoolConnection, PoolOptions},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time,
};

use crate::library::sql::CONNECTIONS_MAX;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the attempt may take that finds out why no connection could be made. Together with
/// [`CONNECT_TIMEOUT`] less than a start waits for a library, so that a start learns the cause.
const CAUSE_TIMEOUT: Duration = Duration::from_secs(1);

/// After so long without a read, a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// After so long, a connection is replaced: the name of the database may lead to another server.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The connections to one database.
pub(super) struct Connections<DB: Database> {
    options: <DB::Connection as Connection>::Options,
    /// Made with the first read, since a pool's upkeep is a task.
    pool: OnceLock<Pool<DB>>,
    /// Held by each read, however long it waits for the others: the pool's own waiting would count
    /// as a failure of the database.
    turns: Semaphore,
}

/// A connection for one read. It is closed if it is dropped before [`Self::keep`]: the answer of a
/// read that was given up would be taken for that of the next.
pub(super) struct Lent<'a, DB: Database> {
    connection: PoolConnection<DB>,
    is_kept: bool,
    _turn: SemaphorePermit<'a>,
}

impl<DB: Database> Connections<DB> {
    /// Connections by these options, of which none is made yet.
    pub(super) fn new(options: <DB::Connection as Connection>::Options) -> Self {
        let turns = Semaphore::new(CONNECTIONS_MAX as usize);
        Self { options, pool: OnceLock::new(), turns }
    }

    /// A connection that has just answered.
    pub(super) async fn take(&self) -> sqlx::Result<Lent<'_, DB>> {
        let turn = self.turns.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let pool = self.pool.get_or_init(|| self.make_pool());
        match pool.acquire().await {
            Ok(connection) => Ok(Lent { connection, is_kept: false, _turn: turn }),
            Err(sqlx::Error::PoolTimedOut) => Err(self.cause().await),
            Err(error) => Err(error),
        }
    }

    /// Why no connection could be made. The pool has tried until its time was over, and doesn't
    /// tell.
    async fn cause(&self) -> sqlx::Error {
        match time::timeout(CAUSE_TIMEOUT, self.options.connect()).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
        }
    }

    fn make_pool(&self) -> Pool<DB> {
        PoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECT_TIMEOUT)
            .acquire_slow_threshold(CONNECT_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(LIFETIME)
            .connect_lazy_with(self.options.clone())
    }
}

impl<DB: Database> Lent<'_, DB> {
    /// Gives the connection back, to be used again. It doesn't keep the memory that a photo took.
    pub(super) fn keep(mut self) {
        self.connection.shrink_buffers();
        self.is_kept = true;
    }
}

impl<DB: Database> Deref for Lent<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Lent<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Drop for Lent<'_, DB> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.connection.close_on_drop();
        }
    }
}
