//! Reads lists, over connections of their own. However many lists there are, no look-up waits for
//! them; a list whose caller has gone is cancelled in the database.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, query, query_scalar, raw_sql};
use tokio::time;
use uuid::Uuid;

use crate::{
    domain::{MatchId, TenantId},
    journal::{
        Error, Filter, Listing,
        listing::{self, GroupRead, LISTS_MAX, ListConnection, ListPermits, Piece, ScannedRow},
        postgres::{
            connect::{self, Database},
            reader::{PATIENCE, ReadConnections},
            rows::{self, Query, columns},
        },
        reply,
    },
    sync::lock,
};

/// Planner settings for lists, in addition to those of every session: a list walks an index that is
/// in its order. To sort, PostgreSQL would first have to read all that the list could show.
pub(super) const PLANNING: [&str; 2] =
    ["SET enable_sort = off", "SET enable_incremental_sort = off"];

/// A read in flight.
type ReadFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Reads lists, a bounded number at once.
pub(super) struct Lists {
    permits: ListPermits,
    shared: Arc<ListsInner>,
}

/// What all lists share.
struct ListsInner {
    database: Database,
    /// Idle connections. They are made on demand, at most one for each permit.
    idle: Mutex<Vec<Connected>>,
    /// Connections over which abandoned lists are cancelled.
    readers: Arc<ReadConnections>,
}

/// A connection, and the id of its server process, by which its statement can be cancelled.
struct Connected {
    connection: PgConnection,
    process_id: i32,
}

impl Lists {
    pub(super) fn new(database: Database, readers: Arc<ReadConnections>) -> Self {
        let shared = ListsInner { database, idle: Mutex::default(), readers };
        Self { permits: ListPermits::new(listing::at_once()), shared: Arc::new(shared) }
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
            let (tenant, filter) = (tenant.clone(), filter.clone());
            Box::pin(async move { listing::list(connected, &tenant, &filter, before, limit).await })
        });
        listing.await
    }

    /// Waits for a permit, then reads over a list connection. The read ends when this future is
    /// dropped, and after [`PATIENCE`] at the latest.
    async fn run<T: Send + 'static>(
        &self,
        read: impl Fn(&mut Connected) -> ReadFuture<'_, T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.shared);
        let reading = self.permits.run(|gone| async move {
            let mut connected = None;
            let reading = time::timeout(PATIENCE, shared.read(&mut connected, read));
            let read = tokio::select! {
                read = reading => read.unwrap_or_else(|_| Err(connect::timed_out().into())),
                () = gone.cancelled() => Err(reply::closed()),
            };
            if let Some(connected) = connected {
                shared.put(connected, read.is_ok()).await;
            }
            read
        });
        reading.await
    }

    /// Refuses further lists, waits for those in flight, and closes the connections.
    pub(super) async fn close(&self) {
        self.permits.close().await;
        let connections = std::mem::take(&mut *self.shared.lock());
        for Connected { connection, .. } in connections {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "list connection not closed cleanly");
            }
        }
    }

    /// Runs a list that would never end by itself.
    #[cfg(all(test, feature = "postgres-tests"))]
    pub(super) async fn endless(&self) -> Result<(), Error> {
        const ENDLESS: &str = "SELECT pg_sleep(4) FROM generate_series(1, 1000000)";
        let reading = self.run(|connected| {
            Box::pin(async {
                Ok(query(ENDLESS).execute(&mut connected.connection).await.map(drop)?)
            })
        });
        reading.await
    }

    /// How many permits are free.
    #[cfg(all(test, feature = "postgres-tests"))]
    pub(super) fn free(&self) -> usize {
        self.permits.free()
    }
}

/// Whether an error means that the connection can't be used any more.
fn is_broken(error: &Error) -> bool {
    match error {
        Error::Unavailable(source) => {
            source.downcast_ref::<sqlx::Error>().is_some_and(connect::is_broken)
        }
        Error::Refused(_) | Error::Corrupt(_) => false,
    }
}

