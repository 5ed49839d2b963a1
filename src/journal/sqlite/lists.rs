//! Reads lists over connections of their own. Look-ups never wait for lists, however many there
//! are, and a list stops when its caller has gone.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Row, SqliteConnection, query};

use crate::{
    domain::{MatchId, TenantId},
    journal::{
        Error, Filter, Listing,
        listing::{self, GROUP, GroupRead, ListConnection, ListPermits, Piece, ScannedRow},
        reply,
        sqlite::{
            files::Files,
            rows::{self, Columns, blob, columns},
        },
    },
    sync::lock,
};

/// How many of SQLite's own steps a statement runs before it checks whether it is to stop: some
/// tens of microseconds.
const STEPS: i32 = 1000;

/// A read in progress.
type ReadFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Runs lists, a bounded number at once.
pub(super) struct Lists {
    files: Files,
    permits: ListPermits,
    idle: Arc<Idle>,
}

/// The connections that no list is using, and the work of all lists.
#[derive(Default)]
struct Idle {
    /// Opened as they are needed, at most one for each permit.
    connections: Mutex<Vec<Connected>>,
    /// How many times lists have run [`STEPS`] steps: their work, as SQLite counts it.
    work: Arc<AtomicU64>,
}

/// A connection, and the flag that interrupts its statement.
struct Connected {
    connection: SqliteConnection,
    is_to_stop: Arc<AtomicBool>,
}

impl Lists {
    pub(super) fn new(files: Files) -> Self {
        Self { files, permits: ListPermits::new(listing::at_once()), idle: Arc::default() }
    }

    /// As [`crate::journal::Reader::list`].
    pub(super) async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        let listing = self.run(move |connected| {
            Box::pin(async move { listing::list(connected, &tenant, &filter, before, limit).await })
        });
        listing.await
    }

    /// Runs a read over a connection for lists, once it has a permit. Dropping the future
    /// interrupts the read.
    async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connected) -> ReadFuture<'_, T> + Send + 'static,
    ) -> Result<T, Error> {
        let (files, idle) = (self.files.clone(), Arc::clone(&self.idle));
        let reading = self.permits.run(|gone| async move {
            let mut connected = idle.take(&files).await?;
            let read = tokio::select! {
                read = read(&mut connected) => Some(read),
                () = gone.cancelled() => None,
            };
            if read.is_none() {
                connected.stop().await;
            }
            idle.lock().push(connected);
            read.unwrap_or_else(|| Err(reply::closed()))
        });
        reading.await
    }

    /// Refuses further lists, waits for those in progress, and closes the connections.
    pub(super) async fn close(&self) {
        self.permits.close().await;
        let connections = std::mem::take(&mut *self.idle.lock());
        for Connected { connection, .. } in connections {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "list connection not closed cleanly");
            }
        }
    }

    /// A list that never ends.
    #[cfg(test)]
    pub(super) async fn endless(&self) -> Result<(), Error> {
        const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT count(*) FROM n";
        let reading = self.run(|connected| {
            Box::pin(async {
                Ok(query(ENDLESS).execute(&mut connected.connection).await.map(drop)?)
            })
        });
        reading.await
    }

    /// How many lists could start at once.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.permits.free()
    }

    /// How many of SQLite's steps lists have run so far, to the nearest [`STEPS`].
    #[cfg(test)]
    pub(super) fn work(&self) -> u64 {
        self.idle.work.load(Ordering::Relaxed) * STEPS.unsigned_abs() as u64
    }
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<Connected>> {
        lock(&self.connections)
    }

    async fn take(&self, files: &Files) -> sqlx::Result<Connected> {
        let idle = self.lock().pop();
        match idle {
            Some(connected) => Ok(connected),
            None => self.connect(files).await,
        }
    }

    async fn connect(&self, files: &Files) -> sqlx::Result<Connected> {
        let mut connection = files.reader().await?;
        let (is_to_stop, work) = (Arc::<AtomicBool>::default(), Arc::clone(&self.work));
        let goes_on = {
            let is_to_stop = Arc::clone(&is_to_stop);
            move || {
                work.fetch_add(1, Ordering::Relaxed);
                !is_to_stop.load(Ordering::Relaxed)
            }
        };
        connection.lock_handle().await?.set_progress_handler(STEPS, goes_on);
        Ok(Connected { connection, is_to_stop })
    }
}

impl Connected {
    /// Interrupts the abandoned statement, and returns once it has ended: otherwise the flag would
    /// interrupt the next one in its place.
    async fn stop(&mut self) {
        self.is_to_stop.store(true, Ordering::Relaxed);
        // A ping is answered after the statement, and is no statement itself.
        let pinged = self.connection.ping().await;
        self.is_to_stop.store(false, Ordering::Relaxed);
        if let Err(error) = pinged {
            tracing::debug!(%error, "list connection lost");
        }
    }
}

#[async_trait]
impl ListConnection for Connected {
    async fn scan(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<ScannedRow>, Error> {
        let mut query = QueryBuilder::<sqlx::Sqlite>::new("");
        for piece in pieces {
            match *piece {
                Piece::Sql(text) => query.push(text),
                Piece::Text(text) => query.push_bind(text),
                Piece::Id(id) => query.push_bind(id.into_bytes().to_vec()),
                Piece::Number(number) => query.push_bind(number),
            };
        }
        let looked = query.build().fetch_all(&mut self.connection).await?;
        let looked = looked.iter().map(|row| {
            let match_id = MatchId::from_uuid(row.uuid(0)?);
            Ok(ScannedRow { match_id, fits: row.try_get(1)? })
        });
        looked.collect()
    }

    async fn read(&mut self, ids: &[MatchId]) -> Result<GroupRead, Error> {
        let Some(last) = ids.last() else {
            return Ok(GroupRead { matches: Vec::new(), events: 0, bytes: 0 });
        };
        let mut query = query(AssertSqlSafe(read_group()));
        // Always the same number of values, so that the statement is prepared once.
        for id in ids.iter().chain(std::iter::repeat(last)).take(GROUP) {
            query = query.bind(blob(id.as_uuid()));
        }
        let events = query.fetch_all(&mut self.connection).await?;
        let bytes = events.iter().map(rows::body_bytes).sum();
        let matches = rows::folded_each(&mut self.connection, &events).await?;
        Ok(GroupRead { matches, events: events.len(), bytes })
    }
}

/// Reads the events of a group of matches: newest match first, each match's events in order.
pub(super) fn read_group() -> &'static str {
    static READ: OnceLock<String> = OnceLock::new();
    READ.get_or_init(|| {
        let values: Vec<String> = (1..=GROUP).map(|number| format!("?{number}")).collect();
        let values = values.join(", ");
        let columns = columns!();
        format!(
            "SELECT {columns} FROM events AS e WHERE e.match_id IN ({values})
             ORDER BY e.match_id DESC, e.sequence"
        )
    })
}
