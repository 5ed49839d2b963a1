//! Many watchers of one match: how long it takes until the last of them has seen an update.

use std::time::Instant;

use facematch::pb::{
    CancelMatchRequest, MatchUpdate, WatchMatchRequest, cancel_match_request, match_update::Event,
    watch_match_request,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinSet};
use tonic::Streaming;

use crate::{
    Result,
    oz::Oz,
    process::{heard, say},
    roles::{Client, Tally, clients, photo, request},
};

const OPENED_AT_ONCE: usize = 256;

/// Watchers of one match that doesn't end by itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Audience {
    pub oz: String,
    pub watchers: usize,
    pub connections: usize,
}

impl Audience {
    pub async fn play(self) -> Result<()> {
        let folders = Oz::at(&self.oz)?.folders(1).await?;
        say(&"ready")?;
        let server = heard()?.ok_or("the service's address is missing on standard input")?;
        let clients = clients(&server, self.connections).await?;
        let mut main = clients[0].clone();
        let (id, reached, _running) = started(&mut main, &folders[0]).await?;
        let opening = stream::iter(0..self.watchers)
            .map(|n| watch(clients[n % clients.len()].clone(), &id, reached));
        let streams: Vec<_> = opening.buffer_unordered(OPENED_AT_ONCE).try_collect().await?;
        say(&"seated")?;
        let (begun, waits) = oneshot::channel::<Instant>();
        let mut seeing = JoinSet::new();
        seeing.spawn(async move {
            let seen: Vec<_> =
                stream::iter(streams).map(see).buffer_unordered(usize::MAX).collect().await;
            let begun = waits.await.expect("the start is sent");
            let ended = seen.into_iter().map(|seen: Result<Instant>| {
                let seen = seen?;
                Ok((seen, seen - begun))
            });
            ended.collect::<Result<Vec<_>>>()
        });
        tokio::task::spawn_blocking(heard).await??;
        let now = Instant::now();
        let id = cancel_match_request::Id::MatchId(id);
        main.cancel_match(CancelMatchRequest { id: Some(id) }).await?;
        begun.send(now).expect("the watchers' task waits for the start");
        say(&Tally::of(seeing.join_next().await.expect("the watchers' task runs")??, now, 0))?;
        heard()?;
        Ok(())
    }
}

/// Starts a match and waits until its analysis has started. Returns its id, its last sequence and
/// its stream.
async fn started(
    client: &mut Client,
    folder: &str,
) -> Result<(String, u64, Streaming<MatchUpdate>)> {
    let mut updates = client.run_match(request(folder, &photo(false)?)).await?.into_inner();
    while let Some(update) = updates.message().await? {
        if matches!(update.event, Some(Event::AnalysisStarted(_))) {
            return Ok((update.match_id, update.sequence, updates));
        }
    }
    Err("the match has ended before its analysis began".into())
}

async fn watch(mut client: Client, id: &str, reached: u64) -> Result<Streaming<MatchUpdate>> {
    let request = WatchMatchRequest {
        id: Some(watch_match_request::Id::MatchId(id.to_owned())),
        after_sequence: reached,
        ..Default::default()
    };
    Ok(client.watch_match(request).await?.into_inner())
}

async fn see(mut updates: Streaming<MatchUpdate>) -> Result<Instant> {
    while let Some(update) = updates.message().await? {
        if matches!(update.event, Some(Event::Cancelled(_))) {
            return Ok(Instant::now());
        }
    }
    Err("a watcher hasn't seen the end".into())
}
