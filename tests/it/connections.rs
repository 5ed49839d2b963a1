//! Limits on connections: their number, their idle time, and their age.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use facematch::{
    pb::{ListMatchesRequest, WatchMatchesRequest, match_update},
    simulator::Simulator,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};
use tonic::{Code, Status};

use crate::{
    canary::Client,
    http2,
    process::Process,
    support::{PATIENCE, Refusal, TestServer, connect, eventually, simulator},
};

const IDLE: Duration = Duration::from_millis(500);
const HEARTBEAT: Duration = Duration::from_millis(100);

/// A TCP relay to the service that counts opened and closed connections.
struct Relay {
    address: SocketAddr,
    seen: Arc<Seen>,
    _running: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

impl Relay {
    async fn to(house: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (seen, mut running) = (Arc::<Seen>::default(), JoinSet::new());
        running.spawn(relay(listener, socket_of(house), Arc::clone(&seen)));
        Self { address, seen, _running: running }
    }

    async fn client(&self) -> Client {
        connect(&format!("http://{}", self.address)).await
    }

    /// The numbers of connections opened and closed so far.
    fn seen(&self) -> (usize, usize) {
        (self.seen.opened.load(SeqCst), self.seen.closed.load(SeqCst))
    }
}

async fn relay(listener: TcpListener, service: String, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((mut caller, _)) = listener.accept().await {
        seen.opened.fetch_add(1, SeqCst);
        let (service, seen) = (service.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            let mut there = TcpStream::connect(service).await.expect("the service listens");
            // Both an error and an orderly end close the connection.
            let _ = copy_bidirectional(&mut caller, &mut there).await;
            seen.closed.fetch_add(1, SeqCst);
        });
    }
}

fn socket_of(house: &TestServer) -> String {
    house.address.trim_start_matches("http://").to_owned()
}

