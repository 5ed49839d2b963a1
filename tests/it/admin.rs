//! The admin port of the service: what probes are told while the store, Oz or the disk fails, while
//! it starts, and while it drains.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use facematch::{
    app::App, clock::Clock, config::AuditFailureMode, pb::MatchState, simulator::sample,
};
use rustix::process::Signal;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    http1::{Answer, get, get_until, try_get},
    logging::program::Program,
    signals, starting,
    support::{
        JOURNAL, Refusal, TestServer, collect, config, connect, eventually, last_match, now,
        portrait_request, simulator,
    },
};

/// Any free port of the loopback.
const ANY: &str = "127.0.0.1:0";

/// A service with an admin port.
async fn house() -> (TestServer, SocketAddr) {
    let house = TestServer::build_with(|c| c.admin_listen = ANY.parse().ok()).await;
    let admin = house.admin.expect("it has one");
    (house, admin)
}

/// The address of the admin port of a running program, from its log.
fn admin_of(program: &Program) -> SocketAddr {
    let log = program.log();
    let started = log.iter().find(|line| line["message"] == "facematch started");
    let address = started.and_then(|line| line["admin.address"].as_str()).expect("an address");
    address.parse().expect("an address")
}

#[tokio::test]
async fn a_service_that_serves_is_live_and_ready_and_tells_its_version() {
    let (mut house, admin) = house().await;
    assert_eq!(get(admin, "/livez").await.body, "ok\n");
    let ready = get_until(admin, "/readyz?verbose", |answer| answer.status == 200).await;
    assert_eq!(
        ready.body,
        "[+]started ok\n[+]files ok\n[+]not-draining ok\n[+]journal ok\n[+]journal-writes ok\n\
         readyz check passed\n"
    );
    let version = get(admin, "/version").await;
    assert!(version.head.contains("application/json"), "{}", version.head);
    let told = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(version.body.contains(told), "{}", version.body);
    house.assert_works().await;
}

#[tokio::test]
async fn an_oz_that_is_away_is_shown_and_does_not_count() {
    let oz = simulator().await;
    let mut house = TestServer::build_with_oz(oz, |config| {
        config.admin_listen = ANY.parse().ok();
        config.oz.url = closed_port();
    })
    .await;
    let admin = house.admin.expect("it has one");
    let folder = house.folder();
    let mut streams = Vec::new();
    for _ in 0..10 {
        let run = house.client.run_match(portrait_request(&folder)).await;
        streams.push(run.expect("it is accepted"));
    }
    let shown = get_until(admin, "/readyz?verbose", |answer| answer.body.contains("[i]")).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.body.contains("[i] oz circuit open\nreadyz check passed\n"), "{}", shown.body);
    assert_eq!(get(admin, "/livez").await.status, 200);
}

/// The URL of a port on which no process listens.
fn closed_port() -> String {
    let listener = TcpListener::bind(ANY).expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[tokio::test]
async fn a_full_disk_makes_the_service_unready_until_there_is_room_again() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let program = Program::start(&oz, "warn,facematch::app=info", &["--admin-listen", ANY]);
    let admin = admin_of(&program);
    get_until(admin, "/readyz", |answer| answer.status == 200).await;
    // No page can be written. Lines of the log are lost meanwhile.
    program.limit_files(1);
    let mut client = connect(&program.address).await;
    let refused = client.create_match(portrait_request(&folder)).await;
    let refused = Refusal::of(refused.expect_err("there is no room"));
    refused.assert(tonic::Code::Unavailable, "STORE_UNAVAILABLE");
    let full = get_until(admin, "/readyz", |answer| answer.status == 503).await;
    let failed = "[-]journal-writes failed: the store takes no writes\n";
    assert!(full.body.contains(failed), "{}", full.body);
    assert!(full.body.contains("[+]journal ok\n"), "{}", full.body);
    assert_eq!(get(admin, "/readyz/journal-writes").await.status, 503);
    assert_eq!(get(admin, "/readyz?exclude=journal-writes").await.status, 200);
    assert_eq!(get(admin, "/livez").await.status, 200, "a restart makes no room");

    program.limit_files(rlimit::INFINITY);
    get_until(admin, "/readyz", |answer| answer.status == 200).await;
    let run = client.run_match(portrait_request(&folder)).await.expect("there is room");
    let updates = collect(run.into_inner()).await.expect("it ends");
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    assert!(signals::send(program.id(), Signal::TERM));
    assert!(program.end().await.success());
}

