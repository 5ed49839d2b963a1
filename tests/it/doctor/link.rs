//! What is found before Oz answers: names, connections, TLS, proxies, and other servers.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use facematch::simulator::{Config, Tls};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net,
    task::JoinSet,
};

use crate::{
    canary,
    doctor::{
        NO_LIBRARY, assert_found,
        scene::{Scene, examine},
        slow,
    },
    support::rule,
    tls::authority::{Authority, Identity},
};

#[tokio::test]
async fn an_address_where_nothing_answers_is_found() {
    let scene = Scene::new().await;
    // A label of a name has 63 letters at most, so that no name server is asked.
    let nowhere = format!("http://{}.invalid", "a".repeat(64));
    assert_found(&scene, scene.doctor_at(&nowhere), &["name"], "spelling of --oz-url").await;
    let refused = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", refused.local_addr().unwrap());
    drop(refused);
    let found =
        assert_found(&scene, scene.doctor_at(&url), &["connection"], "check the port").await;
    found.assert_not_tried("the rest");
    scene.oz.script([slow("list_folders")]);
    let program = scene.doctor().arg("--oz-timeout").arg("100ms");
    assert_found(&scene, program, &["Oz"], "hold answers back").await;
    scene.oz.script([rule(json!({ "match": { "endpoint": "list_folders" },
                                  "then": { "drop_before_acting": true } }))]);
    assert_found(&scene, scene.doctor(), &["Oz"], "no answer").await;
    assert!(scene.oz.record().iter().all(|it| !it.path.contains("authorize")));
}

#[tokio::test]
async fn another_server_is_found_and_gets_no_password() {
    let scene = Scene::new().await;
    let answers = |then: serde_json::Value| scene.oz.script([rule(json!({ "then": then }))]);
    answers(json!({ "html": 404 }));
    assert_found(&scene, scene.doctor(), &["Oz"], "answered with HTML").await;
    answers(json!({ "html": 200 }));
    assert_found(&scene, scene.doctor(), &["Oz"], "answered with HTML").await;
    answers(json!({ "html": 503 }));
    assert_found(&scene, scene.doctor(), &["Oz"], "what stands in front").await;
    answers(json!({ "status": 403, "body": { "message": "forbidden" } }));
    assert_found(&scene, scene.doctor(), &["Oz"], "not an Oz error").await;
    let there = json!({ "location": "https://login.example/?next=token" });
    answers(json!({ "html": 302, "headers": there }));
    let found =
        assert_found(&scene, scene.doctor(), &["Oz"], "redirects to https://login.example;").await;
    found.assert_not_tried("the rest");
    answers(json!({ "html": 404 }));
    let deep = format!("{}/api/v1", scene.oz.url());
    assert_found(&scene, scene.doctor_at(&deep), &["Oz"], "leave /api").await;
    assert!(scene.oz.record().iter().all(|it| !it.path.contains("authorize")));
}

/// A server that gives every request the same answer, until it is dropped.
struct Answering {
    address: SocketAddr,
    _served: JoinSet<()>,
}

impl Answering {
    async fn with(answer: &'static str) -> Self {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, mut served) = (listener.local_addr().unwrap(), JoinSet::new());
        served.spawn(async move {
            loop {
                answer_one(listener.accept().await.unwrap().0, answer).await;
            }
        });
        Self { address, _served: served }
    }
}

async fn answer_one(mut stream: net::TcpStream, answer: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    // A client that is gone is no fault.
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_proxy_that_answers_itself_is_found() {
    const LOGIN: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\
        Proxy-Authenticate: Basic\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const REFUSES: &str =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let scene = Scene::new().await;
    let by = |url: &str, proxy: SocketAddr| {
        scene.doctor_at(url).arg("--oz-proxy").arg(format!("http://{proxy}"))
    };
    let (login, refusing) = (Answering::with(LOGIN).await, Answering::with(REFUSES).await);
    let program = by("http://oz.example", login.address);
    assert_found(&scene, program, &["Oz"], "it wants a login (407)").await;
    let program = by("https://oz.example", login.address);
    assert_found(&scene, program, &["connection"], "wants a login").await;
    let program = by("https://oz.example", refusing.address);
    assert_found(&scene, program, &["connection"], "does not connect to Oz").await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = by("http://oz.example", free);
    assert_found(&scene, program, &["connection"], "the proxy 127.0.0.1").await;
    let program = scene.doctor_at("https://oz.example");
    let secret = format!("http://user:{}@{}", canary::PASSWORD, login.address);
    let program = program.variable("FACEMATCH_OZ_PROXY", secret);
    assert_found(&scene, program, &["connection"], "wants a login").await;
}

/// An Oz that serves TLS with this certificate.
async fn over_tls(identity: &Identity) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (write("cert.pem", &identity.cert), write("key.pem", &identity.key));
    let tls = Some(Tls::load(cert, key).unwrap());
    Scene::with(Config { tls, ..canary::config() }).await
}

fn file(scene: &Scene, name: &str, text: &str) -> PathBuf {
    let path = scene.directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn each_fault_of_tls_is_found() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let server = ours.server();
    for (identity, trusted, told) in [
        (&server, &others, "not issued by an authority in --oz-ca-file"),
        (&server, &Authority::new("ours"), "not issued by an authority in --oz-ca-file"),
        (&ours.server_named("oz.internal"), &ours, "for oz.internal, not for the host"),
        (&ours.server_until(2021), &ours, "expired"),
    ] {
        let scene = over_tls(identity).await;
        let ca = file(&scene, "ca.pem", &trusted.pem()).display().to_string();
        let program = scene.doctor().arg("--oz-ca-file").arg(ca);
        assert_found(&scene, program, &["TLS"], told).await;
        assert!(scene.oz.record().is_empty());
    }
    let scene = over_tls(&server).await;
    // The only authority that this machine trusts.
    let roots = file(&scene, "roots.pem", &others.pem()).display().to_string();
    let program = scene.doctor().variable("SSL_CERT_FILE", roots);
    assert_found(&scene, program, &["TLS"], "set --oz-ca-file").await;

    let plain = scene.oz.url().replacen("https", "http", 1);
    assert_found(&scene, scene.doctor_at(&plain), &["Oz"], "begins with https://").await;
    let scene = Scene::new().await;
    let ca = file(&scene, "ca.pem", &ours.pem()).display().to_string();
    let encrypted = scene.oz.url().replacen("http", "https", 1);
    let program = scene.doctor_at(&encrypted).arg("--oz-ca-file").arg(ca);
    assert_found(&scene, program, &["TLS"], "does not speak TLS").await;
}

#[tokio::test]
async fn a_healthy_oz_behind_a_private_authority_holds() {
    let ours = Authority::new("ours");
    let scene = over_tls(&ours.server()).await;
    let ca = file(&scene, "ca.pem", &ours.pem()).display().to_string();
    let found = examine(scene.doctor().arg("--rehearse").arg("--oz-ca-file").arg(ca)).await;
    found.assert_healthy(&["session extension", NO_LIBRARY]);
}