async fn list(client: &mut Client) -> Result<(), Status> {
    client.list_matches(ListMatchesRequest::default()).await.map(drop)
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_the_next_call_opens_another() {
    let house = TestServer::build_with(|config| config.idle_timeout = IDLE).await;
    let relay = Relay::to(&house).await;
    let mut client = relay.client().await;
    for round in 1..=3 {
        list(&mut client).await.expect("it is answered");
        assert_eq!(relay.seen(), (round, round - 1));
        eventually(|| relay.seen() == (round, round), || "it is still open".to_owned()).await;
    }
}

#[tokio::test]
async fn a_connection_with_an_open_stream_is_never_idle() {
    let house = TestServer::build_with(|config| {
        config.idle_timeout = IDLE;
        config.heartbeat = HEARTBEAT;
    })
    .await;
    let relay = Relay::to(&house).await;
    let mut client = relay.client().await;
    let watching = client.watch_matches(WatchMatchesRequest::default()).await;
    let mut stream = watching.expect("the stream opens").into_inner();
    // Heartbeats for more than twice the idle time.
    for _ in 0..2 * IDLE.as_millis().div_ceil(HEARTBEAT.as_millis()) + 2 {
        let update = stream.message().await.expect("the stream is alive").expect("it is open");
        assert!(matches!(update.event, Some(match_update::Event::Heartbeat(_))));
    }
    assert_eq!(relay.seen(), (1, 0));
    drop(stream);
    eventually(|| relay.seen() == (1, 1), || "it stays open without a call".to_owned()).await;
}

#[tokio::test]
async fn a_connection_is_closed_at_its_maximum_age_and_the_next_call_opens_another() {
    let house = TestServer::build_with(|config| config.max_connection_age = IDLE).await;
    let relay = Relay::to(&house).await;
    let mut client = relay.client().await;
    for round in 1..=3 {
        list(&mut client).await.expect("it is answered");
        eventually(|| relay.seen() == (round, round), || "it is still open".to_owned()).await;
    }
}

#[tokio::test]
async fn a_stream_outlives_its_connection_s_age_by_a_grace_period_and_is_told_to_resume() {
    let house = TestServer::build_with(|config| {
        config.max_connection_age = IDLE;
        config.heartbeat = HEARTBEAT;
    })
    .await;
    let relay = Relay::to(&house).await;
    let mut client = relay.client().await;
    let opened = client.watch_matches(WatchMatchesRequest::default()).await;
    let mut stream = opened.expect("the stream opens").into_inner();
    let mut heartbeats = 0;
    let told = loop {
        match stream.message().await {
            Ok(update) => heartbeats += usize::from(update.is_some()),
            Err(status) => break Refusal::of(status),
        }
    };
    told.assert(Code::Unavailable, "SERVER_DRAINING");
    assert!(told.has_retry_delay());
    // More heartbeats than fit into the shortest age alone.
    assert!(heartbeats > 4, "{heartbeats} heartbeats: there was no grace period");
    let again = client.watch_matches(WatchMatchesRequest::default()).await;
    again.expect("it resumes over another connection");
    assert_eq!(relay.seen().0, 2);
}

#[tokio::test]
async fn an_old_connection_whose_caller_does_not_read_is_cut() {
    let house = TestServer::build_with(|config| config.max_connection_age = IDLE).await;
    let mut deaf = TcpStream::connect(socket_of(&house)).await.expect("the system accepts it");
    let watch = http2::empty_call(1, "/facematch.v1.FaceMatch/WatchMatches");
    deaf.write_all(&[http2::begin(0), watch].concat()).await.expect("it listens");
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn one_address_cannot_hold_all_connections() {
    const LIMIT: usize = 4;
    let house = TestServer::build_with(|config| config.max_connections = LIMIT).await;
    // The test server has a client of its own.
    let mut mine = vec![house.client.clone(), connect(&house.address).await];
    let mut beyond = TcpStream::connect(socket_of(&house)).await.expect("the system accepts it");
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, beyond.read_to_end(&mut heard)).await;
    assert_eq!(closed.expect("it is closed").unwrap_or_default(), 0, "bytes were sent on it");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().unwrap()).expect("the loopback has more addresses");
    let service = socket_of(&house).parse().expect("an address");
    let mut other = socket.connect(service).await.expect("the system accepts it");
    other.write_all(&http2::begin(0)).await.unwrap();
    let answered = tokio::time::timeout(PATIENCE, other.read_u8()).await;
    answered.expect("it is served").expect("another address has room");
    for client in &mut mine {
        list(client).await.expect("earlier connections stay open");
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    const LIMIT: usize = 3;
    let house = TestServer::build_with(|config| {
        config.max_connections = LIMIT;
        config.max_connections_per_address = Some(LIMIT);
    })
    .await;
    // The test server has a client of its own.
    let mut clients =
        vec![house.client.clone(), connect(&house.address).await, connect(&house.address).await];
    assert_eq!(clients.len(), LIMIT);
    for client in &mut clients {
        list(client).await.expect("it is answered");
    }
    let mut beyond = TcpStream::connect(socket_of(&house)).await.expect("the system accepts it");
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, beyond.read_to_end(&mut heard)).await;
    assert_eq!(closed.expect("it is closed").unwrap_or_default(), 0, "bytes were sent on it");
    for client in &mut clients {
        list(client).await.expect("earlier connections stay open");
    }
    clients.pop();
    let served = async {
        while list(&mut connect(&house.address).await).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("there is room again");
}

/// The service, started by a shell with a soft limit on file descriptors.
fn start_with_descriptors(oz: &Simulator, directory: &Path, soft: usize) -> Process {
    let limited = format!("ulimit -Sn {soft} && exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited, env!("CARGO_BIN_EXE_facematch")]);
    Process::start_by(&mut shell, oz, directory, &["--max-connections", "500"])
}

#[tokio::test]
async fn the_service_raises_its_descriptor_limit_to_what_connections_need() {
    const SOFT: usize = 100;
    let (oz, directory) = (simulator().await, tempfile::tempdir().expect("a directory"));
    let process = start_with_descriptors(&oz, directory.path(), SOFT);
    // One connection each, more than the shell's limit allows.
    let mut clients = Vec::new();
    for _ in 0..2 * SOFT {
        clients.push(process.client().await);
    }
    for client in &mut clients {
        let answered = tokio::time::timeout(PATIENCE, list(client)).await;
        answered.expect("it is accepted").expect("it is answered");
    }
}
