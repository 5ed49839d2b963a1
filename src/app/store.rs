//! The journal's engine, as the settings choose it: SQLite or PostgreSQL.

use secrecy::SecretString;
use tokio::sync::watch;

use crate::{
    app::StartError,
    clock::Clock,
    config::{Config, StoreLocation},
    journal::{
        Handles,
        postgres::{self, Postgres},
        sqlite::{self, Sqlite},
    },
};

/// The journal of this process. Clones are handles to the same one.
#[derive(Clone)]
pub enum Journal {
    Sqlite(Sqlite),
    Postgres(Postgres),
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
                    ticks: clock.clone(),
                    readers: sqlite::READERS,
                };
                Self::Sqlite(Sqlite::open(config).await?)
            }
            StoreLocation::Postgres(url) => {
                let origins = &config.origins;
                let config = postgres::Config {
                    url: url.clone(),
                    password,
                    clock: clock.clone(),
                    ticks: clock.steady(),
                    lease: config.lease,
                    readers: postgres::READERS,
                };
                Self::Postgres(Postgres::open(config).await.map_err(|error| match error {
                    postgres::OpenError::Url { .. } => {
                        origins.refused("store", error.to_string()).into()
                    }
                    error => StartError::from(error),
                })?)
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
