//! Lists over very many retained matches, beside all other calls.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use facematch::{
    clock::Clock,
    journal::sqlite::{self, Sqlite},
    pb::{GetMatchRequest, ListMatchesRequest, Match, MatchState, get_match_request},
    simulator::{Simulator, sample},
};
use futures_util::{FutureExt, StreamExt, future::join_all};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, raw_sql, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use uuid::Uuid;

#[cfg(feature = "postgres-tests")]
use crate::replicas::fleet::Database;
use crate::{
    canary::Client,
    crowd::{self, Crowd},
    process::Process,
    support::{JOURNAL, collect, last_match, now, portrait_request, simulator},
};

/// The default number of retained matches, which are generated within seconds.
const USUAL: u64 = 30_000;

/// The number of concurrent lists that the documents promise not to disturb other calls.
const LISTS: usize = 40;

/// Look-ups beside the lists.
const LOOK_UPS: u64 = 200;

/// The matches that fill a store.
fn crowd() -> Crowd {
    Crowd {
        caller: "default",
        first: 0,
        count: crowd::count(USUAL),
        start_ms: 1_700_000_000_000,
        step_ms: 1_000,
    }
}

/// A store filled with matches.
enum Store {
    File(TempDir),
    #[cfg(feature = "postgres-tests")]
    Database(Database),
}

impl Store {
    /// A SQLite file.
    async fn file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL);
        let clock = Clock::system();
        let config = sqlite::Config {
            path: path.clone(),
            clock: clock.clone(),
            ticks: clock,
            readers: sqlite::READERS,
        };
        Sqlite::open(config).await.unwrap().close().await;
        let options = SqliteConnectOptions::new().filename(path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        raw_sql(AssertSqlSafe(crowd().sqlite())).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        connection.close().await.unwrap();
        Self::File(directory)
    }

    /// A PostgreSQL database, whose schema a first start of the service creates.
    #[cfg(feature = "postgres-tests")]
    async fn database(oz: &Simulator) -> Self {
        let database = Database::create_matches(false, None);
        Process::start_on(&database.url(), oz, &oz.url(), &[]).stop();
        database.sql(&crowd().postgres());
        Self::Database(database)
    }

    fn serve(&self, oz: &Simulator) -> Process {
        match self {
            Self::File(directory) => Process::start(oz, directory.path(), &[]),
            #[cfg(feature = "postgres-tests")]
            Self::Database(database) => Process::start_on(&database.url(), oz, &oz.url(), &[]),
        }
    }

    fn engine(&self) -> &'static str {
        match self {
            Self::File(_) => "SQLite",
            #[cfg(feature = "postgres-tests")]
            Self::Database(_) => "PostgreSQL",
        }
    }
}

/// All kinds of filters, most of which select few matches or none.
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

/// All matches that a filter selects, and the number of empty pages before the last.
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

/// Looks a match up, and returns how long that took.
async fn look_up(client: &mut Client, number: u64) -> Duration {
    let id = Uuid::from_u128(crowd().id(number)).to_string();
    let id = Some(get_match_request::Id::MatchId(id));
    let asked = now();
    let found = client.get_match(GetMatchRequest { id }).await.unwrap().into_inner();
    let took = asked.elapsed();
    let created = crowd().create_micros(number) / 1_000_000;
    assert_eq!(found.create_time.unwrap().seconds as u64, created);
    took
}

/// Looks up matches of all ages, and checks that health stays `SERVING`. Returns the p99 of the
/// look-ups.
async fn look_ups(service: &Process) -> Duration {
    let mut client = service.client().await;
    let channel = Channel::from_shared(service.address().to_owned()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let told = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut told = told.map(|told| told.unwrap().status());
    assert_eq!(told.next().await, Some(ServingStatus::Serving));
    let mut took = Vec::new();
    for n in 0..LOOK_UPS {
        took.push(look_up(&mut client, n * 7_919 % crowd().count).await);
        let asked = health.check(HealthCheckRequest::default()).await.unwrap();
        assert_eq!(asked.into_inner().status(), ServingStatus::Serving);
    }
    assert_eq!(told.next().now_or_never(), None, "health changed meanwhile");
    took.sort();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_lists_at_once_disturb_no_other_call_on_a_file() {
    let oz = simulator().await;
    check_forty_lists(&oz, &Store::file().await).await;
}

#[cfg(feature = "postgres-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_lists_at_once_disturb_no_other_call_on_a_database() {
    let oz = simulator().await;
    check_forty_lists(&oz, &Store::database(&oz).await).await;
}

/// Checks that look-ups, health checks and matches work beside forty concurrent lists.
async fn check_forty_lists(oz: &Simulator, store: &Store) {
    let service = store.serve(oz);
    let alone = look_ups(&service).await;
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
        let beside = look_ups(&service).await;
        let mut client = service.client().await;
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let updates = client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
        let updates = collect(updates).await.unwrap();
        assert_eq!(last_match(&updates).state(), MatchState::Finished);
        is_over.store(true, Ordering::Relaxed);
        beside
    };
    let (_, beside) = tokio::join!(join_all(lists), others);
    let pages = pages.into_inner();
    assert!(pages >= LISTS as u64);
    println!(
        "lists: {} matches in {}, {pages} pages by {LISTS} lists at once; a look-up's p99 {:.1} ms \
         alone, {:.1} ms beside them; none failed, health did not change",
        crowd().count,
        store.engine(),
        alone.as_secs_f64() * 1e3,
        beside.as_secs_f64() * 1e3,
    );
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_lists_leave_nothing_behind_on_a_file() {
    let oz = simulator().await;
    check_abandoned_lists(&oz, &Store::file().await).await;
}

#[cfg(feature = "postgres-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_lists_leave_nothing_behind_on_a_database() {
    let oz = simulator().await;
    check_abandoned_lists(&oz, &Store::database(&oz).await).await;
}

/// Checks that the list of a disconnected caller ends, and that later calls work as before.
async fn check_abandoned_lists(oz: &Simulator, store: &Store) {
    let service = store.serve(oz);
    let mut client = service.client().await;
    let filters = filters();
    for _ in 0..5 {
        // Each on a connection of its own: HTTP/2 closes a connection with many reset streams.
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
    assert_eq!((vip.len() as u64, empty), (crowd().count / 5_000, 0));
    // The filter selects nothing, but its scan passes nearly all matches, page by page.
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
    service.stop();
}
