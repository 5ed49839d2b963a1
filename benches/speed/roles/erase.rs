//! Erases pages of retention from a full store, by the engine alone.

use std::{path::PathBuf, time::Instant};

use facematch::{
    clock::Clock,
    journal::{
        Chore, Writer,
        postgres::{self, Postgres},
    },
};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, raw_sql};

use crate::{
    Result,
    process::say,
    roles::{Percentiles, fill::open},
};

/// The size of a page, as in the service.
const PAGE: usize = 500;
/// The lease that the configuration needs: it isn't waited for, since no replica dies.
const LEASE: std::time::Duration = std::time::Duration::from_secs(10);

/// Matches that have expired, in a store that was filled before.
#[derive(Debug, Serialize, Deserialize)]
pub struct Erase {
    pub store: Store,
    pub due: usize,
}

/// The store of the matches.
#[derive(Debug, Serialize, Deserialize)]
pub enum Store {
    File(PathBuf),
    Database(String),
}

/// How many matches were erased, and how long the pages took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pages {
    pub erased: usize,
    pub times: Percentiles,
}

impl Erase {
    pub async fn play(self) -> Result<()> {
        let due = format!(
            "UPDATE match_states SET expire_time = 1 WHERE match_id IN (
                 SELECT match_id FROM match_states WHERE end_time IS NOT NULL
                 ORDER BY match_id LIMIT {})",
            self.due
        );
        let due = AssertSqlSafe(due);
        match self.store {
            Store::File(path) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
                raw_sql(due).execute(&mut connection).await?;
                connection.close().await?;
                let journal = open(path).await?;
                let pages = erase(&journal).await?;
                journal.close().await;
                say(&pages)
            }
            Store::Database(url) => {
                let mut connection = sqlx::PgConnection::connect(&url).await?;
                raw_sql(due).execute(&mut connection).await?;
                connection.close().await?;
                let journal = at(url).await?;
                let pages = erase(&journal).await?;
                journal.close().await;
                say(&pages)
            }
        }
    }
}

async fn at(url: String) -> Result<Postgres> {
    let config = postgres::Config {
        url: url.into(),
        password: None,
        clock: Clock::system(),
        ticks: Clock::system(),
        lease: LEASE,
        readers: postgres::READERS,
    };
    Ok(Postgres::open(config).await?)
}

/// Erases all expired matches, page by page.
async fn erase(journal: &impl Writer) -> Result<Pages> {
    let (mut erased, mut took) = (0, Vec::new());
    loop {
        let started = Instant::now();
        match journal.tidy(Chore::EraseExpired, PAGE).await? {
            0 => return Ok(Pages { erased, times: Percentiles::of(took) }),
            page => {
                erased += page;
                took.push(started.elapsed());
            }
        }
    }
}
