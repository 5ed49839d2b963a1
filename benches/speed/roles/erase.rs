//! Retention's pages on a full store, the engine alone.

use std::{path::PathBuf, time::Instant};

use facematch::{
    clock::Clock,
    journal::{
        Writer,
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

/// As the service erases them.
const PAGE: usize = 500;
/// How long a replica that has died is waited for, which there is none of.
const LEASE: std::time::Duration = std::time::Duration::from_secs(10);

/// Matches whose time has come, in a store that was filled before.
#[derive(Debug, Serialize, Deserialize)]
pub struct Erase {
    pub store: Store,
    pub due: usize,
}

/// Where they lie.
#[derive(Debug, Serialize, Deserialize)]
pub enum Store {
    File(PathBuf),
    Database(String),
}

/// How long a page took.
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

/// All that is due, page by page.
async fn erase(journal: &impl Writer) -> Result<Pages> {
    let (mut erased, mut took) = (0, Vec::new());
    loop {
        let started = Instant::now();
        match journal.erase_expired(PAGE).await? {
            0 => return Ok(Pages { erased, times: Percentiles::of(took) }),
            page => {
                erased += page;
                took.push(started.elapsed());
            }
        }
    }
}
