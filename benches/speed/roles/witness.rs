//! A caller that runs matches at one replica and watches them at another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use facematch::pb::{MatchUpdate, WatchMatchesRequest, match_update::Event};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tonic::Streaming;

use crate::{
    Result,
    oz::Oz,
    process::{heard, say},
    roles::{Client, Percentiles, clients, photo, request},
};

/// How long the next update is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Matches that are run at the first of two servers, and watched in one stream at the second.
#[derive(Debug, Serialize, Deserialize)]
pub struct Witness {
    pub oz: String,
    pub count: usize,
    pub at_once: usize,
}

/// How much later updates arrived at the watching stream than at the stream of their own call.
#[derive(Debug, Serialize, Deserialize)]
pub struct Witnessed {
    pub updates: u64,
    pub later: Percentiles,
}

/// When an update first arrived, by match and sequence.
type Times = Arc<Mutex<HashMap<(String, u64), Instant>>>;

impl Witness {
    pub async fn play(self) -> Result<()> {
        let (folders, photo) = (Oz::at(&self.oz)?.folders(self.count).await?, photo(false)?);
        say(&"ready")?;
        let servers = heard()?.ok_or("the services' addresses are missing on standard input")?;
        let mut clients = clients(&servers, 2).await?;
        let (there, here) = (clients.pop(), clients.pop());
        let (Some(mut there), Some(here)) = (there, here) else {
            return Err("two servers are needed".into());
        };
        let watched = there.watch_matches(WatchMatchesRequest::default()).await?.into_inner();
        let (theirs, ours) = (Times::default(), Times::default());
        let (done, over) = oneshot::channel();
        let watching = watch(watched, Arc::clone(&theirs), over);
        let running = async {
            let matches = stream::iter(&folders)
                .map(|folder| run(here.clone(), folder, &photo, Arc::clone(&ours)));
            let updates: Vec<u64> = matches.buffer_unordered(self.at_once).try_collect().await?;
            let _ = done.send(updates.iter().sum());
            Ok(())
        };
        tokio::try_join!(watching, running)?;
        say(&compare(&ours, &theirs))?;
        heard()?;
        Ok(())
    }
}

/// Runs one match to its end, and counts its updates.
async fn run(mut client: Client, folder: &str, photo: &bytes::Bytes, times: Times) -> Result<u64> {
    let mut updates = client.run_match(request(folder, photo)).await?.into_inner();
    let mut count = 0;
    while let Some(update) = updates.message().await? {
        count += u64::from(note(&update, &times));
    }
    Ok(count)
}

/// Watches until as many updates have arrived as were made.
async fn watch(
    mut updates: Streaming<MatchUpdate>,
    times: Times,
    mut over: oneshot::Receiver<u64>,
) -> Result<()> {
    let mut wanted = None;
    loop {
        if wanted == Some(times.lock().expect("no holder of the lock panics").len() as u64) {
            return Ok(());
        }
        tokio::select! {
            update = updates.message() => {
                note(&update?.ok_or("the stream of many has ended")?, &times);
            }
            made = &mut over, if wanted.is_none() => wanted = Some(made?),
            () = tokio::time::sleep(PATIENCE) => return Err("an update has not arrived".into()),
        }
    }
}

/// Notes the arrival of an update that every stream shows. False for heartbeats and progress, which
/// a stream may show alone.
fn note(update: &MatchUpdate, times: &Times) -> bool {
    let is_passing = matches!(update.event, Some(Event::Heartbeat(_) | Event::Progress(_)));
    if !is_passing {
        let mut times = times.lock().expect("no holder of the lock panics");
        times.entry((update.match_id.clone(), update.sequence)).or_insert_with(Instant::now);
    }
    !is_passing
}

fn compare(ours: &Times, theirs: &Times) -> Witnessed {
    let (ours, theirs) = (ours.lock().expect("all are done"), theirs.lock().expect("all are done"));
    let later = ours
        .iter()
        .filter_map(|(update, here)| Some(theirs.get(update)?.saturating_duration_since(*here)));
    Witnessed { updates: ours.len() as u64, later: Percentiles::of(later) }
}
