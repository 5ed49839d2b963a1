//! The journal alone: how many events a second become durable, in batches and one by one.

use std::{path::PathBuf, time::Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    process::say,
    roles::fill::{admit, open},
};

/// How many events wait at the same time.
const BATCH: usize = 128;

/// First events of matches, written to a new journal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rows {
    pub store: PathBuf,
    pub count: usize,
}

/// How many events a second became durable.
#[derive(Debug, Serialize, Deserialize)]
pub struct Written {
    pub together_per_second: f64,
    pub singly_per_second: f64,
}

impl Rows {
    pub async fn play(self) -> Result<()> {
        let journal = open(self.store).await?;
        let started = Instant::now();
        let writing = stream::iter(0..self.count).map(|_| admit(&journal));
        writing.buffer_unordered(BATCH).try_for_each(async |_| Ok(())).await?;
        let together_per_second = self.count as f64 / started.elapsed().as_secs_f64();
        let (started, few) = (Instant::now(), self.count / 8);
        for _ in 0..few {
            admit(&journal).await?;
        }
        let singly_per_second = few as f64 / started.elapsed().as_secs_f64();
        journal.close().await;
        say(&Written { together_per_second, singly_per_second })
    }
}
