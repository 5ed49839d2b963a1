//! The load generators: each role is a process of its own, controlled by the measuring process.
//!
//! A role prints a line once it is ready, begins when it is told to, prints its outcome as one line
//! of JSON, and ends when its standard input is closed. It measures what callers would see; what
//! the system counts is deliberately measured from outside.

mod audience;
mod bare;
mod crowd;
mod erase;
mod fill;
mod flight;
mod follower;
mod gateway;
mod line;
mod lists;
mod matches;
mod objects;
mod pace;
mod rows;
mod witness;

use std::time::{Duration, Instant};

use facematch::pb::{
    MatchRequest, ReferencePhoto, face_match_client::FaceMatchClient, reference_photo,
};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

pub use self::{
    audience::Audience,
    bare::Bare,
    crowd::{Crowd, crowd_of},
    erase::{Erase, Pages, Store},
    fill::Fill,
    flight::{Flight, Flying},
    follower::{Followed, Follower},
    gateway::Gateway,
    lists::{Listed, Lists},
    matches::Matches,
    objects::Objects,
    pace::{Pace, Paced},
    rows::{Rows, Written},
    witness::{Witness, Witnessed},
};
use crate::{Result, credentials::Credentials, oz};

/// As large as the service's own window, so that this end doesn't slow a photo down.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The significant digits of latencies: they are kept to a thousandth.
const DIGITS: u8 = 3;

/// What a load generator does in a run.
#[derive(Debug, Serialize, Deserialize)]
pub enum Role {
    Bare(Bare),
    Matches(Matches),
    Flight(Flight),
    Audience(Audience),
    Fill(Fill),
    Crowd(Crowd),
    Erase(Erase),
    Lists(Lists),
    Rows(Rows),
    Gateway(Gateway),
    Objects(Objects),
    Witness(Witness),
    Pace(Pace),
    Follower(Follower),
}

impl Role {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bare(_) => "bare loop",
            Self::Matches(_) => "caller of matches",
            Self::Flight(_) => "caller of matches in flight",
            Self::Audience(_) => "audience",
            Self::Fill(_) => "filler of a journal",
            Self::Crowd(_) => "filler of a journal with ended matches",
            Self::Erase(_) => "retention",
            Self::Lists(_) => "caller of lists",
            Self::Rows(_) => "writer of rows",
            Self::Gateway(_) => "bare gateway",
            Self::Objects(_) => "object store",
            Self::Witness(_) => "witness of what others do",
            Self::Pace(_) => "writer of matches at a steady rate",
            Self::Follower(_) => "follower of all matches",
        }
    }
}

/// Plays a role to its end.
pub fn play(role: &str) -> Result<()> {
    let role: Role = serde_json::from_str(role)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match role {
            Role::Bare(role) => role.play().await,
            Role::Matches(role) => role.play().await,
            Role::Flight(role) => role.play().await,
            Role::Audience(role) => role.play().await,
            Role::Fill(role) => role.play().await,
            Role::Crowd(role) => role.play().await,
            Role::Erase(role) => role.play().await,
            Role::Lists(role) => role.play().await,
            Role::Rows(role) => role.play().await,
            Role::Gateway(role) => role.play().await,
            Role::Objects(role) => role.play().await,
            Role::Witness(role) => role.play().await,
            Role::Pace(role) => role.play().await,
            Role::Follower(role) => role.play().await,
        }
    })
}

/// The outcome of many calls of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tally {
    pub done: u64,
    pub seconds: f64,
    /// Without the first and the last calls, when fewer run at once than may.
    pub per_second: f64,
    pub latency: Percentiles,
}

impl Tally {
    /// Tallies calls that have ended, each with its end and its duration. All began after `since`,
    /// and at most `at_once` ran at once.
    pub fn of(ended: Vec<(Instant, Duration)>, since: Instant, at_once: usize) -> Self {
        let mut times: Vec<f64> =
            ended.iter().map(|(at, _)| at.duration_since(since).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let end = times.len() - 1;
        let edge = at_once.min(end / 4);
        let (first, last) = (times[edge], times[end - edge]);
        Self {
            done: times.len() as u64,
            seconds: times[end],
            per_second: (end - 2 * edge) as f64 / (last - first).max(1e-9),
            latency: Percentiles::of(ended.into_iter().map(|(_, took)| took)),
        }
    }
}

/// Durations, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Percentiles {
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut histogram = Histogram::<u64>::new(DIGITS).expect("the number of digits is allowed");
        for duration in durations {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            histogram.record(micros).expect("the histogram grows as needed");
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Self { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: histogram.max() as f64 / 1_000.0 }
    }
}

type Client = FaceMatchClient<Channel>;

/// Clients with a connection each, to each of the servers in turn. `servers` is separated by
/// spaces.
async fn clients(servers: &str, connections: usize) -> Result<Vec<Client>> {
    connected(servers, connections, &Credentials::default()).await
}

/// Clients that connect as their credentials have it.
async fn connected(
    servers: &str,
    connections: usize,
    credentials: &Credentials,
) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for server in servers.split(' ').cycle().take(connections) {
        let endpoint = endpoint(server, credentials)?
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(4 * WINDOW_BYTES);
        clients.push(FaceMatchClient::new(endpoint.connect().await?));
    }
    Ok(clients)
}

fn endpoint(server: &str, credentials: &Credentials) -> Result<Endpoint> {
    let Some(certificate) = &credentials.server else {
        return Ok(Endpoint::from_shared(server.to_owned())?);
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate));
    if let Some((certificate, key)) = &credentials.certificate {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let secure = server.replacen("http:", "https:", 1);
    Ok(Endpoint::from_shared(secure)?.tls_config(tls)?)
}

/// A photo to send: as small as a phone's, or of nearly the largest size allowed.
fn photo(is_large: bool) -> Result<bytes::Bytes> {
    Ok(if is_large { oz::large_photo()? } else { oz::photo()? }.into())
}

fn request(folder: &str, photo: &bytes::Bytes) -> MatchRequest {
    request_with(folder, reference_photo::Source::Content(photo.clone()))
}

fn request_with(folder: &str, source: reference_photo::Source) -> MatchRequest {
    MatchRequest {
        folder_id: folder.to_owned(),
        photo: Some(ReferencePhoto { source: Some(source), ..Default::default() }),
        ..Default::default()
    }
}
