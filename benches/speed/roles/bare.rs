//! The same calls to Oz in a bare loop: the cost that a perfect gateway would add nothing to.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::multipart::Part;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Result,
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
        let oz = Oz::at(&self.oz)?;
        let (folders, photo) = (oz.folders(self.count).await?, photo(self.is_large)?);
        say(&"ready")?;
        heard()?;
        let started = Instant::now();
        let matches = stream::iter(&folders).map(|folder| self.one(&oz, folder, photo.clone()));
        let ended = matches.buffer_unordered(self.at_once).try_collect().await?;
        say(&Tally::of(ended, started, self.at_once))?;
        heard()?;
        Ok(())
    }

    async fn one(&self, oz: &Oz, folder: &str, photo: Bytes) -> Result<(Instant, Duration)> {
        let started = Instant::now();
        let held = oz.get(&format!("/api/folders/{folder}?with_analyses=true")).await?;
        let liveness = held["media"][0]["media_id"].as_str().ok_or("no liveness media")?;
        let mime = if self.is_large { "image/png" } else { "image/jpeg" };
        let length = photo.len() as u64;
        let file = Part::stream_with_length(photo, length).file_name("photo").mime_str(mime)?;
        let tags = json!({"media:tags": {"file1": ["photo_selfie"]}});
        let uploaded = oz.upload(&format!("/api/folders/{folder}/media/"), &tags, file).await?;
        let photo = uploaded[0]["media_id"].as_str().ok_or("no photo")?;
        let asked = json!({"analyses": [{"type": "biometry", "source_media": [liveness, photo]}]});
        let started_there = oz.post(&format!("/api/folders/{folder}/analyses/"), &asked).await?;
        let id = started_there[0]["analyse_id"].as_str().ok_or("no analysis")?;
        loop {
            tokio::time::sleep(Duration::from_millis(self.poll_ms)).await;
            let analysis = oz.get(&format!("/api/analyses/{id}")).await?;
            if analysis["state"] != "PROCESSING" {
                return Ok((Instant::now(), started.elapsed()));
            }
        }
    }
}
