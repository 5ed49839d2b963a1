//! How connections to the database file are made, and what each of them is set to.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, SqliteConnection, SqlitePool, raw_sql,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// How long a statement waits for a lock. Nobody of ours holds one for long; an operator's own
/// `sqlite3` may.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the writer keeps of the file in memory, as SQLite takes it: negative for KiB. A match
/// touches half a dozen pages of 4 KiB, and those of matches under way are touched again.
const WRITER_CACHE: &str = "-16384";

/// How many rows travel at once from SQLite's thread to ours. A batch of 50, the default, costs
/// two thread switches each.
const ROWS_BUFFERED: usize = 1024;

/// The database file.
#[derive(Clone, Debug)]
pub(super) struct Files {
    path: PathBuf,
}

impl Files {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an empty file that only its owner can read, if there is none: it will hold keys.
    pub(super) fn create(&self) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop),
        }
    }

    /// A connection that changes nothing by being made, for looking at what the file is.
    pub(super) async fn look(&self) -> sqlx::Result<SqliteConnection> {
        self.options().connect().await
    }

    /// The writer's connection.
    pub(super) async fn connect(&self) -> sqlx::Result<SqliteConnection> {
        self.options()
            .journal_mode(SqliteJournalMode::Wal)
            // Every commit is synced before anybody hears of it.
            .synchronous(SqliteSynchronous::Full)
            // What is erased is overwritten.
            .pragma("secure_delete", "ON")
            .pragma("cache_size", WRITER_CACHE)
            .connect()
            .await
    }

    /// A connection for reading, which never waits for the writer.
    pub(super) async fn reader(&self) -> sqlx::Result<SqliteConnection> {
        self.options().read_only(true).connect().await
    }

    /// Connections for reading, which never wait for the writer.
    pub(super) async fn readers(&self, connections_max: u32) -> sqlx::Result<SqlitePool> {
        let options = self.options().read_only(true);
        SqlitePoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Many who read at once take turns: that is no news before it is an error.
            .acquire_slow_threshold(ACQUIRE_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            // A connection to a file doesn't die by itself.
            .test_before_acquire(false)
            .connect_with(options)
            .await
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // What is sorted is nobody's business on a disk.
            .pragma("temp_store", "MEMORY")
            .row_buffer_size(ROWS_BUFFERED)
            .disable_statement_logging()
    }
}

/// Moves the WAL into the database and cuts it off; false if a reader still stands in the way after
/// that wait, during which nothing can be written.
pub(super) async fn empty_wal(
    connection: &mut SqliteConnection,
    wait: Duration,
) -> sqlx::Result<bool> {
    let sql = format!(
        "PRAGMA busy_timeout = {};
         PRAGMA wal_checkpoint(TRUNCATE);
         PRAGMA busy_timeout = {};",
        wait.as_millis(),
        BUSY_TIMEOUT.as_millis(),
    );
    let rows = raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let checkpoint = rows.iter().find(|row| row.len() == 3).ok_or(sqlx::Error::RowNotFound)?;
    Ok(checkpoint.try_get::<i64, _>(0)? == 0)
}
