//! Fills a journal with very many matches. Nearly all have ended, each with its labels and four
//! events.

use std::path::PathBuf;

use facematch::journal::{Chore, Writer};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, raw_sql};

use crate::{Result, crowd, process::say, roles::fill::open};

/// A month of retained matches.
#[derive(Debug, Serialize, Deserialize)]
pub struct Crowd {
    pub store: PathBuf,
    pub count: u64,
}

impl Crowd {
    pub async fn play(self) -> Result<()> {
        // Opening creates the schema.
        open(self.store.clone()).await?.close().await;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&self.store);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
        let mut transaction = connection.begin().await?;
        let sql = crowd_of(self.count).sqlite();
        raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        connection.close().await?;
        let journal = open(self.store).await?;
        journal.tidy(Chore::Enlist, usize::MAX).await?;
        journal.close().await;
        say(&"filled")
    }
}

/// The crowd: `count` matches, spread over a month.
pub fn crowd_of(count: u64) -> crowd::Crowd {
    const START_MS: u64 = 1_700_000_000_000;
    const MONTH_MS: u64 = 30 * 86_400_000;
    crowd::Crowd {
        caller: "default",
        first: 0,
        count,
        start_ms: START_MS,
        step_ms: MONTH_MS / count,
    }
}
