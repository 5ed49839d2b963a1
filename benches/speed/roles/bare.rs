//! The same calls to Oz in a bare loop: the cost that a perfect gateway would add nothing to.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    lean::LeanOz,
    oz::Oz,
    process::{heard, say},
    roles::{Tally, photo},
};

/// Matches that run without the service.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bare {
    pub oz: String,
    pub count: usize,
    pub at_once: usize,
    pub is_large: bool,
    /// The pause between two polls, in milliseconds.
    pub poll_ms: u64,
}

impl Bare {
    pub async fn play(self) -> Result<()> {
        let (folders, photo) =
            (Oz::at(&self.oz)?.folders(self.count).await?, photo(self.is_large)?);
        let oz = LeanOz::at(&self.oz)?;
        say(&"ready")?;
        heard()?;
        let started = Instant::now();
        let matches = stream::iter(&folders).map(|folder| self.one(&oz, folder, photo.clone()));
        let ended = matches.buffer_unordered(self.at_once).try_collect().await?;
        say(&Tally::of(ended, started, self.at_once))?;
        heard()?;
        Ok(())
    }

    async fn one(&self, oz: &LeanOz, folder: &str, photo: Bytes) -> Result<(Instant, Duration)> {
        let started = Instant::now();
        let liveness = oz.liveness(folder).await?;
        let mime = if self.is_large { "image/png" } else { "image/jpeg" };
        let photo = oz.upload(folder, photo, mime).await?;
        let analysis = oz.start(folder, &liveness, &photo).await?;
        oz.wait(&analysis, Duration::from_millis(self.poll_ms)).await?;
        Ok((Instant::now(), started.elapsed()))
    }
}
