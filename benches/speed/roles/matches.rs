//! Callers that run matches to their end: a fixed number at once, or a fixed number a second.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use facematch::pb::{MatchUpdate, match_update::Event, reference_photo::Source};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tonic::{Code, Request, Streaming, metadata::AsciiMetadataValue};

use crate::{
    Result,
    credentials::Credentials,
    oz::Oz,
    process::{heard, say},
    roles::{Client, Tally, connected, line::Line, photo, request_with},
};

/// How long a caller pauses when the service is at its limit.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Matches from their request to their verdict.
#[derive(Debug, Serialize, Deserialize)]
pub struct Matches {
    pub oz: String,
    pub count: usize,
    pub at_once: usize,
    pub connections: usize,
    pub credentials: Credentials,
    /// The key by which the photo is named; `None`: it is sent.
    pub reference_key: Option<String>,
    pub is_large: bool,
    /// Start this many a second, rather than one whenever another has ended.
    pub per_second: Option<f64>,
    /// Put a proxy between the service and Oz. Its address is printed when the role is ready, and
    /// latencies are measured from Oz's last answer to the update that it leads to.
    pub on_the_line: bool,
}

impl Matches {
    pub async fn play(self) -> Result<()> {
        let (folders, photo) =
            (Oz::at(&self.oz)?.folders(self.count).await?, photo(self.is_large)?);
        let line = if self.on_the_line { Some(Line::to(&self.oz).await?) } else { None };
        say(&line.as_ref().map_or("ready", |line| line.url()))?;
        let server = heard()?.ok_or("the service's address is missing on standard input")?;
        let caller = Caller {
            clients: connected(&server, self.connections, &self.credentials).await?.into(),
            authorization: self.credentials.authorization()?,
            source: match self.reference_key {
                Some(key) => Source::ReferenceKey(key),
                None => Source::Content(photo),
            },
            line: line.map(Arc::new),
        };
        let started = Instant::now();
        let ended = match self.per_second {
            None => all(&caller, &folders, self.at_once).await?,
            Some(per_second) => paced(&caller, &folders, per_second).await?,
        };
        say(&Tally::of(ended, started, self.at_once))?;
        heard()?;
        Ok(())
    }
}

/// When a match ended, and its latency.
type Ended = (Instant, Duration);

/// A caller of the service. Cheap to clone.
#[derive(Clone)]
struct Caller {
    clients: Arc<[Client]>,
    authorization: Option<AsciiMetadataValue>,
    source: Source,
    line: Option<Arc<Line>>,
}

async fn all(caller: &Caller, folders: &[String], at_once: usize) -> Result<Vec<Ended>> {
    let matches = stream::iter(folders.iter().enumerate()).map(|(n, folder)| caller.run(n, folder));
    matches.buffer_unordered(at_once).try_collect().await
}

async fn paced(caller: &Caller, folders: &[String], per_second: f64) -> Result<Vec<Ended>> {
    let mut running = JoinSet::new();
    let mut beat = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
    for (n, folder) in folders.iter().cloned().enumerate() {
        beat.tick().await;
        let caller = caller.clone();
        running.spawn(async move { caller.run(n, &folder).await });
    }
    running.join_all().await.into_iter().collect()
}

impl Caller {
    /// Starts a match. If the service is at its limit, the caller tries again, as the contract
    /// says.
    async fn begin(&self, n: usize, folder: &str) -> Result<Streaming<MatchUpdate>> {
        let mut client = self.clients[n % self.clients.len()].clone();
        loop {
            let mut request = Request::new(request_with(folder, self.source.clone()));
            if let Some(authorization) = &self.authorization {
                request.metadata_mut().insert("authorization", authorization.clone());
            }
            match client.run_match(request).await {
                Ok(updates) => return Ok(updates.into_inner()),
                Err(status) if status.code() == Code::ResourceExhausted => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Runs one match to its verdict, and measures its latency.
    async fn run(&self, n: usize, folder: &str) -> Result<Ended> {
        let started = Instant::now();
        let mut updates = self.begin(n, folder).await?;
        let mut last = None;
        while let Some(update) = updates.message().await? {
            let has_ended = matches!(update.event, Some(Event::Finished(_)));
            last = Some((has_ended.then(Instant::now), update));
        }
        let Some((Some(told), update)) = last else {
            return Err("a match has ended without a verdict".into());
        };
        match &self.line {
            None => Ok((told, told.duration_since(started))),
            Some(line) => Ok((told, line.since_answer(analysis_id(&update), told)?)),
        }
    }
}

fn analysis_id(update: &MatchUpdate) -> &str {
    update.r#match.as_ref().map_or("", |m| &m.analysis_id)
}
