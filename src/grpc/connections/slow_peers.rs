//! Peers that are slow or silent, at both doors.

use std::{future::ready, net::SocketAddr, sync::Mutex};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tonic::Status;

use super::*;
use crate::{
    access::{Access, Quotas},
    domain::{DigestKey, TenantId, Tenants, Timestamp},
    grpc::{
        self, Config, MakeCall,
        admission::{CallerCheck, LiveReflection, ReceiveLimits, Reflection, ShareLimits, Shares},
        second_transport,
        stall::StallGuard,
        transport,
    },
    sync::lock,
    worker::photo_memory::PhotoMemory,
};

/// Stands for each timeout under test.
const SHORT: Duration = Duration::from_millis(200);
/// How long a peer that trickles waits before its next byte: well below [`SHORT`].
const TRICKLE: Duration = Duration::from_millis(20);
/// A timeout that no test reaches, and the longest wait for a condition.
const LONG: Duration = Duration::from_secs(60);
/// The connection preface of HTTP/2, and an empty SETTINGS frame.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A complete head, whose answer has no body.
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A page whose stream has the frames that a test sends it.
struct Page(Mutex<Option<mpsc::Receiver<&'static str>>>);

impl SecondDoor for Page {
    fn answer(&self, request: Request<Body>, _: DoorArrival, _: MakeCall) -> Answering {
        let frames = match request.uri().path() {
            "/stream" => lock(&self.0).take(),
            _ => None,
        };
        let body = frames.map_or_else(Body::empty, |frames| {
            Body::new(StreamBody::new(stream::unfold(frames, |mut frames| async {
                let text = frames.recv().await?;
                Some((Ok::<_, Status>(Frame::data(Bytes::from_static(text.as_bytes()))), frames))
            })))
        });
        Box::pin(ready(Ok(Response::new(body))))
    }
}

/// The doors of a server without services.
struct Stage {
    connections: Connections,
    addresses: Addresses,
    config: Config,
    page: Arc<Page>,
    frames: mpsc::Sender<&'static str>,
    serving: JoinSet<()>,
}

fn config() -> Config {
    Config {
        listen: peer(),
        digest_key: DigestKey([0; 32]),
        match_timeout: LONG,
        connections_max: 100,
        connections_per_address_max: 100,
        idle: LONG,
        connection_age: LONG,
        streams_max: 37,
        header_bytes_max: 12_345,
        keepalive: SHORT,
        request_bytes_max: 1 << 20,
        calls_max: 100,
        receive_timeout: LONG,
        reflection: Reflection::Off,
        stream_stall: LONG,
    }
}

fn peer() -> SocketAddr {
    ([192, 0, 2, 7], 4711).into()
}

impl Stage {
    fn new() -> Self {
        // Nothing that this clock measures ends a connection here.
        let clock = Clock::manual(Timestamp::default()).0;
        let config = config();
        let shares = Shares::new(ShareLimits {
            memory_bytes: config.request_bytes_max,
            calls: config.calls_max,
            photo_bytes: config.request_bytes_max,
            connections: config.connections_max,
            by_address: false,
        });
        let terms = ReceiveLimits {
            clock: clock.clone(),
            timeout: LONG,
            draining: CancellationToken::new(),
            photo_memory: PhotoMemory::new(config.request_bytes_max, Arc::new(Tenants::default)),
            is_known_match: Arc::new(|_: TenantId, _| Box::pin(ready(Ok(false)))),
        };
        let callers = CallerCheck {
            access: Access::anonymous(),
            reflection: LiveReflection::new(Reflection::Off),
            quotas: Quotas::new(Arc::new(Tenants::default), clock.clone()),
        };
        let guard = StallGuard::new(LONG, clock.clone());
        let routes = Routes::default().prepare();
        let connections = Connections {
            admission: Arc::new(Admission::new(routes, callers, shares.clone(), terms, guard)),
            has_library: Arc::new(|_| false),
            call_log: CallLog::new(Outage::new("the store", clock.clone()), clock.clone()),
            connection_log: ConnectionLog::new(clock.clone()),
            audit: Audit::off(),
            limits: grpc::limits(config),
            tls: None,
            clock,
            chance: Arc::new(|| 0.5),
        };
        let (frames, coming) = mpsc::channel(1);
        let page = Arc::new(Page(Mutex::new(Some(coming))));
        let addresses = Addresses::new(config.connections_per_address_max, shares);
        Self { connections, addresses, config, page, frames, serving: JoinSet::new() }
    }

    fn first(&self) -> Door {
        Door::First(transport(self.config))
    }

    fn second(&self) -> Door {
        Door::Second(Arc::new(second_transport(self.config, SHORT)), Arc::clone(&self.page) as _)
    }

    /// Serves a peer that has sent these bytes before its connection is served.
    async fn connect(&mut self, door: Door, sent: &[u8]) -> DuplexStream {
        let (mut caller, stream) = duplex(64 * 1024);
        caller.write_all(sent).await.unwrap();
        let opened = Opened {
            stream,
            peer: TcpConnectInfo { local_addr: None, remote_addr: Some(peer()) },
            certificate: None,
            patience: preface::patience(SHORT, std::future::pending()),
            log: self.connections.connection_log.of(peer().ip()),
        };
        let slot = self.addresses.take(peer().ip()).expect("there is room");
        let serving = self.connections.clone();
        self.serving.spawn(async move {
            serving.serve_opened(door, opened, slot, CancellationToken::new()).await;
        });
        caller
    }
}

/// What a door says before it closes the connection.
async fn said_until_closed(caller: &mut DuplexStream) -> Vec<u8> {
    let mut said = Vec::new();
    let read = timeout(LONG, caller.read_to_end(&mut said)).await;
    // A broken connection is an end too.
    let _ = read.expect("the door closes the connection");
    said
}

/// Reads until this has been said.
async fn hear(caller: &mut DuplexStream, wanted: &str) {
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(wanted) {
        let read = timeout(LONG, caller.read_buf(&mut said)).await;
        assert_ne!(read.expect("an answer").unwrap(), 0, "closed before {wanted:?}");
    }
}

/// Sends a head that never ends, byte by byte, until the door closes the connection.
async fn trickle_until_closed(caller: &mut DuplexStream) {
    let head = b"GET / HTTP/1.1\r\nhost: x\r\nx-trickle: ".iter().chain(std::iter::repeat(&b'x'));
    let trickling = async {
        for byte in head {
            let _ = caller.write_u8(*byte).await;
            // An answer other than the end would end the wait, too.
            if let Ok(said) = timeout(TRICKLE, caller.read_u8()).await {
                assert!(said.is_err(), "the door answers half a head");
                return;
            }
        }
    };
    timeout(LONG, trickling).await.expect("the door closes the connection");
}

#[tokio::test]
async fn a_connection_whose_first_head_is_late_is_closed() {
    let mut stage = Stage::new();
    for sent in [&b""[..], b"G", b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut caller = stage.connect(stage.second(), sent).await;
        let said = said_until_closed(&mut caller).await;
        assert_eq!(String::from_utf8_lossy(&said), "", "after {sent:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_does_not_keep_its_connection_open() {
    let mut stage = Stage::new();
    let mut first = stage.connect(stage.second(), b"").await;
    trickle_until_closed(&mut first).await;
    let mut later = stage.connect(stage.second(), GET).await;
    hear(&mut later, "\r\n\r\n").await;
    trickle_until_closed(&mut later).await;
}

#[tokio::test]
async fn a_connection_without_another_request_is_closed() {
    let mut stage = Stage::new();
    let mut caller = stage.connect(stage.second(), GET).await;
    hear(&mut caller, "\r\n\r\n").await;
    assert_eq!(said_until_closed(&mut caller).await, b"");
}

#[tokio::test]
async fn a_stream_runs_for_longer_than_a_head_may_take() {
    let mut stage = Stage::new();
    let get = b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = stage.connect(stage.second(), get).await;
    stage.frames.send("first").await.unwrap();
    hear(&mut stream, "first").await;
    // Connections that began later are closed one after the other, and the stream goes on.
    for _ in 0..3 {
        let mut silent = stage.connect(stage.second(), b"").await;
        said_until_closed(&mut silent).await;
    }
    stage.frames.send("last").await.unwrap();
    hear(&mut stream, "last").await;
}

#[tokio::test]
async fn http_2_has_the_same_limits_at_both_doors() {
    let mut settings = Vec::new();
    for door in [Stage::first, Stage::second] {
        let mut stage = Stage::new();
        for late in [&b""[..], &GREETING[..20]] {
            let mut caller = stage.connect(door(&stage), late).await;
            // The transport may greet first.
            said_until_closed(&mut caller).await;
        }
        // A peer that answers no ping is closed by the keepalive.
        let mut caller = stage.connect(door(&stage), GREETING).await;
        let said = said_until_closed(&mut caller).await;
        let mut frames = frames(&said);
        assert!(frames.iter().any(|(kind, _)| *kind == PING), "{frames:?}");
        frames.retain(|(kind, _)| matches!(*kind, SETTINGS | WINDOW_UPDATE));
        settings.push(frames);
    }
    let has = |name: u8, value: u32| {
        let setting = [&[0, name][..], &value.to_be_bytes()].concat();
        settings[0]
            .iter()
            .any(|(kind, payload)| *kind == SETTINGS && payload.chunks(6).any(|one| one == setting))
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_MAX_HEADER_LIST_SIZE.
    assert!(has(3, 37) && has(6, 12_345), "{settings:?}");
    assert_eq!(settings[0], settings[1]);
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// The frames that a door has sent, each as its kind and its payload.
fn frames(mut said: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = said.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at(length);
        frames.push((head[3], payload.to_vec()));
        said = rest;
    }
    frames
}
