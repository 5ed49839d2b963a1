//! A caller that lists a journal with very many matches: how long a page takes by each filter, and
//! how long look-ups take beside forty concurrent lists.

use std::time::{Duration, Instant};

use facematch::pb::{GetMatchRequest, ListMatchesRequest, MatchState, get_match_request};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use uuid::Uuid;

use crate::{
    Result, crowd,
    process::say,
    roles::{Client, Percentiles, clients, crowd::crowd_of},
};

/// How many lists run at once: as many as the limit on look-ups names.
const AT_ONCE: usize = 40;
/// How many pages of each filter are measured, one after the other.
const PAGES: usize = 50;
/// How many look-ups are measured, a few milliseconds apart: as from callers that come at any time.
const LOOK_UPS: usize = 2_000;
const APART: Duration = Duration::from_millis(3);

/// Lists matches, and looks matches up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lists {
    pub server: String,
    pub count: u64,
}

/// What the caller measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// The times of each filter's pages, after its name.
    pub pages: Vec<(String, Percentiles)>,
    pub idle: Percentiles,
    pub beside: Percentiles,
    /// How many pages were read beside the look-ups.
    pub read: u64,
    /// Failed calls, and health checks that didn't answer SERVING.
    pub failed: u64,
}

impl Lists {
    pub async fn play(self) -> Result<()> {
        let clients = clients(&self.server, 4).await?;
        let filters = filters(self.count);
        let mut pages = Vec::new();
        for (name, filter) in &filters {
            pages.push((name.clone(), page_times(clients[0].clone(), filter).await?));
        }
        let (idle, failed_idle) = look_ups(clients[1].clone(), &self.server, self.count).await?;
        let mut listing = JoinSet::new();
        for n in 0..AT_ONCE {
            let (_, filter) = &filters[n % filters.len()];
            listing.spawn(list_on(clients[2 + n % 2].clone(), filter.clone()));
        }
        let (beside, failed) = look_ups(clients[1].clone(), &self.server, self.count).await?;
        listing.abort_all();
        let (mut read, mut failed) = (0, failed + failed_idle);
        while let Some(ended) = listing.join_next().await {
            // Each list runs until it is aborted, or fails.
            failed += u64::from(ended.is_ok());
        }
        read += READ.load(std::sync::atomic::Ordering::Relaxed);
        say(&Listed { pages, idle, beside, read, failed })
    }
}

static READ: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Every kind of filter, and filters that select few of many matches.
fn filters(count: u64) -> Vec<(String, ListMatchesRequest)> {
    let any = ListMatchesRequest::default;
    let states = |states: &[MatchState]| states.iter().map(|state| (*state).into()).collect();
    let label = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let folder = Uuid::from_u128(crowd::Crowd::folder(count / 2)).to_string();
    let at = |number| {
        let micros = crowd_of(count).create_micros(number).cast_signed();
        Some(prost_types::Timestamp { seconds: micros / 1_000_000, nanos: 0 })
    };
    let far = Some(prost_types::Timestamp { seconds: 4_102_444_800, nanos: 0 });
    let failed = [MatchState::Failed];
    let filters = [
        ("none", any()),
        ("a folder", ListMatchesRequest { folder_id: folder, ..any() }),
        ("a label of a third", ListMatchesRequest { labels: label("shop", "s0"), ..any() }),
        ("a rare label", ListMatchesRequest { labels: label("rank", "vip"), ..any() }),
        ("FAILED", ListMatchesRequest { states: states(&failed), ..any() }),
        (
            "CANCELLED, of which there are none",
            ListMatchesRequest { states: states(&[MatchState::Cancelled]), ..any() },
        ),
        (
            "PROCESSING and UPLOADED",
            ListMatchesRequest {
                states: states(&[MatchState::Processing, MatchState::Uploaded]),
                ..any()
            },
        ),
        ("created after 2100", ListMatchesRequest { created_after: far, ..any() }),
        (
            "FAILED of half the time",
            ListMatchesRequest { states: states(&failed), created_after: at(count / 2), ..any() },
        ),
        (
            "FAILED with a label of a third",
            ListMatchesRequest { states: states(&failed), labels: label("shop", "s0"), ..any() },
        ),
        (
            "CANCELLED with a label of nearly all",
            ListMatchesRequest {
                states: states(&[MatchState::Cancelled]),
                labels: label("rank", "plain"),
                ..any()
            },
        ),
        ("a page of 1,000", ListMatchesRequest { page_size: 1_000, ..any() }),
    ];
    filters.map(|(name, filter)| (name.to_owned(), filter)).into()
}

/// Reads pages in order, and begins again after the last.
async fn page_times(mut client: Client, filter: &ListMatchesRequest) -> Result<Percentiles> {
    let (mut took, mut token) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let request = ListMatchesRequest { page_token: token, ..filter.clone() };
        let started = Instant::now();
        token = client.list_matches(request).await?.into_inner().next_page_token;
        took.push(started.elapsed());
    }
    Ok(Percentiles::of(took))
}

/// Lists page after page without end.
async fn list_on(mut client: Client, filter: ListMatchesRequest) -> Result<()> {
    let mut token = String::new();
    loop {
        let request = ListMatchesRequest { page_token: token, ..filter.clone() };
        token = client.list_matches(request).await?.into_inner().next_page_token;
        READ.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Looks up matches of any age, and checks health meanwhile.
async fn look_ups(mut client: Client, server: &str, count: u64) -> Result<(Percentiles, u64)> {
    let channel = tonic::transport::Endpoint::from_shared(server.to_owned())?.connect().await?;
    let mut health = HealthClient::new(channel);
    let (mut took, mut failed) = (Vec::new(), 0);
    for n in 0..LOOK_UPS {
        let number = (n as u64 * 7_919) % count;
        let id = Uuid::from_u128(crowd_of(count).id(number)).to_string();
        let id = Some(get_match_request::Id::MatchId(id));
        let started = Instant::now();
        failed += u64::from(client.get_match(GetMatchRequest { id }).await.is_err());
        took.push(started.elapsed());
        if n % 50 == 0 {
            let asked = health.check(HealthCheckRequest::default()).await;
            let serves =
                asked.is_ok_and(|told| told.into_inner().status() == ServingStatus::Serving);
            failed += u64::from(!serves);
        }
        tokio::time::sleep(APART).await;
    }
    Ok((Percentiles::of(took), failed))
}
