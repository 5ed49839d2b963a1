//! The answers of the admin port, and the limits of its connections.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tower::Service;

use super::*;
use crate::{clock::Hand, domain::Timestamp, sync::lock};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The routes of a process whose clock the test moves, and which beats no pulse.
struct Scene {
    router: Router,
    readiness: Readiness,
    metrics: Arc<OnceLock<Metrics>>,
    hand: Hand,
}

/// An answer: its status, its headers and its body.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Scene {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(1_764_000_000_000_000));
        let (readiness, metrics) = (Readiness::new(clock.clone()), Arc::default());
        let routes = Routes {
            pulse: Pulse::new(clock),
            readiness: readiness.clone(),
            metrics: Arc::clone(&metrics),
        };
        Self { router: routes.router(), readiness, metrics, hand }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(Method::GET, target).await
    }

    async fn ask(&self, method: Method, target: &str) -> Answer {
        let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
        let answer = self.router.clone().call(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn status(&self, target: &str) -> u16 {
        self.get(target).await.status.as_u16()
    }
}

/// A check whose outcome the test sets.
fn switchable(name: &'static str, works: &Arc<AtomicBool>) -> ReadinessCheck {
    let works = Arc::clone(works);
    ReadinessCheck::new(name, move || {
        let works = works.load(Ordering::SeqCst);
        async move { if works { Ok(()) } else { Err("it is off") } }
    })
}

#[tokio::test]
async fn livez_needs_a_beat_of_the_last_ten_seconds_and_nothing_else() {
    let scene = Scene::new();
    scene.hand.advance(pulse::AGE_MAX);
    assert_eq!(scene.get("/livez").await.body, "ok\n", "also while the service starts");
    scene.hand.advance(Duration::from_millis(1));
    assert_eq!(scene.status("/livez").await, 503);
}

#[tokio::test]
async fn readyz_follows_the_service_from_its_start_to_its_drain() {
    let scene = Scene::new();
    let starting = scene.get("/readyz").await;
    assert_eq!(starting.status, 503);
    assert_eq!(
        starting.body,
        "[-]started failed: starting\n[-]files failed: starting\n[+]not-draining ok\n\
         readyz check failed\n"
    );
    scene.readiness.serving(Vec::new(), Vec::new());
    let serving = scene.get("/readyz").await;
    assert_eq!((serving.status, serving.body.as_str()), (StatusCode::OK, "ok\n"));
    assert_eq!(serving.headers[header::CACHE_CONTROL], "no-store");
    scene.readiness.draining();
    let draining = scene.get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert!(draining.body.contains("[-]not-draining failed: draining\n"), "{}", draining.body);
}

#[tokio::test]
async fn readyz_names_what_fails_and_leaves_out_what_it_is_asked_to() {
    let scene = Scene::new();
    let works = Arc::new(AtomicBool::new(false));
    let checks =
        vec![ReadinessCheck::new("journal", || async { Ok(()) }), switchable("lease", &works)];
    let out = Arc::clone(&works);
    let note = move || (!out.load(Ordering::SeqCst)).then_some("oz circuit open");
    scene.readiness.serving(checks, vec![Box::new(note)]);
    let failing = scene.get("/readyz").await;
    assert_eq!(failing.status, 503);
    assert_eq!(
        failing.body,
        "[+]started ok\n[+]files ok\n[+]not-draining ok\n[+]journal ok\n\
         [-]lease failed: it is off\n[i] oz circuit open\nreadyz check failed\n"
    );
    for (target, status) in [
        ("/readyz?exclude=lease", 200),
        ("/readyz?exclude=journal&exclude=lease", 200),
        ("/readyz?exclude=journal", 503),
        ("/readyz/lease", 503),
        ("/readyz/journal", 200),
        ("/readyz/nothing", 404),
        ("/readyz/", 404),
    ] {
        assert_eq!(scene.status(target).await, status, "{target}");
    }
    let verbose = scene.get("/readyz?verbose&exclude=lease&exclude=ping").await.body;
    assert!(verbose.starts_with("warning: no check is named ping\n[+]started ok\n"), "{verbose}");
    assert!(!verbose.contains("lease") && verbose.ends_with("readyz check passed\n"), "{verbose}");
    let alone = scene.get("/readyz/journal?verbose").await.body;
    assert_eq!(alone, "[+]journal ok\nreadyz check passed\n");

    works.store(true, Ordering::SeqCst);
    scene.hand.advance(Duration::from_secs(1));
    assert_eq!(scene.get("/readyz").await.body, "ok\n");
    assert!(!scene.get("/readyz?verbose").await.body.contains("[i]"));
}

#[tokio::test]
async fn requests_of_one_second_share_one_look_at_the_store() {
    let scene = Scene::new();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let check = ReadinessCheck::new("journal", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    scene.readiness.serving(vec![check], Vec::new());
    for _ in 0..100 {
        assert_eq!(scene.status("/readyz").await, 200);
    }
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    scene.hand.advance(Duration::from_secs(1));
    scene.get("/readyz").await;
    assert_eq!(looks.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn checks_that_hang_fail_together_before_a_probe_gives_up() {
    let scene = Scene::new();
    let checks = ["journal", "lease"].map(|name| ReadinessCheck::new(name, pending));
    scene.readiness.serving(checks.into(), Vec::new());
    let later = async {
        while scene.hand.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        scene.hand.advance(Duration::from_secs(2));
    };
    let (answer, ()) = tokio::join!(scene.get("/readyz"), later);
    assert_eq!(answer.status, 503);
    let late = "[-]journal failed: no answer within 2 s\n[-]lease failed: no answer within 2 s\n";
    assert!(answer.body.contains(late), "{}", answer.body);
}

#[tokio::test]
async fn only_get_and_head_are_answered_and_unknown_paths_are_404() {
    let scene = Scene::new();
    for path in ["/livez", "/readyz", "/readyz/started", "/metrics", "/version"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = scene.ask(method.clone(), path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers[header::ALLOW], "GET,HEAD");
        }
        let (head, get) = (scene.ask(Method::HEAD, path).await, scene.get(path).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
    }
    for path in ["/", "/healthz", "/livez/", "/metrics/x", "/debug/pprof"] {
        assert_eq!(scene.status(path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_those_that_are_exposed_and_get_the_headers_of_their_request() {
    let scene = Scene::new();
    assert_eq!(scene.status("/metrics").await, 404);
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let asked = Arc::clone(&seen);
    let metrics: Metrics = Arc::new(move |headers| {
        *lock(&asked) = headers.clone();
        Response::builder().header("content-type", "text/plain").body("up 1\n".into()).unwrap()
    });
    assert!(scene.metrics.set(metrics).is_ok());
    let request =
        Request::builder().uri("/metrics").header("accept", "application/openmetrics-text");
    let answer = scene.router.clone().call(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "up 1\n");
    assert_eq!(lock(&seen)["accept"], "application/openmetrics-text");
}

#[tokio::test]
async fn the_version_is_that_of_the_build() {
    let answer = Scene::new().get("/version").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["api"], "facematch.v1");
    assert!(told["features"].as_array().unwrap().contains(&"simulator".into()), "{told}");
}

/// An open port with these limits, over a clock that the test moves.
async fn open(limits: PortLimits) -> (AdminPort, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_micros(1_764_000_000_000_000));
    let address = "127.0.0.1:0".parse().unwrap();
    (AdminPort::open_within(limits, address, &clock).await.unwrap(), hand)
}

async fn connect(to: SocketAddr, begin: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    stream
}

/// What comes over a connection until the port closes it.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset ends too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    String::from_utf8(bytes).unwrap()
}

async fn probe(to: SocketAddr) -> String {
    rest(&mut connect(to, "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await)
        .await
}

#[tokio::test]
async fn silent_connections_make_room_for_a_probe() {
    let limits = PortLimits { connections_max: 3, ..PortLimits::DEFAULT };
    let (port, _hand) = open(limits).await;
    let mut silent = Vec::new();
    for begin in ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nx: ", "", "G"] {
        silent.push(connect(port.address(), begin).await);
        let answer = probe(port.address()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    for (nth, stream) in silent.iter_mut().take(2).enumerate() {
        assert_eq!(rest(stream).await, "", "the {nth}. is the oldest");
    }
    port.close().await;
}

#[tokio::test]
async fn a_request_that_does_not_arrive_ends_its_connection() {
    let head_timeout = Duration::from_millis(50);
    let limits = PortLimits { head_timeout, ..PortLimits::DEFAULT };
    let (port, _hand) = open(limits).await;
    for begin in ["", "GET /livez HTTP/1.1\r\nhost:"] {
        let answer = rest(&mut connect(port.address(), begin).await).await;
        assert!(!answer.contains("200"), "{answer}");
    }
    port.close().await;
}

#[tokio::test]
async fn a_connection_is_closed_when_it_is_old() {
    let (port, hand) = open(PortLimits::DEFAULT).await;
    let mut stream = connect(port.address(), "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    hand.advance(PortLimits::DEFAULT.age_max);
    assert!(rest(&mut stream).await.ends_with("\r\n\r\nok\n"));
    port.close().await;
}

#[tokio::test]
async fn large_heads_are_refused_and_bodies_are_not_read() {
    let (port, _hand) = open(PortLimits::DEFAULT).await;
    let large = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", "x".repeat(64 << 10));
    let answer = rest(&mut connect(port.address(), &large).await).await;
    assert!(!answer.contains("200"), "{answer}");
    let body = "GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\nsome";
    let answer = rest(&mut connect(port.address(), body).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    port.close().await;
}

#[tokio::test]
async fn a_taken_address_is_an_error_and_a_closed_port_is_free_again() {
    let (port, _hand) = open(PortLimits::DEFAULT).await;
    let address = port.address();
    let (clock, _) = Clock::manual(Timestamp::from_micros(0));
    let taken = AdminPort::open(address, &clock).await.err().expect("it is taken");
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    port.close().await;
    AdminPort::open(address, &clock).await.expect("it is free");
}
