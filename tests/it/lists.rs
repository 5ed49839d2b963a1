//! Lists over very many retained matches, beside everything else that callers do.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use facematch::{
    clock::Clock,
    journal::sqlite::{self, Sqlite},
    pb::{GetMatchRequest, ListMatchesRequest, Match, MatchState, get_match_request},
    simulator::sample,
};
use futures_util::{FutureExt, StreamExt, future::join_all};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, raw_sql, sqlite::SqliteConnectOptions};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use uuid::Uuid;

use crate::{
    canary::Client,
    crowd::Crowd,
    process::Process,
    support::{JOURNAL, collect, last, portrait_request, simulator},
};

/// As many as are generated within seconds; the benchmark does it with a million.
const COUNT: u64 = 30_000;

/// As many lists as are promised to disturb no other call.
const LISTS: usize = 40;

const CROWD: Crowd = Crowd {
    caller: "default",
    first: 0,
    count: COUNT,
    start_ms: 1_700_000_000_000,
    step_ms: 40_000,
};

/// A journal with a crowd in it.
async fn fill(directory: &Path) {
    let path = directory.join(JOURNAL);
    let config =
        sqlite::Config { path: path.clone(), clock: Clock::system(), readers: sqlite::READERS };
    Sqlite::open(config).await.unwrap().close().await;
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    raw_sql(AssertSqlSafe(CROWD.sqlite())).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    connection.close().await.unwrap();
}

/// Every filter, most of which select nothing or little.
fn filters() -> Vec<ListMatchesRequest> {
    let any = ListMatchesRequest::default;
    let states = |states: &[MatchState]| states.iter().map(|state| (*state).into()).collect();
    let label = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let far = Some(prost_types::Timestamp { seconds: 4_102_444_800, nanos: 0 });
    let long_ago = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    vec![
        any(),
        ListMatchesRequest { folder_id: Uuid::from_u128(3).to_string(), ..any() },
        ListMatchesRequest { folder_id: Uuid::from_u128(u128::MAX).to_string(), ..any() },
        ListMatchesRequest { labels: label("shop", "s0"), ..any() },
        ListMatchesRequest { labels: label("rank", "vip"), ..any() },
        ListMatchesRequest { labels: label("rank", "none"), ..any() },
        ListMatchesRequest { states: states(&[MatchState::Failed]), ..any() },
        ListMatchesRequest { states: states(&[MatchState::Cancelled]), ..any() },
        ListMatchesRequest {
            states: states(&[MatchState::Processing, MatchState::Uploaded]),
            ..any()
        },
        ListMatchesRequest { created_after: far, ..any() },
        ListMatchesRequest { created_before: long_ago, ..any() },
        ListMatchesRequest {
            states: states(&[MatchState::Cancelled]),
            labels: label("rank", "plain"),
            ..any()
        },
    ]
}

/// All that a filter selects, across pages that are short or empty.
async fn list(client: &mut Client, filter: &ListMatchesRequest) -> (Vec<Match>, usize) {
    let (mut listed, mut request, mut empty) = (Vec::new(), filter.clone(), 0);
    loop {
        let page = client.list_matches(request.clone()).await.unwrap().into_inner();
        empty += usize::from(page.matches.is_empty() && !page.next_page_token.is_empty());
        listed.extend(page.matches);
        if page.next_page_token.is_empty() {
            return (listed, empty);
        }
        request.page_token = page.next_page_token;
    }
}

async fn look_up(client: &mut Client, number: u64) {
    let id = Uuid::from_u128(CROWD.id(number)).to_string();
    let id = Some(get_match_request::Id::MatchId(id));
    let found = client.get_match(GetMatchRequest { id }).await.unwrap().into_inner();
    assert_eq!(found.create_time.unwrap().seconds as u64, CROWD.create_micros(number) / 1_000_000);
}

/// Look-ups, health and matches go on beside forty lists at once, whatever they ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_lists_at_once_disturb_no_other_call() {
    let (oz, directory) = (simulator().await, tempfile::tempdir().unwrap());
    fill(directory.path()).await;
    let service = Process::start(&oz, directory.path(), &[]);
    let (is_over, pages) = (AtomicBool::new(false), AtomicU64::new(0));
    let filters = filters();
    let lists = (0..LISTS).map(|n| {
        let (filter, is_over, pages) = (filters[n % filters.len()].clone(), &is_over, &pages);
        let service = &service;
        async move {
            let mut client = service.client().await;
            let mut request = filter.clone();
            while !is_over.load(Ordering::Relaxed) {
                let page = client.list_matches(request.clone()).await.unwrap().into_inner();
                pages.fetch_add(1, Ordering::Relaxed);
                request.page_token = page.next_page_token;
            }
        }
    });
    let others = async {
        let mut client = service.client().await;
        let channel = Channel::from_shared(service.address().to_owned()).unwrap();
        let mut health = HealthClient::new(channel.connect().await.unwrap());
        let told = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        let mut told = told.map(|told| told.unwrap().status());
        assert_eq!(told.next().await, Some(ServingStatus::Serving));
        for n in 0..200 {
            look_up(&mut client, n * 211 % COUNT).await;
            let asked = health.check(HealthCheckRequest::default()).await.unwrap();
            assert_eq!(asked.into_inner().status(), ServingStatus::Serving);
        }
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let updates = client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
        let updates = collect(updates).await.unwrap();
        assert_eq!(last(&updates).state(), MatchState::Finished);
        assert_eq!(told.next().now_or_never(), None, "health has not turned meanwhile");
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(lists), others);
    assert!(pages.into_inner() >= LISTS as u64);
}

/// A list whose caller has gone ends, and the next call finds the store at rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_lists_leave_nothing_behind() {
    let (oz, directory) = (simulator().await, tempfile::tempdir().unwrap());
    fill(directory.path()).await;
    let service = Process::start(&oz, directory.path(), &[]);
    let mut client = service.client().await;
    let filters = filters();
    for _ in 0..5 {
        // Each on a connection of its own: one on which many streams are reset is ended.
        let lists = (0..LISTS).map(|n| {
            let (service, filter) = (&service, filters[n % filters.len()].clone());
            async move {
                let mut client = service.client().await;
                timeout(Duration::from_millis(n as u64), client.list_matches(filter)).await
            }
        });
        join_all(lists).await;
        look_up(&mut client, 7).await;
    }
    let (vip, empty) = list(&mut client, &filters[4]).await;
    assert_eq!((vip.len() as u64, empty), (COUNT / 5_000, 0));
    // Looked for among nearly all that there are, page by page, until there is nothing more.
    let (none, empty) = list(&mut client, &filters[11]).await;
    assert!(none.is_empty() && empty >= 10, "{} found, {empty} empty pages", none.len());
    let listed = Command::new(env!("CARGO_BIN_EXE_facematch"))
        .args(["list", "--server", service.address(), "--state", "cancelled"])
        .args(["--label", "rank=plain"])
        .output()
        .unwrap();
    assert!(listed.status.success() && listed.stdout.is_empty(), "{listed:?}");
    let told = String::from_utf8(listed.stderr).unwrap();
    assert!(!told.contains("there are more"), "{told}");
}
