//! The journal's engine, as the settings choose it: SQLite or PostgreSQL.

use secrecy::SecretString;
use tokio::sync::watch;

use crate::{
    app::StartError,
    clock::Clock,
    config::{Config, StoreLocation},
    journal::{
        self, Handles, Preview,
        postgres::{self, Postgres},
        sqlite::{self, Sqlite},
    },
    metrics::JournalMetrics,
};

/// The journal of this process. Clones are handles to the same one.
#[derive(Clone)]
pub enum Journal {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// What opening the journal would do, and whether another process has it open.
pub async fn preview(
    config: &Config,
    password: Option<watch::Receiver<SecretString>>,
) -> Result<(Preview, bool), StartError> {
    match &config.store {
        StoreLocation::Sqlite(path) => Ok(sqlite::preview(path)?),
        StoreLocation::Postgres(url) => {
            let preview = postgres::preview(url, password).await;
            // Other replicas may share it.
            Ok((preview.map_err(|error| refused(config, error))?, false))
        }
    }
}

/// Separates a wrong URL, which is a wrong setting, from a database that can't be used.
fn refused(config: &Config, error: postgres::OpenError) -> StartError {
    match error {
        postgres::OpenError::Url { .. } => {
            config.origins.refused("store", error.to_string()).into()
        }
        error => error.into(),
    }
}

impl Journal {
    /// Opens the journal that the settings name. `password` is the database's, if it is read from a
    /// file.
    pub async fn open(
        config: &Config,
        password: Option<watch::Receiver<SecretString>>,
        clock: &Clock,
    ) -> Result<Self, StartError> {
        Ok(match &config.store {
            StoreLocation::Sqlite(path) => {
                let config = sqlite::Config {
                    path: path.clone(),
                    clock: clock.clone(),
                    ticks: clock.steady(),
                    readers: sqlite::READERS,
                };
                Self::Sqlite(Sqlite::open(config).await?)
            }
            StoreLocation::Postgres(url) => {
                let terms = postgres::Config {
                    url: url.clone(),
                    password,
                    clock: clock.clone(),
                    ticks: clock.steady(),
                    lease: config.lease,
                    readers: postgres::READERS,
                };
                let opened = Postgres::open(terms).await;
                Self::Postgres(opened.map_err(|error| refused(config, error))?)
            }
        })
    }

    /// The journal for the worker and the watch.
    pub fn handles(&self) -> Handles {
        match self {
            Self::Sqlite(journal) => journal.handles(),
            Self::Postgres(journal) => journal.handles(),
        }
    }

    /// How many commits have written events since it was opened.
    pub fn commits(&self) -> u64 {
        match self {
            Self::Sqlite(journal) => journal.commits(),
            Self::Postgres(journal) => journal.commits(),
        }
    }

    /// How many statements have written nothing because another replica's commit came first.
    pub fn lost_races(&self) -> u64 {
        match self {
            // SQLite has one process.
            Self::Sqlite(_) => 0,
            Self::Postgres(journal) => journal.lost_races(),
        }
    }

    /// What the journal's writer counts.
    pub fn metrics(&self) -> &JournalMetrics {
        match self {
            Self::Sqlite(journal) => journal.metrics(),
            Self::Postgres(journal) => journal.metrics(),
        }
    }

    /// Whether the store answers a read.
    pub async fn answers(&self) -> Result<(), journal::Error> {
        match self {
            Self::Sqlite(journal) => journal.answers().await,
            Self::Postgres(journal) => journal.answers().await,
        }
    }

    /// Whether the store takes writes.
    pub async fn takes_writes(&self) -> Result<(), journal::Error> {
        match self {
            Self::Sqlite(journal) => journal.takes_writes().await,
            Self::Postgres(journal) => journal.takes_writes().await,
        }
    }

    /// Whether this replica can rely on its lease; `None` for a store without leases.
    pub fn has_lease(&self) -> Option<bool> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(journal) => Some(journal.has_lease()),
        }
    }

    /// Returns once the store is found to have lost commits.
    pub async fn lost(&self) {
        match self {
            // SQLite's file is local, and no other process has it.
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(journal) => journal.lost().await,
        }
    }

    /// Commits the writes that wait, and closes the store.
    pub async fn close(self) {
        match self {
            Self::Sqlite(journal) => journal.close().await,
            Self::Postgres(journal) => journal.close().await,
        }
    }
}