#[tokio::test]
async fn an_audit_file_that_cannot_be_written_counts_where_it_is_required() {
    for (mode, status) in [(AuditFailureMode::Refuse, 503), (AuditFailureMode::Log, 200)] {
        let house = TestServer::build_with(|config| {
            config.admin_listen = ANY.parse().ok();
            config.audit_file = Some("/dev/full".into());
            config.audit_failure = mode;
        })
        .await;
        let admin = house.admin.expect("it has one");
        let is_started = |answer: &Answer| !answer.body.contains("starting");
        let answer = get_until(admin, "/readyz", is_started).await;
        assert_eq!(answer.status, status, "{mode:?}: {}", answer.body);
        let failed = "[-]audit-file failed: the audit file can't be written\n";
        assert_eq!(answer.body.contains(failed), status == 503, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_long_start_is_live_and_not_ready() {
    let oz = simulator().await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut lock = locked(&directory.path().join(JOURNAL)).await;
    let mut config = config(&oz, directory.path());
    let admin = TcpListener::bind(ANY).and_then(|port| port.local_addr()).expect("a port");
    config.admin_listen = Some(admin);
    let building = App::build(config, Clock::system());
    let asking = async {
        while try_get(admin, "/livez").await.is_err() {
            tokio::task::yield_now().await;
        }
        let (live, ready) = (get(admin, "/livez").await, get(admin, "/readyz").await);
        assert_eq!((live.status, ready.status), (200, 503));
        assert!(ready.body.starts_with("[-]started failed: starting\n"), "{}", ready.body);
        sqlx::raw_sql("COMMIT").execute(&mut lock).await.expect("it is unlocked");
    };
    let (app, ()) = tokio::join!(building, asking);
    let (app, shutdown) = (app.expect("it starts"), CancellationToken::new());
    let serving = async {
        get_until(admin, "/readyz", |answer| answer.status == 200).await;
        shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(app.run(shutdown.clone()), serving);
    ran.expect("it stops");
    assert!(try_get(admin, "/livez").await.is_err(), "the port is closed at the end");
}

/// An empty database that the connection has locked.
async fn locked(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a database");
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("it is locked");
    connection
}

#[tokio::test]
async fn a_taken_port_is_named_before_the_journal_is_made() {
    let house = TestServer::build().await;
    let taken = TcpListener::bind(ANY).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = starting::failing(&starting::with(&house, "--admin-listen", Some(&address))).await;
    starting::assert_names(&said, "--admin-listen", &address);
    assert!(!house.directory.path().join("own.db").exists());
}

#[tokio::test]
async fn during_the_drain_delay_calls_are_accepted_and_a_second_signal_ends_it() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let more = ["--admin-listen", ANY, "--drain-delay", "10m"];
    let program = Program::start(&oz, "info", &more);
    let admin = admin_of(&program);
    get_until(admin, "/readyz", |answer| answer.status == 200).await;
    let mut client = connect(&program.address).await;
    assert!(signals::send(program.id(), Signal::TERM));
    let draining = get_until(admin, "/readyz", |answer| answer.status == 503).await;
    assert!(draining.body.contains("[-]not-draining failed: draining\n"), "{}", draining.body);
    assert_eq!(get(admin, "/livez").await.status, 200);
    let run = client.run_match(portrait_request(&folder)).await.expect("it is accepted");
    let updates = collect(run.into_inner()).await.expect("it ends");
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    connect(&program.address).await;
    assert!(signals::send(program.id(), Signal::TERM));
    assert_eq!(program.end().await.code(), Some(130));
}

#[tokio::test]
async fn after_the_drain_delay_the_service_drains() {
    let house = TestServer::build_with(|config| {
        config.admin_listen = ANY.parse().ok();
        config.drain_delay = Duration::from_millis(300);
    })
    .await;
    let (admin, began) = (house.admin.expect("it has one"), now());
    house.shut_down();
    house.wait_until_stopped().await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    let is_closed = || TcpListener::bind(admin).is_ok();
    eventually(is_closed, || "the admin port stays open".to_owned()).await;
}
