//! Callers of matches that stay in flight: each polled, and each watched by its own stream.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use facematch::pb::{MatchUpdate, match_update::Event};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::{
    Result,
    oz::Oz,
    process::{heard, say},
    roles::{Client, clients, photo, request},
};

/// How many matches are started at once.
const STARTED_AT_ONCE: usize = 256;
/// About how many folders are reported: the polls of each are examined.
const FOLDERS_TOLD: usize = 40;

/// Matches that are held in flight until the role ends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flight {
    pub oz: String,
    pub count: usize,
    pub connections: usize,
}

/// Reported once all matches are polled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flying {
    pub seconds: f64,
    pub folders: Vec<String>,
}

impl Flight {
    pub async fn play(self) -> Result<()> {
        let (folders, photo) = (Oz::at(&self.oz)?.folders(self.count).await?, photo(false)?);
        say(&"ready")?;
        let server = heard()?.ok_or("the service's address is missing on standard input")?;
        let clients: Arc<[Client]> = clients(&server, self.connections).await?.into();
        let started = Instant::now();
        let taking_off = stream::iter(folders.iter().enumerate())
            .map(|(n, folder)| take_off(clients[n % clients.len()].clone(), folder, &photo));
        let streams: Vec<_> = taking_off.buffer_unordered(STARTED_AT_ONCE).try_collect().await?;
        let step = (folders.len() / FOLDERS_TOLD).max(1);
        let told = folders.iter().step_by(step).cloned().collect();
        say(&Flying { seconds: started.elapsed().as_secs_f64(), folders: told })?;
        // The streams have to be read, or the service would end them.
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            stream::iter(streams).for_each_concurrent(None, read).await;
        });
        tokio::task::spawn_blocking(heard).await??;
        Ok(())
    }
}

async fn take_off(
    mut client: Client,
    folder: &str,
    photo: &Bytes,
) -> Result<Streaming<MatchUpdate>> {
    let mut updates = client.run_match(request(folder, photo)).await?.into_inner();
    while let Some(update) = updates.message().await? {
        if matches!(update.event, Some(Event::AnalysisStarted(_))) {
            return Ok(updates);
        }
    }
    Err("a match has ended before its analysis began".into())
}

async fn read(mut updates: Streaming<MatchUpdate>) {
    while let Ok(Some(_)) = updates.message().await {}
}