impl ListsInner {
    fn lock(&self) -> MutexGuard<'_, Vec<Connected>> {
        lock(&self.idle)
    }

    async fn take(&self) -> sqlx::Result<Connected> {
        let idle = self.lock().pop();
        match idle {
            Some(connected) => Ok(connected),
            None => self.connect().await,
        }
    }

    /// Reads, and tries again over another connection if one turns out to be dead: after a restart
    /// of the database each idle connection is found dead once.
    async fn read<T>(
        &self,
        connected: &mut Option<Connected>,
        read: impl Fn(&mut Connected) -> ReadFuture<'_, T>,
    ) -> Result<T, Error> {
        for _ in 0..LISTS_MAX {
            match read(connected.insert(self.take().await?)).await {
                Err(error) if is_broken(&error) => *connected = None,
                read => return read,
            }
        }
        read(connected.insert(self.take().await?)).await
    }

    /// Keeps a connection whose statement has ended; cancels the statement otherwise.
    async fn put(&self, connected: Connected, is_at_rest: bool) {
        if is_at_rest {
            self.lock().push(connected);
        } else {
            self.stop(connected).await;
        }
    }

    /// Makes a list connection. Its `statement_timeout` ends a list also if this replica is no
    /// longer there to cancel it.
    async fn connect(&self) -> sqlx::Result<Connected> {
        connect::in_time(connect::CONNECT_TIMEOUT, async {
            let mut connection = self.database.connect().await?;
            let limit = format!("SET statement_timeout = {}", PATIENCE.as_millis());
            raw_sql(AssertSqlSafe(limit)).execute(&mut connection).await?;
            connect::apply_settings(&mut connection, &PLANNING).await?;
            let process_id = query_scalar("SELECT pg_backend_pid()");
            let process_id = process_id.fetch_one(&mut connection).await?;
            Ok(Connected { connection, process_id })
        })
        .await
    }

    /// Cancels the statement if it still runs, and keeps the connection if that answers again.
    async fn stop(&self, mut connected: Connected) {
        const CANCEL: &str = "SELECT pg_cancel_backend($1)";
        let cancelled = self.readers.rows(|| query(CANCEL).bind(connected.process_id)).await;
        let rest = connect::in_time(PATIENCE, connected.connection.ping()).await;
        match (cancelled, rest) {
            (Ok(_), Ok(())) => self.lock().push(connected),
            // Dropping closes the connection: what it would answer next is unknown.
            (Err(error), _) => tracing::debug!(%error, "abandoned list not cancelled"),
            (_, Err(error)) => tracing::debug!(%error, "list connection lost"),
        }
    }
}

/// A statement's text, with numbered parameters for its values.
fn numbered(pieces: &[Piece<'_>]) -> String {
    let (mut sql, mut values) = (String::new(), 0);
    for piece in pieces {
        match piece {
            Piece::Sql(text) => sql.push_str(text),
            Piece::Text(_) | Piece::Id(_) | Piece::Number(_) => {
                values += 1;
                sql.push_str(&format!("${values}"));
            }
        }
    }
    sql
}

/// A statement with its values bound.
fn bound<'q>(pieces: &[Piece<'q>]) -> Query<'q> {
    let sql: Arc<str> = numbered(pieces).into();
    pieces.iter().fold(query(AssertSqlSafe(sql)), |query, piece| match *piece {
        Piece::Sql(_) => query,
        Piece::Text(text) => query.bind(text),
        Piece::Id(id) => query.bind(id),
        Piece::Number(number) => query.bind(number),
    })
}

#[async_trait]
impl ListConnection for Connected {
    async fn scan(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<ScannedRow>, Error> {
        let looked = bound(pieces).fetch_all(&mut self.connection).await?;
        let looked = looked.iter().map(|row| {
            let match_id = MatchId::from_uuid(row.try_get(0)?);
            Ok(ScannedRow { match_id, fits: row.try_get(1)? })
        });
        Ok(looked.collect::<sqlx::Result<_>>()?)
    }

    async fn read(&mut self, ids: &[MatchId]) -> Result<GroupRead, Error> {
        const READ: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events AS e WHERE e.match_id = ANY($1) ORDER BY e.match_id DESC, e.sequence"
        );
        let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
        let events = query(READ).bind(ids).fetch_all(&mut self.connection).await?;
        let bytes = events.iter().map(rows::body_bytes).sum();
        let matches = rows::folded_each(&mut self.connection, &events).await?;
        Ok(GroupRead { matches, events: events.len(), bytes })
    }
}
